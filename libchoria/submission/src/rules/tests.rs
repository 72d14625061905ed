use super::*;
use proptest::prelude::*;

#[test]
fn rules_decide_by_user_group_and_subject() {
    let groups = [Group { gid: 50, name: Some("ops".to_owned()) }, Group { gid: 51, name: None }];
    let alice = Caller { uid: 1000, user: Some("alice"), groups: &groups };
    let nobody = Caller { uid: 65_534, user: None, groups: &[] };
    let owner = Caller { uid: 7, user: Some("choria"), groups: &[] };
    let root = Caller { uid: 0, user: None, groups: &[] };
    let rows = [
        ("the default", DEFAULT_RULES, nobody, "local.a", true),
        ("the default, deeper", DEFAULT_RULES, nobody, "local.a.b", true),
        ("the default, the prefix alone", DEFAULT_RULES, nobody, "local", false),
        ("the default, another word", DEFAULT_RULES, nobody, "locals.a", false),
        ("the default, elsewhere", DEFAULT_RULES, nobody, "jobs.a", false),
        ("no rules", "", nobody, "local.a", false),
        ("no rules, root", "", root, "jobs.a", true),
        ("no rules, owner", "", owner, "jobs.a", true),
        ("user", "alice jobs.backup", alice, "jobs.backup", true),
        ("user, other subject", "alice jobs.backup", alice, "jobs.backup.a", false),
        ("user, other user", "alice jobs.backup", nobody, "jobs.backup", false),
        ("number of user", "1000 jobs.>", alice, "jobs.a", true),
        ("number of other user", "1001 jobs.>", alice, "jobs.a", false),
        ("group", "%ops jobs.*.b", alice, "jobs.a.b", true),
        ("group, part missing", "%ops jobs.*.b", alice, "jobs.b", false),
        ("group, part too many", "%ops jobs.*", alice, "jobs.a.b", false),
        ("other group", "%dev jobs.>", alice, "jobs.a", false),
        ("user is no group", "%alice jobs.>", alice, "jobs.a", false),
        ("group is no user", "ops jobs.>", alice, "jobs.a", false),
        ("number of group without a name", "%51 jobs.>", alice, "jobs.a", true),
        ("number of user is no group", "%1000 jobs.>", alice, "jobs.a", false),
        ("the second rule", "bob jobs.>, %ops jobs.> ,", alice, "jobs.a", true),
        ("everything", "* >", nobody, "a.b.c", true),
        ("an empty part", "* jobs.*", nobody, "jobs.", false),
        ("an empty part under all", "* jobs.>", nobody, "jobs..a", false),
        ("a wildcard asked for", "* jobs.a", nobody, "jobs.*", false),
    ];
    for (name, rules, caller, subject, allowed) in rows {
        let rules = Rules::parse(rules).unwrap().with_owner(7);
        assert_eq!(rules.allows(&caller, subject).is_ok(), allowed, "{name}");
    }
}

#[test]
fn a_refusal_names_user_subject_and_key() {
    let refuse = |caller| Rules::default().allows(&caller, "jobs.a").unwrap_err().to_string();
    let tail = "may not submit to \"jobs.a\": plugin.choria.submission.allow does not say so";
    assert_eq!(refuse(Caller { uid: 5, user: Some("alice"), groups: &[] }), format!("user \"alice\" {tail}"));
    assert_eq!(refuse(Caller { uid: 5, user: None, groups: &[] }), format!("user 5 {tail}"));
}

#[test]
fn what_is_no_rule_is_refused() {
    let rows = [
        ("alice", "it is not two words"),
        ("alice jobs.a jobs.b", "it is not two words"),
        ("% jobs.a", "it names no user, no `%group` and not `*`"),
        ("%* jobs.a", "it names no user, no `%group` and not `*`"),
        ("al*ce jobs.a", "it names no user, no `%group` and not `*`"),
        ("99999999999 jobs.a", "it names no user, no `%group` and not `*`"),
        ("alice jobs..a", "its subject has an empty part"),
        ("alice .a", "its subject has an empty part"),
        ("alice >.a", "its subject has `>` before the end"),
        ("alice jobs.a*", "its subject has a part that is more than `*` or `>`"),
        ("alice jobs.a>", "its subject has a part that is more than `*` or `>`"),
    ];
    for (rule, why) in rows {
        let text = format!("* local.>, {rule}");
        assert_eq!(Rules::parse(&text), Err(InvalidRules { rule: rule.to_owned(), why }), "{rule}");
    }
    assert!(Rules::parse(&"* a,".repeat(1001)).is_err(), "too many rules");
    assert_eq!(Rules::parse(DEFAULT_RULES), Ok(Rules::default()));
}

#[test]
fn names_are_needed_for_names_alone() {
    for (rules, needed) in [("* a, 5 b", false), ("alice a", true), ("%ops a", true), ("%5 a", true), ("", false)] {
        assert_eq!(Rules::parse(rules).unwrap().need_names(), needed, "{rules}");
    }
}

proptest! {
    #[test]
    fn rules_are_read_as_they_are_written(text in "([*%a-c0-9 ,.>]|alice |\\* |local\\.){0,30}") {
        if let Ok(rules) = Rules::parse(&text) {
            prop_assert_eq!(Rules::parse(&rules.to_string()), Ok(rules));
        }
    }
}
