//! `choria election` on a real broker: programs and files that know who leads.

use choria_tests::{Lab, PATIENCE};
use nix::sys::signal::Signal;
use std::time::Instant;

#[test]
fn programs_files_and_people_see_who_leads() {
    let lab = lab();
    let _broker = lab.start_broker();
    wait(&lab, "the bucket", || lab.choria(&["election", "info"]).code == 0);
    let empty = lab.choria(&["election", "info"]).succeeded();
    assert!(
        empty.starts_with("WARNING: CHORIA_LEADER_ELECTION is not a valid election bucket, maximum age 3s is too low"),
        "{empty}"
    );
    assert!(empty.contains("\n     Elections: 0\n"), "{empty}");

    let script = "trap 'echo leads; kill $!' USR1; echo started; sleep 60 & wait; exit 7";
    let first = lab.start("choria", &["election", "run", "jobs", "--", "/bin/sh", "-c", script]);
    wait(&lab, "a leader", || leader(&lab, "jobs").is_some());
    let second = lab.start("choria", &["election", "run", "jobs", "--", "/bin/sh", "-c", "echo never; exit 0"]);
    let output = first.output();
    assert_eq!((output.code, output.stdout.as_str()), (7, "started\nleads\n"), "{}", output.stderr);
    let output = second.output();
    assert_eq!((output.code, output.stdout.as_str()), (0, "never\n"), "the next one leads: {}", output.stderr);

    let (file, held) = (lab.path("leader"), lab.start("choria", &["election", "file", "leader", "duty"]));
    wait(&lab, "the file", || file.exists());
    lab.choria(&["election", "file", "--check", "leader"]).succeeded();
    assert!(lab.read("leader").starts_with("{\"count\":"), "{}", lab.read("leader"));
    let evicted = lab.choria(&["election", "evict", "duty", "--force"]).succeeded();
    assert_eq!(evicted, "Evicted the leader from election duty in bucket CHORIA_LEADER_ELECTION\n");
    wait(&lab, "standing down", || !file.exists());
    wait(&lab, "the file again", || file.exists());
    held.signal(Signal::SIGTERM);
    assert_eq!(held.output().code, 0);
    assert!(!file.exists(), "nobody leads any more");
    assert_eq!(leader(&lab, "duty"), None, "the key is given up");
    lab.choria(&["election", "file", "--check", "leader"]).failed(1, &[]);
}

#[test]
fn what_cannot_be_done_is_told_in_words() {
    let lab = lab();
    let _broker = lab.start_broker();
    wait(&lab, "the bucket", || lab.choria(&["election", "info"]).code == 0);
    lab.choria(&["election", "info", "--bucket", "NONE"])
        .failed(1, &["cannot access KV Bucket NONE: bucket NONE does not exist"]);
    lab.choria(&["election", "evict", "jobs"]).failed(1, &["must be confirmed on a terminal, or by --force"]);
    lab.choria(&["election", "run", "a b", "true"]).failed(1, &["\"a b\" cannot name an election"]);
    lab.client("nobody", "issuer.seed");
    lab.choria_as("nobody", &["election", "info"])
        .failed(1, &["cannot access KV Bucket CHORIA_LEADER_ELECTION", "elections permission"]);
}

/// With a bucket whose entries live for three seconds, and a client who may use it.
fn lab() -> Lab {
    let lab = Lab::new();
    let store = lab.path("streams");
    let text = lab.read("broker.conf");
    let more = format!(
        "plugin.choria.network.stream.store = {}\nplugin.choria.network.stream.leader_election_ttl = 3s\n",
        store.display()
    );
    lab.write("broker.conf", &format!("{text}{more}"));
    let public = lab.keys("client");
    let words = [
        "jwt",
        "client",
        "client.jwt",
        "up=client",
        "issuer.seed",
        "--public-key",
        &public,
        "--elections-user",
        "--stream-user",
    ];
    lab.choria(&words).succeeded();
    lab
}

fn leader(lab: &Lab, election: &str) -> Option<String> {
    let shown = lab.choria(&["election", "info", &format!("^{election}$")]).succeeded();
    let row = shown.lines().find(|line| line.starts_with(&format!("│ {election} ")))?;
    row.split('│').nth(2).map(|name| name.trim().to_owned())
}

fn wait(lab: &Lab, what: &str, reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < PATIENCE, "{what}: not reached in {}", lab.folder().display());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
