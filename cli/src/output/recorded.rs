//! What the existing client printed, printed again from the same answers.

use super::colour::Palette;
use super::json::Document;
use super::text::{Show, Style, answer};
use super::{Answer, footer, senders, summary};
use names::Identity;
use rpc::ReplyBody;
use rpc::aggregate::Summaries;
use rpc::ddl::{Action, AgentDdl, embedded};
use rpc::stats::Stats;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use vectors::{Folder, Tally};

/// A recorded document of `req --json`.
#[derive(Deserialize)]
struct Recorded {
    agent: String,
    action: String,
    replies: Vec<RecordedReply>,
    request_stats: RecordedStats,
}

#[derive(Deserialize)]
struct RecordedReply {
    sender: Identity,
    action: String,
    statuscode: u8,
    statusmsg: String,
    data: Box<RawValue>,
    time_utc: String,
}

#[derive(Deserialize)]
struct RecordedStats {
    requestid: String,
    no_responses: Vec<Identity>,
    unexpected_responses: Vec<Identity>,
    discovered: usize,
    failed: usize,
    ok: usize,
    responses: usize,
    publish_time: u64,
    request_time: u64,
    discover_time: u64,
    start_time_utc: String,
}

impl RecordedReply {
    fn body(&self) -> ReplyBody {
        ReplyBody {
            action: self.action.clone(),
            status: self.statuscode.into(),
            message: self.statusmsg.clone(),
            data: self.data.clone(),
        }
    }
}

impl Recorded {
    fn stats(&self) -> Stats {
        let stats = &self.request_stats;
        Stats {
            request: stats.requestid.parse().expect("an id"),
            agent: self.agent.parse().expect("an agent"),
            action: self.action.clone(),
            discovered: stats.discovered,
            responses: stats.responses,
            ok: stats.ok,
            failed: stats.failed,
            silent: stats.no_responses.clone(),
            unexpected: stats.unexpected_responses.clone(),
            signed: 0,
            lost: 0,
            started: time(&stats.start_time_utc),
            request_time: Duration::from_nanos(stats.request_time),
            publish_time: Duration::from_nanos(stats.publish_time),
            discovery_time: Duration::from_nanos(stats.discover_time),
        }
    }

    fn summaries(&self, action: &Action) -> Summaries {
        let mut summaries = Summaries::new(action);
        self.replies.iter().for_each(|reply| summaries.add(&reply.body().value()));
        summaries
    }
}

fn time(text: &str) -> SystemTime {
    OffsetDateTime::parse(text, &Rfc3339).expect("a time").into()
}

/// The document of an agent: an embedded one, or the one that the recorded registry answered with.
fn document(folder: &Folder, agent: &str) -> AgentDdl {
    embedded::find(agent).unwrap_or_else(|| {
        let registry = folder.json("req-registry.stdout.txt");
        let text = registry["replies"][0]["data"]["ddl"].as_str().expect("a DDL");
        serde_json::from_str(text).expect("a DDL")
    })
}

#[test]
fn json_documents() {
    let folder = Folder::open("cli");
    let mut tally = Tally::new("cli: JSON documents");
    let cases = folder.index["cases"].as_array().expect("cases").clone();
    let texts = cases.iter().filter_map(|case| Some((case["name"].as_str()?, folder.text(case["stdout"].as_str()?))));
    for (name, text) in texts.filter(|(_, text)| text.contains("\"request_stats\"")) {
        tally.case(name, || {
            let recorded: Recorded = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let ddl = document(&folder, &recorded.agent);
            let summaries = recorded.summaries(ddl.action(&recorded.action).map_err(|error| error.to_string())?);
            let mut out = Vec::new();
            let mut document = Document::begin(&mut out, &recorded.agent, &recorded.action).expect("written");
            for reply in &recorded.replies {
                let (body, time) = (reply.body(), time(&reply.time_utc));
                document.answer(&mut out, Answer { sender: &reply.sender, body: &body, time }).expect("written");
            }
            document.finish(&mut out, &recorded.stats(), &summaries).expect("written");
            same(&String::from_utf8(out).expect("UTF-8"), &text)
        });
    }
    tally.finish();
}

#[test]
fn summaries_as_text() {
    let folder = Folder::open("cli");
    let recorded: Recorded = serde_json::from_str(&folder.text("tour-05-req-info.stdout.txt")).expect("a document");
    let ddl = document(&folder, &recorded.agent);
    let action = ddl.action(&recorded.action).expect("an action");
    let mut out = Vec::new();
    summary::texts(&mut out, action, &recorded.summaries(action), Palette::PLAIN).expect("written");
    let expected = without_bar(&folder.text("tour-07-admin-info.stdout.txt"));
    let expected = expected.split_once("\n\nFinished").expect("a footer").0;
    same(&String::from_utf8(out).expect("UTF-8"), &format!("{expected}\n")).expect("the recorded text");
}

/// Texts whose answers are not recorded apart: who answered, and what.
#[test]
fn answers_as_text() {
    let folder = Folder::open("cli");
    let mut tally = Tally::new("cli: answers as text");
    let pings = ["s3", "s2", "s1"].map(|node| (node, r#"{"pong":1795252651}"#.to_owned()));
    tally.case("tour-04-req-ping", || same_text(&folder, "tour-04-req-ping.stdout.txt", ("rpcutil", "ping"), &pings));
    let downloads = [("s1", "0.013370742"), ("s3", "0.010232742"), ("s2", "0.003065612")];
    let downloads = downloads.map(|(node, took)| (node, download(took)));
    tally.case("tour-06-requests", || {
        same_text(&folder, "tour-06-requests.stdout.txt", ("requests", "request"), &downloads)
    });
    tally.finish();
}

/// What each node answered when all downloaded the same page.
fn download(took: &str) -> String {
    let text = r#"{"body": "Choria plugins repository", "duration": TOOK, "statuscode": 200, "headers": {
        "Server": ["SimpleHTTP/0.6 Python/3.11.7"], "Date": ["Sat, 21 Nov 2026 09:17:32 GMT"],
        "Content-Length": ["26"], "Content-Type": ["text/html"], "Last-Modified": ["Wed, 26 Mar 2025 17:37:50 GMT"]}}"#;
    text.replace("TOOK", took)
}

fn same_text(folder: &Folder, file: &str, asked: (&str, &str), answers: &[(&str, String)]) -> Result<(), String> {
    let ddl = document(folder, asked.0);
    let action = ddl.action(asked.1).map_err(|error| error.to_string())?;
    let style = Style { show: Show::Ddl, verbose: false, palette: Palette::PLAIN };
    let (mut out, mut summaries) = (Vec::new(), Summaries::new(action));
    for (node, data) in answers {
        let sender: Identity = format!("{node}.choria.local").parse().expect("an identity");
        let body = format!(r#"{{"statuscode": 0, "statusmsg": "OK", "data": {data}}}"#);
        let body = ReplyBody::parse(body.as_bytes()).expect("a body");
        summaries.add(&body.value());
        let one = Answer { sender: &sender, body: &body, time: SystemTime::UNIX_EPOCH };
        answer(&mut out, action, one, style).expect("written");
    }
    summary::texts(&mut out, action, &summaries, Palette::PLAIN).expect("written");
    let expected = without_bar(&folder.text(file));
    let expected = expected.split_once("\n\nFinished").ok_or("no footer")?.0;
    same(&String::from_utf8(out).expect("UTF-8"), &format!("{expected}\n"))
}

#[test]
fn silent_nodes_below_the_footer() {
    let text = Folder::open("cli").text("req-none.stdout.txt");
    let expected = &text[text.find("Finished").expect("a footer")..];
    let stats = Stats {
        request: "3MPX6Dc3omI5tWJx7tpNWUtkvJi".parse().expect("an id"),
        agent: "rpcutil".parse().expect("an agent"),
        action: "ping".into(),
        discovered: 1,
        responses: 0,
        ok: 0,
        failed: 0,
        silent: vec!["nosuch".parse().expect("an identity")],
        unexpected: vec![],
        signed: 0,
        lost: 0,
        started: SystemTime::UNIX_EPOCH,
        request_time: Duration::from_millis(4_077),
        publish_time: Duration::ZERO,
        discovery_time: Duration::ZERO,
    };
    let mut out = Vec::new();
    footer::short(&mut out, &stats, Palette::PLAIN).expect("written");
    same(&String::from_utf8(out).expect("UTF-8"), expected).expect("the recorded text");
}

#[test]
fn names_of_nodes() {
    let folder = Folder::open("cli");
    let text = folder.text("discover-json.stdout.txt");
    let names: Vec<Identity> = serde_json::from_str(&text).expect("names");
    let mut out = Vec::new();
    senders::array(&mut out, &names).expect("written");
    same(&String::from_utf8(out).expect("UTF-8"), &text).expect("the recorded text");
}

/// What comes after the progress bar, which this client draws on standard error.
fn without_bar(text: &str) -> String {
    text.split_once("100%\n\n").map_or(text, |(_, rest)| rest).to_owned()
}

/// The existing client escapes `<`, `>` and `&` in JSON; this one writes them.
fn same(got: &str, recorded: &str) -> Result<(), String> {
    let expected = recorded.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
    let got = got.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
    if got == expected { Ok(()) } else { Err(format!("got:\n{got}\nexpected:\n{expected}")) }
}
