use super::*;
use proptest::prelude::*;

const CREATED: &str = "2026-03-01T10:00:00.123456789Z";

/// A message's JSON with some fields replaced.
fn json(fields: &[(&str, &str)]) -> String {
    let mut all: Vec<(&str, &str)> = vec![
        ("id", r#""7b0d""#),
        ("subject", r#""acme.backup""#),
        ("payload", r#""eyJvayI6dHJ1ZX0=""#),
        ("reliable", "true"),
        ("priority", "4"),
        ("created", r#""2026-03-01T10:00:00.123456789Z""#),
        ("ttl", "86400"),
        ("max_tries", "100"),
        ("tries", "0"),
        ("next_try", r#""0001-01-01T00:00:00Z""#),
        ("sender", r#""user 0""#),
        ("identity", r#""n1.example.net""#),
        ("sign", "false"),
        ("headers", r#"{"Acme":"1"}"#),
    ];
    for (key, value) in fields {
        all.iter_mut().filter(|(known, _)| known == key).for_each(|field| field.1 = value);
    }
    let fields: Vec<String> =
        all.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn each_rule_has_its_refusal() {
    let long = format!("\"{}\"", "a".repeat(256));
    let many: Vec<String> = (0..65).map(|number| format!("\"H{number}\":\"\"")).collect();
    let many = format!("{{{}}}", many.join(","));
    let rows: Vec<(&str, (&str, &str), Option<&str>)> = vec![
        ("as it should be", ("id", r#""7b0d""#), None),
        ("no id", ("id", ""), Some("the message has no usable id: an id is 1 to 128 visible ASCII characters")),
        (
            "line in id",
            ("id", r#""a\nb""#),
            Some("the message has no usable id: an id is 1 to 128 visible ASCII characters"),
        ),
        ("no subject", ("subject", ""), Some("subject is required")),
        (
            "wildcard",
            ("subject", r#""a.*""#),
            Some(
                "the subject \"a.*\" cannot be published to: a subject has no spaces, no control characters and no wildcards (* and >)",
            ),
        ),
        (
            "full wildcard",
            ("subject", r#""a.>""#),
            Some(
                "the subject \"a.>\" cannot be published to: a subject has no spaces, no control characters and no wildcards (* and >)",
            ),
        ),
        (
            "space",
            ("subject", r#""a b""#),
            Some(
                "the subject \"a b\" cannot be published to: a subject has no spaces, no control characters and no wildcards (* and >)",
            ),
        ),
        (
            "empty part",
            ("subject", r#""a..b""#),
            Some(
                "the subject \"a..b\" cannot be published to: a subject has no empty part before, between or after its dots",
            ),
        ),
        (
            "dot at the end",
            ("subject", r#""a.""#),
            Some(
                "the subject \"a.\" cannot be published to: a subject has no empty part before, between or after its dots",
            ),
        ),
        ("no payload", ("payload", "null"), Some("payload is required")),
        ("payload of no bytes", ("payload", r#""""#), Some("payload is required")),
        ("payload with a line end", ("payload", r#""eyJv\nayI6dHJ1ZX0=""#), None),
        ("priority 0", ("priority", "0"), None),
        ("priority 5", ("priority", "5"), Some("priority must be 0...4")),
        ("no time", ("created", ""), Some("created time is zero")),
        ("zero time", ("created", r#""0001-01-01T00:00:00Z""#), Some("created time is zero")),
        ("no ttl", ("ttl", ""), Some("ttl may not be 0")),
        ("ttl 0", ("ttl", "0"), Some("ttl may not be 0")),
        ("ttl of 31 days", ("ttl", "2678400"), None),
        ("ttl of more", ("ttl", "2678400.5"), Some("ttl exceeds maximum 744h0m0s")),
        ("ttl below 0", ("ttl", "-1"), Some("message has expired")),
        (
            "no max_tries",
            ("max_tries", ""),
            Some("max_tries may not be 0: the message would never be delivered; the default is 100"),
        ),
        (
            "max_tries 0",
            ("max_tries", "0"),
            Some("max_tries may not be 0: the message would never be delivered; the default is 100"),
        ),
        ("no sender", ("sender", r#""""#), Some("sender is required")),
        (
            "line in sender",
            ("sender", r#""a\r\nNats-Msg-Id: 1""#),
            Some("the sender cannot be used: it has no control characters"),
        ),
        ("long sender", ("sender", &long), Some("the sender cannot be used: it has at most 255 bytes")),
        (
            "line in identity",
            ("identity", r#""a\nb""#),
            Some("the identity cannot be used: it has no control characters"),
        ),
        ("no identity", ("identity", ""), None),
        ("no headers", ("headers", "null"), None),
        (
            "Choria's header",
            ("headers", r#"{"chOria-Sender":"x"}"#),
            Some("headers may not start with 'choria' or 'nats'"),
        ),
        ("the broker's header", ("headers", r#"{"NATS":"x"}"#), Some("headers may not start with 'choria' or 'nats'")),
        (
            "line in a header",
            ("headers", r#"{"A":"1\r\nB: 2"}"#),
            Some("the header \"A\" cannot be sent: a header's value is one line without control characters"),
        ),
        (
            "colon in a header's name",
            ("headers", r#"{"A:b":"1"}"#),
            Some(
                "the header \"A:b\" cannot be sent: a header's name is 1 to 128 visible ASCII characters without a colon",
            ),
        ),
        (
            "line in a header's name",
            ("headers", r#"{"A\nB":"1"}"#),
            Some(
                "the header \"A\\nB\" cannot be sent: a header's name is 1 to 128 visible ASCII characters without a colon",
            ),
        ),
        ("many headers", ("headers", &many), Some("a message has at most 64 headers, this one has 65")),
        (
            "tries of another type",
            ("tries", "-1"),
            Some("not a submitted message: invalid value: integer `-1`, expected u64 at line 1 column 176"),
        ),
    ];
    for (name, field, expected) in rows {
        let verdict = Message::parse(json(&[field]).as_bytes()).map_err(|error| error.to_string());
        match (verdict, expected) {
            (Ok(_), None) => {}
            (verdict, expected) => assert_eq!(verdict.err().as_deref(), expected, "{name}"),
        }
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for bytes in [&b""[..], b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"{\"id\":\"a\"}x", b"{\"payload\":\"*\"}"] {
        assert!(Message::parse(bytes).is_err(), "{}", bytes.escape_ascii());
    }
    assert!(matches!(Message::parse(&b"[".repeat(100_000)), Err(InvalidMessage::Json(_))), "deeply nested");
}

#[test]
fn a_message_is_written_as_the_existing_system_writes_it() {
    let rows = [
        json(&[]),
        json(&[("headers", "null"), ("sign", "true"), ("tries", "3"), ("next_try", r#""2026-03-01T11:00:00+01:00""#)]),
        json(&[("ttl", "0.5")]),
        json(&[("ttl", "0.00001")]),
        json(&[("ttl", "1e-7")]),
        json(&[("ttl", "1234567.25")]),
        json(&[("sender", r#""\u003ca\u003e \u0026 \"\\ é\u2028\u2029""#)]),
        json(&[("headers", r#"{"A":"x","B":"\u003cy\u003e","a":""}"#)]),
    ];
    for text in rows {
        let written = Message::parse(text.as_bytes()).map(|message| String::from_utf8(message.to_json()).unwrap());
        assert_eq!(written, Ok(text));
    }
}

#[test]
fn whole_seconds_of_the_ttl_count() {
    let created: SystemTime = CREATED.parse::<Timestamp>().unwrap().into();
    let second = Duration::from_secs(1);
    let rows = [
        ("1.9", created + second, false),
        ("1.9", created + second + Duration::from_nanos(1), true),
        ("0.5", created, false),
        ("0.5", created + Duration::from_nanos(1), true),
        ("60", created - 86_400 * second, false),
        ("60", created - 40 * 366 * 86_400 * second, false),
        ("2678400", created + 2_678_400 * second, false),
        ("2678400", created + 2_678_401 * second, true),
    ];
    for (ttl, now, expired) in rows {
        let message = Message::parse(json(&[("ttl", ttl)]).as_bytes()).unwrap();
        assert_eq!(message.is_expired(now), expired, "ttl {ttl} at {now:?}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_and_written_the_same(
        payload in proptest::collection::vec(any::<u8>(), 1..200),
        subject in "[a-z.]{1,30}",
        sender in ".{1,40}",
        headers in proptest::option::of(proptest::collection::btree_map("[!-9;-~]{1,10}", ".{0,20}", 0..4)),
        (nanos, ttl, tries, max_tries) in (any::<i64>(), -10.0..3e6f64, any::<u64>(), any::<u64>()),
    ) {
        let message = Message {
            id: "id".parse().unwrap(),
            subject,
            payload,
            reliable: tries % 2 == 0,
            priority: Priority::default(),
            created: Timestamp::from_unix_nanos(nanos),
            ttl,
            max_tries,
            tries,
            next_try: Timestamp::ZERO,
            sender,
            identity: String::new(),
            sign: false,
            headers,
        };
        let bytes = message.to_json();
        match (message.check(), Message::parse(&bytes)) {
            (Ok(()), Ok(read)) => {
                prop_assert_eq!(&read, &message);
                prop_assert_eq!(read.to_json(), bytes);
            }
            (check, read) => prop_assert_eq!(check.err(), read.err()),
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(Message::parse(&bytes));
    }
}
