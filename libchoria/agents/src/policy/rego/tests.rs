use super::*;
use protocol::filter::Compound;
use serde_json::{Value as Json, json};

fn aaa(text: &str) -> Result<Policy, InvalidPolicy> {
    Policy::parse("test", text, Package::Aaasvc)
}

fn ask(text: &str, input: &Json) -> Result<bool, String> {
    let policy = aaa(text).map_err(|error| error.to_string())?;
    policy.allows(input, &Filter::default()).map_err(|error| error.to_string())
}

/// Name, text without its package, dialect, whether agent `puppet` and agent `choria_provision` are allowed.
type Row<'a> = (&'a str, &'a str, Dialect, [Option<bool>; 2]);

#[test]
fn both_dialects_mean_the_same() {
    use Dialect::{V0, V1};
    let rows: &[Row<'_>] = &[
        (
            "v0",
            "default allow = false\nallow {\n  input.agent != \"choria_provision\"\n}\n",
            V0,
            [Some(true), Some(false)],
        ),
        (
            "v1",
            "default allow := false\nallow if {\n  input.agent != \"choria_provision\"\n}\n",
            V1,
            [Some(true), Some(false)],
        ),
        (
            "v1 by its import",
            "import rego.v1\ndefault allow := false\nallow if input.agent != \"choria_provision\"\n",
            V1,
            [Some(true), Some(false)],
        ),
        (
            "v0 with keywords of the future",
            "import future.keywords\ndefault allow = false\nallow if { input.agent in [\"puppet\"] }\n",
            V1,
            [Some(true), Some(false)],
        ),
        (
            "v0 that only newer words make valid",
            "import future.keywords.in\ndefault allow = false\nallow { input.agent in [\"puppet\"] }\n",
            V0,
            [Some(true), Some(false)],
        ),
        ("constant", "default allow = true\n", V1, [Some(true), Some(true)]),
        (
            "bodies are alternatives",
            "default allow = false\nallow { input.agent == \"a\" } { input.agent == \"puppet\" }\n",
            V0,
            [Some(true), Some(false)],
        ),
        ("else", "allow = true { input.agent == \"puppet\" } else = false { true }\n", V0, [Some(true), Some(false)]),
        ("undefined", "allow { input.agent == \"puppet\" }\n", V0, [Some(true), None]),
        ("no truth value", "allow = 1\n", V1, [None, None]),
        ("a text", "allow = \"true\"\n", V1, [None, None]),
        ("a set", "allow[x] { x := input.agent }\n", V0, [None, None]),
        ("two values", "allow = true { input.agent == \"puppet\" }\nallow = false { true }\n", V0, [None, Some(false)]),
        (
            "a failing function is undefined",
            "default allow = false\nallow { to_number(input.agent) > 1 }\n",
            V0,
            [Some(false), Some(false)],
        ),
        (
            "a missing function",
            "default allow = false\nallow { http.send({\"url\": \"http://x\"}) }\n",
            V0,
            [None, None],
        ),
        ("the system is not there", "default allow = false\nallow { opa.runtime().env }\n", V0, [None, None]),
        (
            "helpers",
            "default allow = false\nmine = {\"puppet\"}\nis_mine(a) { mine[a] }\nallow { is_mine(input.agent) }\n",
            V0,
            [Some(true), Some(false)],
        ),
        (
            "contains as a function",
            "default allow = false\nallow { contains(input.agent, \"pupp\") }\n",
            V0,
            [Some(true), Some(false)],
        ),
    ];
    for (name, text, dialect, expected) in rows {
        let policy =
            aaa(&format!("package io.choria.aaasvc\n{text}")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(policy.dialect(), *dialect, "{name}");
        let got =
            ["puppet", "choria_provision"].map(|agent| policy.allows(&json!({"agent": agent}), &Filter::default()));
        assert_eq!(got.clone().map(Result::ok), *expected, "{name}: {got:?}");
    }
}

#[test]
fn a_text_that_is_no_policy_is_refused_with_its_line() {
    let large = format!("package io.choria.aaasvc\ndefault allow = false\n# {}", "x".repeat(MAX_TEXT));
    let rows: &[(&str, &str, &str)] = &[
        ("empty", "", "policy test in line 1 is not valid: expecting `package`"),
        ("no Rego", "deny everything!", "policy test in line 1 is not valid: expecting `package`"),
        (
            "other package",
            "package choria.aaa.policy\nallow = true",
            "its package is choria.aaa.policy, here only io.choria.aaasvc is asked",
        ),
        (
            "no rule",
            "package io.choria.aaasvc\nallows = true",
            "it has no rule allow; write at least `default allow = false`",
        ),
        ("open bracket", "package io.choria.aaasvc\nallow {\n  true\n", "policy test in line"),
        // The older parser takes these for a rule that always holds and one named `if`.
        (
            "v1 with a fault",
            "package io.choria.aaasvc\nallow if { input.agent == \"x\" }\ndeny { true }",
            "policy test in line 3 is not valid: `if` keyword is required before rule body",
        ),
        (
            "v1 import with a fault",
            "package io.choria.aaasvc\nimport rego.v1\nallow { true }",
            "`if` keyword is required before rule body",
        ),
        (
            "a name alone",
            "package io.choria.aaasvc\nx { true }\nallow\n",
            "policy test in line 3 is not valid: a rule has neither a body nor a value",
        ),
        ("a set of the future", "package io.choria.aaasvc\nallow contains x { true }", "policy test in line 2"),
        ("too large", &large, "at most 262144 are accepted"),
        (
            "itself",
            "package io.choria.aaasvc\nallow { not allow }",
            "line 2 is not valid: rules build on themselves: allow -> allow",
        ),
        (
            "a function calls itself",
            "package io.choria.aaasvc\nallow { f(3) }\nf(x) = y { y = f(x - 1) }",
            "line 3 is not valid: rules build on themselves: f -> f",
        ),
        (
            "through data",
            "package io.choria.aaasvc\nallow { data.io.choria.aaasvc[\"other\"] }\nother { allow }",
            "rules build on themselves: allow -> other -> allow",
        ),
        (
            "the whole package",
            "package io.choria.aaasvc\nallow { count(data.io.choria) > 1 }",
            "rules build on themselves",
        ),
        (
            "by import",
            "package io.choria.aaasvc\nimport data.io.choria.aaasvc as me\nallow { me.allow }",
            "line 2 is not valid: it imports its own package",
        ),
    ];
    for (name, text, expected) in rows {
        let error = aaa(text).map(|policy| policy.dialect()).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
    }
}

#[test]
fn the_demonstration_s_policies_are_understood() {
    let agents = ["choria_provision", "rpcutil"];
    for (file, expected) in [("choria.rego", [false, true]), ("admin.rego", [true, true])] {
        let text = std::fs::read_to_string(vectors::root().join("config").join(file)).expect(file);
        assert_eq!(agents.map(|agent| ask(&text, &json!({"agent": agent})).expect(file)), expected, "{file}");
    }
}

#[test]
fn functions_tell_of_the_request_s_filter() {
    let filter = Filter {
        facts: vec!["country=mt".parse().expect("a fact filter")],
        classes: vec!["apache".to_owned()],
        agents: vec!["puppet".to_owned()],
        identities: vec!["n1".to_owned()],
        ..Filter::default()
    };
    let agent_only = Filter { agents: vec!["puppet".to_owned()], ..Filter::default() };
    let compound = Filter { compound: vec![Compound::Expression("true".to_owned())], ..Filter::default() };
    let rows: &[(&str, &Filter, Option<bool>)] = &[
        ("requires_filter()", &filter, Some(true)),
        ("requires_filter()", &compound, Some(true)),
        ("requires_filter()", &agent_only, Some(false)),
        ("requires_fact_filter(\"country=mt\")", &filter, Some(true)),
        ("requires_fact_filter(\"country==mt\")", &filter, Some(true)),
        ("requires_fact_filter(\"country=de\")", &filter, Some(false)),
        ("requires_fact_filter(\"country!=mt\")", &filter, Some(false)),
        ("requires_fact_filter(\"country\")", &filter, None),
        ("requires_class_filter(\"apache\")", &filter, Some(true)),
        ("requires_class_filter(\"Apache\")", &filter, Some(false)),
        ("requires_class_filter(\"apache\")", &agent_only, Some(false)),
        ("requires_class_filter(1)", &filter, None),
        ("requires_identity_filter(\"n1\")", &filter, Some(true)),
        ("requires_identity_filter(\"n2\")", &filter, Some(false)),
    ];
    for (call, filter, expected) in rows {
        for body in [format!("allow {{ {call} }}"), format!("allow if {call}")] {
            let text = format!("package io.choria.aaasvc\ndefault allow = false\n{body}\n");
            let got = aaa(&text).expect(call).allows(&json!({}), filter);
            assert_eq!(got.clone().ok(), *expected, "{body}: {got:?}");
        }
    }
    let node = "package io.choria.mcorpc.authpolicy\ndefault allow = false\nallow { requires_filter() }\n";
    let node = Policy::parse("node", node, Package::McorpcAuthPolicy).expect("a policy");
    node.allows(&json!({}), &filter).expect_err("policy files of nodes have no such functions");
}

#[test]
fn what_is_printed_is_kept_for_the_trace_and_from_terminals() {
    let text = "package io.choria.aaasvc\ndefault allow = true\nx { print(\"agent\", input.agent) }\nallow = false { x; false }\n";
    let policy = aaa(text).expect("a policy");
    let traced = policy.traced(&json!({"agent": "a\u{1b}[31m"}), &Filter::default());
    assert_eq!(traced.answer, Ok(true));
    assert_eq!(traced.prints, ["policy:3: agent a\\u{1b}[31m"]);
}

#[test]
fn one_evaluation_leaves_nothing_for_the_next() {
    let text = "package io.choria.aaasvc\ndefault allow = false\nallow { input.data.ok }\n";
    let policy = aaa(text).expect("a policy");
    for ok in [true, false, true] {
        assert_eq!(policy.allows(&json!({"data": {"ok": ok}}), &Filter::default()), Ok(ok));
    }
    policy.allows(&json!({"data": {"ok": true}}), &Filter::default()).expect("an answer");
    assert_eq!(policy.allows(&json!({}), &Filter::default()), Ok(false));
}

#[test]
fn ranges_are_those_of_the_language_and_bounded() {
    let rows = [
        ("numbers.range(1, 3) == [1, 2, 3]", Some(true)),
        ("numbers.range(3, 1) == [3, 2, 1]", Some(true)),
        ("numbers.range(2, 2) == [2]", Some(true)),
        ("numbers.range_step(1, 6, 2) == [1, 3, 5]", Some(true)),
        ("numbers.range_step(6, 1, 2) == [6, 4, 2]", Some(true)),
        ("numbers.range_step(1, 6, 0)", Some(false)),
        ("numbers.range(1.5, 3)", Some(false)),
        ("numbers.range(\"a\", 3)", Some(false)),
        ("count(numbers.range(1, 100000)) == 100000", Some(true)),
        ("numbers.range(1, 100001)", None),
        ("numbers.range(1, 1000000000000)", None),
        ("numbers.range(-9223372036854775807, 9223372036854775807)", None),
        ("numbers.range_step(1, 1000000000000, 1)", None),
    ];
    for (call, expected) in rows {
        let text = format!("package io.choria.aaasvc\ndefault allow = false\nallow {{ {call} }}\n");
        let got = aaa(&text).expect(call).allows(&json!({}), &Filter::default());
        assert_eq!(got.clone().ok(), expected, "{call}: {got:?}");
    }
}
