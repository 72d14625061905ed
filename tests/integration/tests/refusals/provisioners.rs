//! Provisioners that do not start, and nodes that they do not provision.

use super::Refusal;
use choria_tests::Lab;
use provisioner::{Decision, Helper};
use std::time::Duration;

pub(crate) fn refusals() -> Vec<Refusal> {
    let mut all = starts();
    all.extend(answers());
    all.extend(runs());
    all
}

fn starts() -> Vec<Refusal> {
    let lab = Lab::new();
    let start = |own: &str, choria: &str| {
        lab.write("p.yaml", own);
        lab.write("p.cfg", choria);
        lab.start("choria-provisioner", &["--config", "p.yaml", "--choria-config", "p.cfg"]).output().stderr
    };
    let keyed = "features: {ed25519: true}\njwt_verify_cert: /x\njwt_signing_key: /x\n";
    let rows = [
        ("provisioner-value", "helper: h\nworkers: many\n".to_owned()),
        ("provisioner-interval", "helper: h\ninterval: 5s\n".to_owned()),
        ("provisioner-no-helper", "workers: 1\n".to_owned()),
        ("provisioner-two-credentials", format!("helper: h\n{}", keyed.replace("ed25519", "pki: true, ed25519"))),
        ("provisioner-no-verify-key", format!("helper: h\n{}", keyed.replace("jwt_verify_cert: /x\n", ""))),
        ("provisioner-no-signing-key", format!("helper: h\n{}", keyed.replace("jwt_signing_key: /x\n", ""))),
    ];
    let said = |(id, own): &(&'static str, String)| Refusal::new(id, "choria-provisioner", start(own, ""));
    let mut all: Vec<Refusal> = rows.iter().map(said).collect();
    let missing = lab.start("choria-provisioner", &["--config", "nosuch.yaml"]).output().stderr;
    all.push(Refusal::new("provisioner-config-missing", "choria-provisioner", missing));
    lab.write("p.yaml", "helper: h\n");
    let arguments = ["--config", "p.yaml", "--choria-config", "nosuch.cfg"];
    let missing = lab.start("choria-provisioner", &arguments).output().stderr;
    all.push(Refusal::new("provisioner-choria-config", "choria-provisioner", missing));
    all
}

/// What helpers answer.
fn answers() -> Vec<Refusal> {
    let node = "n1.lab.example.net".parse().expect("an identity");
    let rows = [
        ("helper-json", "garbage"),
        ("helper-type", r#"{"configuration":{"ttl":60}}"#),
        ("helper-empty", "{}"),
        ("helper-identity", r#"{"configuration":{"identity":"n2.lab.example.net"}}"#),
        ("helper-claims", r#"{"configuration":{"a":"b"},"server_claims":{"public_key":"00"}}"#),
        ("helper-setting", r#"{"configuration":{"a":"b\nc=d"}}"#),
        ("helper-action-policy", r#"{"configuration":{"a":"b"},"action_policies":{"../x.policy":"p"}}"#),
        ("helper-opa-policy", r#"{"configuration":{"a":"b"},"opa_policies":{"x":"p"}}"#),
        ("helper-subject", r#"{"configuration":{"a":"b"},"server_claims":{"pub_subjects":[">"]}}"#),
        ("helper-ssldir", r#"{"configuration":{"a":"b"},"ssldir":"ssl"}"#),
        ("helper-version", r#"{"configuration":{"a":"b"},"upgrade":"../1"}"#),
    ];
    let said = |(id, answer): (&'static str, &str)| {
        let refused = Decision::read(answer.as_bytes(), &node, None).expect_err(id);
        Refusal::new(id, "provisioner::Decision::read", refused)
    };
    rows.into_iter().map(said).collect()
}

/// How helpers end.
fn runs() -> Vec<Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rows = [
        ("helper-missing", vec!["/nonexistent/helper"]),
        ("helper-timeout", vec!["/bin/sh", "-c", "sleep 1000"]),
        ("helper-failed", vec!["/bin/sh", "-c", "exit 3"]),
        ("helper-silent", vec!["/bin/true"]),
        ("helper-flood", vec!["/usr/bin/yes"]),
    ];
    let said = |(id, command): (&'static str, Vec<&str>)| {
        let limit = Duration::from_secs(if id == "helper-timeout" { 1 } else { 30 });
        let command = command.into_iter().map(str::to_owned).collect();
        let helper = Helper { command, limit, secrets: Vec::new() };
        let refused = runtime.block_on(helper.run(b"{}")).expect_err(id);
        Refusal::new(id, "provisioner::Helper::run", refused)
    };
    rows.into_iter().map(said).collect()
}
