use super::*;
use protocol::facts::FactFile;

const GROUPS: &str =
    "# people\nops choria=jo.mcollective up=ann\nempty \n bad up=x\nno/name up=x\nalone\nops2 /up=.*/\n";

fn facts() -> NodeFacts {
    let text = r#"{"env":"prod","cpus":4,"os":{"family":"RedHat"},"list":[1]}"#;
    NodeFacts::merge(&[FactFile { name: "f.json", text }]).0
}

/// Decides about `caller` and `action` with the classes `apache` and `role::web`.
fn decide(text: &str, caller: &str, action: &str) -> Result<Decision, Undecidable> {
    let classes = ["apache".to_owned(), "role::web".to_owned()];
    let facts = facts();
    let question = Question { caller, action, facts: &facts, classes: Some(&classes) };
    ActionPolicy::parse(text).0.decide(false, &Groups::parse(GROUPS).0, question)
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rows: &[(&str, &str, Option<bool>)] = &[
        ("nothing", "", Some(false)),
        ("default allow", "policy default allow", Some(true)),
        ("default with odd spaces", "policy \t default   allow", Some(true)),
        ("default of another word", "policy default maybe", Some(false)),
        ("default without a word", "policy default", Some(false)),
        ("the last default", "policy default allow\npolicy default deny", Some(false)),
        ("a default after the rule does not count", "allow\t*\t*\t*\t*\npolicy default deny", Some(true)),
        ("everybody", "allow\t*\t*\t*\t*", Some(true)),
        ("several tabs", "allow\t\t*\t\t\t*\t*\t*", Some(true)),
        ("spaces are no tabs", "allow * * * *", Some(false)),
        ("a comment", "#allow\t*\t*\t*\t*", Some(false)),
        ("an indented comment is no comment and no rule", " #x\nallow\t*\t*\t*\t*", Some(true)),
        ("Windows lines", "policy default deny\r\nallow\tup=ann\tstatus\t*\t*\r\n", Some(true)),
        ("deny first", "deny\tup=ann\t*\t*\t*\nallow\t*\t*\t*\t*", Some(false)),
        ("allow first", "allow\tup=ann\t*\t*\t*\ndeny\t*\t*\t*\t*", Some(true)),
        ("another word", "permit\t*\t*\t*\t*", Some(false)),
        // callers
        ("caller", "allow\tup=ann\t*\t*\t*", Some(true)),
        ("part of a caller", "allow\tup=an\t*\t*\t*", Some(false)),
        ("one of several", "allow\tup=bob up=ann\t*\t*\t*", Some(true)),
        ("group", "allow\tops\t*\t*\t*", Some(true)),
        ("group among others", "allow\tup=bob ops\t*\t*\t*", Some(true)),
        ("a member is no expression", "allow\tops2\t*\t*\t*", Some(false)),
        ("a group that is none", "allow\tbad alone no/name empty\t*\t*\t*", Some(false)),
        ("expression", "allow\t/^up=/\t*\t*\t*", Some(true)),
        ("expression anywhere", "allow\t/n$/\t*\t*\t*", Some(true)),
        ("expression of another case", "allow\t/^UP=/\t*\t*\t*", Some(false)),
        ("broken expression", "allow\t/(/ up=ann\t*\t*\t*", Some(false)),
        ("open expression", "allow\t/up= up=ann\t*\t*\t*", Some(false)),
        ("empty expression", "allow\t// up=ann\t*\t*\t*", Some(false)),
        ("before the broken one", "allow\tup=ann /(/\t*\t*\t*", Some(true)),
        ("a group beside a broken one", "allow\t/(/ ops\t*\t*\t*", Some(true)),
        ("star is not one of several", "allow\tup=bob *\t*\t*\t*", Some(false)),
        // actions
        ("action", "allow\t*\tstatus\t*\t*", Some(true)),
        ("one of several actions", "allow\t*\trestart status\t*\t*", Some(true)),
        ("another action", "allow\t*\trestart\t*\t*", Some(false)),
        ("no expression for actions", "allow\t*\t/status/\t*\t*", Some(false)),
        // facts
        ("fact", "allow\t*\t*\tenv=prod\t*", Some(true)),
        ("all facts", "allow\t*\t*\tenv=prod cpus>=4 os.family=~hat\t*", Some(true)),
        ("not all facts", "allow\t*\t*\tenv=prod cpus>4\t*", Some(false)),
        ("no such fact", "allow\t*\t*\tnope=1\t*", Some(false)),
        ("no fact", "allow\t*\t*\tenv\t*", None),
        ("no fact for others", "allow\tup=bob\t*\tenv\t*\nallow\t*\t*\t*\t*", Some(true)),
        ("star beside a fact", "allow\t*\t*\tenv=prod *\t*", None),
        ("not comparable is no match", "deny\t*\t*\tlist>1\t*\nallow\t*\t*\t*\t*", Some(true)),
        // classes
        ("class", "allow\t*\t*\t*\tapache", Some(true)),
        ("class of another case", "allow\t*\t*\t*\tApache", Some(true)),
        ("all classes", "allow\t*\t*\t*\tapache /^ROLE::/", Some(true)),
        ("not all classes", "allow\t*\t*\t*\tapache mysql", Some(false)),
        ("a fact among classes", "allow\t*\t*\t*\tenv=prod", None),
        ("no classes", "allow\t*\t*\t*", None),
        ("a wrong class column denies whatever the facts say", "allow\t*\t*\tenv=test\t\u{20}a=b", None),
        ("more columns: the last one counts", "allow\t*\t*\t*\tmysql\tapache", Some(true)),
        ("more columns: the last one counts (2)", "allow\t*\t*\t*\tapache\tmysql", Some(false)),
        ("a tab at the end is part of the class", "allow\t*\t*\t*\t*\t", Some(false)),
        // compound statements
        ("not", "allow\t*\t*\t!env=prod\t*\nallow\t*\tstatus\t*\t*", Some(true)),
        ("and", "deny\t*\t*\tenv=prod and cpus=4\t*\nallow\t*\t*\t*\t*", Some(true)),
        ("brackets", "deny\t*\t*\t*\t(apache)\nallow\t*\t*\t*\t*", Some(true)),
        ("empty brackets are none", "allow\t*\t*\tenv()=x\t*", Some(false)),
    ];
    for (name, text, expected) in rows {
        let got = decide(text, "up=ann", "status");
        assert_eq!(got.clone().ok().map(|decision| decision.allowed), *expected, "{name}: {got:?}");
    }
}

#[test]
fn the_example_of_the_documents() {
    let text = "policy default deny\nallow\tops choria=jo.mcollective\t*\t*\t*\nallow\t/^up=web-/\tstatus restart\tenv=prod\t/^role::web/\n";
    let rows = [
        ("choria=jo.mcollective", "anything", Some(2)),
        ("up=ann", "anything", Some(2)),
        ("up=web-1", "status", Some(3)),
        ("up=web-1", "stop", None),
        ("up=bob", "status", None),
    ];
    for (caller, action, line) in rows {
        let expected = Decision { allowed: line.is_some(), line };
        assert_eq!(decide(text, caller, action), Ok(expected), "{caller} {action}");
    }
}

#[test]
fn without_a_classes_file_classes_deny() {
    let facts = facts();
    let question = Question { caller: "up=ann", action: "status", facts: &facts, classes: None };
    let ask = |text| ActionPolicy::parse(text).0.decide(true, &Groups::default(), question);
    assert_eq!(ask("allow\t*\t*\t*\t*").map(|decision| decision.allowed), Ok(true));
    let error = ask("allow\t*\t*\t*\tapache").expect_err("no classes").to_string();
    assert_eq!(error, "line 1 cannot be evaluated: classes are wanted, but classesfile is not set");
    assert_eq!(ask("# nothing").map(|decision| decision.allowed), Ok(true), "allow_unconfigured is the first default");
}

#[test]
fn faults_are_told_with_their_lines() {
    let text = "policy default deny\nallow * * * *\nallow\t/(/\t*\t*\t*\nallow\t*\t*\t!x=1\t*\nallow\t*\t*\tenv\n";
    let faults: Vec<String> = ActionPolicy::parse(text).1.iter().map(ToString::to_string).collect();
    let starts = [
        "line 2: \"allow * * * *\" is left out: a rule is",
        "line 3: \"/(/\" is no expression between slashes",
        "line 4: the rule is left out: compound",
        "line 5: what reaches this rule is denied: a fact is wanted: could not parse fact env",
        "line 5: what reaches this rule is denied: there is no column for classes",
    ];
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    faults.iter().zip(starts).for_each(|(fault, start)| assert!(fault.starts_with(start), "{fault}"));
    let lines: Vec<u32> = Groups::parse(GROUPS).1.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [4, 5, 6]);
}

#[test]
fn large_expressions_are_none() {
    for expression in ["\\w{1000}{1000}".to_owned(), "a".repeat(2000), "(".repeat(500) + &")".repeat(500)] {
        let (policy, faults) = ActionPolicy::parse(&format!("allow\t/{expression}/\t*\t*\t*"));
        assert_eq!(faults.len(), 1, "{expression:.20}");
        let facts = facts();
        let question = Question { caller: "up=ann", action: "status", facts: &facts, classes: None };
        let decision = policy.decide(false, &Groups::default(), question).expect("a decision");
        assert!(!decision.allowed, "{expression:.20}");
    }
}
