//! `choria req`: an action on many nodes (spec 09 §5).

mod arguments;
mod limits;
mod report;
mod watch;

use crate::Global;
use crate::commands::sentence;
use crate::fleet::{Found, Search, exit_code, or_idle};
use crate::output::colour::Palette;
use crate::output::sink::Sink;
use crate::session::{Session, Talk, block_on};
use anyhow::{Context, ensure};
pub(crate) use arguments::{LONG_ABOUT, ReqArguments};
use report::Report;
use rpc::client::{Call, Client, Event, NodeReply, Recipients, Replies};
use rpc::ddl::{Action, AgentDdl};
use rpc::document::Line;
use rpc::plan::{Limit, Plan};
use rpc::reply_filter::{ReplyFilter, ReplyFilterError};
use rpc::stats::Stats;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
use watch::Watch;

/// The exit code of a command that its user interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// Everything that is known before the network is used.
struct Prepared<'a> {
    session: &'a Session,
    arguments: &'a ReqArguments,
    ddl: &'a AgentDdl,
    action: &'a Action,
    inputs: Map<String, Value>,
    filter: Option<ReplyFilter>,
    limit: Option<Limit>,
    /// `None` for a service, one of whose hosts answers.
    search: Option<Search>,
}

/// Checks everything that can be checked, then asks the nodes and writes their answers.
pub(crate) fn run(arguments: &ReqArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let mut out = arguments.sink()?;
    let result = prepare_and_ask(arguments, global, &mut out);
    if let (true, Err(error)) = (arguments.form.jsonl, &result) {
        writeln!(out, "{}", Line::Error(&sentence(error)).to_json())?;
        out.settle()?;
    }
    result
}

fn prepare_and_ask(arguments: &ReqArguments, global: &Global, out: &mut Sink) -> anyhow::Result<ExitCode> {
    let machine_readable = arguments.form.json || arguments.form.jsonl;
    let session = Session::open(global, &arguments.connect, if machine_readable { Talk::Least } else { Talk::Normal })?;
    let ddl = session.ddl(&arguments.agent)?;
    let action = ddl.action(&arguments.action)?;
    let prepared = Prepared::new(&session, arguments, &ddl, action)?;
    block_on(async {
        let client = session.client().await?;
        match &arguments.pace.reply_to {
            Some(subject) => prepared.send(&client, subject, out).await,
            None => prepared.ask(&client, out).await,
        }
    })
}

impl<'a> Prepared<'a> {
    fn new(
        session: &'a Session,
        arguments: &'a ReqArguments,
        ddl: &'a AgentDdl,
        action: &'a Action,
    ) -> anyhow::Result<Self> {
        let pairs = arguments::inputs(&arguments.inputs).context("invalid input")?;
        let pairs = pairs.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let rule = || format!("the inputs of {}#{} are not as its DDL declares them", ddl.metadata.name, action.name);
        let inputs = action.inputs_from(pairs).with_context(rule)?;
        inputs.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let filter = arguments.form.filter_replies.as_deref().map(ReplyFilter::new).transpose()?;
        let limit = limits::limit(&arguments.pace, session.settings()).context("could not perform request")?;
        let agent = ddl.metadata.name.parse()?;
        let search = if ddl.metadata.service {
            None
        } else {
            Some(Search::new(session, &agent, &arguments.reach, &arguments.selection)?)
        };
        Ok(Self { session, arguments, ddl, action, inputs: inputs.values, filter, limit, search })
    }

    /// Has the answers sent elsewhere and prints the id of the request.
    async fn send(&self, client: &Client, subject: &str, out: &mut Sink) -> anyhow::Result<ExitCode> {
        let found = self.find(client).await?;
        let (call, _) = self.call(found)?;
        let id = client.send(&call, subject).await.context("could not perform request")?;
        writeln!(out, "{id}")?;
        out.settle()?;
        Ok(ExitCode::SUCCESS)
    }

    /// Asks and writes the answers.
    async fn ask(&self, client: &Client, out: &mut Sink) -> anyhow::Result<ExitCode> {
        let (form, word) = (&self.arguments.form, self.search.as_ref().map_or("", Search::word));
        let palette = if form.output_file.is_some() { Palette::PLAIN } else { self.session.palette(&io::stdout()) };
        let mut report = Report::new(self.ddl, self.action, form, palette, out)?;
        if self.search.is_some() {
            report.finding(word)?;
        }
        let talks = !(form.json || form.jsonl || form.senders);
        let found = self.find_aloud(client, talks).await?;
        let took = found.took;
        let (call, count) = self.call(found)?;
        report.found(word, count, took)?;

        let watch = (talks && !form.no_progress).then(|| Watch::start(self.session, &call, count)).transpose()?;
        let shares_terminal = form.output_file.is_none() && io::IsTerminal::is_terminal(&io::stdout());
        if shares_terminal && watch.as_ref().is_some_and(Watch::is_drawn) {
            report.hold();
        }
        let replies = client.request(call).await.context("could not perform request")?;
        let (stats, interrupted) = self.gather(replies, &mut report, watch).await?;
        report.finish(&stats)?;
        if stats.lost > 0 {
            tracing::warn!("{} messages came faster than they could be read and are lost", stats.lost);
        }
        Ok(if interrupted { ExitCode::from(INTERRUPTED) } else { exit_code(&stats) })
    }

    /// Takes answers until all are there, the time is over or the user has seen enough; the latter is told.
    async fn gather(
        &self,
        mut replies: Replies,
        report: &mut Report<'_>,
        mut watch: Option<Watch>,
    ) -> anyhow::Result<(Stats, bool)> {
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut unjudged = 0;
        let (stats, interrupted) = loop {
            let event = {
                let next = pin!(replies.next());
                tokio::select! {
                    biased;
                    event = or_idle(next, || report.idle()) => Some(event?),
                    _ = &mut interrupt => None,
                }
            };
            let Some(event) = event else { break (replies.stats(), true) };
            match event.transpose().context("could not perform request")? {
                None => break (replies.stats(), false),
                Some(Event::Done(stats)) => break (stats, false),
                Some(Event::Reply(reply)) => {
                    if let Some(watch) = &mut watch {
                        watch.advance()?;
                    }
                    match self.wants(&reply) {
                        Ok(true) => report.answer(reply)?,
                        Ok(false) => {}
                        Err(error) => {
                            unjudged += 1;
                            // What is wrong with one is mostly wrong with all.
                            if unjudged == 1 {
                                tracing::error!("{error}");
                            }
                        }
                    }
                }
                Some(Event::Unexpected(reply)) => tracing::debug!("an answer of {} was not expected", reply.sender()),
                Some(Event::Invalid(invalid)) => tracing::warn!("{invalid}"),
            }
        };
        if let Some(watch) = watch {
            watch.finish()?;
        }
        if unjudged > 1 {
            tracing::error!("--filter-replies failed on {unjudged} answers, which are left out");
        }
        Ok((stats, interrupted))
    }

    /// Whether `--filter-replies` keeps an answer.
    ///
    /// # Errors
    /// When the expression cannot judge it; it is to be left out, and the user told.
    fn wants(&self, reply: &NodeReply) -> Result<bool, ReplyFilterError> {
        let Some(filter) = &self.filter else { return Ok(true) };
        filter.matches(reply.sender(), &reply.body, reply.time())
    }

    /// Finds the nodes; with `talks` says so on standard output.
    async fn find_aloud(&self, client: &Client, talks: bool) -> anyhow::Result<Found> {
        let Some(search) = self.search.as_ref().filter(|_| talks) else { return self.find(client).await };
        let mut out = Sink::stdout();
        write!(out, "Discovering nodes using the {} method .... ", search.word())?;
        out.idle()?;
        let found = self.find(client).await;
        match &found {
            Ok(found) => writeln!(out, "{}\n", found.nodes.len())?,
            Err(_) => writeln!(out)?,
        }
        out.settle()?;
        found
    }

    /// Finds the nodes; none is an error. A service needs none.
    async fn find(&self, client: &Client) -> anyhow::Result<Found> {
        let Some(search) = &self.search else { return Ok(Found { nodes: Vec::new(), took: Duration::ZERO }) };
        let found = search.nodes(client).await?;
        ensure!(!found.nodes.is_empty(), "did not discover any nodes; choria doctor tells whether any can be reached");
        Ok(found)
    }

    /// The request to the nodes found, and how many of them will be asked.
    fn call(&self, found: Found) -> anyhow::Result<(Call, usize)> {
        let pace = &self.arguments.pace;
        let (recipients, count) = if self.search.is_some() {
            let plan =
                Plan::new(found.nodes, self.limit, limits::batching(pace)).context("could not perform request")?;
            let count = plan.len();
            (Recipients::Nodes(plan), count)
        } else {
            (Recipients::Service, 1)
        };
        let mut call = Call::new(self.ddl, self.action, self.inputs.clone(), recipients)?;
        call.collective = self.arguments.reach.collective()?;
        call.discovery_time = found.took;
        Ok((call, count))
    }
}

impl ReqArguments {
    /// Where results go.
    fn sink(&self) -> anyhow::Result<Sink> {
        match &self.form.output_file {
            None => Ok(Sink::stdout()),
            Some(path) => Sink::file(path).with_context(|| format!("failed to create output-file {}", path.display())),
        }
    }
}
