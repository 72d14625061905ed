//! The rules of events that no recording shows.

use choria_lifecycle::{Component, Event, Format, GovernorStage, Invalid, Kind};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, SystemTime};

fn event(kind: Kind) -> Event {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_164_645);
    let component = "server".parse().expect("a component");
    Event::new("n1.example.net".parse().expect("an identity"), component, kind, now, &mut StdRng::seed_from_u64(1))
}

fn governor(stage: GovernorStage, sequence: u64) -> Kind {
    Kind::Governor { governor: "G".to_owned(), sequence, stage }
}

#[test]
fn each_kind_has_its_subject_and_line() {
    let version = || "1.0".to_owned();
    let rows = [
        (Kind::Startup { version: version() }, "startup", "server version 1.0"),
        (Kind::Shutdown, "shutdown", "server"),
        (Kind::Alive { version: version() }, "alive", "server version 1.0"),
        (Kind::Provisioned, "provisioned", "server"),
        (Kind::Upgraded { version: version(), new_version: "2.0".to_owned() }, "upgraded", "server version 1.0 to 2.0"),
        (governor(GovernorStage::Enter, 3), "governor", "obtained slot 3 on G"),
        (governor(GovernorStage::Enter, 0), "governor", "obtained slot on G"),
        (governor(GovernorStage::Exit, 3), "governor", "vacated slot 3 on G"),
        (governor(GovernorStage::Exit, 0), "governor", "vacated G"),
        (governor(GovernorStage::Timeouts, 3), "governor", "failed to obtain a slot on G"),
        (governor(GovernorStage::Eviction, 3), "governor", "evicted from slot 3 on G"),
        (governor(GovernorStage::Eviction, 0), "governor", "evicted from G"),
        (governor(GovernorStage::Other("x".to_owned()), 0), "governor", "unknown stage on Governor G"),
    ];
    for (kind, word, line) in rows {
        let event = event(kind);
        assert_eq!(event.subject(), format!("choria.lifecycle.event.{word}.server"), "{event}");
        assert_eq!(event.to_string(), format!("[{word}] n1.example.net: {line}"));
        for format in [Format::Bare, Format::CloudEvent] {
            assert_eq!(Event::parse(&event.encode(format)), Ok(event.clone()), "{event} as {format:?}");
        }
    }
}

#[test]
fn the_envelope_has_the_documented_text() {
    let event = Event { id: "1b4e".to_owned(), ..event(Kind::Startup { version: "0.29.4".to_owned() }) };
    let data = r#"{"protocol":"io.choria.lifecycle.v1.startup","id":"1b4e","identity":"n1.example.net","component":"server","timestamp":1704164645,"version":"0.29.4"}"#;
    let envelope = format!(
        r#"{{"specversion":"1.0","id":"1b4e","source":"io.choria.lifecycle","type":"io.choria.lifecycle.v1.startup","subject":"n1.example.net","datacontenttype":"application/json","time":"2024-01-02T03:04:05Z","data":{data}}}"#
    );
    assert_eq!(String::from_utf8(event.encode(Format::Bare)).unwrap(), data);
    assert_eq!(String::from_utf8(event.encode(Format::CloudEvent)).unwrap(), envelope);
}

#[test]
fn what_is_no_event_is_refused_by_its_rule() {
    let base = |rest: &str| {
        format!(
            r#"{{"id":"1","identity":"n1","component":"server","timestamp":1,"protocol":"io.choria.lifecycle.v1.{rest}}}"#
        )
    };
    let rows = [
        ("empty", String::new(), "not readable"),
        ("an array", "[]".to_owned(), "not readable"),
        ("no format", "{}".to_owned(), "unsupported event format"),
        ("an old id", r#"{"protocol":"choria:lifecycle:startup:1"}"#.to_owned(), "unsupported event format"),
        ("another source", r#"{"specversion":"1.0","source":"x","data":{}}"#.to_owned(), "unsupported event format"),
        (
            "another version",
            r#"{"specversion":"0.3","source":"io.choria.lifecycle","data":{}}"#.to_owned(),
            "unsupported",
        ),
        ("no data", r#"{"specversion":"1.0","source":"io.choria.lifecycle"}"#.to_owned(), "data is missing"),
        ("unknown type", base(r#"party""#), "unknown protocol 'io.choria.lifecycle.v1.party' received"),
        ("nameless governor", base(r#"governor","governor":"""#), "governor name is not set"),
        ("fractional time", base(r#"alive","timestamp":1.5"#).replacen(r#""timestamp":1,"#, "", 1), "not readable"),
        ("negative time", base(r#"alive""#).replacen(":1,", ":-1,", 1), "timestamp is not"),
        ("time beyond the calendar", base(r#"alive""#).replacen(":1,", ":999999999999999,", 1), "timestamp is not"),
        ("no component", base(r#"alive""#).replacen("server", "", 1), "not a valid component"),
        ("no identity", base(r#"alive""#).replacen("n1", "", 1), "not a valid identity"),
    ];
    for (name, text, expected) in rows {
        let error = Event::parse(text.as_bytes()).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert_eq!(Event::parse(b"{}"), Err(Invalid::Format));
}

#[test]
fn a_component_stands_in_a_subject() {
    for (text, valid) in
        [("server", true), ("CLI", true), ("a.b", true), ("", false), ("a b", false), ("a.>", false), ("a.", false)]
    {
        assert_eq!(text.parse::<Component>().is_ok(), valid, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _refused = Event::parse(&bytes).is_err();
    }

    #[test]
    fn no_field_makes_it_panic(time in any::<i64>(), word in ".{0,12}", sequence in any::<u64>()) {
        let fields = serde_json::json!({
            "protocol": "io.choria.lifecycle.v1.governor", "id": word, "identity": "n1", "component": "server",
            "timestamp": time, "governor": word, "sequence": sequence, "event_type": word,
        });
        if let Ok(event) = Event::parse(fields.to_string().as_bytes()) {
            prop_assert_eq!(Event::parse(&event.encode(Format::CloudEvent)), Ok(event));
        }
    }
}
