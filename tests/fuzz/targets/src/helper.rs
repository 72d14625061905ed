//! What a site's helper answers about a node: nothing gets through that is not meant for that node.

use crate::assert_readable;
use names::Identity;
use provisioner::{Bundle, Decision};

pub(crate) fn run(input: &[u8]) {
    let Ok(node) = "s3.choria.local".parse::<Identity>() else { return };
    let decision = Decision::read(input, &node, None);
    match &decision {
        Err(refused) => assert_readable(&refused.to_string()),
        Ok(Decision::Defer(reason) | Decision::Shutdown(reason)) => assert_readable(reason),
        Ok(Decision::Configure(bundle)) => check(bundle, &node),
    }
    assert_eq!(decision, Decision::read(input, &node, None));
}

fn check(bundle: &Bundle, node: &Identity) {
    assert!(!bundle.configuration.is_empty(), "nothing is configured");
    for (name, value) in &bundle.configuration {
        let line = format!("{name}={value}");
        assert!(!line.contains(char::is_control), "a setting of two lines: {line:?}");
        assert!(!name.is_empty() && !name.starts_with('#') && !name.contains(['=', ' ']), "{name:?} is no name");
    }
    let identity = bundle.configuration.get("identity");
    assert!(identity.is_none_or(|identity| identity == node.as_str()), "another node: {identity:?}");
    for (policies, extension) in [(&bundle.action_policies, ".policy"), (&bundle.opa_policies, ".rego")] {
        for name in policies.keys() {
            let plain = !name.contains('/') && !name.starts_with('.') && name.ends_with(extension);
            assert!(plain, "{name:?} is no name of a policy's file");
        }
    }
    for subject in &bundle.claims.publish_subjects {
        let first = subject.split('.').next().unwrap_or_default();
        assert!(!first.is_empty() && !first.contains(['*', '>', '$']), "{subject:?} is everybody's");
    }
    assert!(!bundle.upgrade.contains(['/', '?', '#', '%']), "{:?} is an address", bundle.upgrade);
    bundle.warnings.iter().for_each(|warning| assert_readable(warning));
}
