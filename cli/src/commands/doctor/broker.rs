//! What only brokers have: a nats-server to run, a port that is theirs, a store.

use super::report::Report;
use config::{Settings, keys};
use network::{Scheme, ServerAddress};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use std::net::IpAddr;
use std::path::Path;

/// The names of these checks.
pub(super) const SETTINGS: &str = "broker";
pub(super) const PROGRAM: &str = "nats-server";
pub(super) const STORE: &str = "store";

/// Whether the broker would take this configuration, and every reason why not.
pub(super) fn settings(report: &mut Report, settings: &Settings) -> bool {
    match broker::Settings::try_from(settings) {
        Ok(_) => {
            report.ok(SETTINGS, "the broker takes this configuration");
            true
        }
        Err(broker::SettingsError(problems)) => {
            for problem in problems {
                let (text, fix) = super::credentials::sentence_and_fix(&problem);
                report.fail(SETTINGS, text, fix);
            }
            false
        }
    }
}

/// Whether there is a nats-server, new enough.
pub(super) async fn program(report: &mut Report) {
    let surroundings = broker::Surroundings::of_this_process();
    let found = broker::Program::find(surroundings.nats_server.as_deref(), surroundings.search_path.as_deref()).await;
    match found {
        Ok(program) => report.ok(PROGRAM, format!("{} is version {}", program.path.display(), program.version)),
        Err(error) => {
            let (text, fix) = error.to_string().split_once(": ").map_or_else(
                || (error.to_string(), "install nats-server 2.10 or newer".to_owned()),
                |(text, fix)| (text.to_owned(), fix.to_owned()),
            );
            report.fail(PROGRAM, text, fix);
        }
    }
}

/// Whether messages can be stored.
pub(super) fn store(report: &mut Report, settings: &Settings) {
    let key = keys::NETWORK_STREAM_STORE;
    let Some(path) = settings.get(key) else {
        return report.skip(STORE, format!("{} is not set: the broker keeps no streams", key.name()));
    };
    // What is not there yet is made by the broker in what is.
    let Some(existing) = path.ancestors().find(|path| path.exists()) else {
        return report.fail(STORE, format!("{} is not there", path.display()), format!("correct {}", key.name()));
    };
    if !existing.is_dir() {
        let text = format!("{} is not a directory", existing.display());
        return report.fail(STORE, text, format!("correct {}", key.name()));
    }
    if access(existing, AccessFlags::W_OK).is_err() {
        let text = format!("{} cannot be written by this user", existing.display());
        return report.fail(STORE, text, "run the doctor as the broker's user, or give that user the directory");
    }
    match free(existing) {
        Some(bytes) if bytes < LITTLE => {
            let text = format!("{} has {} MiB free", path.display(), bytes >> 20);
            report.warn(STORE, text, "free some space: streams stop taking messages when it is full");
        }
        Some(bytes) => report.ok(STORE, format!("{} has {} GiB free", path.display(), bytes >> 30)),
        None => report.ok(STORE, format!("{} can be written", path.display())),
    }
}

/// Where the broker listens, as this machine reaches it.
pub(super) fn listener(settings: &Settings) -> Option<ServerAddress> {
    let port = u16::try_from(settings.get(keys::NETWORK_CLIENT_PORT)).ok().filter(|port| *port > 0)?;
    let text = settings.get(keys::NETWORK_LISTEN_ADDRESS).unwrap_or("::");
    let host = match text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => "127.0.0.1".to_owned(),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => text.to_owned(),
    };
    Some(ServerAddress::new(Scheme::Nats, host, port))
}

fn free(path: &Path) -> Option<u64> {
    let found = statvfs(path).ok()?;
    found.fragment_size().checked_mul(found.blocks_available())
}

/// A warning below this.
const LITTLE: u64 = 1 << 30;
