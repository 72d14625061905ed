//! The whole story on real processes: nodes that have nothing but a token become a fleet, and people who logged in
//! drive it, with every request signed centrally, authorized and audited on the node.

use choria_tests::{Demonstration, PROVISION_TOKEN};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

const NODES: usize = 10;

fn identity(number: usize) -> String {
    format!("s{number}.lab.example.net")
}

/// One after the other, as each chapter needs the one before.
#[test]
fn ten_bare_nodes_become_a_fleet_that_people_drive() {
    let demo = Demonstration::new();
    let _broker = demo.lab.start_broker();
    let servers: Vec<_> = (1..=NODES).map(|number| demo.start_server(&identity(number))).collect();
    let _aaa = demo.start_aaa();
    let _provisioner = demo.start_provisioner();

    refused_without_login(&demo);
    wrong_password_changes_nothing(&demo);
    for user in ["choria", "admin", "streams"] {
        demo.login(user);
    }
    demo.wait_for_fleet("choria", NODES);
    drop_nothing(&demo, servers.len());

    credentials_are_private(&demo);
    allowed_for_choria(&demo);
    refused_by_the_signer(&demo);
    admin_may_everything(&demo);
    streams_may_not_manage_the_fleet(&demo);
    everything_is_audited(&demo);
}

fn refused_without_login(demo: &Demonstration) {
    let output = demo.choria("choria", &["req", "rpcutil", "ping"]);
    output.failed(1, &["choria login"]);
}

fn wrong_password_changes_nothing(demo: &Demonstration) {
    demo.login("choria");
    let (token, key) = (demo.lab.read("users/choria/client.jwt"), demo.lab.read("users/choria/client.key"));
    demo.try_login("choria", "wrong").failed(1, &["Login failed"]);
    assert_eq!((token, key), (demo.lab.read("users/choria/client.jwt"), demo.lab.read("users/choria/client.key")));
    for file in ["users/choria/client.jwt", "users/choria/client.key"] {
        let mode = std::fs::metadata(demo.lab.path(file)).expect("a file after the login").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// All servers are the processes that were started: they became fleet members in place.
fn drop_nothing(demo: &Demonstration, count: usize) {
    let names = demo.choria("choria", &["find"]).succeeded();
    let mut found: Vec<_> = names.lines().map(str::to_owned).collect();
    let mut expected: Vec<_> = (1..=count).map(identity).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

fn credentials_are_private(demo: &Demonstration) {
    for number in 1..=NODES {
        for file in ["server.jwt", "server.seed", "server.conf"] {
            let path = demo.of(&identity(number), file);
            let mode =
                std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{}", path.display());
        }
    }
}

fn allowed_for_choria(demo: &Demonstration) {
    let said = demo.choria("choria", &["req", "rpcutil", "ping", "--json"]).succeeded();
    let document: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(document["request_stats"]["ok"], NODES, "{document:#}");
}

fn refused_by_the_signer(demo: &Demonstration) {
    let token = format!("token={PROVISION_TOKEN}");
    let output = demo.choria("choria", &["req", "choria_provision", "restart", &token, "-I", &identity(1)]);
    output.failed(1, &["Request Denied"]);
}

fn admin_may_everything(demo: &Demonstration) {
    let wrong = demo.choria("admin", &["req", "choria_provision", "restart", "token=wrong", "-I", &identity(1)]);
    assert!(wrong.stdout.contains("Incorrect provision token supplied"), "{wrong:?}");
    let token = format!("token={PROVISION_TOKEN}");
    let output =
        demo.choria("admin", &["req", "choria_provision", "reprovision", &token, "-I", &identity(2), "--json"]);
    assert!(output.stdout.contains("Restarting after"), "{output:?}");
    demo.wait_for_fleet("admin", NODES - 1);
    demo.wait_for_fleet("admin", NODES);
}

fn streams_may_not_manage_the_fleet(demo: &Demonstration) {
    let output = demo.choria("streams", &["req", "rpcutil", "ping", "-I", &identity(1)]);
    assert_ne!(output.code, 0, "{output:?}");
    assert!(!output.stdout.contains("OK"), "{output:?}");
}

fn everything_is_audited(demo: &Demonstration) {
    let signed = demo.lab.read("signer_audit.json");
    let lines: Vec<Value> = signed.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    let count = |action: &str, caller: &str| {
        lines.iter().filter(|line| line["action"] == action && line["caller"] == caller).count()
    };
    assert!(count("allow", "up=choria") > 0, "{signed}");
    assert!(count("deny", "up=choria") > 0, "{signed}");
    assert!(count("allow", "up=admin") > 0, "{signed}");

    let node = std::fs::read_to_string(demo.of(&identity(1), "audit.log")).expect("the node's audit log");
    let lines: Vec<Value> = node.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert!(lines.iter().any(|line| line["caller"] == "up=choria" && line["agent"] == "rpcutil"), "{node}");
}
