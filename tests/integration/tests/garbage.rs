//! Garbage on every subject, from somebody who may publish there and from somebody who may not even log in.

use choria_tests::{Lab, Process};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn garbage_on_every_subject_harms_nobody() {
    let lab = Lab::new();
    let mut broker = lab.start_broker();
    let mut servers = lab.start_servers(2);
    lab.wait_for_fleet(2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sent = runtime.block_on(publish_garbage(&lab));
    lab.wait_for_fleet(2);
    let counted = unvalidated(&lab);
    assert!(counted > 0, "the servers counted nothing of {sent} messages as invalid");
    println!("garbage: {sent} messages published, {counted} counted as invalid by n1");
    knock_with_garbage(&lab);
    lab.wait_for_fleet(2);
    assert!(broker.is_running() && servers.iter_mut().all(Process::is_running), "{}", broker.log());
    for server in servers {
        let log = server.log();
        assert!(!log.contains("panicked"), "{log}");
        assert_eq!(server.stop().code, 0);
    }
}

/// Publishes every kind of garbage on every subject that a client may publish to.
async fn publish_garbage(lab: &Lab) -> usize {
    let connection = lab.connect("client").await.connection;
    let subjects = [
        "choria.broadcast.agent.discovery",
        "choria.broadcast.agent.rpcutil",
        "choria.broadcast.agent.choria_util",
        "choria.node.n1.lab.example.net",
        "choria.node.n2.lab.example.net",
    ];
    let mut sent = 0;
    for body in bodies() {
        for subject in subjects {
            let published = connection.publish_with_reply(subject, "choria.reply.garbage", body.clone().into()).await;
            published.unwrap_or_else(|error| panic!("{subject}, {} bytes: {error}", body.len()));
            sent += 1;
        }
        connection.flush().await.expect("the broker takes garbage that may be published");
    }
    let too_large = connection.publish(subjects[0], vec![b'A'; 10_000_000].into()).await;
    assert!(too_large.is_err(), "a message of 10 MB was accepted");
    connection.close(Duration::from_secs(2)).await;
    sent
}

fn bodies() -> Vec<Vec<u8>> {
    let transport = |data: &str| {
        format!(
            r#"{{"protocol":"io.choria.protocol.v2.transport","data":"{data}","headers":{{"reply":"choria.reply.x"}}}}"#
        )
    };
    let noise: Vec<u8> = (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        "[".repeat(100_000).into_bytes(),
        r#"{"a":"#.repeat(100_000).into_bytes(),
        br#"{"protocol":"io.choria.protocol.v2.transport","data":"e30=","headers":null}"#.to_vec(),
        br#"{"protocol":"choria:transport:1","data":"e30=","headers":{}}"#.to_vec(),
        transport("e30=").into_bytes(),
        transport("!!!!").into_bytes(),
        transport(&"QUFB".repeat(200_000)).into_bytes(),
        noise,
        vec![b'A'; 1_000_000],
    ]
}

/// What n1 counted as invalid.
fn unvalidated(lab: &Lab) -> i64 {
    let stats = lab.choria(&["req", "rpcutil", "daemon_stats", "-I", "n1.lab.example.net", "--json"]).succeeded();
    let document: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    document["replies"][0]["data"]["unvalidated"].as_i64().unwrap_or_default()
}

/// Ten strangers write 10 MB each into the broker's port instead of logging in.
fn knock_with_garbage(lab: &Lab) {
    let noise = vec![b'x'; 10_000_000];
    for _ in 0..10 {
        let mut stream = TcpStream::connect(("127.0.0.1", lab.port)).expect("the broker listens");
        stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let _first_line = stream.read(&mut [0; 64]);
        let _closed_by_the_broker = stream.write_all(&noise);
    }
}
