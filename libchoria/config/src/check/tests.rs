//! Tests of judging: every trap of the format, and what is said about bad values.

use crate::environment::FixedEnvironment;
use crate::inputs::{Inputs, Kind};
use crate::problems::Problems;
use crate::settings::Settings;
use crate::{keys, load};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

const MAIN: &str = "/etc/choria/server.conf";

/// The settings of a server whose file holds `text`.
fn judge(text: &str) -> Result<Settings, Problems> {
    judge_in(&FixedEnvironment::default(), text)
}

fn judge_in(environment: &FixedEnvironment, text: &str) -> Result<Settings, Problems> {
    let environment = environment.clone().with_file(MAIN, text);
    load(Path::new(MAIN), Kind::Server, &environment).expect("readable").check()
}

#[test]
fn every_bad_value_is_listed_with_its_place_and_rule() {
    let text = "loglevel = verbose\n\
                ttl = soon\n\
                rpcaudit = on\n\
                plugin.choria.network.connect_timeout = 5x\n\
                plugin.choria.network.tls_timeout = 61\n\
                plugin.choria.middleware_hosts = broker1, broker2:4222\n\
                plugin.choria.network.system.password = a\n\
                collectives = a b\n\
                registerinterval = 0\n\
                plugin.security.issuer.me.public = SOMETHING\n\
                plugin.choria.adapter.x.type = nats_stream\n";
    let problems = judge(text).expect_err("nothing here can be used");
    let servers =
        "must name brokers as host:port, nats://host:port, tls://host:port, ws://host:port or wss://host:port";
    let wanted = [
        (8, "collectives = a b: must be letters, digits, _ and -, at most 128 of them"),
        (1, "loglevel = verbose: must be one of debug, info, warn, error, fatal"),
        (2, "ttl = soon: must be a whole number"),
        (3, "rpcaudit = on: must be one of 1, yes, true, y, t, 0, no, false, n, f"),
        (9, "registerinterval = 0: must be 1 or more"),
        (6, &format!("plugin.choria.middleware_hosts = broker1, broker2:4222: {servers}")),
        (
            4,
            "plugin.choria.network.connect_timeout = 5x: must be seconds or numbers with the units \
             ns us ms s m h d w M y, for example 90, 1h30m or 1.5d",
        ),
        (5, "plugin.choria.network.tls_timeout = 61: must be longer than zero and at most 60 seconds"),
        (11, "plugin.choria.adapter.x.type = nats_stream: must be one of choria_streams, jetstream"),
        (10, "plugin.security.issuer.me.public = SOMETHING: must be an ed25519 public key of 64 hexadecimal digits"),
    ];
    let wanted: Vec<String> = wanted.iter().map(|(line, text)| format!("{MAIN}:{line}: {text}")).collect();
    let got: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
    assert_eq!(got, wanted);
    let shown = problems.to_string();
    assert!(shown.starts_with("the configuration has 10 values that cannot be used:\n  /etc/choria/server.conf:8: "));
}

#[test]
fn a_refused_secret_is_not_repeated() {
    let problems = judge("plugin.security.pkcs11.slot = x\nplugin.foo.secret = y\n").expect_err("a bad slot");
    assert_eq!(problems.list().len(), 1);
    let masked = super::read(
        &crate::key::KeyInfo {
            value_type: crate::key::Type::Integer,
            ..*keys::find_key("plugin.nats.pass").expect("typed")
        },
        "plugin.nats.pass",
        &["s3cret"],
        None,
        crate::inputs::Place::Program,
    );
    assert_eq!(masked.expect_err("not a number").value, "*****");
}

#[test]
fn values_follow_the_rules_of_files() {
    let settings = judge(
        "loglevel = debug\nloglevel = warn\n\
         libdir = /a:/b\nlibdir = /c\n\
         collectives = a, b\ncollectives = c,d,\n\
         default_discovery_options = a=1,2\ndefault_discovery_options = b\n\
         rpcauthprovider = Rego_Policy\n\
         plugin.choria.network.connect_timeout = 1m\n\
         plugin.choria.machine.store = ~/x\n\
         plugin.foo.Bar = \"x\" # y = z\n\
         LOGLEVEL = x\n",
    )
    .expect("all good");
    assert_eq!(settings.get(keys::LOGLEVEL), Some("warn"), "the last line wins");
    assert_eq!(settings.get(keys::LIBDIR), ["/a", "/b", "/c"], "path lists append");
    assert_eq!(settings.get(keys::COLLECTIVES), ["c", "d"], "comma lists replace, empty elements are dropped");
    assert_eq!(settings.get(keys::DEFAULT_DISCOVERY_OPTIONS), ["a=1,2", "b"], "lists append whole lines");
    assert_eq!(settings.get(keys::RPCAUTHPROVIDER), Some("rego_policy"));
    assert_eq!(settings.get(keys::NETWORK_CONNECT_TIMEOUT), Duration::from_secs(60));
    assert_eq!(settings.get(keys::MACHINE_STORE), Some("~/x"), "a string, not a path");
    assert_eq!(settings.raw("plugin.foo.Bar"), Some("\"x\" # y = z"));
    assert_eq!(settings.raw("plugin.foo.bar"), None, "keys are case-sensitive");
}

#[test]
fn defaults_stand_in_for_what_is_missing() {
    let settings = judge("").expect("defaults are good");
    assert_eq!(settings.get(keys::LOGLEVEL), Some("info"));
    assert_eq!(settings.get(keys::TTL), 60);
    assert!(settings.get(keys::USE_SRV));
    assert!(!settings.get(keys::RPCAUDIT));
    assert_eq!(settings.get(keys::NETWORK_STREAM_ADVISORY_RETENTION), Duration::from_secs(168 * 3600));
    assert_eq!(settings.get(keys::NETWORK_PEER_PORT), 0);
    assert_eq!(settings.get(keys::SUBMISSION_SPOOL), None);
    assert_eq!(settings.get(keys::SECURITY_CERTNAME_WHITELIST), [r"\.mcollective$", r"\.choria$"]);
    assert!(settings.get(keys::LIBDIR).is_empty());
    assert!(!settings.is_set(keys::LOGLEVEL), "a default is not given");
}

#[test]
fn names_are_derived_from_each_other() {
    let rows = [
        ("", "mcollective", "mcollective", "mcollective"),
        ("plugin.security.provider = choria\n", "choria", "choria", "choria"),
        ("plugin.security.provider = choria\ncollectives = mcollective\n", "mcollective", "mcollective", "mcollective"),
        ("collectives = a,b\n", "a b", "a", "a"),
        ("collectives = ,\n", "mcollective", "mcollective", "mcollective"),
        ("collectives = a,b\nmain_collective = c\n", "a b", "c", "c"),
        ("main_collective = b\nregistration_collective = d\n", "mcollective", "b", "d"),
    ];
    for (text, all, main, registration) in rows {
        let settings = judge(text).expect(text);
        let names: Vec<&str> = settings.collectives().iter().map(names::Collective::as_str).collect();
        assert_eq!(names.join(" "), all, "{text}");
        assert_eq!(settings.main_collective().as_str(), main, "{text}");
        assert_eq!(settings.registration_collective().as_str(), registration, "{text}");
        assert_eq!(settings.get(keys::COLLECTIVES).join(" "), all, "{text}");
        assert_eq!(settings.get(keys::REGISTRATION_COLLECTIVE), Some(registration), "{text}");
    }
}

#[test]
fn the_identity_is_given_or_found() {
    let environment = FixedEnvironment { host_name: Some("n1.example.net".into()), ..FixedEnvironment::default() };
    let rows = [("", "n1.example.net"), ("identity = Other\n", "Other")];
    for (text, wanted) in rows {
        let settings = judge_in(&environment, text).expect(text);
        assert_eq!(settings.identity(), *wanted);
        assert_eq!(settings.get(keys::IDENTITY), Some(wanted));
    }
    let nameless = FixedEnvironment { host_name: None, ..FixedEnvironment::default() };
    let problems = judge_in(&nameless, "").expect_err("no name");
    assert!(problems.to_string().contains("set identity in the configuration"), "{problems}");
    let odd = FixedEnvironment { host_name: Some("n 1".into()), ..FixedEnvironment::default() };
    assert!(judge_in(&odd, "").is_err(), "a host name that cannot stand in a subject");
}

#[test]
fn variables_replace_values_even_of_missing_keys() {
    let rows = [
        ("CHORIA_SRV_DOMAIN", "plugin.choria.srv_domain"),
        ("CHORIA_FED_COLLECTIVE", "plugin.choria.federation.collectives"),
        ("MCOLLECTIVE_NATS_USERNAME", "plugin.nats.user"),
        ("MCOLLECTIVE_NATS_PASSWORD", "plugin.nats.pass"),
        ("MCOLLECTIVE_NATS_CREDENTIALS", "plugin.nats.credentials"),
        ("CHORIA_REGISTRY", "plugin.choria.services.registry.cache"),
    ];
    assert_eq!(keys::table().filter(|key| key.environment.is_some()).count(), rows.len());
    for (variable, key) in rows {
        let environment = FixedEnvironment::default().with_variable(variable, "new");
        for text in [String::new(), format!("{key} = old\n")] {
            let settings = judge_in(&environment, &text).expect(key);
            let shown = settings.value(key).map(ToString::to_string);
            assert!(matches!(shown.as_deref(), Some("new" | "[new]")), "{key}: {shown:?}");
            assert_eq!(
                settings.raw(key),
                (!text.is_empty()).then_some("old"),
                "{key}: raw options keep the file's text"
            );
            let place = settings.place(key).map(|place| place.to_string());
            assert_eq!(place, Some(format!("environment variable {variable}")));
        }
        let empty = FixedEnvironment::default().with_variable(variable, "");
        assert!(judge_in(&empty, "").expect(key).value(key).is_none(), "{variable}: empty is unset");
    }
}

#[test]
fn typing_errors_are_warned_about_and_old_names_are_not() {
    let settings = judge(
        "logevel = x\nplugin.choria.middleware_host = x\nplugin.choria.use_srv_records = x\nfactsource = yaml\n\
         plugin.choria.adapter.x.stream.clusterid = x\nplugin.puppet.splay = x\nmetadata = x\n",
    )
    .expect("unknown keys are kept");
    let warnings: Vec<String> = settings.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            format!("{MAIN}:1: nothing reads logevel; did you mean loglevel?"),
            format!(
                "{MAIN}:2: nothing reads plugin.choria.middleware_host; did you mean plugin.choria.middleware_hosts?"
            ),
        ]
    );
    assert_eq!(settings.raw("plugin.puppet.splay"), Some("x"));
}

#[test]
fn anonymous_tls_needs_a_signer_and_knows_its_files() {
    let client = "plugin.security.client_anon_tls = yes\n";
    let problems = judge(client).expect_err("no signer");
    assert!(problems.to_string().contains("when a remote signer is configured"), "{problems}");
    for signer in ["service = yes", "url = https://x"] {
        let text = format!("{client}plugin.choria.security.request_signer.{signer}\n");
        assert!(!judge(&text).expect(signer).protection().verify_tls, "{signer}");
    }
    let settings = judge("plugin.security.server_anon_tls = yes\n").expect("a file is known");
    assert!(!settings.protection().validate_security);
    assert_eq!(settings.get(keys::SECURITY_SERVER_TOKEN_FILE), Some("/etc/choria/server.jwt".into()));
    assert_eq!(settings.get(keys::SECURITY_SERVER_SEED_FILE), Some("/etc/choria/server.seed".into()));
    let given = "plugin.security.server_anon_tls = yes\nplugin.choria.security.server.token_file = /x\n";
    assert_eq!(judge(given).expect("given").get(keys::SECURITY_SERVER_TOKEN_FILE), Some("/x".into()));
    let homeless = Settings::builder().set("plugin.security.server_anon_tls", "1").build();
    assert_eq!(homeless.expect_err("no file to lie beside").list().len(), 2);
}

#[test]
fn insecure_variables_count_for_clients_only_and_only_when_true() {
    let rows = [
        ("INSECURE_ANON_TLS", "true", true, (true, false, false, true)),
        ("INSECURE_DISABLE_TLS", "true", true, (false, true, true, true)),
        ("INSECURE_YES_REALLY", "true", true, (false, true, false, false)),
        ("INSECURE_YES_REALLY", "yes", true, (true, true, true, true)),
        ("INSECURE_YES_REALLY", "true", false, (true, true, true, true)),
    ];
    for (variable, value, is_client, wanted) in rows {
        let environment = FixedEnvironment::default().with_variable(variable, value).with_file(MAIN, "");
        let kind = if is_client { Kind::client(&environment) } else { Kind::Server };
        let settings = load(Path::new(MAIN), kind, &environment).expect("readable").check().expect("valid");
        let got = settings.protection();
        let got = (got.tls, got.verify_tls, got.validate_security, got.signed_messages);
        assert_eq!(got, wanted, "{variable}={value} client {is_client}");
        assert_eq!(settings.warnings().len(), usize::from(wanted != (true, true, true, true)));
    }
}

#[test]
fn the_program_wins_over_files_and_variables() {
    let environment = FixedEnvironment::default().with_variable("CHORIA_SRV_DOMAIN", "variable");
    let environment = environment.with_file(MAIN, "loglevel = warn\nplugin.choria.srv_domain = file\n");
    let mut inputs = load(Path::new(MAIN), Kind::Server, &environment).expect("readable");
    inputs.set("loglevel", "debug");
    inputs.set("plugin.choria.srv_domain", "program");
    assert_eq!(inputs.text("loglevel"), Some("debug"));
    let settings = inputs.check().expect("valid");
    assert_eq!(settings.get(keys::LOGLEVEL), Some("debug"));
    assert_eq!(settings.get(keys::SRV_DOMAIN), Some("program"));
}

#[test]
fn a_node_without_a_file_has_defaults_and_variables() {
    let environment = FixedEnvironment::default().with_variable("CHORIA_SRV_DOMAIN", "example.net");
    let settings = Inputs::empty(Some(Path::new(MAIN)), Kind::Server, &environment).check().expect("valid");
    assert_eq!(settings.get(keys::SRV_DOMAIN), Some("example.net"));
    assert_eq!(settings.config_file(), Some(Path::new(MAIN)));
    assert!(settings.files().is_empty());
}

/// Any value for any key: typed names, patterns with a name filled in, and nonsense.
fn any_line() -> impl Strategy<Value = String> {
    let names: Vec<String> = keys::table().chain(keys::patterns()).map(|key| key.name.replace("<name>", "x")).collect();
    let key = prop_oneof![8 => prop::sample::select(names), 1 => "[a-z.=# ]{0,20}"];
    let value = prop_oneof!["\\PC{0,20}", "[0-9.smhdwMy~:,/-]{0,12}", "(yes|no|true|-1|0|99999999999999999999)"];
    (key, value).prop_map(|(key, value)| format!("{key} = {value}"))
}

proptest! {
    #[test]
    fn any_file_is_judged_without_panic(lines in prop::collection::vec(any_line(), 0..12)) {
        match judge(&lines.join("\n")) {
            Ok(settings) => {
                prop_assert!(!settings.collectives().is_empty());
                prop_assert!(settings.with(&[("identity", "n1".to_owned())]).is_ok());
            }
            Err(problems) => prop_assert!(!problems.list().is_empty()),
        }
    }
}
