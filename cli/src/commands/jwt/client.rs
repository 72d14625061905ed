//! `choria jwt client` (spec 09 §10.1).

use super::{holder_key, save};
use crate::duration;
use anyhow::{Context, bail, ensure};
use names::CallerId;
use rand::rngs::OsRng;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, SigningKey};

#[derive(clap::Args, Debug)]
pub(super) struct Client {
    /// The token file to write
    file: PathBuf,
    /// The caller id of the client, such as up=alice
    identity: CallerId,
    /// File with the private key that signs the token: an ed25519 seed or an RSA key as PEM
    signing_key: PathBuf,
    /// Let the client use an agent: agent.action, agent.* or *; repeatable
    #[arg(long, value_name = "AGENT", value_parser = agent_rule)]
    agents: Vec<String>,
    /// The organization of the client
    #[arg(long, default_value = tokens::DEFAULT_ORGANIZATION)]
    org: String,
    /// File with the Open Policy Agent policy of the client
    #[arg(long, value_name = "FILE")]
    opa_file: Option<PathBuf>,
    /// Open Policy Agent policy of the client as text
    #[arg(long, value_name = "POLICY")]
    opa: Option<String>,
    /// How long the token is valid
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration::parse)]
    validity: Duration,
    /// The client's ed25519 public key, as hexadecimal text or as a file that holds it
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Let the client administer and use Choria Streams
    #[arg(long)]
    stream_admin: bool,
    /// Let the client use Choria Streams
    #[arg(long)]
    stream_user: bool,
    /// Let the client see lifecycle and Autonomous Agent events
    #[arg(long)]
    event_viewer: bool,
    /// Let the client use leader elections
    #[arg(long)]
    elections_user: bool,
    /// Let the client have tokens of long validity
    #[arg(long)]
    service: bool,
    /// Let the client access the broker's system account
    #[arg(long)]
    system: bool,
    /// Let the client sign requests for other clients
    #[arg(long)]
    auth_delegation: bool,
    /// Let the client manage the fleet using RPC; this is the default
    #[arg(long, overrides_with = "no_fleet_management")]
    fleet_management: bool,
    /// Do not let the client manage the fleet
    #[arg(long, overrides_with = "fleet_management")]
    no_fleet_management: bool,
    /// Let the client manage the fleet with requests that an authority like the AAA service signs
    #[arg(long)]
    signed_fleet_management: bool,
    /// Let the client access all broker traffic
    #[arg(long)]
    org_admin: bool,
    /// Let the client publish to a NATS subject; repeatable
    #[arg(long, value_name = "SUBJECT")]
    publish: Vec<String>,
    /// Let the client subscribe to a NATS subject; repeatable
    #[arg(long, value_name = "SUBJECT")]
    subscribe: Vec<String>,
    /// Let the client issue tokens in a chain of trust; it then manages no fleet and signs for nobody
    #[arg(long)]
    issuer: bool,
    /// Let the client provision servers
    #[arg(long)]
    server_provisioner: bool,
    /// Let the client use all Governors
    #[arg(long)]
    governor: bool,
}

impl Client {
    /// Signs and saves the token.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let key = SigningKey::read(&self.signing_key)?;
        let token = self.claims(&key, SystemTime::now())?.sign(&key)?;
        save(&token, &self.file)
    }

    fn claims(&self, key: &SigningKey, now: SystemTime) -> anyhow::Result<ClientClaims> {
        ensure!(
            !self.issuer || self.public_key.is_some(),
            "an issuer needs a key of its own to sign with: give its public key with --public-key"
        );
        let mut claims = ClientClaims::new(self.identity.as_str(), self.validity, now, &mut OsRng)?;
        self.org.clone_into(&mut claims.organization_unit);
        self.agents.clone_into(&mut claims.allowed_agents);
        claims.opa_policy = self.policy()?;
        claims.permissions = Some(self.permissions());
        self.publish.clone_into(&mut claims.additional_publish_subjects);
        self.subscribe.clone_into(&mut claims.additional_subscribe_subjects);
        claims.standard.public_key =
            self.public_key.as_deref().map(holder_key).transpose()?.map(|public| public.to_string());
        if self.issuer {
            let SigningKey::Ed25519(organization) = key else {
                bail!("a chain of trust needs an ed25519 key, and {} holds an RSA key", self.signing_key.display());
            };
            claims.standard.add_org_issuer(organization)?;
        }
        Ok(claims)
    }

    /// The policy text; that of the file wins.
    fn policy(&self) -> anyhow::Result<Option<String>> {
        let policy = match &self.opa_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Some(text)
            }
            None => self.opa.clone(),
        };
        Ok(policy.filter(|text| !text.is_empty()))
    }

    /// The permissions of the flags, with those that exclude or need one another put right.
    fn permissions(&self) -> ClientPermissions {
        let signed_fleet_management = self.signed_fleet_management && !self.issuer;
        let fleet_management = !self.no_fleet_management && !self.issuer;
        ClientPermissions {
            streams_admin: self.stream_admin,
            streams_user: self.stream_user,
            events_viewer: self.event_viewer,
            election_user: self.elections_user,
            system_user: self.system,
            governor: self.governor,
            org_admin: self.org_admin,
            fleet_management: fleet_management || signed_fleet_management || self.server_provisioner,
            signed_fleet_management,
            extended_service_lifetime: self.service,
            authentication_delegator: self.auth_delegation && !self.issuer,
            server_provisioner: self.server_provisioner,
        }
    }
}

/// Accepts `*` and `agent.action`. A bare agent name would make servers refuse every request of the client.
fn agent_rule(text: &str) -> Result<String, String> {
    let valid = match text.split_once('.') {
        Some((agent, action)) => !agent.is_empty() && !action.is_empty() && agent != "*" && !action.contains('.'),
        None => text == "*",
    };
    if valid {
        return Ok(text.to_owned());
    }
    Err(format!("write agent.action, agent.* or *, for example {}.*", text.split('.').next().unwrap_or_default()))
}
