use super::*;
use crate::policy::rego::{Package, Policy};
use serde_json::json;

fn judge(text: &str) -> Result<Outline, String> {
    outline(&format!("package io.choria.aaasvc\n{text}"), "io.choria.aaasvc").map_err(|refused| refused.why)
}

#[test]
fn rules_that_only_look_like_cycles_are_accepted() {
    let rows = [
        ("a name of its own", "a { b := 1; b > 0 }\nb { a }"),
        ("an argument", "f(b) { b > 0 }\nb { f(1) }"),
        ("some", "a { some b; input.x[b] }\nb { a }"),
        ("some in", "import rego.v1\na if { some k, b in input.x; b > k }\nb if a"),
        ("every", "import rego.v1\na if { every b in input.x { b > 1 } }\nb if a"),
        ("taken apart", "a { [b, c] := split(input.x, \".\"); b == c }\nb { a }"),
        ("a field of the input", "a { input.b }\nb { a; input.a }"),
        ("a text", "a { input[\"b\"] == \"b\" }\nb { a }"),
        ("a comment", "a { true } # see b\nb { a }"),
        ("a key", "a = {\"b\": 1}\nb { a }"),
        ("other data", "a { data.other.b }\nb { a }"),
        ("default", "default allow = false\nallow { a }\na { true }"),
        ("parts of one name", "p.a { true }\np.b { p.a }"),
        ("two ways", "allow { a; b }\na { c }\nb { c }\nc { true }"),
    ];
    for (name, text) in rows {
        judge(text).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

#[test]
fn what_would_fill_the_stack_is_refused() {
    let chain = |length: usize| {
        let rules: Vec<String> = (0..length).map(|at| format!("r{at} {{ r{} }}", at + 1)).collect();
        format!("allow {{ r0 }}\n{}\nr{length} {{ true }}\n", rules.join("\n"))
    };
    let rows = [
        (
            "brackets",
            format!("allow {{ {}true{} }}", "(".repeat(2000), ")".repeat(2000)),
            "brackets stand in each other",
        ),
        ("lists", format!("allow = {}", "[".repeat(100_000)), "brackets stand in each other"),
        (
            "what a parser that tries twice would not end with",
            format!("x = {}", "[[[[[[[[[[1]]]]]]]]]],".repeat(200)),
            "would take too long",
        ),
        ("operators", format!("allow {{ 1{} > 0 }}", " + 1".repeat(5000)), "an expression has more than"),
        ("operators over lines", format!("allow {{ 1{} > 0 }}", " +\n 1".repeat(5000)), "an expression has more than"),
        ("minus", format!("allow {{ {}1 < 0 }}", "-".repeat(5000)), "an expression has more than"),
        ("fields", format!("allow {{ input{} }}", ".a".repeat(5000)), "an expression has more than"),
        ("places", format!("allow {{ input{} }}", "[0]".repeat(5000)), "rule allow builds on too many others"),
        ("a chain of rules", chain(1000), "builds on too many others"),
        ("more rules than anybody writes", "a { true }\n".repeat(5000), "it has 50"),
    ];
    for (name, text, expected) in rows {
        let why = judge(&text).map(drop).expect_err(name);
        assert!(why.contains(expected), "{name}: {why}");
    }
}

/// The deepest that is accepted, in the build with the largest frames.
#[test]
fn what_is_accepted_can_be_evaluated() {
    let deep = |per_rule: usize| {
        let most = MAX_DEPTH / (2 * per_rule + 4);
        let open = "[".repeat(per_rule);
        let close = "]".repeat(per_rule);
        let rules: Vec<String> = (0..most).map(|at| format!("r{at} = {open}r{}{close}", at + 1)).collect();
        format!("default allow = false\nallow {{ r0 }}\n{}\nr{most} = 1\n", rules.join("\n"))
    };
    let sums = format!("default allow = false\nallow {{ 1{} > 0 }}\n", " + 1".repeat(MAX_OPERATORS - 4));
    for (name, text) in [("nested", deep(7)), ("chained", deep(1)), ("sums", sums)] {
        judge(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        let text = format!("package io.choria.aaasvc\n{text}");
        let policy = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        let policy = policy.spawn(move || Policy::parse("deep", &text, Package::Aaasvc)).expect("a thread").join();
        let policy = policy.expect("parsed on the stack of a worker").expect(name);
        let evaluation = std::thread::Builder::new().stack_size(32 * 1024 * 1024);
        let answer = evaluation.spawn(move || policy.allows(&json!({}), &protocol::Filter::default()));
        assert_eq!(answer.expect("a thread").join().expect("evaluated"), Ok(true), "{name}");
    }
}
