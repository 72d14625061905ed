//! The report, compared with the recorded one.

use super::*;
use config::{FixedEnvironment, Kind};

/// Where the recording was made.
const MAIN: &str = "/etc/choria/client.conf";

fn surroundings() -> Surroundings {
    Surroundings {
        security: Security { errors: Vec::new(), caller: "up=choria".into(), certificate_name: "choria".into() },
        facter: None,
        puppet_db: "https://puppet:8081".into(),
        brokers: "nats://broker.choria.local:4222".into(),
        federation: None,
    }
}

fn written(settings: &Settings, surroundings: &Surroundings, hint: bool) -> String {
    let mut out = Vec::new();
    let report = Report { user_config: Path::new(MAIN), settings, surroundings, palette: Palette::PLAIN };
    report.write(&mut out, hint).expect("written");
    String::from_utf8(out).expect("UTF-8")
}

fn recorded(path: &str) -> String {
    let path = vectors::root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_report_looks_as_recorded_but_for_secrets() {
    let environment = FixedEnvironment { home: Some("/home/choria".into()), ..FixedEnvironment::default() };
    let environment = environment.with_file(MAIN, recorded("config/client.conf"));
    let settings = config::load(Path::new(MAIN), Kind::client(&environment), &environment);
    let settings = settings.expect("readable").check().expect("valid");
    let wanted = recorded("cli/tool-config.stdout.txt").replace("password: system", "password: *****");
    assert_eq!(written(&settings, &surroundings(), true), wanted);
}

#[test]
fn lines_appear_when_there_is_something_to_say() {
    let settings = Settings::builder()
        .set("plugin.security.provider", "file")
        .set("plugin.security.file.key", "/does/not/exist")
        .set("plugin.security.pkcs11.driver_file", "/")
        .set("plugin.choria.security.request_signer.url", "https://signer")
        .set("plugin.choria.federation.collectives", "a,b")
        .build()
        .expect("valid");
    let found = Surroundings {
        security: Security { errors: vec!["one".into(), "two".into()], ..surroundings().security },
        facter: Some(Facter { command: "/facter".into(), domain: "example.net".into(), name: "n1.example.net".into() }),
        federation: Some("nats://f:4222".into()),
        ..surroundings()
    };
    let text = written(&settings, &found, false);
    let rows = [
        "     Security Provider: File\n        Valid Security: no\n       Security Errors: one\n                        two\n",
        "         PKCS11 Driver: / (found)\n           PKCS11 Slot: 0\n                   Key: /does/not/exist (absent)\n",
        "        Request Signer: https://signer\n",
        "      Service Registry: disabled\n            SRV Domain: \n        Facter Command: /facter\n",
        "    Federation Brokers: nats://f:4222\n           Collectives: a, b\n",
    ];
    for row in rows {
        assert!(text.contains(row), "{row}\nis not in\n{text}");
    }
    assert!(!text.contains("extra argument"), "the hint is for those who gave no key");
}

#[test]
fn anonymous_tls_takes_the_place_of_the_provider() {
    let settings = Settings::builder()
        .set("plugin.security.client_anon_tls", "yes")
        .set("plugin.choria.security.request_signer.service", "yes")
        .build()
        .expect("valid");
    let text = written(&settings, &surroundings(), false);
    assert!(
        text.contains("     Security Provider: Using Anonymous TLS\n             Caller ID: up=choria\n"),
        "{text}"
    );
}
