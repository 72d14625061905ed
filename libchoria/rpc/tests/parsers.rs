//! Whatever the bytes, the readers of documents, inputs, lists and bodies answer or refuse; they never fall over.

use choria_rpc::FilterArguments;
use choria_rpc::body::{ReplyBody, RequestBody};
use choria_rpc::ddl::{Action, AgentDdl, DataDdl, Input};
use choria_rpc::discovery::flatfile::{Format, read};
use choria_rpc::plan::LimitSize;
use choria_rpc::{chart, json_text};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Small JSON values of every kind.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Eighths read back exactly as they were written; not every float does.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z$]{0,6}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Values for the keys of an input, right or wrong.
fn any_input() -> impl Strategy<Value = Value> {
    let kinds = ["integer", "number", "float", "string", "boolean", "list", "Hash", "array", "x"];
    let kind = prop::sample::select(kinds.to_vec());
    (kind, any_json(), any::<bool>(), ".{0,12}", 0_u64..9, prop::collection::vec(".{0,3}", 0..3)).prop_map(
        |(kind, default, optional, validation, length, list)| {
            json!({"type": kind, "default": default, "optional": optional, "validation": validation,
                   "maxlength": length, "list": list})
        },
    )
}

proptest! {
    #[test]
    fn documents(value in any_json(), text in ".{0,64}") {
        for json in [value.to_string(), json!({"metadata": value, "actions": value}).to_string(), text] {
            if let Ok(ddl) = serde_json::from_str::<AgentDdl>(&json) {
                let again: AgentDdl = serde_json::from_str(&ddl.to_json()).expect("what was written is read");
                prop_assert_eq!(again, ddl);
            }
            let _ = serde_json::from_str::<DataDdl>(&json);
        }
    }

    #[test]
    fn inputs(declared in any_input(), text in ".{0,24}", value in any_json()) {
        let input: Input = serde_json::from_value(declared).expect("an input");
        let action = Action { inputs: [("i".into(), input)].into(), ..Action::default() };
        if let Ok(inputs) = action.inputs_from([("I", text.as_str())]) {
            // What the client lets through, a host does too.
            prop_assert!(action.validate_request(&inputs.values).is_ok());
        }
        let _ = action.inputs["i"].validate(&value);
    }

    #[test]
    fn lists(text in "(?s).{0,64}", query in prop::option::of(".{0,12}"), value in any_json()) {
        for format in [Format::Text, Format::Json, Format::Yaml, Format::Results] {
            for text in [text.as_str(), &value.to_string()] {
                if let Ok(nodes) = read(text, format, query.as_deref()) {
                    prop_assert!(nodes.len() <= text.len());
                }
            }
        }
    }

    #[test]
    fn flags(facts in prop::collection::vec(".{0,16}", 0..3), combined in ".{0,24}", limit in "[0-9%.-]{0,5}") {
        let arguments = FilterArguments { facts, combined: vec![combined], ..FilterArguments::default() };
        let _ = arguments.filter(None);
        let _ = limit.parse::<LimitSize>();
    }

    #[test]
    fn bodies(value in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for bytes in [value.to_string().into_bytes(), bytes] {
            if let Ok(body) = RequestBody::parse(&bytes) {
                prop_assert_eq!(RequestBody::parse(&body.encode()).expect("what was written is read"), body);
            }
            if let Ok(body) = ReplyBody::parse(&bytes) {
                prop_assert_eq!(ReplyBody::parse(&body.encode()).expect("what was written is read"), body);
            }
        }
    }

    #[test]
    fn layouts(value in any_json(), text in ".{0,64}") {
        let json = value.to_string();
        let laid_out = json_text::indented(&json, "", "  ");
        prop_assert_eq!(serde_json::from_str::<Value>(&laid_out).expect("JSON"), value);
        prop_assert_eq!(json_text::compact(&laid_out), json);
        let _ = json_text::indented(&text, ">", "\t");
    }

    #[test]
    fn charts(values in prop::collection::vec(any::<f64>(), 0..80)) {
        let drawn = chart::line_chart(&values, "caption");
        prop_assert!(drawn.lines().count() <= 33, "{}", drawn);
    }
}
