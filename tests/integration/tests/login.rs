//! `choria login` against a stand-in for the AAA service: what it writes, and that it writes nothing when anything fails.

use choria_tests::{Lab, free_port, programs};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, PublicKey, Signature, SigningKey};

#[test]
fn a_login_replaces_key_and_token_and_opens_the_fleet() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let _servers = lab.start_servers(2);
    lab.wait_for_fleet(2);
    let service = Service::start(&lab, 200, None);
    // The first address that is tried may be the one where nobody is.
    let nobody = format!("http://127.0.0.1:{}/choria/v1/login", free_port());
    let files = ".config/choria/new/client";
    configure(&lab, files, &format!("{nobody}, {}", service.url));

    let missing = choria(&lab, &["ping"], "", &[]);
    assert_eq!(missing.0, 1);
    assert!(missing.2.contains("client.jwt: run `choria login`"), "{}", missing.2);

    let (code, said, errors) = choria(&lab, &["login"], "tester\nsecret\n", &[]);
    assert_eq!(code, 0, "{errors}");
    let token = lab.path(&format!("{files}.jwt"));
    assert!(said.starts_with(&format!("Token saved to {}\nValid until ", token.display())), "{said}");
    assert!(!format!("{said}{errors}").contains("secret"));
    for file in [&token, &lab.path(&format!("{files}.key"))] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(token.parent().expect("a folder")), 0o700);
    assert_eq!(lab.read(&format!("{files}.key")).len(), 64, "hexadecimal without a newline");
    assert!(!lab.read(&format!("{files}.jwt")).ends_with('\n'));

    let (code, nodes, errors) = choria(&lab, &["ping", "--names"], "", &[]);
    assert_eq!((code, nodes.lines().count()), (0, 2), "{nodes}{errors}");
    let key = lab.read(&format!("{files}.key"));
    assert_eq!(choria(&lab, &["login"], "\nsecret\n", &[]).0, 0, "an empty line is $USER");
    assert_ne!(lab.read(&format!("{files}.key")), key, "a new key each time");

    // What expires is told before anything is sent.
    std::fs::copy(lab.path(&format!("{files}.jwt")), lab.path("late.jwt")).expect("a copy");
    lab.expire("late", "issuer.seed");
    std::fs::copy(lab.path("late.jwt"), lab.path(&format!("{files}.jwt"))).expect("a copy");
    let (code, _, errors) = choria(&lab, &["ping"], "", &[]);
    assert_eq!(code, 1);
    assert!(errors.contains("client.jwt expired at ") && errors.contains(": run `choria login`"), "{errors}");
}

#[test]
fn a_login_that_fails_leaves_everything_as_it_was() {
    let lab = Lab::new();
    let huge = json!({"token": "x".repeat(300_000)}).to_string();
    let rows: [(&str, Service, &str, &str); 8] = [
        ("a wrong password", Service::start(&lab, 200, None), "tester\nwrong\n", "choria: error: Login failed"),
        (
            "an error of the service",
            Service::start(&lab, 500, Some("{\"code\":500}")),
            LOGIN,
            "invalid response code 500: {\"code\":500}",
        ),
        (
            "no service",
            Service::start(&lab, 404, Some("nothing here")),
            LOGIN,
            "invalid response code 404: nothing here",
        ),
        ("garbage", Service::start(&lab, 200, Some("<html>")), LOGIN, "no answer that is a JSON object"),
        ("no token", Service::start(&lab, 200, Some("{}")), LOGIN, "no token received"),
        ("another's token", Service::start(&lab, 200, Some(&foreign(&lab))), LOGIN, "a token for another key"),
        ("far too much", Service::start(&lab, 200, Some(&huge)), LOGIN, "is longer than"),
        ("no password", Service::start(&lab, 200, None), "tester\n", "no password"),
    ];
    for (name, service, input, expected) in rows {
        configure(&lab, "client", &service.url);
        std::fs::copy(lab.path("client.seed"), lab.path("client.key")).expect("a copy");
        let before = (lab.read("client.jwt"), lab.read("client.key"));
        let (code, said, errors) = choria(&lab, &["login"], input, &[]);
        assert_eq!((code, said.as_str()), (1, ""), "{name}");
        assert!(errors.contains(expected), "{name}: {errors}");
        assert!(!errors.contains("wrong") && !errors.contains("secret"), "{name}: {errors}");
        assert_eq!((lab.read("client.jwt"), lab.read("client.key")), before, "{name}: the old login is kept");
    }
}

#[test]
fn a_login_that_cannot_be_saved_is_refused_before_it_is_asked() {
    let lab = Lab::new();
    lab.write("occupied", "a file where a folder is needed");
    configure(&lab, "occupied/client", "http://127.0.0.1:9/choria/v1/login");
    let (code, _, errors) = choria(&lab, &["login"], LOGIN, &[]);
    assert_eq!(code, 1);
    assert!(errors.contains("occupied cannot be created"), "{errors}");
    let rows = [
        ("", "please configure a login server URL using plugin.login.aaasvc.login.url"),
        ("caaa", "plugin.login.aaasvc.login.url"),
    ];
    for (url, expected) in rows {
        configure(&lab, "client", url);
        let (code, _, errors) = choria(&lab, &["login"], LOGIN, &[]);
        assert_eq!(code, 1, "{url}");
        assert!(errors.contains(expected), "{url}: {errors}");
    }
}

#[test]
fn a_token_that_cannot_be_replaced_keeps_its_key() {
    let lab = Lab::new();
    let service = Service::start(&lab, 200, None);
    configure(&lab, "client", &service.url);
    std::fs::copy(lab.path("client.seed"), lab.path("client.key")).expect("a copy");
    let key = lab.read("client.key");
    // A folder cannot be replaced by a file, whoever tries.
    std::fs::remove_file(lab.path("client.jwt")).expect("it was there");
    std::fs::create_dir(lab.path("client.jwt")).expect("a folder");
    let (code, _, errors) = choria(&lab, &["login"], LOGIN, &[]);
    assert_eq!(code, 1);
    assert!(errors.contains("could not be saved"), "{errors}");
    assert_eq!(lab.read("client.key"), key, "the old key is in place");
}

#[test]
fn a_program_called_choria_login_takes_over() {
    let lab = Lab::new();
    let folder = lab.path("helpers");
    std::fs::create_dir(&folder).expect("a folder");
    let helper = folder.join("choria-login");
    std::fs::write(&helper, "#!/bin/sh\necho \"$@\"\nread line; echo \"heard $line\"\nexit 3\n").expect("a program");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let (code, said, _) = choria(&lab, &["login", "--debug"], "jo\n", &[("PATH", &path)]);
    assert_eq!((code, said.as_str()), (3, "login --debug\nheard jo\n"));
}

const LOGIN: &str = "tester\nsecret\n";

/// A service that knows `tester` with the password `secret`, or that always says the same.
struct Service {
    url: String,
}

impl Service {
    fn start(lab: &Lab, status: u16, says: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/choria/v1/login", listener.local_addr().expect("an address"));
        let issuer = SigningKey::read(&lab.path("issuer.seed")).expect("a seed");
        let says = says.map(str::to_owned);
        // Ends with the process of the test.
        std::thread::spawn(move || {
            while let Ok((mut stream, _peer)) = listener.accept() {
                let mut heard = Vec::new();
                let question: Value = loop {
                    let mut buffer = [0; 4096];
                    let read = stream.read(&mut buffer).expect("a request");
                    assert!(read > 0, "the request ends early");
                    heard.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&heard);
                    match text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body)) {
                        Some(Ok(question)) => break question,
                        _ => continue,
                    }
                };
                let body = says.clone().unwrap_or_else(|| answer(&question, &issuer).to_string());
                let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                // A client that had enough hangs up.
                stream.write_all(text.as_bytes()).ok();
            }
        });
        Self { url }
    }
}

/// As spec 07 §4.2 judges.
fn answer(question: &Value, issuer: &SigningKey) -> Value {
    let text = |key: &str| question[key].as_str().expect(key);
    let key: PublicKey = text("public_key").parse().expect("a key");
    let signed = format!("{}:{}:{}", text("timestamp"), text("username"), text("password"));
    let signature = Signature::from_hex(text("signature")).expect("a signature");
    assert!(key.verify(signed.as_bytes(), &signature), "the question is signed");
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs()
        - text("timestamp").parse::<u64>().expect("a number");
    assert!(age < 60, "{age} s old");
    if (text("username"), text("password")) != ("tester", "secret") {
        return json!({"error": "Login failed"});
    }
    json!({"token": token(&key.to_string(), issuer)})
}

fn token(key: &str, issuer: &SigningKey) -> String {
    let hour = Duration::from_secs(3600);
    let mut claims = ClientClaims::new("up=tester", hour, SystemTime::now(), &mut rand::thread_rng()).expect("claims");
    claims.standard.public_key = Some(key.to_owned());
    claims.permissions = Some(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    claims.sign(issuer).expect("a token")
}

/// A token for the key of somebody else.
fn foreign(lab: &Lab) -> String {
    let key = lab.keys("stranger");
    json!({"token": token(&key, &SigningKey::read(&lab.path("issuer.seed")).expect("a seed"))}).to_string()
}

/// A client whose token and key are `FILES.jwt` and `FILES.key`, and who logs in at `urls`.
fn configure(lab: &Lab, files: &str, urls: &str) {
    let base = lab.read("client.conf");
    let kept = |line: &&str| !line.contains("token_file") && !line.contains("seed_file") && !line.contains("login.url");
    let mut text: String = base.lines().filter(kept).map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("plugin.security.choria.token_file = ~/{files}.jwt\n"));
    text.push_str(&format!("plugin.security.choria.seed_file = ~/{files}.key\n"));
    if !urls.is_empty() {
        text.push_str(&format!("plugin.login.aaasvc.login.url = {urls}\n"));
    }
    lab.write("client.conf", &text);
}

/// Exit code, standard output and standard error of `choria` with `input` on its standard input.
fn choria(lab: &Lab, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut child = Command::new(programs().join("choria"))
        .args(arguments)
        .current_dir(lab.folder())
        .env("CHORIA_CONFIG", lab.path("client.conf"))
        .env("HOME", lab.folder())
        .env("USER", "tester")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A command that reads nothing may be gone by now.
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}
