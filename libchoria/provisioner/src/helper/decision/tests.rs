use super::*;
use serde_json::json;

fn node() -> Identity {
    "n1.example.net".parse().expect("an identity")
}

fn key() -> tokens::PublicKey {
    tokens::Seed::from_bytes([3; 32]).public()
}

fn read(answer: &Value) -> Result<Decision, Refused> {
    Decision::read(answer.to_string().as_bytes(), &node(), Some(&key()))
}

fn bundle(answer: &Value) -> Bundle {
    match read(answer) {
        Ok(Decision::Configure(bundle)) => *bundle,
        other => panic!("{answer}: {other:?}"),
    }
}

#[test]
fn the_recorded_answers_configure_their_nodes() {
    for number in [0, 1, 2, 4] {
        let path = |kind: &str| vectors::root().join(format!("provisioning/helper-{number}.{kind}.json"));
        let told: Value = serde_json::from_slice(&std::fs::read(path("stdin")).expect("a recording")).expect("JSON");
        let node: Identity = told["identity"].as_str().expect("an identity").parse().expect("an identity");
        let answer = std::fs::read(path("stdout")).expect("a recording");
        let Ok(Decision::Configure(bundle)) = Decision::read(&answer, &node, None) else { panic!("{number}") };
        assert_eq!(bundle.configuration["identity"], node.as_str());
        assert_eq!(bundle.configuration.len(), 26);
        assert_eq!(bundle.claims.expires, Some(157_680_000));
        let permissions = ServerPermissions { streams: true, submission: true, service_host: true, governor: false };
        assert_eq!(bundle.claims.permissions, Some(permissions));
        assert!(bundle.warnings.is_empty(), "{:?}", bundle.warnings);
        let other = "n9.example.net".parse().expect("an identity");
        assert!(matches!(Decision::read(&answer, &other, None), Err(Refused::Foreign { key: "identity", .. })));
    }
}

#[test]
fn deferring_comes_before_stopping_and_both_before_all_else() {
    let rows = [
        (json!({"defer": true, "shutdown": true, "msg": "later\nthen"}), Decision::Defer("later then".into())),
        (json!({"shutdown": true, "msg": "bad"}), Decision::Shutdown("bad".into())),
        (json!({"defer": true, "configuration": {"a\n": "b"}}), Decision::Defer("no reason given".into())),
    ];
    for (answer, expected) in rows {
        assert_eq!(read(&answer), Ok(expected), "{answer}");
    }
}

#[test]
fn answers_that_are_none_are_refused() {
    let rows = [
        ("", "not complete"),
        ("{", "not complete"),
        ("garbage", "not exactly one JSON document"),
        ("{} {}", "not exactly one JSON document"),
        ("{\"defer\": true}\nwarning: x", "not exactly one JSON document"),
        ("[]", "must be an object"),
        ("[true]", "must be an object"),
        ("1", "wrong type"),
        (r#"{"configuration": {"a": 1}}"#, "wrong type"),
        (r#"{"configuration": {"a": true}}"#, "wrong type"),
        (r#"{"configuration": ["a"]}"#, "wrong type"),
        (r#"{"defer": "yes"}"#, "wrong type"),
        (r#"{"server_claims": []}"#, "wrong type"),
        (r#"{"key": {"secret": 1}}"#, "wrong type"),
        ("{}", "has no configuration"),
        (r#"{"defer": false, "configuration": {}}"#, "has no configuration"),
        (r#"{"configuration": null}"#, "has no configuration"),
    ];
    for (text, expected) in rows {
        let error = Decision::read(text.as_bytes(), &node(), None).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn values_that_must_not_reach_a_node_are_refused() {
    let with = |key: &str, value: Value| {
        let mut answer = json!({"configuration": {"loglevel": "warn"}});
        answer[key] = value;
        answer
    };
    let rows = [
        ("a line break in a value", with("configuration", json!({"a": "b\nrpcauthorization=0"}))),
        ("a carriage return in a value", with("configuration", json!({"a": "b\rx"}))),
        ("a line break in a name", with("configuration", json!({"a\nb": "c"}))),
        ("a name with =", with("configuration", json!({"a=b": "c"}))),
        ("a comment as name", with("configuration", json!({"#a": "c"}))),
        ("an empty name", with("configuration", json!({"": "c"}))),
        ("another identity", with("configuration", json!({"identity": "n2.example.net"}))),
        ("an identity of another case", with("configuration", json!({"identity": "N1.example.net"}))),
        ("a collective that is none", with("configuration", json!({"collectives": "a,b.>"}))),
        ("a policy elsewhere", with("action_policies", json!({"../x.policy": "p"}))),
        ("a policy in a folder", with("action_policies", json!({"rego/x.policy": "p"}))),
        ("a hidden policy", with("action_policies", json!({".policy": "p"}))),
        ("a policy without extension", with("action_policies", json!({"rpcutil": "p"}))),
        ("a policy of the other kind", with("action_policies", json!({"rpcutil.rego": "p"}))),
        ("a rego policy elsewhere", with("opa_policies", json!({"/etc/x.rego": "p"}))),
        ("a rego policy of the other kind", with("opa_policies", json!({"x.policy": "p"}))),
        ("a policy with a line break", with("opa_policies", json!({"a\nb.rego": "p"}))),
        ("a certificate that is none", with("certificate", json!("text"))),
        ("a key that is none", with("key", json!("-----BEGIN CERTIFICATE-----"))),
        ("a ca with a zero", with("ca", json!("-----BEGIN CERTIFICATE-----\u{0}"))),
        ("a folder without root", with("ssldir", json!("ssl"))),
        ("a folder that climbs", with("ssldir", json!("/etc/choria/../../root"))),
        ("a version that is an address", with("upgrade", json!("1.0/../../x"))),
        ("a version that climbs", with("upgrade", json!(".."))),
        ("a version with a query", with("upgrade", json!("1.0?x=y"))),
        ("another identity in the token", with("server_claims", json!({"identity": "n2.example.net"}))),
        ("an identity in the token that is no text", with("server_claims", json!({"identity": 1}))),
        ("another key", with("server_claims", json!({"public_key": "00"}))),
        ("every subject", with("server_claims", json!({"pub_subjects": [">"]}))),
        ("every first word", with("server_claims", json!({"pub_subjects": ["*.x"]}))),
        ("the broker's subjects", with("server_claims", json!({"pub_subjects": ["a.b", "$SYS.REQ"]}))),
        ("others' inboxes", with("server_claims", json!({"pub_subjects": ["_INBOX.>"]}))),
        ("a subject with a space", with("server_claims", json!({"pub_subjects": ["a b"]}))),
        ("an empty subject", with("server_claims", json!({"pub_subjects": [""]}))),
        ("a wildcard in the middle", with("server_claims", json!({"pub_subjects": ["a.>.b"]}))),
        ("a collective of the token", with("server_claims", json!({"collectives": ["a b"]}))),
        ("an organization of two lines", with("server_claims", json!({"ou": "a\nb"}))),
    ];
    for (name, answer) in rows {
        let refused = read(&answer);
        assert!(matches!(refused, Err(Refused::Value { .. } | Refused::Foreign { .. })), "{name}: {refused:?}");
    }
}

#[test]
fn the_rest_gets_through_as_it_is() {
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let answer = json!({
        "configuration": {"identity": "n1.example.net", "a": "b = c # d", "plugin.choria.server.provision": "false"},
        "certificate": pem, "ca": pem, "ssldir": "/etc/choria/ssl", "upgrade": "1:0.30.0-1~rc1",
        "key": "-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n",
        "action_policies": {"rpcutil.policy": "policy default deny\n"}, "opa_policies": {"main.rego": "package x\n"},
        "server_claims": {"identity": "n1.example.net", "public_key": key().to_string(), "ou": "acme",
            "collectives": ["a"], "pub_subjects": ["acme.events.>", "acme.*.x"], "exp": 1, "permissions": {"governor": true}},
        "unknown": [1],
    });
    let bundle = bundle(&answer);
    assert_eq!(bundle.configuration["a"], "b = c # d");
    assert_eq!(
        (bundle.certificate.as_str(), bundle.ca.as_str(), bundle.ssldir.as_str()),
        (pem, pem, "/etc/choria/ssl")
    );
    assert_eq!(bundle.claims.publish_subjects, ["acme.events.>", "acme.*.x"]);
    assert_eq!(bundle.claims.organization.as_deref(), Some("acme"));
    assert!(bundle.warnings.is_empty(), "{:?}", bundle.warnings);
    let shown = format!("{bundle:?}");
    assert!(!shown.contains("PRIVATE KEY") && !shown.contains("b = c"), "{shown}");
}

#[test]
fn claims_without_effect_are_told() {
    let claims =
        json!({"iss": "I-00", "tcs": "00", "jti": "x", "exp": "soon", "collectives": "a", "permissions": 1, "ou": 2});
    let bundle = bundle(&json!({"configuration": {"a": "b"}, "server_claims": claims}));
    assert_eq!(bundle.claims, ServerWishes::default());
    assert_eq!(bundle.warnings.len(), 8, "{:?}", bundle.warnings);
    assert!(bundle.warnings[0].contains("plugin.choria.server.provision"), "{:?}", bundle.warnings);
}
