//! `choria jwt server` (spec 09 §10.2).

use super::{holder_key, save};
use crate::duration;
use anyhow::ensure;
use names::{Collective, Identity};
use rand::rngs::OsRng;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokens::{ServerClaims, ServerPermissions, SigningKey};

#[derive(clap::Args, Debug)]
pub(super) struct Server {
    /// The token file to write
    file: PathBuf,
    /// The identity of the server
    identity: Identity,
    /// The server's ed25519 public key, as hexadecimal text or as a file that holds it
    public_key: String,
    /// File with the private key that signs the token: an ed25519 seed or an RSA key as PEM
    signing_key: PathBuf,
    /// Let the server join a collective; repeatable
    #[arg(long, value_name = "COLLECTIVE", default_value = config::build::COLLECTIVES, value_delimiter = ',')]
    collectives: Vec<Collective>,
    /// The organization of the server
    #[arg(long, default_value = tokens::DEFAULT_ORGANIZATION)]
    org: String,
    /// Let the server publish to a NATS subject; repeatable
    #[arg(long, value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// Let the server publish submitted messages to Choria Streams
    #[arg(long)]
    submission: bool,
    /// Let the server use Choria Streams
    #[arg(long)]
    stream_user: bool,
    /// How long the token is valid
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = duration::parse)]
    validity: Duration,
    /// Let the server host service agents
    #[arg(long)]
    service: bool,
    /// Let the server use all Governors; needs --stream-user
    #[arg(long)]
    governor: bool,
}

impl Server {
    /// Signs and saves the token.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let token = self.claims(SystemTime::now())?.sign(&SigningKey::read(&self.signing_key)?)?;
        save(&token, &self.file)
    }

    fn claims(&self, now: SystemTime) -> anyhow::Result<ServerClaims> {
        ensure!(!self.governor || self.stream_user, "cannot set --governor unless --stream-user is also set");
        let collectives = self.collectives.iter().map(ToString::to_string).collect();
        let public_key = holder_key(&self.public_key)?;
        let identity = self.identity.as_str();
        let mut claims = ServerClaims::new(identity, collectives, public_key, self.validity, now, &mut OsRng)?;
        self.org.clone_into(&mut claims.organization_unit);
        self.subjects.clone_into(&mut claims.additional_publish_subjects);
        claims.permissions = Some(ServerPermissions {
            submission: self.submission,
            streams: self.stream_user,
            governor: self.governor,
            service_host: self.service,
        });
        Ok(claims)
    }
}
