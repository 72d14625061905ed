//! Streams that refuse, brokers that do not allow, spools that are shared.

use crate::{run, until, waiting};
use async_nats::jetstream::stream;
use choria_tests::submission::{in_stream, make_stream, reliable, store, wait_for_messages};
use choria_tests::{Lab, Process};
use std::time::Duration;
use submission::Draft;

#[test]
fn order_is_kept_by_a_stream_that_is_missing_full_deleted_and_made_again() {
    let lab = Lab::new();
    lab.administrator();
    let _broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    let spool = lab.spool("n1");
    run(async {
        let streams = lab.streams().await;
        let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        // Nobody takes them, so they wait; what need not be stored passes them.
        let mut sent: Vec<String> = Vec::new();
        let submit = |count: usize, bytes: usize| -> Vec<String> {
            let all = 0..count;
            let ids =
                all.map(|n| store(&spool, reliable("local.test", &"x".repeat(1 + bytes + n * 31 % 60))).id.to_string());
            ids.collect()
        };
        sent.extend(submit(20, 10));
        until("a refusal is told", &server, || server.log().contains("no stream takes messages for"));
        let listener = lab.connect("admin").await.connection;
        let mut once = listener.subscribe("choria.submission.in.local.once", None).await.expect("a subscription");
        listener.flush().await.expect("subscribed");
        store(&spool, Draft::new("local.once", vec![b'1']));
        let passed = tokio::time::timeout(choria_tests::PATIENCE, once.recv()).await.expect("it is not held up");
        assert_eq!(passed.expect("a message").payload.as_ref(), b"1");
        until("the others wait", &server, || waiting(&spool, 4) == 20);

        // A stream that is soon full, and refuses what is new.
        let full = stream::Config { max_messages: 8, discard: stream::DiscardPolicy::New, ..stream::Config::default() };
        make_stream(&streams, full).await;
        let messages = wait_for_messages(&streams, 8, || server.log()).await;
        assert_eq!(ids(&messages), sent[..8]);
        until("the refusal is told", &server, || server.log().contains("maximum messages exceeded"));
        sent.extend(submit(20, 10));
        let mut wider =
            streams.get_stream("SUBMIT").await.expect("the stream").info().await.expect("known").config.clone();
        wider.max_messages = -1;
        wider.max_bytes = 20_000;
        streams.update_stream(wider).await.expect("wider");
        let messages = wait_for_messages(&streams, 40, || server.log()).await;
        assert_eq!(ids(&messages), sent);

        // Full by bytes, with messages of all sizes: a small one does not pass a large one.
        let more = submit(60, 400);
        until("the stream is full", &server, || server.log().contains("maximum bytes exceeded"));
        let held = ids(&in_stream(&streams).await);
        let (old, new) = held.split_at(40);
        assert_eq!((old, new), (&sent[..], &more[..new.len()]));
        assert!(new.len() < more.len(), "the stream took all");

        // Deleted and made again: what was stored is gone with it, the rest comes, in order.
        streams.delete_stream("SUBMIT").await.expect("deleted");
        make_stream(&streams, stream::Config::default()).await;
        let rest = wait_for_messages(&streams, more.len() - new.len(), || server.log()).await;
        assert_eq!(ids(&rest), more[new.len()..]);
        until("the spool is empty", &server, || waiting(&spool, 4) == 0);
        until("the end of the trouble is told", &server, || server.log().contains("delivered again"));
    });
}

#[test]
fn a_server_that_may_not_submit_says_what_is_missing_and_loses_nothing() {
    let lab = Lab::new();
    lab.administrator();
    let _broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    let with = lab.read("n1.jwt");
    lab.server_token("n1.lab.example.net", "n1", "issuer.seed");
    drop(with);
    let spool = lab.spool("n1");
    run(async {
        let streams = lab.streams().await;
        make_stream(&streams, stream::Config::default()).await;
        store(&spool, reliable("local.test", "1"));
        store(&spool, Draft::new("local.test", vec![b'2']));
        let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        until("the missing permission is told", &server, || {
            let log = server.log();
            log.contains("lacks the permission `submission`") && log.contains("jwt server --submission")
        });
        assert_eq!(waiting(&spool, 4), 2, "{}", server.log());
        let log = server.log();
        assert_eq!(log.matches("lacks the permission").count(), 1, "{log}");
        assert_eq!(server.stop().code, 0);
        // With the permission everything goes through.
        lab.submitting_server("n1", "n1.lab.example.net");
        let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        wait_for_messages(&streams, 2, || server.log()).await;
    });
}

#[test]
fn of_two_servers_on_one_spool_one_delivers_and_the_other_takes_over() {
    let lab = Lab::new();
    lab.administrator();
    let _broker = lab.start_broker();
    for name in ["n1", "n2"] {
        lab.submitting_server(name, &format!("{name}.lab.example.net"));
    }
    lab.write("n2.conf", &lab.read("n2.conf").replace("n2.spool", "n1.spool"));
    let spool = lab.spool("n1");
    run(async {
        let streams = lab.streams().await;
        make_stream(&streams, stream::Config::default()).await;
        let first = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        until("the first delivers", &first, || first.log().contains("delivering submitted messages"));
        let mut second: Process = lab.start("choria-server", &["--config", "n2.conf"]).ready();
        let said = format!("is being delivered by another program (process {})", first.pid());
        until("the second says so", &second, || second.log().contains(&said));
        store(&spool, reliable("local.test", "1"));
        wait_for_messages(&streams, 1, || first.log()).await;
        lab.wait_for_fleet(2);
        assert_eq!(first.stop().code, 0);
        store(&spool, reliable("local.test", "2"));
        let messages = wait_for_messages(&streams, 2, || second.log()).await;
        assert_eq!(messages.len(), 2);
        assert!(second.is_running());
    });
}

#[test]
fn an_idle_server_with_a_spool_is_not_woken_to_look() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    until("it delivers", &server, || server.log().contains("delivering submitted messages"));
    std::thread::park_timeout(Duration::from_secs(1));
    let before = switches(&server);
    std::thread::park_timeout(Duration::from_secs(4));
    let woken = switches(&server) - before;
    // Polling each second would be 20 by itself; a connection's own timers are some.
    assert!(woken <= 8, "{woken} wake-ups in four idle seconds");
}

/// How often the thread that does the work gave up the processor by itself.
fn switches(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("the process runs");
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.expect("a count").trim().parse().expect("a number")
}

fn ids(messages: &[choria_tests::submission::InStream]) -> Vec<String> {
    messages.iter().map(|message| message.id.clone()).collect()
}
