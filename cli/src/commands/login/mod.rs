//! `choria login`: a token for a user name and a password (spec 07 §12).
//!
//! | module | holds |
//! |---|---|
//! | `helper` | the program `choria-login`, which takes over where a site has one |
//! | `prompt` | who logs in: asked on the terminal, or read from standard input |
//! | `service` | the question to the AAA service, and its answer |
//!
//! Unlike the existing client this one keeps the old key and token until the service has given new ones, asks the other
//! addresses when one cannot be reached, and verifies the service where a CA is configured.

mod helper;
mod prompt;
mod service;

use crate::duration::render_relative;
use crate::{Global, session};
use anyhow::{Context, bail};
use config::{Settings, keys};
use network::Tls;
use network::http::Url;
use rand::seq::SliceRandom;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokens::{ClientClaims, Seed, read_client, write_private_pair};

/// What `choria login --help` says at length.
pub(crate) const LONG_ABOUT: &str = "Logs in to the AAA service (plugin.login.aaasvc.login.url) and saves the token \
    that it gives, with a new key, where plugin.security.choria.token_file and plugin.security.choria.seed_file say.

On a terminal, user name and password are asked for. Otherwise both are read from standard input, one line each; an empty \
first line stands for $USER. The password is never taken from the command line.

A program called choria-login in the PATH takes over with all arguments.";

/// `choria login` has no flags of its own.
#[derive(clap::Args, Debug)]
pub(crate) struct LoginArguments {}

/// Where a login goes and what it leaves behind.
#[derive(Debug)]
struct Plan {
    urls: Vec<Url>,
    token: PathBuf,
    seed: PathBuf,
    tls: Tls,
}

/// Logs in.
///
/// # Errors
/// When something is not configured, nobody can be asked, the service refuses, or the files cannot be written. The old token
/// and key are then as they were.
pub(crate) fn run(_: &LoginArguments, global: &Global) -> anyhow::Result<ExitCode> {
    if let Some(code) = helper::run(std::env::args_os().skip(1))? {
        return Ok(code);
    }
    let settings = session::settings(global)?;
    settings.warnings().iter().for_each(|warning| eprintln!("choria: warning: {warning}"));
    let mut plan = Plan::new(&settings)?;
    plan.urls.shuffle(&mut rand::thread_rng());
    // Before anything is asked: a password should not be typed in vain.
    for file in [&plan.token, &plan.seed] {
        make_folder(file)?;
    }
    if plan.urls.iter().any(|url| !url.is_encrypted()) {
        eprintln!("choria: warning: the password is sent unencrypted where plugin.login.aaasvc.login.url says http://");
    }
    let user = settings.user().unwrap_or_default().to_owned();
    let person = prompt::ask(&user)?;
    let seed = Seed::generate();
    let token = session::block_on(service::log_in(&plan.urls, &plan.tls, &person, &seed))?;
    let claims = examine(&token, &seed)?;
    write_private_pair((&plan.seed, seed.to_hex().as_bytes()), (&plan.token, token.as_bytes()))
        .context("the new token and key could not be saved, the old ones are still in place")?;
    println!("Token saved to {}", plan.token.display());
    if let Some(line) = validity(&claims, SystemTime::now()) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

impl Plan {
    fn new(settings: &Settings) -> anyhow::Result<Self> {
        let urls = settings.get(keys::LOGIN_AAASVC_LOGIN_URL);
        if urls.is_empty() {
            bail!("please configure a login server URL using plugin.login.aaasvc.login.url");
        }
        let urls: Result<Vec<Url>, _> = urls.iter().map(|url| url.trim().parse()).collect();
        let token = settings.token_file().context("no token path found: no token file defined")?;
        let seed = settings.seed_file().context("no seed path found: no token file defined")?;
        if token == seed {
            bail!("token and seed cannot be the same file {}: set plugin.security.choria.seed_file", seed.display());
        }
        let absolute = |path: PathBuf| std::path::absolute(&path).with_context(|| format!("{}", path.display()));
        Ok(Self {
            urls: urls.context("plugin.login.aaasvc.login.url")?,
            token: absolute(token)?,
            seed: absolute(seed)?,
            tls: Tls::for_services(settings)?,
        })
    }
}

/// The folder of `file`, for the user alone if it must be made.
fn make_folder(file: &Path) -> anyhow::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the folder {} cannot be created", folder.display()))
}

/// A token that would not work must not replace one that may.
fn examine(token: &str, seed: &Seed) -> anyhow::Result<ClientClaims> {
    let claims = read_client(token).context("the login service gave no client token")?;
    let key = claims.standard.holder_key().context("the login service gave a token without a key")?;
    if key != seed.public() {
        bail!("the login service gave a token for another key");
    }
    Ok(claims)
}

/// Until when, as `Valid until 2030-01-02T03:04:05Z (59m58s)`.
fn validity(claims: &ClientClaims, now: SystemTime) -> Option<String> {
    let expiry = claims.standard.effective_expiry()?;
    let shown = OffsetDateTime::from(expiry).format(&Rfc3339).ok()?;
    let left = expiry.duration_since(now).unwrap_or_default();
    Some(format!("Valid until {shown} ({})", render_relative(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_follow_the_configuration() {
        const URL: (&str, &str) =
            ("plugin.login.aaasvc.login.url", "https://a.example.net/choria/v1/login, https://b/x");
        const TOKEN: (&str, &str) = ("plugin.security.choria.token_file", "/home/jo/.config/choria/client.jwt");
        const PROVIDER: (&str, &str) = ("plugin.security.provider", "choria");
        let seed = |path| ("plugin.security.choria.seed_file", path);
        type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, Result<&'a str, &'a str>);
        let rows: [Row; 6] = [
            ("complete", vec![PROVIDER, URL, TOKEN, seed("/k/client.key")], Ok("/k/client.key")),
            ("without a seed", vec![PROVIDER, URL, TOKEN], Ok("/home/jo/.config/choria/client.key")),
            (
                "no address",
                vec![PROVIDER, TOKEN],
                Err("please configure a login server URL using plugin.login.aaasvc.login.url"),
            ),
            ("no token", vec![PROVIDER, URL], Err("no token path found: no token file defined")),
            ("no URL", vec![PROVIDER, TOKEN, (URL.0, "a.example.net")], Err("plugin.login.aaasvc.login.url")),
            ("one file", vec![PROVIDER, URL, TOKEN, seed(TOKEN.1)], Err("token and seed cannot be the same file")),
        ];
        for (name, values, expected) in rows {
            let builder = values.iter().fold(Settings::builder(), |builder, (key, value)| builder.set(key, value));
            let plan = Plan::new(&builder.build().expect("settings"));
            match (plan, expected) {
                (Ok(plan), Ok(seed)) => {
                    assert_eq!((plan.urls.len(), plan.seed.as_path()), (2, Path::new(seed)), "{name}")
                }
                (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{name}: {error:#}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
    }

    #[test]
    fn only_tokens_for_the_new_key_are_taken() {
        let (issuer, ours, other) = (Seed::from_bytes([1; 32]), Seed::from_bytes([2; 32]), Seed::from_bytes([3; 32]));
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let hour = std::time::Duration::from_secs(3600);
        let mut claims = ClientClaims::new("up=jo", hour, now, &mut rand::thread_rng()).expect("claims");
        claims.standard.public_key = Some(ours.public().to_string());
        let token = claims.sign(&tokens::SigningKey::Ed25519(issuer)).expect("a token");
        let read = examine(&token, &ours).expect("it is ours");
        assert_eq!(validity(&read, now).as_deref(), Some("Valid until 2023-11-14T23:13:20Z (1h0m0s)"));
        assert!(examine(&token, &other).expect_err("another key").to_string().contains("another key"));
        assert!(examine("garbage", &ours).expect_err("no token").to_string().contains("no client token"));
    }
}
