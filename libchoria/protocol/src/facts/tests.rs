use super::*;
use serde_json::json;

/// Case, files as name and text, merged JSON, names of the refused files.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

#[test]
fn later_files_win_at_the_top_level_and_bad_ones_are_named() {
    let rows: &[Row] = &[
        ("nothing", &[], "{}", &[]),
        ("yaml", &[("a.yaml", "os:\n  family: RedHat\ncpus: 4\n")], r#"{"cpus":4,"os":{"family":"RedHat"}}"#, &[]),
        ("yml is read as JSON", &[("a.yml", "cpus: 4")], "{}", &["a.yml"]),
        (
            "shallow merge",
            &[("a.yaml", "os: {family: x, name: y}\nkeep: 1"), ("b.json", r#"{"os":{"family":"z"}}"#)],
            r#"{"keep":1,"os":{"family":"z"}}"#,
            &[],
        ),
        ("bad file between good ones", &[("a.json", "{"), ("b.json", r#"{"b":1}"#)], r#"{"b":1}"#, &["a.json"]),
        ("a list is no mapping", &[("a.json", "[1]"), ("b.yaml", "- 1")], "{}", &["a.json", "b.yaml"]),
        (
            "whole floats",
            &[("a.json", r#"{"a":1.0,"b":[2.5,-0.0]}"#), ("b.yaml", "c: 3.0")],
            r#"{"a":1,"b":[2.5,0],"c":3}"#,
            &[],
        ),
        (
            "big integers keep their digits",
            &[("a.json", r#"{"a":9007199254740993}"#)],
            r#"{"a":9007199254740993}"#,
            &[],
        ),
        ("keys of any type", &[("a.yaml", "1: one\ntrue: yes\n")], r#"{"1":"one","true":"yes"}"#, &[]),
        ("not a number", &[("a.yaml", "a: .nan")], r#"{"a":null}"#, &[]),
    ];
    for (name, files, expected, refused) in rows {
        let files: Vec<_> = files.iter().map(|(name, text)| FactFile { name, text }).collect();
        let (facts, problems) = Facts::merge(&files);
        assert_eq!(facts.json(), *expected, "{name}");
        let problems: Vec<_> = problems.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(problems, *refused, "{name}");
    }
}

#[test]
fn paths_find_what_gjson_documents() {
    let text = r#"{"name":{"first":"Tom","last":"Anderson"},"age":37,"fav.movie":"Deer Hunter","children":["Sara","Alex","Jack"],
        "friends":[{"first":"Dale","age":44},{"first":"Roger","age":68},{"first":"Jane","age":47}],"none":null,"yes":true}"#;
    let rows: &[(&str, Option<Value>)] = &[
        ("name.last", Some(json!("Anderson"))),
        ("age", Some(json!(37))),
        ("children", Some(json!(["Sara", "Alex", "Jack"]))),
        ("children.#", Some(json!(3))),
        ("children.1", Some(json!("Alex"))),
        ("child*.2", Some(json!("Jack"))),
        ("c?ildren.0", Some(json!("Sara"))),
        ("fav\\.movie", Some(json!("Deer Hunter"))),
        ("friends.#.first", Some(json!(["Dale", "Roger", "Jane"]))),
        ("friends.#(age>45).first", Some(json!("Roger"))),
        ("friends.#(age>45)#.first", Some(json!(["Roger", "Jane"]))),
        ("none", Some(Value::Null)),
        ("yes", Some(json!(true))),
        ("nope", None),
        ("name.nope", None),
        ("children.9", None),
        ("", None),
    ];
    for (path, expected) in rows {
        assert_eq!(lookup(text, path), *expected, "{path}");
    }
}

#[test]
fn oversized_paths_find_nothing() {
    let deep = "[".repeat(20_000);
    assert_eq!(lookup(r#"{"a":1}"#, &deep), None);
    assert_eq!(lookup(r#"{"a":1}"#, &"a.".repeat(400)), None);
}

#[test]
fn classes_are_lines() {
    assert_eq!(classes("apache\nRole::Web\r\n\n spaced \n"), ["apache", "Role::Web", " spaced "]);
    assert!(classes("").is_empty());
}
