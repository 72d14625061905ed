//! `choria election`: leader elections on Choria Streams (spec 08 §6, 09 §14).

mod file;
mod info;
mod program;

use crate::Global;
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::{Context, bail};
use network::Connection;
use network::election::{BUCKET, Bucket, Candidacy, Election, WriteError};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// Leader elections.
#[derive(clap::Args, Debug)]
pub(crate) struct ElectionCommand {
    /// The bucket that holds the elections
    #[arg(long, global = true, default_value = BUCKET)]
    bucket: String,
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes the leader of an election stand down
    Evict(Evict),
    /// Keeps a file for as long as this machine leads an election
    File(file::File),
    /// Shows a bucket and who leads the elections in it
    #[command(visible_aliases = ["view", "i"])]
    Info(info::Info),
    /// Runs a program while this machine leads an election
    Run(program::Run),
}

#[derive(clap::Args, Debug)]
struct Evict {
    /// The election
    election: String,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

/// What the commands that reach a broker share.
struct Surroundings {
    session: Session,
    bucket: String,
}

/// Runs `choria election`.
///
/// # Errors
/// When the broker cannot be reached, or the bucket not used.
pub(crate) fn run(arguments: ElectionCommand, global: &Global) -> anyhow::Result<ExitCode> {
    if let Command::File(file) = &arguments.command {
        if file.check {
            return Ok(file.check_now());
        }
    }
    let session = Session::open(global, &arguments.connect, Talk::Normal)?;
    let surroundings = Surroundings { session, bucket: arguments.bucket };
    match arguments.command {
        Command::Evict(evict) => evict.run(&surroundings),
        Command::File(file) => file.run(&surroundings),
        Command::Info(info) => info.run(&surroundings),
        Command::Run(run) => run.run(&surroundings),
    }
}

impl Evict {
    fn run(&self, surroundings: &Surroundings) -> anyhow::Result<ExitCode> {
        let (election, bucket) = (&self.election, &surroundings.bucket);
        if !self.force {
            if !std::io::stdin().is_terminal() {
                bail!("evicting the leader of {election} must be confirmed on a terminal, or by --force");
            }
            let question = format!("Evict the current leader from election {election} in bucket {bucket}");
            if !inquire::Confirm::new(&question).with_default(false).prompt()? {
                return Ok(ExitCode::FAILURE);
            }
        }
        block_on(async {
            let (_connection, opened) = surroundings.bucket().await?;
            opened.delete(election, None, PATIENCE).await.map_err(explain).context("the leader was not evicted")?;
            Ok(())
        })?;
        println!("Evicted the leader from election {election} in bucket {bucket}");
        Ok(ExitCode::SUCCESS)
    }
}

impl Surroundings {
    /// A connection, and the bucket if it is there.
    async fn bucket(&self) -> anyhow::Result<(Connection, Bucket)> {
        let connection = self.session.client().await?.connection().clone();
        let cannot = || format!("cannot access KV Bucket {}", self.bucket);
        let bucket = Bucket::new(&connection, &self.bucket, None).with_context(cannot)?;
        bucket.info().await.with_context(cannot)?;
        Ok((connection, bucket))
    }

    /// This machine as a candidate of `election`, with the usual pace.
    async fn candidate(&self, election: &str) -> anyhow::Result<Election> {
        let connection = self.session.client().await?.connection().clone();
        let candidate = self.session.settings().identity().to_string();
        let candidacy = Candidacy { bucket: self.bucket.clone(), ..Candidacy::new(election, candidate) };
        let opened = Election::open(&connection, candidacy).await;
        opened.with_context(|| format!("cannot access KV Bucket {}", self.bucket))
    }
}

/// Who may not write gets no answer.
fn explain(error: WriteError) -> anyhow::Error {
    match error {
        WriteError::NoAnswer(text) => anyhow::anyhow!(
            "{text}; the login may lack the elections permission (`choria jwt client --elections-user`)"
        ),
        other => other.into(),
    }
}

/// For one answer of the broker.
const PATIENCE: Duration = Duration::from_secs(5);
