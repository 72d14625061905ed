//! AAA services that do not start, and logins that cannot begin.

use super::Refusal;
use choria_tests::Demonstration;
use serde_json::{Value, json};

pub(crate) fn refusals() -> Vec<Refusal> {
    let demo = Demonstration::new();
    let mut all = starts(&demo);
    all.extend(logins(&demo));
    all
}

/// The demonstration's configuration with one thing wrong at a time.
fn starts(demo: &Demonstration) -> Vec<Refusal> {
    let rows: [(&'static str, &str, Value); 10] = [
        ("aaa-no-certificate", "/tls_certificate", Value::Null),
        ("aaa-authenticator", "/authenticator", json!("ldap")),
        ("aaa-userlist", "/userlist_authenticator", Value::Null),
        ("aaa-validity", "/userlist_authenticator/validity", json!("1d")),
        ("aaa-signer", "/signer", json!("x509")),
        ("aaa-basicjwt", "/basicjwt_signer", Value::Null),
        ("aaa-max-validity", "/basicjwt_signer/max_validity", Value::Null),
        ("aaa-no-authorizer", "/authorizer", Value::Null),
        ("aaa-authorizer", "/authorizer", json!("acl")),
        ("aaa-auditor", "/auditors", json!(["syslog"])),
    ];
    let document: Value = serde_json::from_str(&demo.lab.read("aaa.json")).expect("JSON");
    let start = |id, text: &str| {
        demo.lab.write("changed.json", text);
        let output = demo.lab.start("choria-aaasvc", &["run", "--config", "changed.json"]).output();
        assert_ne!(output.code, 0, "{id}: {output:#?}");
        Refusal::new(id, "choria-aaasvc", output.stderr)
    };
    let mut all: Vec<Refusal> = rows
        .into_iter()
        .map(|(id, pointer, value)| {
            let mut changed = document.clone();
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let parent = changed.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
            let _old = if value.is_null() { parent.remove(key) } else { parent.insert(key.to_owned(), value) };
            start(id, &changed.to_string())
        })
        .collect();
    all.push(start("aaa-json", "{\"site\": "));
    all
}

fn logins(demo: &Demonstration) -> Vec<Refusal> {
    let conf = demo.lab.read("users/choria.conf");
    let without = |key: &str| -> String {
        conf.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect()
    };
    let rows = [("login-url", without("plugin.login.aaasvc.login.url")), ("login-nobody-there", conf.clone())];
    let mut all = Vec::new();
    for (id, text) in rows {
        demo.lab.write("users/changed.conf", &text);
        let output = demo.try_login("changed", "secret");
        assert_ne!(output.code, 0, "{id}: {output:#?}");
        all.push(Refusal::new(id, "choria login", output.stderr));
    }
    all.push(Refusal::new("login-first", "choria ping", demo.choria("choria", &["ping"]).stderr));
    all
}
