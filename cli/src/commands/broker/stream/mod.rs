//! `choria broker stream`: the streams of a broker (spec 09 §18), as far as those need who keep submitted messages.
//!
//! One module per command; `settings` is a stream as nats-server describes it, `api` asks nats-server. What the existing
//! command has beyond (edit, copy, backup, consumers, …) gets a module each and a row in [`Command`].

mod add;
mod api;
mod get;
mod info;
mod ls;
mod message;
mod purge;
mod rm;
mod settings;
mod view;

use crate::Global;
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::{Context, bail};
use std::future::Future;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use time::UtcOffset;

pub(crate) use api::Api;
pub(crate) use message::Stored;

/// Streams.
#[derive(clap::Args, Debug)]
pub(super) struct StreamCommand {
    #[command(subcommand)]
    command: Command,
    /// Give up when no broker could be reached for so long
    #[arg(long, global = true, value_name = "DURATION", default_value = "5s", value_parser = crate::duration::parse)]
    connect_timeout: Duration,
    /// Show streams of buckets and the like too
    #[arg(long, short, global = true)]
    all: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Makes a stream
    #[command(visible_aliases = ["create", "new"])]
    Add(Box<add::Add>),
    /// Shows one message of a stream
    Get(get::Get),
    /// Shows a stream: its settings and what is in it
    #[command(visible_alias = "i", alias = "nfo")]
    Info(info::Info),
    /// Lists streams
    #[command(visible_aliases = ["list", "l"])]
    Ls(ls::Ls),
    /// Removes messages from a stream
    Purge(purge::Purge),
    /// Removes a stream and all that is in it
    #[command(visible_aliases = ["delete", "del"])]
    Rm(rm::Rm),
    /// Shows what is in a stream
    State(info::State),
    /// Shows the messages of a stream, page by page
    View(view::View),
}

/// What the commands share.
struct Surroundings {
    session: Session,
    /// The zone of the user.
    offset: UtcOffset,
    /// Streams of buckets are shown too.
    all: bool,
}

/// Runs `choria broker stream`.
///
/// # Errors
/// When the broker cannot be reached, refuses, or has no such stream.
pub(super) fn run(command: StreamCommand, global: &Global) -> anyhow::Result<ExitCode> {
    // Asked now, because it cannot be asked once there are threads.
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let connect = Connect { connect_timeout: command.connect_timeout, federations: None };
    let session = Session::open(global, &connect, Talk::Normal)?;
    let surroundings = Surroundings { session, offset, all: command.all };
    match command.command {
        Command::Add(add) => add.run(&surroundings),
        Command::Get(get) => get.run(&surroundings),
        Command::Info(info) => info.run(&surroundings),
        Command::Ls(ls) => ls.run(&surroundings),
        Command::Purge(purge) => purge.run(&surroundings),
        Command::Rm(rm) => rm.run(&surroundings),
        Command::State(state) => state.run(&surroundings),
        Command::View(view) => view.run(&surroundings),
    }?;
    Ok(ExitCode::SUCCESS)
}

impl Surroundings {
    /// Does `work` with a connection to a broker.
    fn with_api<Output, Work>(&self, work: impl FnOnce(Api) -> Work) -> anyhow::Result<Output>
    where
        Work: Future<Output = anyhow::Result<Output>>,
    {
        block_on(async { work(Api::new(self.session.client().await?.connection().clone())).await })
    }

    /// The stream called `name`, which need not exist; without a name the user is asked, where there is one to ask.
    async fn pick(&self, api: &Api, name: Option<&str>) -> anyhow::Result<String> {
        if let Some(name) = name {
            return Ok(name.to_owned());
        }
        if !is_terminal() {
            bail!("cannot pick a Stream without a terminal and no Stream name supplied");
        }
        let names: Vec<String> =
            api.names(None).await?.into_iter().filter(|name| self.all || !settings::is_internal(name)).collect();
        if names.is_empty() {
            bail!("no Streams are defined: make one with `choria broker stream add`");
        }
        // Blocks this thread while the user thinks; nothing else runs on it.
        inquire::Select::new("Select a Stream", names).prompt().context("no Stream was picked")
    }
}

/// Whether there is somebody to ask.
fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Asks before something is lost. `--force` answers for scripts.
fn confirmed(what: &str, force: bool) -> anyhow::Result<bool> {
    if force {
        return Ok(true);
    }
    if !is_terminal() {
        bail!("{what}? This must be confirmed on a terminal, or by --force");
    }
    Ok(inquire::Confirm::new(what).with_default(false).prompt()?)
}
