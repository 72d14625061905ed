//! A broker, three servers and a client: what a user sees when all is well.

use choria_tests::Lab;
use serde_json::Value;

#[test]
fn the_everyday_commands_work() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let _servers = lab.start_servers(3);
    lab.wait_for_fleet(3);
    ping_prints_hosts_and_statistics(&lab);
    requests_reach_every_node(&lab);
    discovery_follows_the_filters(&lab);
    facts_are_counted(&lab);
    inventory_shows_one_node(&lab);
    exit_codes_tell_how_nodes_fared(&lab);
    mistakes_are_explained(&lab);
}

fn ping_prints_hosts_and_statistics(lab: &Lab) {
    let out = lab.choria(&["ping", "--expect", "3"]).succeeded();
    let hosts = out.lines().filter(|line| line.contains("time=") && line.ends_with(" ms")).count();
    assert_eq!(hosts, 3, "{out}");
    assert!(out.contains("---- ping statistics ----\n3 replies max: "), "{out}");
}

fn requests_reach_every_node(lab: &Lab) {
    let document: Value =
        serde_json::from_str(&lab.choria(&["req", "rpcutil", "ping", "--json"]).succeeded()).expect("JSON");
    assert_eq!(document["replies"].as_array().map(Vec::len), Some(3), "{document}");
    assert_eq!(document["request_stats"]["ok"], 3);
    let lines = lab.choria(&["req", "rpcutil", "collective_info", "--jsonl"]).succeeded();
    let results = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    assert_eq!(results.filter(|line| line["k"] == "result").count(), 3, "{lines}");
    let batched = lab.choria(&["req", "rpcutil", "ping", "--batch", "1", "--batch-sleep", "0"]).succeeded();
    assert!(batched.contains("Finished processing 3 / 3 hosts in "), "{batched}");
    let limited = lab.choria(&["req", "rpcutil", "ping", "--limit", "2", "--senders"]).succeeded();
    assert_eq!(limited.lines().count(), 2, "{limited}");
    let inventory = lab.choria(&["req", "rpcutil", "inventory", "-I", "n1.lab.example.net", "--json"]).succeeded();
    let document: Value = serde_json::from_str(&inventory).expect("JSON");
    assert_eq!(document["replies"][0]["data"]["facts"]["name"], "n1", "{document}");
}

fn discovery_follows_the_filters(lab: &Lab) {
    let rows: &[(&[&str], &[&str])] = &[
        (&["-F", "name=n2"], &["n2.lab.example.net"]),
        (&["-F", "os.family=/deb/", "-I", "/n[12]/"], &["n1.lab.example.net", "n2.lab.example.net"]),
        (&["-C", "roles::web"], &[]),
        (&["-S", "with('roles::base') && fact('name') == 'n3'"], &["n3.lab.example.net"]),
        (&["-A", "nosuchagent"], &[]),
    ];
    for (filter, expected) in rows {
        let arguments = [&["find"], *filter].concat();
        let out = lab.choria(&arguments).succeeded();
        let mut names: Vec<&str> = out.lines().collect();
        names.sort_unstable();
        assert_eq!(names, *expected, "{filter:?}");
    }
    lab.write("nodes.txt", "# two of them\nn1.lab.example.net\n\nn3.lab.example.net\n");
    let out = lab.choria(&["req", "rpcutil", "ping", "--nodes", "nodes.txt", "--senders", "--sort"]).succeeded();
    assert_eq!(out, "n1.lab.example.net\nn3.lab.example.net\n");
}

fn facts_are_counted(lab: &Lab) {
    let out = lab.choria(&["facts", "os.family"]).succeeded();
    assert!(out.starts_with("Report for fact: os.family\n\n  Debian found 3 times\n"), "{out}");
    let document: Value = serde_json::from_str(&lab.choria(&["facts", "name", "--json"]).succeeded()).expect("JSON");
    assert_eq!(document["n1"]["count"], 1, "{document}");
}

fn inventory_shows_one_node(lab: &Lab) {
    let out = lab.choria(&["inventory", "n1.lab.example.net"]).succeeded();
    for text in [
        "Inventory for n1.lab.example.net",
        "Main Collective: choria",
        "rpcutil",
        "roles::base",
        "\"family\": \"Debian\"",
    ] {
        assert!(out.contains(text), "{text}: {out}");
    }
    let report = lab.choria(&["inventory", "--collectives"]).succeeded();
    assert!(report.contains("Collective Report for 3 nodes"), "{report}");
}

fn exit_codes_tell_how_nodes_fared(lab: &Lab) {
    let failed = lab.choria(&["req", "rpcutil", "get_config_item", "item=no.such.key"]);
    failed.failed(2, &[]);
    let silent = lab.choria(&["req", "rpcutil", "ping", "-I", "nobody.lab.example.net", "--discovery-timeout", "1"]);
    silent.failed(3, &[]);
    assert!(silent.stdout.contains("nobody.lab.example.net"), "{silent:?}");
}

fn mistakes_are_explained(lab: &Lab) {
    lab.choria(&["req", "rpcutl", "ping"]).failed(1, &["rpcutl", "did you mean", "rpcutil"]);
    lab.choria(&["req", "rpcutil", "pin"]).failed(1, &["pin", "did you mean", "ping"]);
    lab.choria(&["req", "rpcutil", "get_fact", "fct=os"]).failed(1, &["fct", "did you mean", "fact"]);
    lab.choria(&["req", "rpcutil", "get_fact"]).failed(1, &["'fact' is required"]);
    lab.choria(&["pingg"]).failed(1, &["ping"]);
}
