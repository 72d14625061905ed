//! A helper that says the same of every node, for as little as a process can be had.

use anyhow::Context as _;
use serde_json::{Value, json};
use std::io::Read as _;

/// Reads what a provisioner tells of a node and answers with a configuration for the broker on `port`.
pub(crate) fn run(port: &str) -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let told: Value = serde_json::from_str(&text)?;
    let directory = told.pointer("/ed25519_pubkey/directory").and_then(Value::as_str);
    let directory = directory.context("the node told no directory of its key")?;
    let answer = json!({
        "configuration": {
            "identity": told["identity"],
            "loglevel": "warn",
            "plugin.choria.server.provision": "false",
            "plugin.choria.use_srv": "false",
            "plugin.choria.middleware_hosts": format!("nats://127.0.0.1:{port}"),
            "plugin.security.provider": "choria",
            "plugin.security.choria.token_file": format!("{directory}/server.jwt"),
            "plugin.security.choria.seed_file": format!("{directory}/server.seed"),
        },
        "server_claims": {"exp": 86400},
    });
    println!("{answer}");
    Ok(())
}
