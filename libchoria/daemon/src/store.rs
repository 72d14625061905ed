//! Descriptors that outlive this process: the service manager's store (`FileDescriptorStoreMax=`, sd_notify(3)).
//!
//! What is kept comes back at the next start among the descriptors that the manager gives, under the same name. The
//! manager keeps it over a restart, not over a stop, and drops what the other side closed. It also holds what it gave
//! back until told otherwise, so that the other side would not see us close it: see [`Context::taken_back`].

use crate::context::Context;
use libsystemd::daemon::{NotifyState, notify, notify_with_fds};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

impl Context {
    /// Gives `descriptors` to the service manager's store as `name`, and waits for a moment until it has them; whether
    /// they were sent. Without a service manager, or one without a store for this unit, that they are dropped closes them.
    pub fn keep(&self, name: &str, descriptors: &[OwnedFd]) -> bool {
        if !self.is_supervised() || descriptors.is_empty() {
            return false;
        }
        let sent = send(name, descriptors);
        if let Err(error) = &sent {
            tracing::warn!(event = "not_kept", "{} descriptors could not be kept: {error}", descriptors.len());
        }
        sent.is_ok()
    }

    /// Has the store forget what is called `name`: what came from it is ours alone now. To be called before it is used,
    /// so that nobody ever gets it in another state than it was put there.
    pub fn taken_back(&self, name: &str) {
        if self.is_supervised() {
            let states = [NotifyState::FdstoreRemove, NotifyState::Fdname(name.to_owned())];
            if let Err(error) = notify(false, &states) {
                tracing::warn!(event = "not_forgotten", "the service manager still holds {name} open: {error}");
            }
        }
    }
}

fn send(name: &str, descriptors: &[OwnedFd]) -> io::Result<()> {
    for some in descriptors.chunks(AT_A_TIME) {
        let numbers: Vec<RawFd> = some.iter().map(|one| one.as_raw_fd()).collect();
        let states = [NotifyState::Fdstore, NotifyState::Fdname(name.to_owned())];
        notify_with_fds(false, &states, &numbers).map_err(io::Error::other)?;
    }
    barrier()
}

/// Until the manager has read what it was told: whose word is heard after its end, may not be known any more.
fn barrier() -> io::Result<()> {
    let (ours, managers) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    notify_with_fds(false, &[NotifyState::Other("BARRIER=1".to_owned())], &[managers.as_raw_fd()])
        .map_err(io::Error::other)?;
    drop(managers);
    let mut closed = [PollFd::new(ours.as_fd(), PollFlags::empty())];
    match poll(&mut closed, PollTimeout::from(PATIENCE_MS))? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, "the service manager did not confirm in time")),
        _ => Ok(()),
    }
}

/// Descriptors of one notification; the system takes 253.
const AT_A_TIME: usize = 128;

/// How long the manager may take, in milliseconds.
const PATIENCE_MS: u16 = 2000;
