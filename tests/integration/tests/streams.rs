//! `choria broker stream`, `choria tool submit` and `choria tool submission`, as administrators and jobs run them.

use choria_tests::{Lab, Output, PATIENCE};
use serde_json::Value;
use std::time::Instant;

/// Asks for a stream's document until it holds `count` messages.
#[track_caller]
fn holds(lab: &Lab, stream: &str, count: u64) {
    let began = Instant::now();
    loop {
        let output = lab.choria_as("admin", &["broker", "stream", "info", stream, "--json"]);
        let info: Value = serde_json::from_str(&output.succeeded()).expect("JSON");
        if info["state"]["messages"] == count {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{stream} has not {count} messages: {info:#}");
    }
}

#[track_caller]
fn fails(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, code, "{output:#?}");
    assert!(output.stderr.contains(words) && output.stdout.is_empty(), "no {words:?} alone in {output:#?}");
}

fn submit(lab: &Lab, words: &[&str]) -> Output {
    lab.choria(&[&["tool", "submit", "--config", "n1.conf"], words].concat())
}

/// The files of a server that may submit, on a machine without the service that takes messages.
fn node(lab: &Lab) {
    lab.submitting_server("n1", "n1.lab.example.net");
    without_service(lab, "n1.conf");
}

fn without_service(lab: &Lab, file: &str) {
    let socket = lab.path("none.sock");
    lab.write(file, &format!("{}plugin.choria.submission.socket = {}\n", lab.read(file), socket.display()));
}

#[test]
fn a_job_submits_and_an_administrator_reads() {
    let lab = Lab::new();
    lab.administrator();
    let _broker = lab.start_broker();
    node(&lab);
    let admin = |words: &[&str]| lab.choria_as("admin", words);
    let made =
        admin(&["broker", "s", "add", "SUBMIT", "--subjects", "choria.submission.in.>", "--defaults"]).succeeded();
    assert!(made.starts_with("Stream SUBMIT was created\n\nInformation for Stream SUBMIT created "), "{made}");
    let again = admin(&["broker", "s", "add", "OTHER", "--subjects", "choria.submission.in.a", "--defaults"]);
    fails(&again, 1, "could not create Stream: subjects overlap with an existing stream (10065)");

    // Nothing runs that could deliver.
    lab.write("hello", "Hello\n");
    let ids = ["hello.world", "hello.signed"].map(|subject| {
        let id = submit(&lab, &["--reliable", "--sign", "-H", "Acme:1", subject, "hello"]).succeeded();
        assert_eq!(id.trim().len(), 36, "an id alone: {id}");
        id.trim().to_owned()
    });
    let waiting: Value =
        serde_json::from_str(&lab.choria(&["tool", "submission", "--config", "n1.conf", "--json"]).succeeded())
            .expect("JSON");
    assert_eq!((&waiting["messages"], &waiting["heads"][0]["subject"]), (&2.into(), &"hello.world".into()));

    let _server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    holds(&lab, "SUBMIT", 2);
    let item = admin(&["broker", "s", "get", "SUBMIT", "1"]).succeeded();
    assert!(item.starts_with("Item: SUBMIT#1 received ") && item.ends_with("\n\nHello\n"), "{item}");
    let last = admin(&["broker", "s", "get", "SUBMIT", "-S", "choria.submission.in.hello.>"]).succeeded();
    for line in ["  Choria-Identity: n1.lab.example.net", "  Acme: 1", &format!("  Nats-Msg-Id: {}", ids[1])] {
        assert!(last.lines().any(|found| found == line), "no {line:?} in {last}");
    }
    let verified = admin(&["tool", "submission", "verify", "--stream", "SUBMIT"]).succeeded();
    assert!(verified.ends_with("\n2 of 2 messages are genuine\n"), "{verified}");

    submit(&lab, &["hello.plain", "hello"]).succeeded();
    holds(&lab, "SUBMIT", 3);
    let doubted = admin(&["tool", "submission", "verify", "--stream", "SUBMIT", "--count", "1"]);
    assert_eq!(doubted.code, 1, "{doubted:#?}");
    assert!(
        doubted.stdout.contains("NOT GENUINE") && doubted.stdout.ends_with("0 of 1 messages are genuine\n"),
        "{doubted:#?}"
    );
    let stranger = lab.keys("stranger");
    let untrusted = admin(&["tool", "submission", "verify", "--stream", "SUBMIT", "--issuer", &stranger]);
    assert!(untrusted.code == 1 && untrusted.stdout.ends_with("0 of 3 messages are genuine\n"), "{untrusted:#?}");

    let purged = admin(&["broker", "s", "purge", "SUBMIT", "--keep", "1", "--force"]).succeeded();
    assert!(purged.starts_with("Purged 2 messages from SUBMIT\n\nState for Stream SUBMIT created "), "{purged}");
    fails(&admin(&["broker", "s", "rm", "SUBMIT"]), 1, "--force");
    admin(&["broker", "s", "rm", "SUBMIT", "-f"]).succeeded();
    let names = admin(&["broker", "s", "ls", "--names"]).succeeded();
    assert!(names.contains("CHORIA_EXECUTOR") && !names.contains("SUBMIT"), "{names}");
}

#[test]
fn what_cannot_be_submitted_is_refused_with_a_reason() {
    let lab = Lab::new();
    node(&lab);
    lab.write("hello", "Hello\n");
    lab.write("nothing", "");
    let large = std::fs::File::create(lab.path("large")).and_then(|file| file.set_len(1 << 40));
    large.expect("a file that takes no room");
    let rows: [(&[&str], &str); 9] = [
        (&["a", "none"], "payload none does not exist"),
        (&["a", "nothing"], "payload is empty"),
        (&["a", "large"], "max_message_size"),
        (&["a.*", "hello"], "cannot be published to"),
        (&["a", "hello", "--ttl", "32d"], "ttl exceeds maximum 744h0m0s"),
        (&["a", "hello", "-H", "nats-x:1"], "headers may not start with 'choria' or 'nats'"),
        (&["a", "hello", "--priority", "5"], "priorities are 0 to 4"),
        (&["a", "hello", "--tries", "0"], "--tries"),
        (&["a"], "PAYLOAD"),
    ];
    for (words, expected) in rows {
        fails(&submit(&lab, words), 1, expected);
    }
    let spool = lab.choria(&["tool", "submission", "--config", "n1.conf", "--json"]).succeeded();
    let spool: Value = serde_json::from_str(&spool).expect("JSON");
    assert_eq!(spool["messages"], 0, "{spool:#}");

    // A node without submission: another time it may have one.
    lab.server("n2", "n2.lab.example.net");
    without_service(&lab, "n2.conf");
    fails(&lab.choria(&["tool", "submit", "--config", "n2.conf", "a", "hello"]), 75, "spool is not configured");
}

#[test]
fn a_login_that_may_not_is_told_what_it_lacks() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let output = lab.choria(&["broker", "stream", "ls"]);
    fails(&output, 1, "choria jwt client --stream-user");
}
