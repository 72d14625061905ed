use super::*;
use crate::policy::rego::Package;
use serde_json::json;

/// Works for hours when the input says so.
const ENDLESS: &str = "package io.choria.aaasvc\ndefault allow = false\nn = numbers.range(1, 3000)\n\
    allow { not input.endless }\n\
    allow { input.endless; count([1 | n[_] == n[_]; n[_] == n[_]]) > 0 }\n";

fn policy(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse("test", text, Package::Aaasvc).expect("a policy"))
}

fn quick() -> Arc<Policy> {
    policy("package io.choria.aaasvc\ndefault allow = false\nallow { input.agent == \"puppet\" }\n")
}

#[tokio::test]
async fn decisions_come_from_other_threads() {
    let evaluator = Evaluator::default();
    let policy = quick();
    for _ in 0..50 {
        let filter = Filter::default();
        let (yes, no) = tokio::join!(
            evaluator.allows(&policy, json!({"agent": "puppet"}), &filter),
            evaluator.allows(&policy, json!({"agent": "other"}), &filter)
        );
        assert_eq!((yes.expect("an answer"), no.expect("an answer")), (true, false));
    }
}

#[tokio::test]
async fn a_policy_that_does_not_end_denies_in_time_and_stops_no_other() {
    let evaluator = Evaluator::new(2, Duration::from_millis(300));
    let (endless, quick) = (policy(ENDLESS), quick());
    let filter = Filter::default();
    assert!(evaluator.allows(&endless, json!({}), &filter).await.expect("an answer"));
    let error = evaluator.allows(&endless, json!({"endless": true}), &filter).await.expect_err("it does not end");
    assert!(matches!(error, Undecided::TooLong { .. }), "{error}");
    // No second one of the same policy begins, whatever the input.
    let error = evaluator.allows(&endless, json!({}), &filter).await.expect_err("still running");
    assert!(matches!(error, Undecided::Overdue { .. }), "{error}");
    let yes = json!({"agent": "puppet"});
    assert!(
        Evaluator { limit: Duration::from_secs(60), ..evaluator.clone() }
            .allows(&quick, yes.clone(), &filter)
            .await
            .expect("an answer")
    );
    // The same text prepared twice takes the other thread; then there is none.
    let twin = policy(ENDLESS);
    evaluator.allows(&twin, json!({"endless": true}), &filter).await.expect_err("it does not end");
    let error = evaluator.allows(&quick, yes, &filter).await.expect_err("no thread");
    assert!(matches!(error, Undecided::Busy { threads: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_text_is_understood_once() {
    let evaluator = Evaluator::default();
    let policies = Arc::new(Policies::new(Package::Aaasvc, 8));
    let text = "package io.choria.aaasvc\ndefault allow = true\n";
    let first = evaluator.understand(&policies, "a", text).await.expect("a policy");
    assert!(Arc::ptr_eq(&first, &evaluator.understand(&policies, "b", text).await.expect("a policy")));
    let error = evaluator.understand(&policies, "c", "nonsense").await.expect_err("no policy");
    assert!(matches!(error, Undecided::Invalid(_)), "{error}");
}
