//! Policies: action policies, groups and Rego of both packages. What is read ends, and says what is wrong on one line.

use crate::assert_readable;
use agents::policy::action_policy::{ActionPolicy, Groups, Question};
use agents::policy::rego::{Package, Policy};
use protocol::facts::Facts;

/// One text, read as each of them. Rego is not evaluated: that is bounded by a clock, not by the text.
pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (policy, faults) = ActionPolicy::parse(&text);
    let (groups, more) = Groups::parse(&text);
    faults.iter().chain(&more).for_each(|fault| assert_readable(&fault.to_string()));
    let facts = Facts::default();
    let classes = ["apache".to_owned()];
    for classes in [None, Some(&classes[..])] {
        let question = Question { caller: "up=ann", action: "status", facts: &facts, classes };
        let decided = policy.decide(false, &groups, question);
        if let Err(why) = &decided {
            assert_readable(&why.to_string());
        }
        let denies = !text.contains("allow");
        assert!(!(denies && decided.is_ok_and(|decision| decision.allowed)), "nothing allows it");
    }
    for package in [Package::Aaasvc, Package::McorpcAuthPolicy] {
        if let Err(why) = Policy::parse("fuzz", &text, package) {
            assert_readable(&why.to_string());
        }
    }
}
