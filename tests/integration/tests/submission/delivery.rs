//! What a working network does with submitted messages.

use crate::{run, until, waiting};
use async_nats::jetstream::stream;
use choria_tests::Lab;
use choria_tests::submission::{in_stream, make_stream, reliable, store, wait_for_messages};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use submission::{Draft, Priority, verify};
use tokens::{PublicKey, TrustRoots};

#[test]
fn messages_reach_the_stream_signed_in_order_and_verify() {
    let lab = Lab::new();
    lab.administrator();
    let _broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    let spool = lab.spool("n1");
    run(async {
        let streams = lab.streams().await;
        make_stream(&streams, stream::Config::default()).await;
        let priority = |number| Priority::new(number).expect("a priority");
        // Some wait before the server starts, in two queues, signed and not, of rising, falling and equal sizes.
        let mut sent: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for number in 0..300_usize {
            let queue = [1, 4][number % 2];
            let payload = format!("{number} {}", "x".repeat(number * 37 % 120));
            let sign = number % 3 == 0;
            let draft = Draft { priority: priority(queue), sign, ..reliable("local.test", &payload) };
            sent.entry(queue).or_default().push(store(&spool, draft).id.to_string());
        }
        let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        let messages = wait_for_messages(&streams, 300, || server.log()).await;
        // One more comes while nothing happens: the kernel tells of it.
        until("the spool is empty", &server, || waiting(&spool, 1) + waiting(&spool, 4) == 0);
        let signed = store(&spool, Draft { sign: true, ..reliable("local.signed", "proof") });
        let more = wait_for_messages(&streams, 301, || server.log()).await;

        for (queue, ids) in &sent {
            let queue = queue.to_string();
            let got: Vec<&String> =
                messages.iter().filter(|m| m.headers["Choria-Priority"] == queue).map(|m| &m.id).collect();
            assert_eq!(got, ids.iter().collect::<Vec<_>>(), "queue {queue}");
        }
        let last = more.last().expect("a message");
        assert_eq!(
            (last.id.as_str(), last.subject.as_str()),
            (signed.id.as_str(), "choria.submission.in.local.signed")
        );
        let issuer: PublicKey = lab.issuer.trim().parse().expect("a key");
        let roots = TrustRoots::issuers([("choria".to_owned(), issuer)].into());
        let headers: Vec<(&str, &str)> =
            last.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let minute = Duration::from_secs(60);
        let verified = verify(&headers, &last.payload, &roots, minute, SystemTime::now());
        assert_eq!(verified.expect("it verifies").identity, "n1.lab.example.net");
        assert!(last.headers.get("Choria-Reliable").is_some_and(|value| value == "1"), "{last:?}");
        assert_eq!(server.stop().code, 0);
    });
}

#[test]
fn an_outage_and_a_kill_cost_no_message_and_no_order() {
    let lab = Lab::new();
    lab.administrator();
    let broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    let spool = lab.spool("n1");
    run(async {
        let streams = lab.streams().await;
        make_stream(&streams, stream::Config::default()).await;
        let mut server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        lab.wait_for_fleet(1);
        assert_eq!(broker.stop().code, 0);
        until("the outage is noticed", &server, || server.log().contains("connection to the broker is lost"));
        let mut sent = Vec::new();
        let mut unreliable = Vec::new();
        for number in 0..50 {
            sent.push(store(&spool, reliable("local.test", &format!("{number}"))).id.to_string());
            let once = store(&spool, Draft::new("local.once", vec![b'1']));
            unreliable.push(once.id.to_string());
        }
        let short = Draft { ttl: Duration::from_secs(1), ..reliable("local.test", "too late") };
        let expired = store(&spool, short).id.to_string();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        server.signal(nix::sys::signal::Signal::SIGKILL);
        drop(server);
        server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        sent.push(store(&spool, reliable("local.test", "after")).id.to_string());
        assert_eq!(waiting(&spool, 4), 102, "messages wait in the spool while there is no connection");
        let _broker = lab.start_broker();
        let streams = lab.streams().await;
        let messages = wait_for_messages(&streams, 101, || server.log()).await;
        let ids = |subject: &str| -> Vec<String> {
            messages.iter().filter(|m| m.subject.ends_with(subject)).map(|m| m.id.clone()).collect()
        };
        assert_eq!(ids("local.test"), sent);
        assert_eq!(ids("local.once"), unreliable);
        until("the spool is empty", &server, || waiting(&spool, 4) == 0);
        assert!(!in_stream(&streams).await.iter().any(|message| message.id == expired));
        let log = server.log();
        assert!(log.contains("dropped undelivered") && log.contains(&expired), "{log}");
    });
}
