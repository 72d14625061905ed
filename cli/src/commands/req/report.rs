//! The forms in which `choria req` writes answers, each as far as possible while they come in (spec 09 §5).

use super::arguments::{Display, Form};
use crate::output::colour::Palette;
use crate::output::json::Document;
use crate::output::sink::Sink;
use crate::output::table::Table;
use crate::output::text::{Show, Style};
use crate::output::{Answer, footer, senders, summary, terminal_width, text, value};
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
            let columns = if form.output_file.is_some() { None } else { terminal_width() };
            Writer::Table(table(action).fitted(columns))
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use protocol::{Reply, Version};
    use rpc::{ReplyBody, StatusCode};
    use security::Verification;
    use serde_json::json;
    use std::time::SystemTime;

    const ID: &str = "3MPX6Dc3omI5tWJx7tpNWUtkvJi";

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        form: Form,
    }

    fn ddl() -> AgentDdl {
        let document = json!({
            "metadata": {"name": "service", "timeout": 1},
            "actions": [{
                "action": "status", "display": "always", "input": {},
                "output": {"status": {"display_as": "Status", "default": "unknown"}, "pids": {"display_as": "Pids"}},
                "aggregate": [{"function": "summary", "args": ["status"]}]
            }]
        });
        serde_json::from_value(document).expect("a DDL")
    }

    fn reply(sender: &str, body: ReplyBody) -> NodeReply {
        let reply = Reply {
            version: Version::V2,
            request: ID.parse().expect("an id"),
            sender: sender.parse().expect("an identity"),
            agent: "service".parse().expect("an agent"),
            time: SystemTime::UNIX_EPOCH,
            payload: body.encode(),
        };
        NodeReply { body, reply, verification: Verification::Hash }
    }

    fn stats() -> Stats {
        Stats {
            request: ID.parse().expect("an id"),
            agent: "service".parse().expect("an agent"),
            action: "status".to_owned(),
            discovered: 3,
            responses: 3,
            ok: 2,
            failed: 1,
            silent: Vec::new(),
            unexpected: Vec::new(),
            signed: 0,
            lost: 0,
            started: SystemTime::UNIX_EPOCH,
            request_time: Duration::from_millis(418),
            publish_time: Duration::ZERO,
            discovery_time: Duration::ZERO,
        }
    }

    /// What three answers look like with these flags.
    fn written(flags: &[&str]) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("out");
        let (ddl, mut out) = (ddl(), Sink::file(&file).expect("a file"));
        let action = ddl.action("status").expect("an action");
        let form = Words::parse_from([&["req"], flags].concat()).form;
        let mut report = Report::new(&ddl, action, &form, Palette::PLAIN, &mut out).expect("begun");
        report.finding("mc").expect("written");
        report.found("mc", 3, Duration::from_millis(1500)).expect("written");
        let answers = [
            ("n3", ReplyBody::ok("status", &json!({"status": "running", "pids": [1, 2]})).expect("a body")),
            ("n1", ReplyBody::failure("status", StatusCode::Aborted, "no such service")),
            ("n2", ReplyBody::ok("status", &json!({"pids": []})).expect("a body")),
        ];
        for (sender, body) in answers {
            report.answer(reply(sender, body)).expect("written");
        }
        report.finish(&stats()).expect("written");
        std::fs::read_to_string(file).expect("text")
    }

    #[test]
    fn text_completes_answers_and_sums_them_up() {
        let expected = "\
n1                                       Request Aborted

    no such service

n2                                       \n
     Pids: []
   Status: unknown

n3                                       \n
     Pids: [1, 2]
   Status: running

Summary of Status:

   running: 1
   unknown: 1


Finished processing 3 / 3 hosts in 418ms
";
        assert_eq!(written(&["--sort"]), expected);
        assert!(written(&["--display", "failed"]).starts_with("n1 "));
    }

    #[test]
    fn tables_hold_the_successful_answers() {
        let expected = "\
╭────────┬──────┬─────────╮
│ Sender │ Pids │ Status  │
├────────┼──────┼─────────┤
│ n3     │ [    │ running │
│        │   1, │         │
│        │   2  │         │
│        │ ]    │         │
│ n2     │ []   │ unknown │
╰────────┴──────┴─────────╯

";
        assert_eq!(written(&["--table"]), expected);
    }

    #[test]
    fn names_are_those_of_the_successful_answers() {
        assert_eq!(written(&["--senders"]), "n3\nn2\n");
        assert_eq!(written(&["--senders", "--sort"]), "n2\nn3\n");
        assert_eq!(written(&["--senders", "--json", "--sort"]), "[\n  \"n2\",\n  \"n3\"\n]\n");
    }

    #[test]
    fn json_documents_are_whole() {
        let document: Value = serde_json::from_str(&written(&["--json", "--sort"])).expect("JSON");
        let senders: Vec<_> = document["replies"].as_array().expect("replies").iter().map(|r| &r["sender"]).collect();
        assert_eq!(senders, ["n1", "n2", "n3"]);
        assert_eq!(document["replies"][1]["data"], json!({"pids": []}));
        assert_eq!(document["summaries"], json!({"status": {"running": 1, "unknown": 1}}));
    }

    #[test]
    fn json_lines_tell_what_happens() {
        let text = written(&["--jsonl"]);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let kinds: Vec<_> = lines.iter().map(|line| line["k"].as_str().unwrap_or_default()).collect();
        assert_eq!(kinds, ["discovery", "discovery", "result", "result", "result", "summaries", "stats"]);
        assert_eq!(lines[1], json!({"k": "discovery", "dm": "mc", "count": 3, "dt": 1.5}));
        assert_eq!(lines[3]["rr"]["statusmsg"], "no such service");
        assert_eq!(lines[3]["pr"]["sender"], "n1");
    }
}
