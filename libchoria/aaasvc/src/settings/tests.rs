//! The demonstration's configuration loads as it is, and what is wrong is said, all of it.

use super::*;
use crate::testing::Site;
use serde_json::{Value, json};

#[test]
fn the_demonstrations_own_configuration_loads() {
    let settings = Site::new().settings(false).expect("settings");
    assert_eq!((settings.site.as_str(), settings.loglevel.as_str()), ("compose", "info"));
    assert_eq!(settings.logfile.as_deref(), Some("stdout"), "the device is the log's own word");
    assert_eq!(settings.monitor, Some(("::".to_owned(), 8081)));
    let http = settings.http.expect("HTTPS");
    assert_eq!((http.port, http.tls.is_some()), (8080, true));
    let signer = settings.signer.expect("a signer");
    assert_eq!((signer.max_validity.as_secs(), signer.service), (7200, true));
    assert_eq!((settings.authorizer, settings.auditors.len()), (Authorizer::Opa, 1));
    let choria = settings.choria.expect("a Choria configuration");
    assert!(!choria.protection().validate_security && choria.protection().tls);
    assert_eq!(settings.warnings, Vec::<String>::new());
}

/// Case, what is changed, what is said.
type Row = (&'static str, fn(&mut Value), &'static [&'static str]);

const ROWS: &[Row] = &[
    ("another authenticator", |c| c["authenticator"] = json!("ldap"), &["unknown authenticator: ldap"]),
    (
        "no section for the list",
        |c| c["userlist_authenticator"] = Value::Null,
        &["userlist authenticator enabled without a valid configuration"],
    ),
    (
        "no section for Okta",
        |c| c["authenticator"] = json!("okta"),
        &["okta authenticator enabled without a valid configuration"],
    ),
    ("no validity", |c| c["userlist_authenticator"]["validity"] = json!(""), &["invalid token validity: "]),
    (
        "a validity in days",
        |c| c["userlist_authenticator"]["validity"] = json!("1d"),
        &["invalid token validity: userlist_authenticator.validity: \"1d\" is no duration"],
    ),
    ("another signer", |c| c["signer"] = json!("x"), &["unknown signer: x"]),
    (
        "no section for the signer",
        |c| c["basicjwt_signer"] = Value::Null,
        &["basicjwt signer enabled without a valid configuration"],
    ),
    ("no longest validity", |c| c["basicjwt_signer"]["max_validity"] = json!(""), &["max_validity is required"]),
    (
        "a bad longest validity",
        |c| c["basicjwt_signer"]["max_validity"] = json!("1y"),
        &["invalid max_validity duration: "],
    ),
    ("no authorizer", |c| c["authorizer"] = json!(""), &["signer is set and authorizer is not"]),
    ("another authorizer", |c| c["authorizer"] = json!("x"), &["unknown authorizer: x"]),
    ("another auditor", |c| c["auditors"] = json!(["logfile", "x"]), &["unknown auditors: x"]),
    (
        "an auditor of long ago",
        |c| c["auditors"] = json!(["natsstream"]),
        &["NATS Streaming Server auditor has been removed"],
    ),
    (
        "no section for the file",
        |c| c["logfile_auditor"] = Value::Null,
        &["logfile auditor enabled without a valid configuration"],
    ),
    (
        "no section for the stream",
        |c| c["auditors"] = json!(["jetstream"]),
        &["jetstream auditor enabled without a valid configuration"],
    ),
    ("no certificate", |c| c["tls_certificate"] = json!(""), &["port is set, and tls_certificate is not"]),
    (
        "a certificate that is none",
        |c| c["tls_certificate"] = json!("/dev/null"),
        &["tls_certificate: /dev/null cannot be used"],
    ),
    ("a port that is text", |c| c["port"] = json!("443"), &[]),
    (
        "a port that is none",
        |c| c["port"] = json!("https"),
        &["could not parse config file", "a port is a number from 0 to 65535"],
    ),
    ("a value of another type", |c| c["site"] = json!(1), &["could not parse config file"]),
    ("a key of nobody", |c| c["x"] = json!(1), &[]),
    (
        "nothing to do",
        |c| {
            c["port"] = json!(0);
            c["basicjwt_signer"]["choria_service"] = json!(false)
        },
        &["there is nothing to do"],
    ),
    (
        "no Choria configuration",
        |c| c["choria_config"] = json!(""),
        &["choria_config is not set and basicjwt_signer.choria_service needs it"],
    ),
    (
        "a Choria configuration that is not there",
        |c| c["choria_config"] = json!("/nonexistent"),
        &["could not parse choria config /nonexistent"],
    ),
    (
        "a key that is not there",
        |c| c["basicjwt_signer"]["signing_certificate"] = json!("/nonexistent"),
        &["basicjwt_signer.signing_certificate: cannot read /nonexistent"],
    ),
    (
        "a delegator that is none",
        |c| c["basicjwt_signer"]["signing_token"] = c["userlist_authenticator"]["signing_token"].clone(),
        &["basicjwt_signer.signing_token: "],
    ),
    (
        "a chain issuer that is none",
        |c| c["userlist_authenticator"]["signing_token"] = c["basicjwt_signer"]["signing_token"].clone(),
        &["signing_token is not the token of a chain issuer"],
    ),
    (
        "users that cannot be read",
        |c| c["userlist_authenticator"]["users_file"] = json!("/nonexistent"),
        &["userlist_authenticator.users_file: /nonexistent"],
    ),
    (
        "several at once",
        |c| {
            c["authorizer"] = json!("");
            c["tls_key"] = json!("");
            c["auditors"] = json!(["x"])
        },
        &["port is set, and tls_key is not", "signer is set and authorizer", "unknown auditors: x"],
    ),
];

#[test]
fn every_mistake_is_said_at_once() {
    for (case, change, expected) in ROWS {
        let mut site = Site::new();
        change(&mut site.config);
        match site.settings(false) {
            Ok(_) => assert!(expected.is_empty(), "{case}: accepted"),
            Err(problems) => {
                let text = problems.to_string();
                assert!(!expected.is_empty(), "{case}: {text}");
                expected.iter().for_each(|part| assert!(text.contains(part), "{case}: {text}"));
            }
        }
    }
    let site = Site::new();
    site.write("broken.json", "{");
    for (file, part) in [("broken.json", "could not parse config file"), ("none.json", "could not read config file")] {
        let text = site.judge(&site.path(file), false).expect_err(file).to_string();
        assert!(text.contains(part), "{file}: {text}");
    }
}

#[test]
fn okta_is_configured_as_it_was() {
    let mut site = Site::new();
    site.config["authenticator"] = json!("okta");
    site.config["okta_authenticator"] = json!({"client_id": "c", "client_secret": "s", "api_token": "a", "endpoint": "https://x.okta.com/",
        "validity": "1h", "signing_key": site.path("chain-signer.seed"), "acls": {"ops": ["*"]}});
    let login = site.settings(true).expect("settings").login.expect("logins");
    let People::Okta(okta) = login.people else { panic!("not Okta") };
    assert_eq!((okta.endpoint.as_str(), okta.acls.len()), ("https://x.okta.com", 1));
    site.config["okta_authenticator"]["endpoint"] = json!("http://x.okta.com");
    let text = site.settings(true).expect_err("plain").to_string();
    assert!(text.contains("okta_authenticator.endpoint: must begin with https://"), "{text}");
}

#[test]
fn the_users_that_cannot_log_in_are_named() {
    let mut site = Site::new();
    site.config["userlist_authenticator"]["users"][0]["password"] = json!("secret");
    site.config["userlist_authenticator"]["users"][1]["broker_permissions"] = json!({"stream_admin": true});
    let warnings = site.settings(true).expect("settings").warnings.join("\n");
    assert!(warnings.contains("user \"admin\" cannot log in: the password is no bcrypt hash"), "{warnings}");
    assert!(warnings.contains("\"streams\": broker_permissions.stream_admin is not known"), "{warnings}");
    assert!(!warnings.contains("secret"), "{warnings}");
}
