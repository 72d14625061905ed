//! `choria jwt provisioning` (spec 09 §10.3).

use super::save;
use crate::duration;
use anyhow::{Context, bail, ensure};
use inquire::validator::Validation;
use inquire::{Password, PasswordDisplayMode};
use rand::rngs::OsRng;
use serde_json::{Map, Value};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokens::{ProvisioningClaims, SigningKey};

#[derive(clap::Args, Debug)]
pub(super) struct Provisioning {
    /// The token file to write
    file: PathBuf,
    /// File with the private key that signs the token: an ed25519 seed or an RSA key as PEM
    signing_key: PathBuf,
    /// Do not use TLS while provisioning; this is the default
    #[arg(long, overrides_with = "no_insecure")]
    insecure: bool,
    /// Use TLS while provisioning
    #[arg(long, overrides_with = "insecure")]
    no_insecure: bool,
    /// Secret that the provisioning agent asks for; asked for when not given
    #[arg(long)]
    token: Option<String>,
    /// URL of a broker to provision through; repeatable
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    urls: Vec<String>,
    /// Domain whose SRV records name the brokers to provision through
    #[arg(long, value_name = "DOMAIN")]
    srv: Option<String>,
    /// Provision servers that have no configuration
    #[arg(long)]
    default: bool,
    /// File to publish as registration data while provisioning
    #[arg(long, value_name = "FILE")]
    registration: Option<String>,
    /// File with the facts to use while provisioning
    #[arg(long, value_name = "FILE")]
    facts: Option<String>,
    /// User name to connect to the provisioning broker with
    #[arg(long)]
    username: Option<String>,
    /// Password to connect to the provisioning broker with
    #[arg(long)]
    password: Option<String>,
    /// Additional data for the token, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    extensions: Option<Map<String, Value>>,
    /// The organization of the servers
    #[arg(long, default_value = tokens::DEFAULT_ORGANIZATION)]
    org: String,
    /// Use version 2 of the network protocol and security
    #[arg(long)]
    protocol_v2: bool,
    /// Let the provisioner upgrade servers
    #[arg(long, alias = "update")]
    upgrade: bool,
    /// How long the token is valid
    #[arg(long, value_name = "DURATION", default_value = "1y", value_parser = duration::parse)]
    validity: Duration,
}

impl Provisioning {
    /// Signs and saves the token.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.srv.is_some() || !self.urls.is_empty(), "URLs or a SRV Domain is required: use --urls or --srv");
        let key = SigningKey::read(&self.signing_key)?;
        let secret = match &self.token {
            Some(secret) if !secret.is_empty() => secret.clone(),
            _ => ask_secret()?,
        };
        let token = self.claims(&secret, SystemTime::now())?.sign(&key)?;
        save(&token, &self.file)
    }

    fn claims(&self, secret: &str, now: SystemTime) -> anyhow::Result<ProvisioningClaims> {
        let mut claims = ProvisioningClaims::new(secret, self.validity, now, &mut OsRng)?;
        claims.secure = self.no_insecure;
        claims.urls = self.urls.join(",");
        claims.srv_domain = self.srv.clone().unwrap_or_default();
        claims.provision_by_default = self.default;
        claims.registration_data = self.registration.clone().unwrap_or_default();
        claims.facts = self.facts.clone().unwrap_or_default();
        claims.username = self.username.clone().unwrap_or_default();
        claims.password = self.password.clone().unwrap_or_default();
        claims.extensions.clone_from(&self.extensions);
        self.org.clone_into(&mut claims.organization_unit);
        claims.protocol_v2 = self.protocol_v2;
        claims.allow_update = self.upgrade;
        Ok(claims)
    }
}

/// Asks for the secret on the terminal.
fn ask_secret() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("no provisioning access token: give it with --token, or run this on a terminal to be asked for it");
    }
    let required = |text: &str| {
        let empty = Validation::Invalid("a provisioning access token cannot be empty".into());
        Ok(if text.is_empty() { empty } else { Validation::Valid })
    };
    Password::new("Provisioning Access Token")
        .without_confirmation()
        .with_display_mode(PasswordDisplayMode::Masked)
        .with_validator(required)
        .prompt()
        .context("no provisioning access token")
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("invalid extensions: write a JSON object: {error}"))
}
