//! `choria jwt view` (spec 09 §10.5).

mod client;
mod provisioning;
mod server;

use crate::duration;
use crate::output::printable;
use anyhow::Context;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::macros::format_description;
use tokens::{
    Invalid, Purpose, StandardClaims, TrustRoots, VerificationKey, claims_of, purpose_of, read_client,
    read_provisioning, read_server, read_token,
};

#[derive(clap::Args, Debug)]
pub(super) struct View {
    /// The token file to show
    file: PathBuf,
    /// The issuer's public key to validate the token with, as a file or as hexadecimal text
    public: Option<String>,
    /// Show the claims as JSON
    #[arg(long)]
    json: bool,
}

impl View {
    /// Prints the token; fails without further words when it has expired.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let token = read_token(&self.file)?;
        let key = self.public.as_deref().map(VerificationKey::find).transpose()?;
        let page = self.page(&token, key, SystemTime::now());
        let page = page.with_context(|| format!("could not parse token {}", self.file.display()))?;
        std::io::stdout().write_all(printable(&page.text).as_bytes())?;
        Ok(if page.expired { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn page(&self, token: &str, key: Option<VerificationKey>, now: SystemTime) -> anyhow::Result<Page> {
        let purpose = purpose_of(token)?;
        if self.json || purpose == Purpose::Unknown {
            let mut claims = serde_json::Value::Object(claims_of(token)?);
            claims.sort_all_objects();
            let text = format!("{claims:#}\n");
            return Ok(Page { text, expired: false });
        }
        let validated = if key.is_some() { "Validated" } else { "Unvalidated" };
        let roots = key.map(|key| TrustRoots::signers(vec![key]));
        let (kind, body, expiry) = match purpose {
            Purpose::Server => {
                let claims = match &roots {
                    Some(roots) => roots.verify_server(token, now)?.into_claims(),
                    None => read_server(token)?,
                };
                ("Server Token", server::render(&claims, now)?, claims.standard.effective_expiry())
            }
            Purpose::Provisioning => {
                let claims = match &roots {
                    Some(roots) => roots.verify_provisioning(token, now)?.into_claims(),
                    None => read_provisioning(token)?,
                };
                ("Provisioning Token", provisioning::render(&claims, now)?, claims.standard.effective_expiry())
            }
            Purpose::Client | Purpose::Unknown => {
                let claims = match &roots {
                    Some(roots) => roots.verify_client(token, now)?.into_claims(),
                    None => read_client(token)?,
                };
                ("Client Identification Token", client::render(&claims, now)?, claims.standard.effective_expiry())
            }
        };
        let text = format!("{validated} {kind} {}\n\n{body}", self.file.display());
        Ok(Page { text, expired: expiry.is_some_and(|expiry| now > expiry) })
    }
}

/// What is printed, and whether the token has expired.
struct Page {
    text: String,
    expired: bool,
}

/// Lines of `label: value`, the labels aligned on the right.
struct Fields {
    width: usize,
    text: String,
}

impl Fields {
    fn new(width: usize) -> Self {
        Self { width, text: String::new() }
    }

    fn add(&mut self, label: &str, value: impl Display) {
        self.text += &format!("{label:>width$}: {value}\n", width = self.width);
    }

    /// Adds the field unless its value is empty.
    fn add_text(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            self.add(label, value);
        }
    }

    fn add_list(&mut self, label: &str, values: &[String]) {
        self.add_text(label, &values.join(", "));
    }

    fn add_expiry(&mut self, claims: &StandardClaims, now: SystemTime) {
        if let Some(expiry) = claims.effective_expiry() {
            self.add("Expires At", describe_expiry(expiry, now));
        }
    }

    fn add_trust_chain(&mut self, claims: &StandardClaims) -> Result<(), Invalid> {
        if let Some(description) = describe_trust_chain(claims)? {
            self.add("Trust Chain", description);
        }
        Ok(())
    }

    /// Adds a block of granted permissions under a heading, `none` when there is not one.
    fn add_permissions(&mut self, heading: &str, indent: usize, granted: &[(bool, &str)], none: &str) {
        let mut lines: Vec<&str> = granted.iter().filter(|(granted, _)| *granted).map(|(_, line)| *line).collect();
        if lines.is_empty() {
            lines.push(none);
        }
        self.text += &format!("\n{heading}:\n\n");
        for line in lines {
            self.text += &format!("{:indent$}{line}\n", "");
        }
        self.text.push('\n');
    }
}

fn describe_expiry(expiry: SystemTime, now: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] +0000 UTC");
    // Only years beyond 9999 have no such form.
    let time = OffsetDateTime::from(expiry).format(format).unwrap_or_else(|_| "after the year 9999".to_owned());
    match expiry.duration_since(now) {
        Ok(left) => format!("{time} ({})", duration::render_relative(left)),
        Err(past) => format!("{time} (expired {} ago)", duration::render_relative(past.duration())),
    }
}

/// What the holder's place in a chain of trust is, if any.
fn describe_trust_chain(claims: &StandardClaims) -> Result<Option<String>, Invalid> {
    if claims.issuer.is_empty() || claims.trust_chain_signature.is_none() {
        return Ok(None);
    }
    if claims.is_chain_issuer() {
        let organization = claims.issuer.trim_start_matches("I-");
        return Ok(Some(format!("Can Issue Clients as part of a trust chain with Issuer {organization}")));
    }
    if claims.claims_to_issue() {
        return Ok(Some("Invalid signing data, issued users will be invalid".to_owned()));
    }
    Ok(Some(format!("Issued by {}", claims.chain_link()?.issuer_id)))
}

/// Pretty JSON whose lines but the first are indented by `indent` spaces.
fn indented_json(value: &impl serde::Serialize, indent: usize) -> serde_json::Result<String> {
    // Inside texts newlines are escaped: each one here begins a line.
    Ok(serde_json::to_string_pretty(value)?.replace('\n', &format!("\n{:indent$}", "")))
}

#[cfg(test)]
mod tests;
