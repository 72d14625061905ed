//! `choria jwt`: creates, shows and checks tokens and keys (spec 09 §10). Needs no configuration and no network.

mod check;
mod client;
mod keys;
mod provisioning;
mod server;
mod view;

use anyhow::{Context, bail};
use std::path::Path;
use std::process::ExitCode;
use tokens::{PublicKey, VerificationKey, write_private};

/// Creates, shows and checks tokens and keys; with only a token file, shows it.
#[derive(clap::Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Jwt {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    view: Option<view::View>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Checks the validity of a token, for monitoring systems
    Check(check::Check),
    /// Creates the token of a client
    #[command(visible_alias = "c")]
    Client(client::Client),
    /// Creates an ed25519 key pair
    #[command(visible_alias = "k")]
    Keys(keys::Keys),
    /// Creates the token that unprovisioned servers find their provisioner with
    #[command(visible_aliases = ["prov", "provision", "p"])]
    Provisioning(provisioning::Provisioning),
    /// Creates the token of a server
    Server(server::Server),
    /// Shows and validates a token
    #[command(visible_aliases = ["show", "v", "s"])]
    View(view::View),
}

/// Runs `choria jwt`.
pub(crate) fn run(arguments: Jwt) -> anyhow::Result<ExitCode> {
    match (arguments.command, arguments.view) {
        (Some(Command::Check(check)), _) => check.run(),
        (Some(Command::Client(client)), _) => client.run().context("could not create token"),
        (Some(Command::Keys(keys)), _) => keys.run(),
        (Some(Command::Provisioning(provisioning)), _) => provisioning.run().context("could not create token"),
        (Some(Command::Server(server)), _) => server.run().context("could not create token"),
        (Some(Command::View(view)), _) | (None, Some(view)) => view.run(),
        (None, None) => bail!("required argument 'file' not provided: name the token to show, or a subcommand"),
    }
}

/// Writes a new token where the user wants it and says so.
fn save(token: &str, file: &Path) -> anyhow::Result<ExitCode> {
    write_private(file, token.as_bytes())?;
    let file = file.display();
    println!("Saved token to {file}, use 'choria jwt view {file}' to view it");
    Ok(ExitCode::SUCCESS)
}

/// The holder's public key, given as hexadecimal text or as the name of a file that holds it.
fn holder_key(text: &str) -> anyhow::Result<PublicKey> {
    match VerificationKey::find(text)? {
        VerificationKey::Ed25519(key) => Ok(key),
        VerificationKey::Rsa(_) => bail!("{text} holds an RSA key: the holder of a token needs an ed25519 key"),
    }
}

#[cfg(test)]
mod tests;
