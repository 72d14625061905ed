//! Rows of settings and the connection they mean.

use super::*;
use crate::srv::{LookupError, ServiceLookup, ServiceRecord};
use std::collections::BTreeMap;
use std::time::Duration;

fn settings(rows: &[(&str, &str)]) -> Settings {
    let mut builder = Settings::builder().set("identity", "n1.example.net");
    for (key, text) in rows {
        builder = builder.set(key, text);
    }
    builder.build().expect("valid settings")
}

/// Keys with their values, and what they lead to: a text, or a part of the error.
type Row<'a> = (&'a [(&'a str, &'a str)], Result<&'a str, &'a str>);

const CHORIA: &[(&str, &str)] =
    &[("plugin.security.provider", "choria"), ("plugin.security.choria.token_file", "/etc/choria/server.jwt")];

#[test]
fn logins_follow_the_provider() {
    let rows: &[Row<'_>] = &[
        (CHORIA, Ok(r#"Token { token_file: "/etc/choria/server.jwt", seed_file: Some("/etc/choria/server.key") }"#)),
        (&[("plugin.security.provider", "choria")], Err("plugin.security.choria.token_file is not set")),
        (&[("plugin.security.provider", "file")], Ok("Anonymous")),
        (
            &[("plugin.security.provider", "file"), ("plugin.nats.credentials", "/etc/nats.creds")],
            Ok(r#"Credentials("/etc/nats.creds")"#),
        ),
    ];
    for (keys, expected) in rows {
        let got = Login::from_settings(&settings(keys), Role::Server);
        match expected {
            Ok(text) => assert_eq!(format!("{:?}", got.expect("a login")), *text, "{keys:?}"),
            Err(part) => assert!(got.expect_err("no login").to_string().contains(part), "{keys:?}"),
        }
    }
}

#[test]
fn options_take_what_the_keys_say() {
    let keys = [
        CHORIA,
        &[
            ("plugin.nats.user", "alice"),
            ("plugin.nats.pass", "secret"),
            ("plugin.choria.network.connect_timeout", "7s"),
            ("collectives", "fleet,other"),
        ],
    ]
    .concat();
    let options = Options::from_settings(&settings(&keys), Role::Server, "n1", "n1.example.net").expect("options");
    assert_eq!(options.inbox_prefix, format!("fleet.reply.{}", names::NetworkId::of("n1.example.net")));
    assert_eq!(options.connect_timeout, Duration::from_secs(7));
    assert_eq!(options.user.as_ref().map(|user| user.user.as_str()), Some("alice"));
    assert!(options.tls.is_required());
    assert!(!format!("{options:?}").contains("secret"));
}

#[test]
fn tls_follows_the_provider() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("plugin.security.provider", "file")], "plugin.security.file.certificate is not set"),
        (
            &[("plugin.security.provider", "file"), ("plugin.security.file.certificate", "/c")],
            "plugin.security.file.key is not set",
        ),
        (
            &[
                ("plugin.security.provider", "file"),
                ("plugin.security.file.certificate", "/c"),
                ("plugin.security.file.key", "/k"),
            ],
            "plugin.security.file.ca is not set",
        ),
        (&[("plugin.security.provider", "pkcs11")], "security provider \"pkcs11\" is not supported here"),
        (
            &[("plugin.security.provider", "choria"), ("plugin.security.choria.ca", "/nonexistent/ca.pem")],
            "cannot read CA certificates from /nonexistent/ca.pem",
        ),
        (
            &[("plugin.security.provider", "choria"), ("plugin.security.choria.key", "/k")],
            "plugin.security.choria.certificate is not set",
        ),
    ];
    for (keys, expected) in rows {
        let text = Tls::from_settings(&settings(keys), Role::Server).expect_err("no TLS").to_string();
        assert!(text.contains(expected), "{keys:?}: {text}");
    }
    assert!(Tls::from_settings(&settings(CHORIA), Role::Client).expect("TLS").is_required());
}

/// Answers from a table.
struct Records(BTreeMap<&'static str, Vec<ServiceRecord>>);

impl ServiceLookup for Records {
    async fn lookup(&self, name: &str) -> Result<Vec<ServiceRecord>, LookupError> {
        let missing = || LookupError { name: name.to_owned(), reason: "no such name".to_owned() };
        self.0.get(name).cloned().ok_or_else(missing)
    }
}

#[tokio::test]
async fn brokers_are_searched_in_order() {
    let record = |target: &str| vec![ServiceRecord { target: target.to_owned(), port: 4333, priority: 0, weight: 0 }];
    let records = Records(BTreeMap::from([
        ("_mcollective-server._tcp.both.net", record("first.both.net.")),
        ("_x-puppet-mcollective._tcp.both.net", record("second.both.net.")),
        ("_x-puppet-mcollective._tcp.second.net", record("second.second.net")),
        ("_mcollective-federation_server._tcp.both.net", record("federation.both.net")),
        ("_mcollective-server._tcp.empty.net", Vec::new()),
    ]));
    let hosts = ("plugin.choria.middleware_hosts", "b1:4222, wss://b2:443");
    let domain = |name| ("plugin.choria.srv_domain", name);
    let federated = ("plugin.choria.federation.collectives", "far");
    let rows: &[Row<'_>] = &[
        (&[hosts, domain("both.net")], Ok("nats://b1:4222 wss://b2:443")),
        (&[domain("both.net")], Ok("nats://first.both.net:4333")),
        (&[domain("second.net")], Ok("nats://second.second.net:4333")),
        (&[domain("empty.net")], Ok("nats://puppet:4222")),
        (&[domain("nowhere.net")], Ok("nats://puppet:4222")),
        (&[("plugin.choria.use_srv", "false")], Ok("nats://puppet:4222")),
        (&[federated, domain("both.net"), hosts], Ok("nats://federation.both.net:4333")),
        (
            &[federated, domain("both.net"), ("plugin.choria.federation_middleware_hosts", "f1:4222")],
            Ok("nats://f1:4222"),
        ),
        (
            &[federated, domain("nowhere.net")],
            Err("no broker address is known: plugin.choria.federation_middleware_hosts is not set and no SRV records \
                 for _mcollective-federation_server._tcp.nowhere.net: no such name"),
        ),
        (&[federated, ("plugin.choria.use_srv", "false")], Err("SRV lookup is switched off")),
    ];
    for (keys, expected) in rows {
        let search = Search::from_settings(&settings(keys)).expect("a search");
        let found = search.find(&records).await;
        match expected {
            Ok(urls) => {
                let got: Vec<String> = found.expect("addresses").iter().map(ToString::to_string).collect();
                assert_eq!(got.join(" "), *urls, "{keys:?}");
            }
            Err(part) => {
                let text = found.expect_err("no addresses").to_string();
                assert!(text.contains(part), "{keys:?}: {text}");
            }
        }
    }
}
