//! `choria jwt check`: a probe for monitoring systems (spec 09 §10.6).

mod query;
mod report;

use crate::duration;
use report::{Format, Report};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokens::{
    Invalid, KeyError, PublicKey, Purpose, StandardClaims, TrustRoots, purpose_of, read_client, read_provisioning,
    read_server, read_token,
};

#[derive(clap::Args, Debug)]
pub(super) struct Check {
    /// The token file to check
    file: PathBuf,
    /// Checks that the token is of this kind
    #[arg(long, value_enum)]
    purpose: Option<Kind>,
    /// Checks that the token stays valid for longer than this
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    validity_min: Option<Duration>,
    /// Checks that the token does not stay valid for longer than this
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    validity_max: Option<Duration>,
    /// Checks that the client may issue tokens in a chain of trust
    #[arg(long, overrides_with = "no_chain_issuer")]
    chain_issuer: bool,
    /// Checks that the client may not issue tokens in a chain of trust
    #[arg(long, overrides_with = "chain_issuer")]
    no_chain_issuer: bool,
    /// Checks that this issuer, an ed25519 public key, signed the token itself or through a chain of trust
    #[arg(long, value_name = "PUBK")]
    issuer: Option<String>,
    /// Checks that the client has an Open Policy Agent policy
    #[arg(long)]
    client_opa: bool,
    /// Checks that the client may subscribe to this additional subject; repeatable
    #[arg(long = "sub", value_name = "SUBJECT")]
    subscribe: Vec<String>,
    /// Checks that the holder may publish to this additional subject; repeatable
    #[arg(long = "pub", value_name = "SUBJECT")]
    publish: Vec<String>,
    /// Checks the caller id or identity
    #[arg(long)]
    identity: Option<String>,
    /// Checks that an expression over the claims is true; repeatable
    #[arg(long, value_name = "EXPRESSION")]
    query: Vec<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Nagios)]
    format: Format,
}

/// The kinds of token that can be asked for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Client,
    Server,
    Provisioning,
}

impl Check {
    /// Prints the result; the exit code is 2 when something is wrong.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut report = Report::new(&self.file.display().to_string());
        match read_token(&self.file) {
            Ok(token) => self.check(&token, SystemTime::now(), &mut report),
            Err(KeyError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                report.critical("token not found");
            }
            Err(error) => report.critical(format!("token cannot be read: {:#}", anyhow::Error::new(error))),
        }
        std::io::stdout().write_all(report.render(self.format)?.as_bytes())?;
        Ok(report.exit_code(self.format))
    }

    fn check(&self, token: &str, now: SystemTime, report: &mut Report) {
        let issuer = match self.issuer.as_deref().map(str::parse::<PublicKey>) {
            Some(Ok(key)) => Some(TrustRoots::signers(vec![key.into()])),
            Some(Err(_)) => return report.critical("invalid issuer"),
            None => None,
        };
        // A token that cannot be read has no purpose either.
        let purpose = purpose_of(token).unwrap_or(Purpose::Unknown);
        if self.purpose.is_some_and(|wanted| Purpose::from(wanted) != purpose) {
            report.critical(format!("{} purpose", purpose.claim()));
        }
        let verdict = match purpose {
            Purpose::Client => self.check_client(token, issuer.as_ref(), now, report),
            Purpose::Server => self.check_server(token, issuer.as_ref(), now, report),
            Purpose::Provisioning => self.check_provisioning(token, issuer.as_ref(), now, report),
            Purpose::Unknown => return report.critical("unknown token purpose"),
        };
        match verdict {
            Ok(()) => report.ok(format!("{purpose} token")),
            Err(invalid) => report.critical(invalid),
        }
    }

    fn check_client(
        &self,
        token: &str,
        issuer: Option<&TrustRoots>,
        now: SystemTime,
        report: &mut Report,
    ) -> Result<(), Invalid> {
        let claims = match issuer {
            Some(roots) => roots.verify_client(token, now)?.into_claims(),
            None => read_client(token)?,
        };
        self.check_holder(&claims.caller_id, &claims.standard, report);
        let wanted = self.chain_issuer || self.no_chain_issuer;
        let may_issue = claims.standard.is_chain_issuer();
        if wanted && may_issue != self.chain_issuer {
            report.critical(format!("chain issuer: {may_issue}"));
        }
        if self.client_opa && claims.opa_policy.is_none() {
            report.critical("no OPA policy");
        }
        for subject in missing(&self.subscribe, &claims.additional_subscribe_subjects) {
            report.critical(format!("subscribe {subject}"));
        }
        for subject in missing(&self.publish, &claims.additional_publish_subjects) {
            report.critical(format!("publish {subject}"));
        }
        self.check_common(&claims, &claims.standard, now, report);
        Ok(())
    }

    fn check_server(
        &self,
        token: &str,
        issuer: Option<&TrustRoots>,
        now: SystemTime,
        report: &mut Report,
    ) -> Result<(), Invalid> {
        let claims = match issuer {
            Some(roots) => roots.verify_server(token, now)?.into_claims(),
            None => read_server(token)?,
        };
        self.check_holder(&claims.identity, &claims.standard, report);
        for subject in missing(&self.publish, &claims.additional_publish_subjects) {
            report.critical(format!("publish {subject}"));
        }
        self.check_common(&claims, &claims.standard, now, report);
        Ok(())
    }

    fn check_provisioning(
        &self,
        token: &str,
        issuer: Option<&TrustRoots>,
        now: SystemTime,
        report: &mut Report,
    ) -> Result<(), Invalid> {
        let claims = match issuer {
            Some(roots) => roots.verify_provisioning(token, now)?.into_claims(),
            None => read_provisioning(token)?,
        };
        self.check_common(&claims, &claims.standard, now, report);
        Ok(())
    }

    fn check_holder(&self, name: &str, claims: &StandardClaims, report: &mut Report) {
        if self.identity.as_deref().is_some_and(|wanted| wanted != name) {
            report.critical(format!("identity {name}"));
        }
        if claims.public_key.is_none() {
            report.critical("no public key");
        }
    }

    /// What is checked of every kind of token.
    fn check_common(&self, claims: &impl Serialize, standard: &StandardClaims, now: SystemTime, report: &mut Report) {
        self.check_validity(standard, now, report);
        if standard.id.is_empty() {
            report.critical("no id");
        }
        if standard.effective_expiry().is_none() {
            report.critical("no expiry");
        }
        if standard.not_before.is_none() {
            report.critical("no not before");
        }
        query::check(&self.query, claims, report);
    }

    fn check_validity(&self, claims: &StandardClaims, now: SystemTime, report: &mut Report) {
        let Some(expiry) = claims.effective_expiry() else { return };
        let left = match expiry.duration_since(now) {
            Ok(left) => left,
            Err(past) => {
                report.expires(-past.duration().as_secs_f64());
                return report.critical("expired");
            }
        };
        report.expires(left.as_secs_f64());
        let too_short = self.validity_min.is_some_and(|least| left < least);
        let too_long = self.validity_max.is_some_and(|most| left > most);
        if too_short || too_long {
            report.critical(format!("expires in {}", duration::render_relative(left)));
        }
    }
}

impl From<Kind> for Purpose {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Client => Self::Client,
            Kind::Server => Self::Server,
            Kind::Provisioning => Self::Provisioning,
        }
    }
}

fn missing<'a>(wanted: &'a [String], present: &'a [String]) -> impl Iterator<Item = &'a String> {
    wanted.iter().filter(|subject| !present.contains(subject))
}

#[cfg(test)]
mod tests;
