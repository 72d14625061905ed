//! The rules of reading and writing that no recording shows.

use choria_protocol::{
    Counter, Expired, Federation, Headers, INSECURE, Invalid, Layer, MAX_SIZE, Request, SecureReply, SecureRequest,
    Transport, Version,
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const FILTER: &str = r#"{"fact":[],"cf_class":[],"agent":[],"identity":[],"compound":[]}"#;

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A valid request of `version` with some fields replaced, `null` standing for `null`.
fn request_json(version: Version, changes: &[(&str, Value)], without: &str) -> String {
    let filter: Value = serde_json::from_str(FILTER).expect("a filter");
    let mut request = match version {
        Version::V1 => json!({
            "protocol": "choria:request:1", "message": "{}",
            "envelope": {
                "requestid": "45a27cf5fe0e442d9b1ff6f0c1fbca99", "senderid": "n1", "callerid": "choria=bob",
                "collective": "choria", "agent": "rpcutil", "ttl": 60, "time": 1_700_000_000, "filter": filter,
            },
        }),
        Version::V2 => json!({
            "protocol": "io.choria.protocol.v2.request", "message": "e30=", "id": "2YBXZN2Ey2oglTXj87eEzpGHWSA",
            "sender": "n1", "caller": "up=bob", "collective": "choria", "agent": "rpcutil", "ttl": 60,
            "time": 1_700_000_000_000_000_000_i64, "filter": filter,
        }),
    };
    for (path, value) in changes {
        let pointer = format!("/{}", path.replace('.', "/"));
        match request.pointer_mut(&pointer) {
            Some(place) => *place = value.clone(),
            None => request[*path] = value.clone(),
        }
    }
    let (parent, name) = without.rsplit_once('.').unwrap_or(("", without));
    let parent = if parent.is_empty() { Some(&mut request) } else { request.get_mut(parent) };
    parent.and_then(Value::as_object_mut).expect("an object").remove(name);
    request.to_string()
}

#[test]
fn version_2_requests_keep_the_schema() {
    let row = |field: &'static str, value: Value| (field, value, "");
    let refused = [
        row("message", json!("")),
        row("message", json!("not base64!")),
        row("message", json!("e30")),
        row("message", json!("e3_=")),
        row("message", json!(1)),
        row("id", json!("")),
        row("id", json!("a b")),
        row("sender", json!("")),
        row("caller", json!("")),
        row("caller", Value::Null),
        row("collective", json!("")),
        row("agent", json!("")),
        row("agent", json!("a.b")),
        row("ttl", json!(0)),
        row("ttl", json!(-1)),
        row("ttl", json!(60.0)),
        row("ttl", json!("60")),
        row("ttl", json!(5_000_000_000_u64)),
        row("time", json!(0)),
        row("time", json!(-1)),
        row("time", json!(1.5)),
        row("time", json!(u64::MAX)),
        row("filter", Value::Null),
        row("filter", json!([])),
        row("filter", json!([[], [], [], [], []])),
        row("filter.fact", Value::Null),
        row("filter.fact", json!([{"fact": "", "operator": "==", "value": "x"}])),
        row("filter.fact", json!([{"fact": "x", "operator": "==", "value": ""}])),
        row("filter.fact", json!([{"fact": "x", "operator": "=", "value": "x"}])),
        row("filter.fact", json!([{"fact": "x", "operator": "==", "value": 1}])),
        row("filter.fact", json!([{"fact": "x", "operator": "=="}])),
        row("filter.fact", json!([["x", "==", "x"]])),
        row("filter.identity", json!([1])),
        row("filter.agent", Value::Null),
        row("filter.compound", json!([{"expr": "true"}])),
        row("filter.compound", json!([["true"]])),
        row("filter.compound", json!([[{"expr": true}]])),
        row("protocol", json!("io.choria.protocol.v2.reply")),
        row("protocol", json!("io.choria.protocol.v3.request")),
        row("protocol", Value::Null),
        ("", Value::Null, "protocol"),
        ("", Value::Null, "message"),
        ("", Value::Null, "id"),
        ("", Value::Null, "sender"),
        ("", Value::Null, "caller"),
        ("", Value::Null, "collective"),
        ("", Value::Null, "agent"),
        ("", Value::Null, "ttl"),
        ("", Value::Null, "time"),
    ];
    refuses(Version::V2, &refused);
    let accepted = [
        row("ttl", json!(1)),
        row("time", json!(1)),
        row("unknown", json!({"a": [1, null]})),
        row("filter.unknown", json!(1)),
        row("filter.fact", json!([{"fact": "x", "operator": "=~", "value": "x", "more": 1}])),
        row("filter.compound", json!([[{"statement": "x"}, {"and": "and"}]])),
        ("", Value::Null, "filter"),
    ];
    accepts(Version::V2, &accepted);
}

#[test]
fn version_1_requests_keep_the_schema() {
    let row = |field: &'static str, value: Value| (field, value, "");
    let refused = [
        row("message", json!("")),
        row("message", Value::Null),
        row("envelope", Value::Null),
        row("envelope", json!([])),
        row("envelope.requestid", json!("45a27cf5fe0e442d9b1ff6f0c1fbca9")),
        row("envelope.requestid", json!("45a27cf5fe0e442d9b1ff6f0c1fbca990")),
        row("envelope.callerid", json!("")),
        row("envelope.collective", json!("")),
        row("envelope.agent", json!("")),
        row("envelope.ttl", json!(29)),
        row("envelope.ttl", json!(30.5)),
        row("envelope.time", json!("now")),
        row("envelope.time", json!(i64::MAX)),
        row("envelope.filter", Value::Null),
        ("", Value::Null, "message"),
        ("", Value::Null, "envelope"),
        ("", Value::Null, "envelope.requestid"),
        ("", Value::Null, "envelope.ttl"),
        ("", Value::Null, "envelope.time"),
        ("", Value::Null, "envelope.filter"),
    ];
    refuses(Version::V1, &refused);
    accepts(
        Version::V1,
        &[row("envelope.ttl", json!(30)), row("envelope.time", json!(0)), row("message", json!("ping"))],
    );
}

fn refuses(version: Version, rows: &[(&str, Value, &str)]) {
    for (field, value, without) in rows {
        let changes: Vec<_> =
            Some((*field, value.clone())).into_iter().filter(|(field, _)| !field.is_empty()).collect();
        let text = request_json(version, &changes, without);
        let error = Request::parse(text.as_bytes()).expect_err(&text);
        assert!(error.counters().contains(&Counter::Error), "{error}");
        let named = [*field, *without].iter().any(|name| !name.is_empty() && error.to_string().contains(last(name)));
        let placed = error.to_string().contains("line 1 column");
        assert!(named || placed, "{error} does not say where: {field}{without}");
    }
}

fn accepts(version: Version, rows: &[(&str, Value, &str)]) {
    for (field, value, without) in rows {
        let changes: Vec<_> =
            Some((*field, value.clone())).into_iter().filter(|(field, _)| !field.is_empty()).collect();
        let text = request_json(version, &changes, without);
        let request = Request::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(Request::parse(&request.encode()), Ok(request), "{text}");
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[test]
fn the_last_of_equal_keys_counts_and_schema_keys_are_exact() {
    let text = request_json(Version::V2, &[], "").replacen('{', r#"{"agent":"first","#, 1);
    assert_eq!(Request::parse(text.as_bytes()).unwrap().agent, "rpcutil");
    let text = request_json(Version::V2, &[], "").replace(r#""agent":"rpcutil""#, r#""Agent":"rpcutil""#);
    assert!(Request::parse(text.as_bytes()).unwrap_err().to_string().contains("agent is missing"));
    let text = r#"{"DATA":"e30=","Headers":{"REPLY":"r"},"protocol":"io.choria.protocol.v2.transport"}"#;
    assert_eq!(Transport::parse(text.as_bytes()).unwrap().headers.reply_to.as_deref(), Some("r"));
    let twice = r#"{"protocol":"io.choria.protocol.v2.transport","data":"e30=","protocol":"choria:transport:1"}"#;
    assert!(matches!(Transport::parse(twice.as_bytes()), Err(Invalid::Protocol { .. })));
}

#[test]
fn transport_headers_may_be_missing_short_or_long() {
    let parse = |headers: &str| {
        let text = format!(r#"{{"protocol":"io.choria.protocol.v2.transport","data":"e30="{headers}}}"#);
        Transport::parse(text.as_bytes()).map(|transport| transport.headers)
    };
    let hop = |parts: [&str; 3]| Headers { trace: vec![parts.map(str::to_owned)], ..Headers::default() };
    let rows = [
        ("", Headers::default()),
        (r#","headers":null"#, Headers::default()),
        (r#","headers":{"sender":"","reply":null,"trace":[]}"#, Headers::default()),
        (r#","headers":{"trace":[["a"]]}"#, hop(["a", "", ""])),
        (r#","headers":{"trace":[["a","b","c","d"]]}"#, hop(["a", "b", "c"])),
        (r#","headers":{"federation":{}}"#, Headers { federation: Some(Federation::default()), ..Headers::default() }),
    ];
    for (text, expected) in rows {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
    for text in [r#","headers":[]"#, r#","headers":{"trace":{}}"#, r#","headers":{"sender":"a b"}"#] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_cannot_be_a_message_is_refused_before_and_while_reading() {
    let deep = format!(r#"{{"protocol":"io.choria.protocol.v2.transport","x":{}"#, "[".repeat(200_000));
    type Row<'a> = (&'a str, &'a [u8], fn(&Invalid) -> bool);
    let rows: [Row<'_>; 6] = [
        ("too large", &vec![b'x'; MAX_SIZE + 1], |error| matches!(error, Invalid::TooLarge { .. })),
        ("empty", b"", |error| matches!(error, Invalid::NotJson { .. })),
        ("a list", b"[]", |error| matches!(error, Invalid::Shape { .. })),
        ("nested too deep", deep.as_bytes(), |error| matches!(error, Invalid::NotJson { .. })),
        ("no text", b"\xff\xfe", |error| matches!(error, Invalid::NotJson { .. })),
        ("more after it", br#"{"protocol":"choria:transport:1","data":""} x"#, |error| {
            matches!(error, Invalid::NotJson { .. })
        }),
    ];
    for (name, bytes, expected) in rows {
        let error = Transport::parse(bytes).expect_err(name);
        assert!(expected(&error), "{name}: {error}");
    }
}

#[test]
fn layers_of_two_generations_do_not_mix() {
    let secure = |version, request: String| SecureRequest {
        version,
        request: request.into_bytes(),
        signature: vec![0; 64],
        caller: "token".to_owned(),
        signer: None,
    };
    let mixed = secure(Version::V2, request_json(Version::V1, &[], ""));
    let expected = Invalid::MixedVersions { layer: Layer::Request, outer: Version::V2, inner: Version::V1 };
    assert_eq!(mixed.unverified_request(), Err(expected));
    let data = secure(Version::V1, request_json(Version::V1, &[], "")).encode();
    let transport = Transport { version: Version::V2, data, headers: Headers::default() };
    let expected = Invalid::MixedVersions { layer: Layer::SecureRequest, outer: Version::V2, inner: Version::V1 };
    assert_eq!(transport.secure_request(), Err(expected));
}

#[test]
fn unsigned_requests_keep_their_word_in_both_forms() {
    for (version, text) in [(Version::V1, r#""signature":"insecure""#), (Version::V2, r#""signature":"aW5zZWN1cmU=""#)]
    {
        let secure = SecureRequest {
            version,
            request: b"{}".to_vec(),
            signature: INSECURE.to_vec(),
            caller: "insecure".to_owned(),
            signer: None,
        };
        let written = String::from_utf8(secure.encode()).unwrap();
        assert!(written.contains(text), "{written}");
        assert_eq!(SecureRequest::parse(written.as_bytes()), Ok(secure));
    }
}

#[test]
fn secure_requests_keep_the_schema() {
    let text = |change: &str| {
        let valid =
            r#"{"protocol":"io.choria.protocol.v2.secure_request","request":"e30=","signature":"AA==","caller":"t"}"#;
        let (old, new) = change.split_once(" -> ").unwrap_or(("\u{0}", ""));
        valid.replacen(old, new, 1)
    };
    assert!(SecureRequest::parse(text("").as_bytes()).is_ok());
    let refused = [
        r#""e30=" -> """#,
        r#""AA==" -> """#,
        r#""t" -> """#,
        r#""t" -> null"#,
        r#""t" -> "t","signer":null"#,
        r#""e30=" -> "e30""#,
        r#","caller":"t" -> "#,
        r#","request":"e30=" -> "#,
        r#","signature":"AA==" -> "#,
    ];
    for change in refused {
        assert!(SecureRequest::parse(text(change).as_bytes()).is_err(), "{change}");
    }
    let one_token = SecureRequest::parse(text(r#""t" -> "t","signer":"""#).as_bytes()).unwrap();
    assert_eq!(one_token.signer, None, "an empty signer is none");
}

#[test]
fn payloads_that_are_base64_are_decoded_once_more() {
    let mut request = Request::parse(request_json(Version::V2, &[], "").as_bytes()).unwrap();
    let rows: [(&[u8], &[u8]); 7] = [
        (b"cGluZw==", b"ping"),
        (b"cGlu\r\nZw==\n", b"ping"),
        (b"pong", &[0xa6, 0x89, 0xe0]),
        (b"{\"agent\":\"x\"}", b"{\"agent\":\"x\"}"),
        (b"cGluZw", b"cGluZw"),
        (b"cGluZx==", b"ping"),
        (b"-_-_", b"-_-_"),
    ];
    for (payload, body) in rows {
        request.payload = payload.to_vec();
        assert_eq!(&*request.body(), body, "{}", String::from_utf8_lossy(payload));
    }
}

#[test]
fn requests_count_only_near_their_time() {
    let mut request = Request::parse(request_json(Version::V2, &[], "").as_bytes()).unwrap();
    (request.time, request.ttl) = (time(1000), 60);
    let rows = [
        (940, Err(Expired::Future { ahead_s: 60, ttl_s: 60 })),
        (941, Ok(())),
        (1000, Ok(())),
        (1059, Ok(())),
        (1060, Err(Expired::Old { age_s: 60, ttl_s: 60 })),
        (9000, Err(Expired::Old { age_s: 8000, ttl_s: 60 })),
    ];
    for (now, expected) in rows {
        assert_eq!(request.check_ttl(time(now)), expected, "at {now}");
    }
}

#[test]
fn strings_are_escaped_as_the_other_writers_do() {
    let mut request = Request::parse(request_json(Version::V2, &[], "").as_bytes()).unwrap();
    request.filter.identities = vec!["<a>&\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}é\u{2028}\u{2029}\u{2027}".to_owned()];
    let written = String::from_utf8(request.encode()).unwrap();
    let expected =
        concat!(r#""identity":["\u003ca\u003e\u0026\"\\\n\r\t\b\f\u0001"#, "\u{7f}é", r"\u2028\u2029", "\u{2027}\"]");
    assert!(written.contains(expected), "{written}");
    assert_eq!(Request::parse(written.as_bytes()), Ok(request));
}

#[test]
fn replies_carry_back_what_federation_needs() {
    let mut plain = Headers { reply_to: Some("r".to_owned()), ..Headers::default() };
    plain.add_hop("a", "b", "c");
    let federation = Federation { request: Some("1".to_owned()), reply_to: Some("r".to_owned()), targets: Vec::new() };
    let federated = Headers { federation: Some(federation.clone()), ..plain.clone() };
    let sender = || "n1".parse().unwrap();
    let expected = Headers { sender: Some(sender()), ..Headers::default() };
    assert_eq!(plain.for_reply(sender()), expected);
    let expected = Headers { trace: plain.trace, federation: Some(federation), ..expected };
    assert_eq!(federated.for_reply(sender()), expected);
}

#[test]
fn damage_shows_in_the_hash() {
    let mut secure = SecureReply::unsigned(Version::V2, b"{}".to_vec());
    assert!(secure.hash_matches());
    secure.reply = b"{ }".to_vec();
    assert!(!secure.hash_matches());
}

#[test]
fn counters_follow_the_failure() {
    let rows = [
        (Request::parse(b"x").unwrap_err(), vec!["choria_protocol_json_parse_failures", "choria_protocol_error"]),
        (
            Request::parse(request_json(Version::V2, &[], "agent").as_bytes()).unwrap_err(),
            vec!["choria_protocol_error", "choria_protocol_invalid"],
        ),
        (Transport::parse(b"x").unwrap_err(), vec!["choria_protocol_error"]),
    ];
    for (error, expected) in rows {
        let metrics: Vec<_> = error.counters().iter().map(|counter| counter.metric()).collect();
        assert_eq!(metrics, expected, "{error}");
    }
}
