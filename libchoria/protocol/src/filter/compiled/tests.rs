use super::*;
use crate::facts::FactFile;
use crate::filter::Compound;
use proptest::prelude::*;
use serde_json::json;

const FACTS: &str = r#"{"os":{"family":"RedHat","release":8.4},"cpus":4,"name":"web1","roles":["web","db"],"on":true}"#;

struct Case<'a> {
    name: &'a str,
    filter: serde_json::Value,
    expected: Option<bool>,
}

fn check(filter: &serde_json::Value) -> Result<bool, String> {
    let mut whole = json!({"fact": [], "cf_class": [], "agent": [], "identity": [], "compound": []});
    for (key, value) in filter.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    let filter: Filter = serde_json::from_value(whole).map_err(|error| error.to_string())?;
    let (facts, _) = Facts::merge(&[FactFile { name: "facts.json", text: FACTS }]);
    let agents: Vec<AgentName> = ["discovery", "rpcutil"].iter().map(|name| name.parse().expect("a name")).collect();
    let classes = ["apache".to_owned(), "Role::Web".to_owned()];
    let compiled = filter.compile();
    let mut data = DataAnswers::default();
    for need in compiled.needs() {
        match need.provider.as_str() {
            "scout" => data.insert(need, json!({"state": "OK", "history": ["OK", "WARNING"], "uptime": 12})),
            "choria" => data.insert(need, json!({"version": "0.29.4", "agents_count": 2})),
            "machine_state" => data.insert(need, serde_json::Value::Null),
            _ => {}
        }
    }
    let view = NodeView { identity: "n1.example.net", agents: &agents, classes: &classes, facts: &facts, data: &data };
    compiled.matches(&view).map_err(|error| error.to_string())
}

#[test]
fn kinds_are_combined_as_documented() {
    let rows = [
        Case { name: "empty", filter: json!({}), expected: Some(true) },
        Case { name: "identity", filter: json!({"identity": ["n1.example.net"]}), expected: Some(true) },
        Case { name: "one of identities", filter: json!({"identity": ["n2", "/^n1/"]}), expected: Some(true) },
        Case { name: "no identity", filter: json!({"identity": ["n2", "/^N1/"]}), expected: Some(false) },
        Case { name: "agents and", filter: json!({"agent": ["rpcutil", "/disc/"]}), expected: Some(true) },
        Case { name: "an agent too many", filter: json!({"agent": ["rpcutil", "scout"]}), expected: Some(false) },
        Case { name: "classes", filter: json!({"cf_class": ["APACHE", "role::web", "/^ROLE/"]}), expected: Some(true) },
        Case { name: "a class too many", filter: json!({"cf_class": ["apache", "nginx"]}), expected: Some(false) },
        Case {
            name: "facts and",
            filter: json!({"fact": [{"fact": "cpus", "operator": ">=", "value": "4"}, {"fact": "os.family", "operator": "==", "value": "redhat"}]}),
            expected: Some(true),
        },
        Case {
            name: "fact that cannot be ordered",
            filter: json!({"fact": [{"fact": "on", "operator": ">", "value": "4"}]}),
            expected: None,
        },
        Case { name: "invalid expression", filter: json!({"identity": ["/(/"]}), expected: Some(false) },
        Case { name: "65 expressions", filter: json!({"identity": vec!["/^n1/"; 65]}), expected: Some(true) },
        Case { name: "65 expressions and", filter: json!({"agent": vec!["/rpc/"; 65]}), expected: Some(false) },
        Case {
            name: "legacy compound",
            filter: json!({"compound": [[{"statement": "apache"}, {"and": "and"}]]}),
            expected: Some(false),
        },
        Case { name: "compound", filter: json!({"compound": [[{"expr": "with('apache')"}]]}), expected: Some(true) },
        Case {
            name: "score of 2 to 1",
            filter: json!({"compound": [[{"expr": "true"}], [{"expr": "false"}], [{"expr": "true"}]]}),
            expected: Some(true),
        },
        Case {
            name: "score of 1 to 1",
            filter: json!({"compound": [[{"expr": "true"}], [{"expr": "false"}]]}),
            expected: Some(false),
        },
        Case {
            name: "a failure spoils all",
            filter: json!({"compound": [[{"expr": "true"}], [{"expr": "nosuch()"}]]}),
            expected: None,
        },
        Case {
            name: "too many compounds",
            filter: json!({"compound": vec![json!([{"expr": "true"}]); 9]}),
            expected: Some(false),
        },
        Case {
            name: "all kinds",
            filter: json!({"identity": ["/n/"], "agent": ["rpcutil"], "cf_class": ["apache"], "compound": [[{"expr": "fact('cpus') == 4"}]]}),
            expected: Some(true),
        },
    ];
    for case in &rows {
        let got = check(&case.filter);
        assert_eq!(got.clone().ok(), case.expected, "{}: {got:?}", case.name);
    }
}

#[test]
fn expressions_see_the_node() {
    let rows: &[(&str, Option<bool>)] = &[
        ("with('apache')", Some(true)),
        ("with('/^role/')", Some(true)),
        ("with('rpcutil')", Some(true)),
        ("with('nosuch')", Some(false)),
        ("with('os.family=redhat') and with('cpus>=4')", Some(true)),
        ("with('on>1')", Some(false)),
        ("with(`cpus` + `=4`)", Some(true)),
        ("not with('apache')", Some(false)),
        ("fact('cpus') == 4", Some(true)),
        ("fact('os.release') > 8", Some(true)),
        ("fact('nope') == nil", Some(true)),
        ("fact('roles')[0] == 'web'", Some(true)),
        ("fact('os').family startsWith 'Red'", Some(true)),
        ("include(fact('roles'), 'db')", Some(true)),
        ("include(fact('nope'), 'db')", Some(false)),
        ("include([1.0, 2.0], 2)", Some(true)),
        ("'rpcutil' in agents && len(classes) == 2", Some(true)),
        ("any(classes, # == 'Role::Web')", Some(true)),
        ("any(fact('roles'), {# matches '^d'})", Some(true)),
        ("unknown == nil", Some(true)),
        ("unknown?.deep == nil", Some(true)),
        ("semver('1.2.3', '>= 1.2, < 2')", Some(true)),
        ("semver('one', '>= 1.2')", None),
        ("semver(choria().version, '^0.29')", Some(true)),
        ("scout('check').state == 'OK' && 'WARNING' in scout('check').history", Some(true)),
        ("scout('check').uptime == 12", Some(true)),
        ("machine_state('x') == nil", Some(true)),
        ("machine_state('x')?.state == nil", Some(true)),
        ("external('x') == nil", None),
        ("scout('a' + 'b') == nil", None),
        ("scout(1) == nil", None),
        ("1 + 1", None),
        ("", None),
        ("with(", None),
        ("let c = fact('cpus'); c > 2 ? with('apache') : false", Some(true)),
        ("len(join(['a', 'b'], '-')) == 3", Some(true)),
        ("split('a,b', ',') == ['a', 'b']", Some(true)),
        ("replace('a', 'a', 'b') == 'b'", Some(true)),
        ("count(agents, # == 'rpcutil') == 1", Some(true)),
        ("$env.agents[0] == 'discovery'", Some(true)),
        ("filter([{'a': 1}, {'a': 2}], .a > 1) | len() == 1", Some(true)),
        ("type(facts) != 'nil'", Some(true)),
        ("now() > date('2020-01-01')", Some(true)),
        ("1..9999999999 == nil", None),
        ("{a: any(groupBy())} == nil", None),
        ("fact('os').family.b.c.d == nil", None),
    ];
    for (text, expected) in rows {
        let got = check(&json!({"compound": [[{"expr": text}]]}));
        assert_eq!(got.clone().ok(), *expected, "{text}: {got:?}");
    }
}

#[test]
fn failures_name_the_expression_and_the_reason() {
    let error = check(&json!({"compound": [[{"expr": "reduce(agents, #acc)"}]]})).expect_err("refused");
    assert_eq!(
        error,
        "compound filter \"reduce(agents, #acc)\" cannot be evaluated: `reduce` stands 1 times in it, at most 0 are accepted in a filter"
    );
}

#[test]
fn whoever_makes_a_filter_can_check_its_expressions() {
    let rows = [("with('apache')", true), ("fact('cpus') > ", false), ("1 == 1", true)];
    for (text, expected) in rows {
        let filter = crate::Filter { compound: vec![Compound::Expression(text.to_owned())], ..Default::default() };
        let checked = filter.compile().check();
        assert_eq!(checked.is_ok(), expected, "{text}: {checked:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_filter_panic(
        text in "[a-z#.,:;'\"`(){}\\[\\]<>=!~+*/ 0-9-]{0,40}",
        words in prop::collection::vec(prop::sample::select(WORDS), 0..12),
    ) {
        for text in [text, words.join(" ")] {
            let _answer = check(&json!({"compound": [[{"expr": text}]]}));
            let fact = json!({"fact": format!("os{text}"), "operator": "==", "value": "x"});
            let _answer = check(&json!({"fact": [fact], "identity": [format!("/{text}/")]}));
        }
    }
}

const WORDS: &[&str] = &[
    "fact(",
    "with(",
    "any(",
    "map(",
    "split(",
    "'os'",
    "agents",
    "#",
    ".a",
    ")",
    "[",
    "]",
    "{",
    "}",
    "{a: 1}",
    "1",
    "-",
    "..",
    "==",
    "and",
    "not",
    "in",
    "matches",
    "'^a'",
    "?",
    ":",
    "??",
    "|",
    "len()",
    "let a = 1;",
    "nil",
    "\u{e9}",
];

#[test]
fn a_reason_holds_no_control_characters() {
    for text in ["c\0oria() > 1", "\u{1b}[2J", "'a' matches \"(\u{1b}\"", "a\n\r\tb c"] {
        let filter = Filter { compound: vec![Compound::Expression(text.to_owned())], ..Filter::default() };
        let why = filter.compile().check().expect_err(text).to_string();
        assert!(!why.contains(char::is_control), "{why:?}");
    }
}
