//! Tests of asking, of variants and of what is shown.

use super::*;

fn base() -> Settings {
    let builder = Settings::builder().set("identity", "base").set("plugin.security.provider", "choria");
    builder.set("plugin.nats.pass", "s3cret").set("plugin.foo.x", "1").build().expect("valid")
}

#[test]
fn a_variant_changes_what_it_names_and_shares_the_rest() {
    let base = base();
    let variant = base
        .with(&[("identity", "n1".to_owned()), ("plugin.security.choria.token_file", "/n1/jwt".to_owned())])
        .expect("valid");
    assert_eq!((base.identity(), variant.identity()), ("base".parse().expect("a name"), "n1".parse().expect("a name")));
    assert_eq!(variant.get(keys::IDENTITY), Some("n1"));
    assert_eq!(variant.get(keys::SECURITY_CHORIA_TOKEN_FILE), Some("/n1/jwt".into()));
    assert_eq!(variant.raw("plugin.foo.x"), Some("1"));
    assert!(variant.is_set(keys::SECURITY_CHORIA_TOKEN_FILE) && !base.is_set(keys::SECURITY_CHORIA_TOKEN_FILE));
    assert!(Arc::ptr_eq(&base.shared, &variant.shared));
    assert!(Arc::ptr_eq(&base.derived.collectives, &variant.derived.collectives));
    assert_eq!(variant.own.as_ref().map(|own| own.values.len()), Some(2), "only what differs is kept");
}

#[test]
fn a_variant_of_a_variant_keeps_both_changes() {
    let first = base().with(&[("identity", "n1".to_owned()), ("plugin.foo.y", "2".to_owned())]).expect("valid");
    let second = first.with(&[("collectives", "a,b".to_owned()), ("plugin.foo.x", "3".to_owned())]).expect("valid");
    assert_eq!(second.identity(), "n1");
    assert_eq!(second.main_collective(), &"a", "what follows from a change follows in the variant");
    assert_eq!(second.get(keys::MAIN_COLLECTIVE), Some("a"));
    assert_eq!(first.main_collective(), &"choria");
    let raw: Vec<(&str, &str)> = second.raw_starting_with("plugin.foo.").into_iter().collect();
    assert_eq!(raw, [("plugin.foo.x", "3"), ("plugin.foo.y", "2")]);
    assert_eq!(second.place("plugin.foo.y"), Some(Place::Program));
    assert_eq!(second.place("plugin.foo.z"), None);
}

#[test]
fn a_variant_that_cannot_be_used_lists_its_problems() {
    let problems =
        base().with(&[("ttl", "x".to_owned()), ("identity", "a b".to_owned())]).expect_err("neither can be used");
    assert_eq!(problems.list().len(), 2);
    assert!(problems.to_string().contains("set by the program: ttl = x: must be a whole number"), "{problems}");
}

#[test]
fn declared_keys_are_answered_as_json_without_secrets() {
    let settings = base();
    let rows = [
        ("collectives", Some(serde_json::json!(["choria"]))),
        ("ttl", Some(serde_json::json!(60))),
        ("plugin.choria.network.connect_timeout", Some(serde_json::json!(2_000_000_000_u64))),
        ("plugin.choria.srv_domain", Some(serde_json::json!(""))),
        ("libdir", Some(serde_json::json!([]))),
        ("plugin.nats.pass", Some(serde_json::json!("*****"))),
        ("plugin.choria.network.peer_password", Some(serde_json::json!(""))),
        ("plugin.foo.x", None),
    ];
    for (name, wanted) in rows {
        assert_eq!(settings.json(name), wanted, "{name}");
    }
}

#[test]
fn debug_output_holds_no_secret() {
    let shown = format!("{:?} {:?}", base(), Settings::builder().set("plugin.nats.pass", "s3cret"));
    assert!(!shown.contains("s3cret") && shown.contains("*****"), "{shown}");
}
