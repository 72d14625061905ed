//! Token, seed and the issuer who vouches for them.

use super::Role;
use super::report::{Report, roughly};
use config::Settings;
use security::Provider;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, Purpose, ServerClaims, StandardClaims, TrustRoots};

/// The names of these checks.
pub(super) const TOKEN: &str = "token";
pub(super) const SEED: &str = "seed";
pub(super) const ISSUER: &str = "issuer";

/// What the own token says.
#[derive(Debug)]
pub(super) enum Claims {
    Client(Box<ClientClaims>),
    Server(Box<ServerClaims>),
}

/// A token that belongs to its seed and can be used.
#[derive(Debug)]
pub(super) struct Own {
    /// What messages are signed with; a broker signs none.
    pub(super) provider: Option<Provider>,
    /// What the token says.
    pub(super) claims: Claims,
}

/// Examines token, seed and issuer. Nothing when a login is bound to fail.
pub(super) fn examine(report: &mut Report, settings: &Settings, role: Role, now: SystemTime) -> Option<Own> {
    if settings.provider() != "choria" {
        report.skip(TOKEN, format!("plugin.security.provider is {}, which uses certificates", settings.provider()));
        return None;
    }
    let claims = token(report, settings, role, now);
    seed(report, settings, claims.as_ref());
    if let Some((text, claims)) = &claims {
        issuer(report, settings, role, text, claims, now);
    }
    let (_, claims) = claims?;
    let role = match role {
        Role::Client => security::Role::Client,
        Role::Server => security::Role::Server,
        Role::Broker => return report.holds(SEED).then_some(Own { provider: None, claims }),
    };
    match Provider::from_settings(settings, role, now) {
        Ok(provider) => Some(Own { provider: Some(provider), claims }),
        Err(errors) => {
            let told = [TOKEN, SEED, ISSUER].iter().any(|check| report.mentions(check) && !report.holds(check));
            for error in errors.list().iter().filter(|_| !told) {
                let (text, fix) = sentence_and_fix(&error.to_string());
                report.fail(TOKEN, text, fix);
            }
            None
        }
    }
}

/// The token's kind, holder and times, with its text.
fn token(report: &mut Report, settings: &Settings, role: Role, now: SystemTime) -> Option<(String, Claims)> {
    let Some(path) = settings.token_file() else {
        report.fail(TOKEN, "no token is configured", "set plugin.security.choria.token_file to the file that holds it");
        return None;
    };
    let shown = path.display();
    let text = match tokens::read_token(&path) {
        Ok(text) => text,
        Err(error) => {
            report.fail(TOKEN, with_cause(&error), obtain(role));
            return None;
        }
    };
    let claims = match read(&text) {
        Ok(claims) => claims,
        Err(reason) => {
            report.fail(TOKEN, format!("{shown}: {reason}"), obtain(role));
            return None;
        }
    };
    let standard = claims.standard();
    let holder = format!("{} token of {}", claims.purpose(), claims.holder());
    let Some(expiry) = standard.effective_expiry() else {
        report.fail(TOKEN, format!("the {holder} never expires, which brokers refuse"), obtain(role));
        return None;
    };
    let Ok(left) = expiry.duration_since(now) else {
        let ago = now.duration_since(expiry).unwrap_or_default();
        report.fail(TOKEN, format!("the {holder} in {shown} expired {} ago", roughly(ago)), obtain(role));
        return None;
    };
    if let Some(wait) =
        standard.not_before.and_then(|begin| begin.duration_since(now).ok()).filter(|wait| *wait > LEEWAY)
    {
        let text = format!("the {holder} is valid only in {}", roughly(wait));
        report.fail(TOKEN, text, "correct the clock of this machine, or wait");
        return None;
    }
    if let Some((problem, fix)) = misfit(&claims, settings, role) {
        report.fail(TOKEN, format!("{shown}: {problem}"), fix);
        return None;
    }
    let text_of = format!("{holder}, organization {:?}, ends in {}", claims.organization(), roughly(left));
    let lifetime = standard.issued_at.and_then(|begin| expiry.duration_since(begin).ok()).unwrap_or(SOON * 10);
    if left < SOON.min(lifetime / 10) {
        report.warn(TOKEN, text_of, obtain(role));
    } else {
        report.ok(TOKEN, text_of);
    }
    Some((text, claims))
}

/// Why a token is not for this role or this node.
fn misfit(claims: &Claims, settings: &Settings, role: Role) -> Option<(String, String)> {
    match (role, claims) {
        (Role::Server, Claims::Client(_)) => Some((
            "a client token cannot run a server".to_owned(),
            "provision the node, or use choria jwt server".to_owned(),
        )),
        (Role::Server, Claims::Server(claims)) if claims.identity != settings.identity().as_str() => {
            let identity = settings.identity();
            let problem = format!("the token is of {}, this node is called {identity}", claims.identity);
            Some((problem, format!("set identity = {}, or provision the node again", claims.identity)))
        }
        _ => None,
    }
}

/// Whether the seed is there, private and that of the token.
fn seed(report: &mut Report, settings: &Settings, token: Option<&(String, Claims)>) {
    let Some(path) = settings.seed_file() else {
        report.fail(SEED, "no seed is configured", "set plugin.security.choria.seed_file to the file that holds it");
        return;
    };
    let shown = path.display();
    let seed = match tokens::Seed::read(&path) {
        Ok(seed) => seed,
        Err(error) => {
            let fix = "name the file that choria jwt keys wrote, or make new keys and have a token issued for them";
            report.fail(SEED, with_cause(&error), fix);
            return;
        }
    };
    let key = token.and_then(|(_, claims)| claims.standard().holder_key().ok());
    if let Some(key) = key.filter(|key| *key != seed.public()) {
        let text = format!("{shown} does not belong to the token: the token is for the public key {key}");
        report.fail(SEED, text, format!("use the seed of that key, or have a token issued for {}", seed.public()));
        return;
    }
    match open_to_others(&path) {
        Some(mode) => report.warn(
            SEED,
            format!("others on this machine may read or change {shown} (mode {mode:04o}) and log in with it"),
            format!("chmod 0600 {shown}"),
        ),
        None => report
            .ok(SEED, format!("{shown}, for its owner alone{}", if key.is_some() { ", fits the token" } else { "" })),
    }
}

/// Whether somebody who is trusted here signed the token.
fn issuer(report: &mut Report, settings: &Settings, role: Role, token: &str, claims: &Claims, now: SystemTime) {
    let roots = match security::trust_roots(settings) {
        Ok(roots) => roots,
        Err(errors) => {
            for error in errors.list() {
                report.fail(
                    ISSUER,
                    error.to_string(),
                    "the issuer's public key has 64 hexadecimal digits; choria jwt keys writes it",
                );
            }
            return;
        }
    };
    let Some(roots) = roots else {
        if role == Role::Server {
            let fix = "set plugin.security.issuer.names and plugin.security.issuer.NAME.public as the broker has them";
            report.fail(ISSUER, "no issuer is configured, so every request would be refused", fix);
        } else if role == Role::Client {
            report.ok(ISSUER, "none configured: replies are checked for damage only, which is usual for clients");
        }
        return;
    };
    match verify(&roots, token, claims, now) {
        Ok(()) => report.ok(ISSUER, format!("{:?} vouches for the token", claims.organization())),
        Err(reason) => {
            let (text, _) = sentence_and_fix(&reason.to_string());
            let fix = format!(
                "have the token issued by the issuer whose key is in plugin.security.issuer.{}.public, or correct that key",
                claims.organization()
            );
            report.fail(ISSUER, text, fix);
        }
    }
}

fn verify(roots: &TrustRoots, token: &str, claims: &Claims, now: SystemTime) -> Result<(), tokens::Invalid> {
    match claims {
        Claims::Client(_) => roots.verify_client(token, now).map(|_| ()),
        Claims::Server(_) => roots.verify_server(token, now).map(|_| ()),
    }
}

fn read(token: &str) -> Result<Claims, String> {
    match tokens::purpose_of(token).map_err(|error| error.to_string())? {
        Purpose::Client => tokens::read_client(token).map(|claims| Claims::Client(Box::new(claims))),
        Purpose::Server => tokens::read_server(token).map(|claims| Claims::Server(Box::new(claims))),
        other => return Err(format!("it is a {other} token: only client and server tokens log in to the fleet")),
    }
    .map_err(|error| error.to_string())
}

impl Claims {
    pub(super) fn standard(&self) -> &StandardClaims {
        match self {
            Self::Client(claims) => &claims.standard,
            Self::Server(claims) => &claims.standard,
        }
    }

    /// The caller id or identity.
    pub(super) fn holder(&self) -> &str {
        match self {
            Self::Client(claims) => &claims.caller_id,
            Self::Server(claims) => &claims.identity,
        }
    }

    fn organization(&self) -> &str {
        match self {
            Self::Client(claims) => &claims.organization_unit,
            Self::Server(claims) => &claims.organization_unit,
        }
    }

    fn purpose(&self) -> Purpose {
        match self {
            Self::Client(_) => Purpose::Client,
            Self::Server(_) => Purpose::Server,
        }
    }
}

/// Where a new token comes from.
fn obtain(role: Role) -> &'static str {
    match role {
        Role::Client => {
            "obtain a new token: choria login where there is an AAA service, else from who holds the issuer's seed (choria jwt client)"
        }
        Role::Server => "provision the node again, or have a token issued with choria jwt server",
        Role::Broker => "have a new token issued for the broker with choria jwt server",
    }
}

/// The mode of a file that its group or others may read or change.
fn open_to_others(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    Some(mode).filter(|mode| mode & 0o077 != 0)
}

/// Many errors end with what to do, behind a colon or semicolon.
pub(super) fn sentence_and_fix(text: &str) -> (String, String) {
    let cut = text.rfind("; ").or_else(|| text.rfind(": "));
    match cut {
        Some(at) => (text[..at].to_owned(), text[at + 2..].to_owned()),
        None => (text.to_owned(), "correct the configuration".to_owned()),
    }
}

/// An error and what caused it, in one line.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_cause(source)),
        None => error.to_string(),
    }
}

/// A token that ends this soon, or within the last tenth of its life, is worth a word.
const SOON: Duration = Duration::from_secs(24 * 3600);

/// How far clocks may differ (spec 02 §10).
const LEEWAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_what_follows_the_last_stop() {
        let rows = [
            ("a is wrong: set b", "a is wrong", "set b"),
            ("x: y is wrong; set b: c", "x: y is wrong", "set b: c"),
            ("wrong", "wrong", "correct the configuration"),
        ];
        for (text, sentence, fix) in rows {
            assert_eq!(sentence_and_fix(text), (sentence.to_owned(), fix.to_owned()));
        }
    }
}
