//! What a broker needs from the machine it runs on.

use daemon::Sockets;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Directories and programs, as the service manager and the user name them.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where nats-server's configuration is kept while it runs, in a private directory of its own.
    pub runtime_directory: PathBuf,
    /// Where a generated certificate is kept from one start to the next; `None` generates one at each start.
    pub state_directory: Option<PathBuf>,
    /// The nats-server to use; `None` searches for one.
    pub nats_server: Option<OsString>,
    /// Directories to search for nats-server, joined by `:`.
    pub search_path: Option<OsString>,
    /// What the service manager handed over; nothing unless that is put here.
    pub sockets: Sockets,
}

impl Surroundings {
    /// Reads the variables of this process: systemd's `RUNTIME_DIRECTORY` (else the directory for temporary files) and
    /// `STATE_DIRECTORY`, the user's `CHORIA_NATS_SERVER`, and `PATH`.
    #[must_use]
    pub fn of_this_process() -> Self {
        let directory = |name| std::env::var_os(name).as_deref().and_then(first_directory);
        Self {
            runtime_directory: directory("RUNTIME_DIRECTORY").unwrap_or_else(std::env::temp_dir),
            state_directory: directory("STATE_DIRECTORY"),
            nats_server: std::env::var_os("CHORIA_NATS_SERVER"),
            search_path: std::env::var_os("PATH"),
            sockets: Sockets::default(),
        }
    }
}

/// systemd joins several directories by `:`.
fn first_directory(value: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(value).next().filter(|path| path != Path::new(""))
}
