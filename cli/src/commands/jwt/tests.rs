//! The commands as a user types them, run on real files.

use super::*;
use clap::Parser;
use std::os::unix::fs::PermissionsExt;
use tokens::{Seed, read_client, read_provisioning, read_server, read_token};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    jwt: Jwt,
}

/// A directory with the keys that the commands use.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { directory: tempfile::tempdir().unwrap() };
        Seed::from_bytes([1; 32]).write(&desk.path("issuer.seed")).unwrap();
        std::fs::write(desk.path("holder.public"), format!("{}\n", Self::holder())).unwrap();
        desk
    }

    fn holder() -> String {
        Seed::from_bytes([2; 32]).public().to_string()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a line in which `@name` is a file of the desk.
    fn run(&self, line: &str) -> Result<ExitCode, String> {
        let place = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => word.to_owned(),
        };
        let words = std::iter::once("jwt".to_owned()).chain(line.split(' ').map(place));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        run(line.jwt).map_err(|error| format!("{error:#}"))
    }

    /// The token that `line` writes to `@t`.
    fn token(&self, line: &str) -> String {
        self.run(line).unwrap();
        let mode = std::fs::metadata(self.path("t")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{line}");
        read_token(&self.path("t")).unwrap()
    }
}

#[test]
fn client_flags_become_claims() {
    let desk = Desk::new();
    let shown = |flags: &str| {
        let claims = read_client(&desk.token(&format!("client @t up=a @issuer.seed{flags}"))).unwrap();
        serde_json::to_string(&claims.permissions).unwrap()
    };
    let rows = [
        ("", r#"{"fleet_management":true}"#),
        (" --no-fleet-management", "{}"),
        (" --no-fleet-management --fleet-management", r#"{"fleet_management":true}"#),
        (
            " --no-fleet-management --signed-fleet-management",
            r#"{"fleet_management":true,"signed_fleet_management":true}"#,
        ),
        (" --no-fleet-management --server-provisioner", r#"{"fleet_management":true,"provisioner":true}"#),
        (" --issuer --public-key @holder.public --auth-delegation --signed-fleet-management", "{}"),
        (
            " --no-fleet-management --stream-admin --stream-user --event-viewer --elections-user --system --governor",
            r#"{"streams_admin":true,"streams_user":true,"events_viewer":true,"election_user":true,"system_user":true,"governor":true}"#,
        ),
        (
            " --no-fleet-management --org-admin --service --auth-delegation",
            r#"{"org_admin":true,"service":true,"authentication_delegator":true}"#,
        ),
    ];
    for (flags, expected) in rows {
        assert_eq!(shown(flags), expected, "{flags}");
    }
    let line = "c @t up=a @issuer.seed --agents rpcutil.ping --agents puppet.* --agents * --org acme --opa package \
                --validity 2d --public-key @holder.public --publish p --subscribe s --issuer";
    let claims = read_client(&desk.token(line)).unwrap();
    assert_eq!(claims.allowed_agents, ["rpcutil.ping", "puppet.*", "*"]);
    assert_eq!(claims.organization_unit, "acme");
    assert_eq!(claims.opa_policy.as_deref(), Some("package"));
    assert_eq!(claims.standard.public_key, Some(Desk::holder()));
    assert_eq!(
        (claims.additional_publish_subjects, claims.additional_subscribe_subjects),
        (vec!["p".to_owned()], vec!["s".to_owned()])
    );
    assert!(claims.standard.is_chain_issuer());
    let validity = claims.standard.expires.unwrap().duration_since(claims.standard.issued_at.unwrap()).unwrap();
    assert_eq!(validity.as_secs(), 2 * 86_400);
}

#[test]
fn server_and_provisioning_flags_become_claims() {
    let desk = Desk::new();
    let claims = read_server(&desk.token("server @t n1.example.net @holder.public @issuer.seed")).unwrap();
    assert_eq!((claims.collectives, claims.organization_unit.as_str()), (vec!["mcollective".to_owned()], "choria"));
    assert_eq!(claims.standard.public_key, Some(Desk::holder()));
    let line = format!(
        "server @t n1 {} @issuer.seed --collectives a --collectives b --subjects x --submission --stream-user --service --governor",
        Desk::holder()
    );
    let claims = read_server(&desk.token(&line)).unwrap();
    let granted = claims.granted();
    assert!(granted.submission && granted.streams && granted.service_host && granted.governor);
    assert_eq!(
        (claims.collectives, claims.additional_publish_subjects),
        (vec!["a".to_owned(), "b".to_owned()], vec!["x".to_owned()])
    );

    let claims = read_provisioning(&desk.token("prov @t @issuer.seed --token s --srv example.net")).unwrap();
    assert!(!claims.secure && !claims.provision_by_default && !claims.protocol_v2 && !claims.allow_update);
    assert_eq!((claims.srv_domain.as_str(), claims.token.as_str()), ("example.net", "s"));
    let line = r#"p @t @issuer.seed --token s --urls nats://a:1 --urls nats://b:2 --no-insecure --default --registration r --facts f --username u --password p --extensions {"a":1} --protocol-v2 --update"#;
    let claims = read_provisioning(&desk.token(line)).unwrap();
    assert!(claims.secure && claims.provision_by_default && claims.protocol_v2 && claims.allow_update);
    assert_eq!(claims.urls, "nats://a:1,nats://b:2");
    assert_eq!(serde_json::to_string(&claims.extensions).unwrap(), r#"{"a":1}"#);
}

#[test]
fn keys_are_made_once() {
    let desk = Desk::new();
    desk.run("keys @new.seed @new.public").unwrap();
    let seed = Seed::read(&desk.path("new.seed")).unwrap();
    assert_eq!(std::fs::read_to_string(desk.path("new.public")).unwrap(), seed.public().to_string());
    desk.run("k @new.seed --show-public").unwrap();
    assert_eq!(Seed::read(&desk.path("new.seed")).unwrap().public(), seed.public(), "only shown");
    desk.run("keys -f @new.seed").unwrap();
    assert_ne!(Seed::read(&desk.path("new.seed")).unwrap().public(), seed.public(), "forced");
}

#[test]
fn refusals_say_what_to_write_instead() {
    let desk = Desk::new();
    std::fs::write(desk.path("short"), "abc").unwrap();
    let rows = [
        ("client @t up=a @issuer.seed --agents rpcutil", "write agent.action, agent.* or *, for example rpcutil.*"),
        ("client @t up=a @issuer.seed --validity 1", "invalid duration"),
        ("client @t up=a @issuer.seed --issuer", "--public-key"),
        ("client @t up=a @short", "could not create token: "),
        ("client @t up=a @absent", "absent"),
        ("client @t up=a @issuer.seed --public-key abc", "cannot read abc"),
        (
            "server @t n1 @holder.public @issuer.seed --governor",
            "cannot set --governor unless --stream-user is also set",
        ),
        ("server @t n1 @holder.public @issuer.seed --collectives a.b", "is not a valid collective"),
        ("provisioning @t @issuer.seed --token s", "URLs or a SRV Domain is required"),
        ("provisioning @t @issuer.seed --token s --srv x --extensions []", "invalid extensions"),
        ("keys --show-public @absent", "absent"),
        ("view @absent", "absent"),
        ("@short", "could not parse token"),
    ];
    for (line, expected) in rows {
        let error = desk.run(line).expect_err(line);
        assert!(error.contains(expected), "{line}: {error}");
        assert!(!desk.path("t").exists(), "{line} left a token behind");
    }
}

#[test]
fn a_lone_file_is_viewed() {
    for line in
        ["jwt a.jwt", "jwt --json a.jwt", "jwt view a.jwt", "jwt s a.jwt", "jwt show a.jwt", "jwt v a.jwt b --json"]
    {
        let jwt = Line::try_parse_from(line.split(' ')).expect(line).jwt;
        assert!(
            matches!((&jwt.command, &jwt.view), (Some(Command::View(_)), None) | (None, Some(_))),
            "{line}: {jwt:?}"
        );
    }
}
