use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn judge(draft: Draft, sender: Sender) -> Result<Message, String> {
    let now = NOW + Duration::from_nanos(1_795_252_658_741_599_150);
    accept(draft, sender, "n1.example.net", "id-1".parse().unwrap(), now).map_err(|error| error.to_string())
}

#[test]
fn a_draft_becomes_a_message_with_the_defaults_of_the_tool() {
    let message = judge(Draft::new("hello.world", "Hello\n"), Sender::user(1000)).unwrap();
    let expected = concat!(
        r#"{"id":"id-1","subject":"hello.world","payload":"SGVsbG8K","reliable":false,"priority":4,"#,
        r#""created":"2026-11-21T09:17:38.74159915Z","ttl":86400,"max_tries":100,"tries":0,"#,
        r#""next_try":"0001-01-01T00:00:00Z","sender":"user 1000","identity":"n1.example.net","sign":false,"headers":null}"#
    );
    assert_eq!(String::from_utf8(message.to_json()).unwrap(), expected);
    assert_eq!(Message::parse(&message.to_json()), Ok(message));
}

#[test]
fn the_sender_is_who_the_kernel_says() {
    let refused = |uid, sender| {
        Err(format!(
            "user {uid} may not set the sender \"{sender}\": only root and the owner of the spool may; leave the sender out"
        ))
    };
    let rows = [
        ("nobody named", Sender::user(7), None, Ok("user 7".to_owned())),
        ("itself named", Sender::user(7), Some("user 7"), Ok("user 7".to_owned())),
        ("root named", Sender::user(7), Some("user 0"), refused(7, "user 0")),
        ("by root", Sender::user(0), Some("backup job"), Ok("backup job".to_owned())),
        ("by the owner", Sender::owner(7), Some("backup job"), Ok("backup job".to_owned())),
        (
            "a header by root",
            Sender::user(0),
            Some("a\r\nb"),
            Err("the sender cannot be used: it has no control characters".to_owned()),
        ),
        ("nothing by root", Sender::user(0), Some(""), Err("sender is required".to_owned())),
    ];
    for (name, sender, claimed, expected) in rows {
        let draft = Draft { sender: claimed.map(str::to_owned), ..Draft::new("a", "b") };
        assert_eq!(judge(draft, sender).map(|message| message.sender), expected, "{name}");
    }
}

#[test]
fn what_can_never_be_delivered_is_refused() {
    let draft = || Draft::new("a", "b");
    let header = |name: &str, value: &str| Draft { headers: [(name.to_owned(), value.to_owned())].into(), ..draft() };
    let rows = [
        (
            "no try",
            Draft { max_tries: 0, ..draft() },
            "max_tries may not be 0: the message would never be delivered; the default is 100",
        ),
        ("no time", Draft { ttl: Duration::ZERO, ..draft() }, "ttl may not be 0"),
        ("less than a second", Draft { ttl: Duration::from_millis(999), ..draft() }, "a ttl is at least one second"),
        (
            "more than 31 days",
            Draft { ttl: LONGEST_TTL + Duration::from_nanos(1), ..draft() },
            "ttl exceeds maximum 744h0m0s",
        ),
        ("for ever", Draft { ttl: Duration::MAX, ..draft() }, "ttl exceeds maximum 744h0m0s"),
        ("no payload", Draft::new("a", ""), "payload is required"),
        ("no subject", Draft::new("", "b"), "subject is required"),
        ("reserved header", header("Nats-Msg-Id", "1"), "headers may not start with 'choria' or 'nats'"),
        (
            "two headers in one",
            header("A", "1\r\nChoria-Token: x"),
            "the header \"A\" cannot be sent: a header's value is one line without control characters",
        ),
        (
            "a header in a name",
            header("A: 1\r\nB", "2"),
            "the header \"A: 1\\r\\nB\" cannot be sent: a header's name is 1 to 128 visible ASCII characters without a colon",
        ),
    ];
    for (name, draft, expected) in rows {
        assert_eq!(judge(draft, Sender::user(0)).err().as_deref(), Some(expected), "{name}");
    }
}
