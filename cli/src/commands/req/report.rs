//! The forms in which `choria req` writes answers, each as far as possible while they come in (spec 09 §5).

use super::arguments::{Display, Form};
use crate::output::colour::Palette;
use crate::output::json::Document;
use crate::output::sink::Sink;
use crate::output::table::Table;
use crate::output::text::{Show, Style};
use crate::output::{Answer, footer, senders, summary, text, value};
use names::Identity;
use rpc::aggregate::Summaries;
use rpc::client::NodeReply;
use rpc::ddl::{Action, AgentDdl};
use rpc::document::{Line, ReplyEntry};
use rpc::stats::Stats;
use serde_json::Value;
use std::io::{self, Write};
use std::time::Duration;

/// Answers on their way out.
#[derive(Debug)]
pub(super) struct Report<'a> {
    action: &'a Action,
    writer: Writer,
    summaries: Summaries,
    /// Answers that wait to be sorted.
    unsorted: Option<Vec<NodeReply>>,
    out: &'a mut Sink,
}

#[derive(Debug)]
enum Writer {
    Text(Style),
    Json(Document),
    Lines,
    Table(Table),
    Senders { names: Vec<Identity>, json: bool },
}

impl<'a> Report<'a> {
    /// A report in the form the flags ask for. Nothing is handed on before the nodes are found.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn new(
        ddl: &AgentDdl,
        action: &'a Action,
        form: &Form,
        palette: Palette,
        out: &'a mut Sink,
    ) -> io::Result<Self> {
        let writer = if form.senders {
            Writer::Senders { names: Vec::new(), json: form.json }
        } else if form.json {
            Writer::Json(Document::begin(out, &ddl.metadata.name, &action.name)?)
        } else if form.jsonl {
            Writer::Lines
        } else if form.table {
            Writer::Table(table(action))
        } else {
            Writer::Text(Style { show: form.display.into(), verbose: form.verbose, palette })
        };
        let unsorted = form.sort.then(Vec::new);
        Ok(Self { action, writer, summaries: Summaries::new(action), unsorted, out })
    }

    /// The nodes are about to be found; only JSON lines tell.
    ///
    /// # Errors
    /// Those of the sink.
    pub(super) fn finding(&mut self, method: &str) -> io::Result<()> {
        if matches!(self.writer, Writer::Lines) {
            writeln!(self.out, "{}", Line::Discovery { method, found: None }.to_json())?;
            self.out.idle()?;
        }
        Ok(())
    }

    /// The nodes were found; only JSON lines tell.
    ///
    /// # Errors
    /// Those of the sink.
    pub(super) fn found(&mut self, method: &str, count: usize, took: Duration) -> io::Result<()> {
        if matches!(self.writer, Writer::Lines) {
            writeln!(self.out, "{}", Line::Discovery { method, found: Some((count, took)) }.to_json())?;
        }
        self.out.idle()
    }

    /// Keeps what is written until the end, because a progress bar is drawn on the same terminal.
    pub(super) fn hold(&mut self) {
        self.out.hold();
    }

    /// Takes one answer.
    ///
    /// # Errors
    /// Those of the sink.
    pub(super) fn answer(&mut self, reply: NodeReply) -> io::Result<()> {
        match &mut self.unsorted {
            Some(replies) => {
                replies.push(reply);
                Ok(())
            }
            None => self.write(&reply),
        }
    }

    /// No answer is there at the moment.
    ///
    /// # Errors
    /// Those of the sink.
    pub(super) fn idle(&mut self) -> io::Result<()> {
        self.out.idle()
    }

    /// Writes what comes after the answers.
    ///
    /// # Errors
    /// Those of the sink.
    pub(super) fn finish(mut self, stats: &Stats) -> io::Result<()> {
        let mut replies = self.unsorted.take().unwrap_or_default();
        replies.sort_by(|a, b| a.sender().cmp(b.sender()));
        replies.iter().try_for_each(|reply| self.write(reply))?;
        let out = self.out;
        match self.writer {
            Writer::Json(document) => document.finish(out, stats, &self.summaries)?,
            Writer::Lines => {
                writeln!(out, "{}", Line::Summaries(&self.summaries.to_json()).to_json())?;
                writeln!(out, "{}", Line::Stats(stats).to_json())?;
            }
            Writer::Table(table) => table.write(out)?,
            Writer::Senders { names, json: true } => senders::array(out, &names)?,
            Writer::Senders { .. } => {}
            Writer::Text(style) => {
                summary::texts(out, self.action, &self.summaries, style.palette)?;
                writeln!(out)?;
                if style.verbose {
                    footer::full(out, stats, style.palette)?;
                } else {
                    footer::short(out, stats, style.palette)?;
                }
            }
        }
        out.settle()
    }

    fn write(&mut self, reply: &NodeReply) -> io::Result<()> {
        let answer = Answer { sender: reply.sender(), body: &reply.body, time: reply.time() };
        if !self.summaries.is_empty() {
            self.summaries.add(&completed(self.action, answer));
        }
        match &mut self.writer {
            Writer::Text(style) => text::answer(self.out, self.action, answer, *style),
            Writer::Json(document) => document.answer(self.out, answer),
            Writer::Lines => {
                let entry = ReplyEntry::new(answer.sender, answer.body, answer.time);
                let document = reply.reply.encode();
                writeln!(self.out, "{}", Line::Result { reply: &document, entry: &entry }.to_json())
            }
            Writer::Table(_) | Writer::Senders { .. } if !answer.body.status.is_ok() => Ok(()),
            Writer::Table(table) => {
                table.row(&cells(self.action, answer));
                Ok(())
            }
            Writer::Senders { json: false, .. } => writeln!(self.out, "{}", answer.sender),
            Writer::Senders { names, json: true } => {
                names.push(answer.sender.clone());
                Ok(())
            }
        }
    }
}

impl From<Option<Display>> for Show {
    fn from(display: Option<Display>) -> Self {
        match display {
            None => Self::Ddl,
            Some(Display::Ok) => Self::Ok,
            Some(Display::Failed) => Self::Failed,
            Some(Display::All) => Self::All,
            Some(Display::None) => Self::None,
        }
    }
}

/// An empty table with a column for the sender and one for each output.
fn table(action: &Action) -> Table {
    let labels = action.outputs.iter().map(|(name, output)| output.label(name));
    Table::new(&std::iter::once("Sender").chain(labels).collect::<Vec<_>>())
}

/// The sender and every output, with its default where the node sent nothing.
fn cells(action: &Action, answer: Answer<'_>) -> Vec<String> {
    let sent = value::members(answer.body.data.get());
    let cell = |(name, output): (&String, &rpc::ddl::Output)| {
        let default = output.default.as_ref().map(Value::to_string);
        let text = sent.get(name).map(|value| value.get()).or(default.as_deref()).unwrap_or("null");
        if value::is_nested(text) {
            value::sorted(text, value::Layout { prefix: 0, width: 0 })
        } else {
            value::plain(text)
        }
    };
    std::iter::once(answer.sender.to_string()).chain(action.outputs.iter().map(cell)).collect()
}

/// The data of an answer; a successful one is completed with the defaults of outputs that the node left out.
fn completed(action: &Action, answer: Answer<'_>) -> Value {
    let mut data = answer.body.value();
    if let (true, Some(members)) = (answer.body.status.is_ok(), data.as_object_mut()) {
        for (name, output) in &action.outputs {
            if let (false, Some(default)) = (members.contains_key(name), &output.default) {
                members.insert(name.clone(), default.clone());
            }
        }
    }
    data
}
