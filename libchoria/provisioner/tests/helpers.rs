//! The sample helpers that ship with the package, run with what a real provisioner told a real helper.

use choria_provisioner_role::{Decision, Helper};
use names::Identity;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SAMPLES: [&str; 2] = ["shell", "python"];

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/choria-provisioner/helpers").join(name)
}

/// A sample with these settings.
fn helper(name: &str, settings: &[(&str, &str)]) -> Helper {
    let settings = settings.iter().map(|(key, value)| format!("CHORIA_HELPER_{key}={value}"));
    let path = sample(name).display().to_string();
    let command = ["/usr/bin/env".to_owned()].into_iter().chain(settings).chain([path]).collect();
    Helper { command, limit: Duration::from_secs(30), secrets: Vec::new() }
}

fn recording(number: u32, kind: &str) -> Vec<u8> {
    let path = vectors::root().join(format!("provisioning/helper-{number}.{kind}.json"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const ISSUER: (&str, &str) = ("ISSUER", "afb5c12dafd10acd2157ec7e9001ae6b8d4b12dd6c6416a726807d9a1c117c54");
const BROKERS: (&str, &str) = ("BROKERS", "nats://broker.choria.local:4222");
const PLUGINS: (&str, &str) = ("PLUGIN_SIGNER", "20f6cdd45c2f24a86542ff9e472b2d0bdd5acb772f76d88efed655f6f5139582");

#[tokio::test]
async fn samples_answer_what_the_demonstrations_helper_answered() {
    for sample in SAMPLES {
        for number in [0, 1, 2, 4] {
            let told = recording(number, "stdin");
            let output = helper(sample, &[ISSUER, BROKERS, PLUGINS]).run(&told).await.expect(sample);
            let recorded: Value = serde_json::from_slice(&recording(number, "stdout")).expect("JSON");
            let answer: Value = serde_json::from_slice(&output).expect(sample);
            assert_eq!(answer["configuration"], recorded["configuration"], "{sample} {number}");
            assert_eq!(answer["server_claims"]["permissions"], recorded["server_claims"]["permissions"], "{sample}");
            assert_eq!((&answer["defer"], &answer["msg"]), (&recorded["defer"], &recorded["msg"]), "{sample}");

            let node: Identity =
                recorded["configuration"]["identity"].as_str().expect("a name").parse().expect("a name");
            let Ok(Decision::Configure(bundle)) = Decision::read(&output, &node, None) else { panic!("{sample}") };
            assert!(bundle.warnings.is_empty(), "{sample}: {:?}", bundle.warnings);
        }
    }
}

#[tokio::test]
async fn samples_let_nodes_wait_that_are_not_accepted() {
    for sample in SAMPLES {
        for (pattern, waits) in [("*.choria.local", false), ("s3*", false), ("web*", true), ("s?.example.*", true)] {
            let output =
                helper(sample, &[ISSUER, ("ACCEPT", pattern)]).run(&recording(0, "stdin")).await.expect(sample);
            let decision = Decision::read(&output, &"s3.choria.local".parse().expect("a name"), None);
            assert_eq!(matches!(decision, Ok(Decision::Defer(_))), waits, "{sample} {pattern}: {decision:?}");
        }
    }
}

/// What a hostile node may put into names and facts reaches the helper as text and stays text.
#[tokio::test]
async fn samples_are_not_misled_by_what_nodes_say() {
    let mut told: Value = serde_json::from_slice(&recording(0, "stdin")).expect("JSON");
    let inventory = r#"{"facts":{"identity":"admin","x":"\"directory\":\"/root\",$(touch x)"},"version":"1"}"#;
    told["inventory"] = inventory.into();
    told["jwt"]["extensions"] = serde_json::json!({"identity": "admin", "ed25519_pubkey": {"directory": "/root"}, "l": ["identity", {"directory": "/l"}]});
    told["ed25519_pubkey"]["directory"] = r#"/etc/a "b"\c $(touch x) `touch x`"#.into();
    for sample in SAMPLES {
        let output = helper(sample, &[ISSUER]).run(told.to_string().as_bytes()).await.expect(sample);
        let answer: Value = serde_json::from_slice(&output).expect(sample);
        let settings: BTreeMap<String, String> = serde_json::from_value(answer["configuration"].clone()).expect(sample);
        assert_eq!(settings["identity"], "s3.choria.local", "{sample}");
        let expected = r#"/etc/a "b"\c $(touch x) `touch x`/server.seed"#;
        assert_eq!(settings["plugin.security.choria.seed_file"], expected, "{sample}");
    }
}

#[tokio::test]
async fn samples_leave_out_what_is_set_to_nothing() {
    for sample in SAMPLES {
        let settings = [ISSUER, ("AUTHORIZATION", ""), ("PLUGIN_SIGNER", "")];
        let output = helper(sample, &settings).run(&recording(0, "stdin")).await.expect(sample);
        let answer: Value = serde_json::from_slice(&output).expect(sample);
        for key in ["rpcauthorization", "rpcauthprovider", "plugin.machines.key"] {
            assert!(answer["configuration"].get(key).is_none(), "{sample} sets {key}");
        }
    }
}

#[tokio::test]
async fn samples_without_their_settings_say_so() {
    for sample in SAMPLES {
        let error = helper(sample, &[]).run(&recording(0, "stdin")).await.expect_err(sample).to_string();
        assert!(error.contains("exit status: 1"), "{sample}: {error}");
    }
    for sample in SAMPLES {
        let mut told: Value = serde_json::from_slice(&recording(0, "stdin")).expect("JSON");
        told["ed25519_pubkey"] = Value::Null;
        let output = helper(sample, &[ISSUER]).run(told.to_string().as_bytes()).await.expect(sample);
        let decision = Decision::read(&output, &"s3.choria.local".parse().expect("a name"), None);
        assert!(matches!(decision, Ok(Decision::Defer(_))), "{sample}: {decision:?}");
    }
}
