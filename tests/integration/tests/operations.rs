//! What operators do to a running server: configuration read anew, tokens that expire and are renewed, collectives; and
//! what strangers try: requests published again.

use choria_tests::{Lab, PATIENCE, Process};
use config::{FixedEnvironment, Kind};
use network::{Connection, Login, Options, Role};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Asks until `done`, at most [`PATIENCE`].
fn until(what: &str, server: &Process, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what} did not happen; the log:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the server `n1` answers to `rpcutil#get_fact` for `name`.
fn fact(lab: &Lab, name: &str) -> String {
    lab.choria(&["req", "rpcutil", "get_fact", &format!("fact={name}"), "--json", "-I", "n1.lab.example.net"]).stdout
}

#[test]
fn sighup_takes_over_what_can_change_and_refuses_what_is_broken() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let mut servers = lab.start_servers(1);
    let server = &mut servers[0];
    lab.wait_for_fleet(1);
    assert!(fact(&lab, "name").contains("n1"), "{}", server.log());
    let old = lab.read("n1.conf");

    lab.write("other.yaml", "name: renamed\n");
    let audit = lab.path("audit.log").display().to_string();
    let facts = lab.path("n1.facts.yaml").display().to_string();
    let new = old.replace(&facts, &lab.path("other.yaml").display().to_string()).replace("= info", "= debug");
    let new = format!("{new}rpcaudit = 1\nplugin.rpcaudit.logfile = {audit}\nregisterinterval = 17\n");
    lab.write("n1.conf", &new);
    server.signal(Signal::SIGHUP);
    until("the reload", server, || server.log().contains("the configuration was read anew"));
    assert!(fact(&lab, "name").contains("renamed"), "{}", server.log());
    assert!(lab.read("audit.log").contains(r#""action":"get_fact""#));
    let log = server.log();
    for words in ["loglevel", "plugin.yaml", "rpcaudit", "count after a restart only: registerinterval"] {
        assert!(log.contains(words), "{words} is not told:\n{log}");
    }

    // Nothing of a configuration with mistakes counts, and all of them are told.
    lab.write("n1.conf", &format!("{old}ttl = soon\nregisterinterval = 5 minutes\n"));
    server.signal(Signal::SIGHUP);
    until("the refusal", server, || server.log().contains("the server goes on with the old one"));
    let log = server.log();
    assert!(log.contains("soon") && log.contains("5 minutes"), "{log}");
    lab.write("n1.conf", &new.replace(&lab.issuer, &"0".repeat(63)));
    server.signal(Signal::SIGHUP);
    until("the second refusal", server, || server.log().matches("the server goes on with the old one").count() == 2);
    assert!(fact(&lab, "name").contains("renamed"), "{}", server.log());
    assert!(server.is_running());
    assert_eq!(servers.remove(0).stop().code, 0);
}

#[test]
fn a_request_that_is_published_again_is_not_served_again() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let mut servers = lab.start_servers(1);
    let server = servers.remove(0);
    lab.write("n1.conf", &lab.read("n1.conf").replace("= info", "= debug"));
    server.signal(Signal::SIGHUP);
    lab.wait_for_fleet(1);
    lab.server_token("n9.lab.example.net", "n9", "issuer.seed");
    lab.write("n9.conf", &lab.read("n1.conf").replace("n1.", "n9."));

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // Another server hears every broadcast; whoever may publish for clients can send it once more.
        let spy = connect(&lab, "n9", Role::Server).await;
        let thief = connect(&lab, "client", Role::Client).await;
        let mut heard = spy.subscribe("choria.broadcast.agent.discovery", None).await.expect("a subscription");
        spy.flush().await.expect("subscribed");
        until("a request of somebody else", &server, || {
            lab.choria(&["ping", "--names", "--timeout", "2", "--expect", "1"]).stdout.contains("n1.")
        });
        let captured = tokio::time::timeout(PATIENCE, heard.recv()).await.expect("in time").expect("a request");
        let replayed = || server.log().matches("request was served already").count();
        let direct = "choria.node.n1.lab.example.net";
        for (number, subject) in [captured.subject.as_str(), direct, direct].into_iter().enumerate() {
            thief.publish(subject, captured.payload.clone()).await.expect("published");
            thief.flush().await.expect("sent");
            until("the replay", &server, || replayed() > number);
        }
        assert_eq!(replayed(), 3);
    });
    // The same again for whoever it is meant for is no hindrance.
    lab.wait_for_fleet(1);
    assert_eq!(server.stop().code, 0);
}

#[test]
fn an_expired_token_is_told_and_a_renewed_one_counts_without_a_restart() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    lab.server("n1", "n1.lab.example.net");
    lab.write("n1.conf", &format!("{}plugin.choria.status_update_interval = 1\n", lab.read("n1.conf")));
    lab.expire("n1", "issuer.seed");
    let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    until("the complaint", &server, || {
        server.log().contains("n1.jwt expired 60 minutes ago, waiting for a renewed one")
    });
    let expires = || lab.read("n1.status.json").split("token_expires").nth(1).map(str::to_owned);
    let before = expires();
    lab.server_token("n1.lab.example.net", "n1", "issuer.seed");
    lab.wait_for_fleet(1);
    until("the renewal", &server, || server.log().contains("the token was renewed"));
    until("the status file", &server, || expires() != before);
    // The laboratory's tokens count for a day.
    assert!(server.log().contains("n1.jwt expires in 23 hours"), "{}", server.log());

    // The token expires while the server runs and is connected, and a garbled one takes its place for a while.
    lab.expire("n1", "issuer.seed");
    until("the second complaint", &server, || server.log().matches("waiting for a renewed one").count() == 2);
    lab.write("n1.jwt", "garbled");
    until("the refusal", &server, || server.log().contains("the new token is not used"));
    lab.server_token("n1.lab.example.net", "n1", "issuer.seed");
    until("the second renewal", &server, || server.log().matches("the token was renewed").count() == 3);
    lab.wait_for_fleet(1);
    assert_eq!(server.stop().code, 0);
}

#[test]
fn a_server_answers_in_each_of_its_collectives() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    lab.server("n1", "n1.lab.example.net");
    let public = lab.keys("n1");
    let identity = "n1.lab.example.net";
    let token = ["jwt", "server", "n1.jwt", identity, &public, "issuer.seed", "--validity", "1d"];
    lab.choria(&[&token[..], &["--collectives", "choria", "--collectives", "uk"]].concat()).succeeded();
    let conf = lab.read("n1.conf");
    lab.write("n1.conf", &format!("{conf}collectives = choria,uk\nmain_collective = uk\n"));
    lab.write("client.conf", &format!("{}collectives = choria,uk,de\n", lab.read("client.conf")));
    let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    lab.wait_for_fleet(1);
    for (collective, answers) in [("choria", true), ("uk", true), ("de", false)] {
        let arguments = ["ping", "--names", "--timeout", "2", "--expect", "1", "-T", collective];
        assert_eq!(lab.choria(&arguments).stdout.contains(identity), answers, "{collective}: {}", server.log());
        let arguments = ["req", "rpcutil", "collective_info", "-T", collective, "-I", identity, "--json"];
        let told = lab.choria(&arguments).stdout.contains(r#""main_collective""#);
        assert_eq!(told, answers, "{collective}: {}", server.log());
    }
    let only = |filter: &str| lab.choria(&["ping", "--names", "--timeout", "2", "--expect", "1", "-S", filter]).stdout;
    let rows = [
        ("choria().agents_count == 3 && with('os.family=Debian')", true),
        ("config_item('collectives').value == ['choria', 'uk']", true),
        ("config_item('no.such.key').present", false),
        ("choria().agents_count == 4", false),
        // As recorded: the provider takes no argument.
        ("choria(\"uptime\") > 1", false),
    ];
    for (filter, matches) in rows {
        assert_eq!(only(filter).contains(identity), matches, "{filter}: {}", server.log());
    }
    assert_eq!(server.stop().code, 0);
}

/// A connection with the credentials of the configuration file `NAME.conf`.
async fn connect(lab: &Lab, name: &str, role: Role) -> Connection {
    let file = lab.path(&format!("{name}.conf"));
    let text = lab.read(&format!("{name}.conf"));
    let environment = FixedEnvironment::default().with_file(file.clone(), text).with_variable("USER", "tester");
    let kind = match role {
        Role::Server => Kind::Server,
        Role::Client => Kind::Client { working_directory: lab.folder().to_owned() },
    };
    let inputs = config::load(&file, kind, &environment).expect("a configuration");
    let settings = inputs.check().expect("a valid configuration");
    let owner = if role == Role::Client { format!("up={name}") } else { settings.identity().to_string() };
    let options = Options::from_settings(&settings, role, "replay", &owner).expect("network settings");
    assert!(matches!(options.login, Login::Token { .. }), "{:?}", options.login);
    network::connect(options, CancellationToken::new()).await.expect("a connection")
}
