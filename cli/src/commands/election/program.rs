//! `choria election run`: a program that knows whether it leads.

use super::Surroundings;
use crate::session::block_on;
use anyhow::Context;
use network::election::Standing;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

#[derive(clap::Args, Debug)]
pub(super) struct Run {
    /// The election
    name: String,
    /// The program to run, with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
    /// End the program when the leadership is lost, instead of sending it USR2
    #[arg(long)]
    terminate: bool,
}

/// What the program is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    /// It leads.
    Lead,
    /// It does not lead any more.
    Follow,
    /// It ends.
    End,
}

impl Run {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<ExitCode> {
        block_on(async {
            let election = surroundings.candidate(&self.name).await?;
            let mut standing = election.standing();
            let stop = CancellationToken::new();
            let _stopped_at_the_end = stop.clone().drop_guard();
            let running = tokio::spawn(election.run(stop.clone()));
            let mut terminate = signal(SignalKind::terminate()).context("signals cannot be taken")?;
            let mut child: Option<Child> = None;
            let status = loop {
                tokio::select! {
                    status = end(&mut child) => break Some(status?),
                    _ = tokio::signal::ctrl_c() => break None,
                    _ = terminate.recv() => break None,
                    changed = standing.changed() => {
                        changed.context("the election ended by itself")?;
                        let leads = *standing.borrow_and_update() == Standing::Leader;
                        match &mut child {
                            None if leads => {
                                child = Some(self.start()?);
                                // It needs a moment to listen for signals.
                                sleep(MOMENT).await;
                                tell(child.as_ref(), Word::Lead);
                            }
                            None => {}
                            Some(_) if leads => tell(child.as_ref(), Word::Lead),
                            Some(_) if self.terminate => {
                                tell(child.as_ref(), Word::End);
                                sleep(MOMENT).await;
                                signalled(child.as_ref(), Signal::SIGTERM);
                            }
                            Some(_) => tell(child.as_ref(), Word::Follow),
                        }
                    }
                }
            };
            let status = match status {
                Some(status) => Some(status),
                None => stopped(&mut child).await?,
            };
            // Only now may another lead.
            stop.cancel();
            running.await.context("the election failed")?;
            Ok(ExitCode::from(status.map_or(0, code)))
        })
    }

    fn start(&self) -> anyhow::Result<Child> {
        let (program, arguments) = self.command.split_first().context("no program is given")?;
        let started = Command::new(program).args(arguments).kill_on_drop(true).spawn();
        started.with_context(|| format!("{} cannot be run", program.to_string_lossy()))
    }
}

/// The end of the program; never while there is none.
async fn end(child: &mut Option<Child>) -> anyhow::Result<ExitStatus> {
    match child {
        None => std::future::pending().await,
        Some(child) => child.wait().await.context("waiting for the program"),
    }
}

/// Ends the program: asked to at first, made to in the end.
async fn stopped(child: &mut Option<Child>) -> anyhow::Result<Option<ExitStatus>> {
    for sent in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        if child.is_none() {
            return Ok(None);
        }
        signalled(child.as_ref(), sent);
        let grace = if sent == Signal::SIGINT { MOMENT } else { GRACE };
        if let Ok(status) = tokio::time::timeout(grace, end(child)).await {
            return status.map(Some);
        }
    }
    Ok(None)
}

fn tell(child: Option<&Child>, word: Word) {
    signalled(
        child,
        match word {
            Word::Lead => Signal::SIGUSR1,
            Word::Follow => Signal::SIGUSR2,
            Word::End => Signal::SIGINT,
        },
    );
}

fn signalled(child: Option<&Child>, sent: Signal) {
    // A child that was waited for has no id any more, and nobody else is hit.
    let Some(id) = child.and_then(Child::id).and_then(|id| i32::try_from(id).ok()) else { return };
    if let Err(error) = kill(Pid::from_raw(id), sent) {
        tracing::debug!("the program did not take {sent}: {error}");
    }
}

/// The program's own code; 1 for one that a signal ended.
fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Between a first word and what follows it.
const MOMENT: Duration = Duration::from_secs(1);
/// For a program to end.
const GRACE: Duration = Duration::from_secs(10);
