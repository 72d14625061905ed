//! The everyday commands on a real network: what they print, where, and their exit codes.

use choria_tests::{Lab, PATIENCE, Process};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Instant;

const REPORT: &str =
    "# one column a line\nNode = sender()\nFamily = fact(\"os.family\")\nBase = class(\"roles::base\")\n";

/// Waits until `process` has printed `text`.
#[track_caller]
fn wait_for(process: &mut Process, text: &str) {
    let began = Instant::now();
    while !process.said().contains(text) {
        assert!(process.is_running(), "it ended before it said {text:?}: {}{}", process.said(), process.log());
        assert!(began.elapsed() < PATIENCE, "{text:?} was not said:\n{}", process.said());
        std::thread::yield_now();
    }
}

#[test]
fn requests_reports_and_health() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let _servers = lab.start_servers(3);
    lab.wait_for_fleet(3);
    lab.write("report", REPORT);
    lab.write("nodes", "n1.lab.example.net\nn2.lab.example.net\nn3.lab.example.net\n");
    let n1 = r#"data("fact") == "name" && sender() == "n1.lab.example.net""#;
    let on_all = ["req", "rpcutil", "get_fact", "fact=name", "--nodes", "nodes"];
    let rows: [(&str, &[&str], i32, &[&str]); 9] = [
        ("kept answers", &["--filter-replies", n1], 0, &["Value: n1", "   n1: 1\n", "Finished processing 3 / 3"]),
        ("names", &["--senders", "--sort"], 0, &["n1.lab.example.net\nn2.lab.example.net\nn3.lab.example.net\n"]),
        ("the first of three", &["--limit", "1", "--senders"], 0, &["n1.lab.example.net\n"]),
        ("a third", &["--limit", "34%", "--senders"], 0, &["n1.lab.example.net\n"]),
        ("batches", &["--batch", "2", "--batch-sleep", "0", "--display", "none"], 0, &["Finished processing 3 / 3"]),
        (
            "a table",
            &["--table", "--sort"],
            0,
            &["│ Sender             │ Fact │ Value │", "│ n3.lab.example.net │ name │ n3    │"],
        ),
        ("no limit at all", &["--limit", "0"], 1, &[]),
        ("a limit that is none", &["--limit", "some"], 1, &[]),
        ("no expression", &["--filter-replies", "ok("], 1, &[]),
    ];
    for (name, flags, code, texts) in rows {
        let output = lab.choria(&[&on_all, flags].concat());
        assert_eq!(output.code, code, "{name}: {output:#?}");
        assert!(code == 0 || output.stderr.starts_with("choria: error: "), "{name}: {output:#?}");
        for text in texts {
            assert!(output.stdout.contains(text), "{name}: {text:?} is not in {output:#?}");
        }
    }

    let document = |words: &[&str]| -> Value {
        let output = lab.choria(words);
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {output:#?}"))
    };
    let rows = document(&["inventory", "--script", "report", "--json"]);
    assert_eq!(rows[2], json!({"Node": "n3.lab.example.net", "Family": "Debian", "Base": true}));
    assert_eq!(document(&["inventory", "--collectives", "--json"]), json!({"nodes": 3, "collectives": {"choria": 3}}));
    let page = document(&["inventory", "n2.lab.example.net", "--json"]);
    assert_eq!(page["inventory"]["facts"]["name"], "n2");
    lab.choria(&["inventory"]).failed(1, &["--script"]);
    lab.write("bad", "Node = sender()\nFamily\n");
    lab.choria(&["inventory", "--script", "bad"]).failed(1, &["bad:2: a column is written as"]);
}

#[test]
fn events_are_shown_as_they_happen() {
    let lab = Lab::new();
    lab.client("viewer", "issuer.seed");
    let public = lab.read("viewer.public");
    let token = ["jwt", "client", "viewer.jwt", "up=viewer", "issuer.seed", "--public-key", &public, "--event-viewer"];
    lab.choria(&token).succeeded();
    let _broker = lab.start_broker();
    let config = lab.path("viewer.conf").display().to_string();
    let mut viewer = lab.start("choria", &["tool", "event", "--config", &config, "--component", "server"]);
    wait_for(&mut viewer, "Waiting for events from topic choria.lifecycle.event.*.server on ");
    let servers = lab.start_servers(1);
    wait_for(&mut viewer, " [startup] n1.lab.example.net: server version ");
    servers.iter().for_each(|server| server.signal(Signal::SIGTERM));
    wait_for(&mut viewer, " [shutdown] n1.lab.example.net: server\n");
    viewer.signal(Signal::SIGINT);
    let ended = viewer.output();
    assert_eq!(ended.code, 0, "{ended:#?}");

    let refused = lab.choria(&["tool", "event"]);
    refused.failed(1, &["the broker does not tell about events", "client.jwt", "--event-viewer"]);
}

#[test]
fn a_servers_health_is_read_from_its_file() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    lab.server("n1", "n1.lab.example.net");
    let file = lab.path("n1.status.json").display().to_string();
    let _server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    let began = Instant::now();
    while !lab.path("n1.status.json").exists() {
        assert!(began.elapsed() < PATIENCE, "no status file");
        std::thread::yield_now();
    }
    // The laboratory's tokens last a day.
    let rows: [(&[&str], i32, String); 7] = [
        (&["--token-age", "1h"], 0, format!("{file} OK\n")),
        (&["--token-age", "0", "--provisioned", "--no-disconnected"], 0, format!("{file} OK\n")),
        (&["--token-age", "1h", "--unprovisioned"], 1, format!("{file} not in provisioning mode\n")),
        (
            &["--unprovisioned", "--format", "nagios"],
            2,
            "CRITICAL: not in provisioning mode, token expires ".to_owned(),
        ),
        (&["--token-age", "10d"], 1, format!("{file} token expires ")),
        (&["--token-age", "10d", "--format", "nagios"], 1, "WARNING: token expires ".to_owned()),
        (&["--token-age", "1h", "--format", "nagios"], 0, format!("OK: {file}|uptime=")),
    ];
    for (flags, code, start) in rows {
        let output = lab.choria(&[&["tool", "status", "--status-file", &file], flags].concat());
        assert!(output.code == code && output.stdout.starts_with(&start), "{flags:?}: {output:#?}");
    }
    let absent = lab.choria(&["tool", "status", "--status-file", "/nonexistent", "--format", "nagios"]);
    assert!(absent.code == 3 && absent.stdout.starts_with("UNKNOWN: /nonexistent could not be read: "), "{absent:#?}");
}
