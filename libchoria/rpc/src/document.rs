//! The machine-readable results of a request: one JSON document, or one JSON object a line (spec 03a §9.4, 09 §2.9, §2.10).

use crate::json_text::{compact, indented};
use crate::stats::{Stats, utc_text};
use crate::{ReplyBody, StatusCode};
use names::{AgentName, Identity};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::{Duration, SystemTime};

/// The document of `--json`; reading it back is [`crate::discovery::flatfile::Format::Results`].
#[derive(Debug, Serialize)]
pub struct Results<'a> {
    /// The agent asked.
    pub agent: &'a AgentName,
    /// The action asked for.
    pub action: &'a str,
    /// The replies in the order they are to be shown.
    pub replies: Vec<ReplyEntry<'a>>,
    /// The outcome.
    pub request_stats: &'a Stats,
    /// See [`crate::aggregate::Summaries::to_json`].
    pub summaries: &'a Value,
}

/// One reply of the document.
#[derive(Clone, Debug, Serialize)]
pub struct ReplyEntry<'a> {
    /// Who answered.
    pub sender: &'a Identity,
    /// The action that ran.
    pub action: &'a str,
    /// How it went.
    pub statuscode: StatusCode,
    /// Words about it.
    pub statusmsg: &'a str,
    /// The outputs.
    pub data: &'a RawValue,
    /// When the reply was made, see [`utc_text`].
    pub time_utc: String,
}

/// One line of `--jsonl`.
#[derive(Debug)]
pub enum Line<'a> {
    /// Before discovery: the method's word. After it: also how many nodes will be asked, and how long it took.
    Discovery {
        /// The method's word, for example `mc`; empty for services.
        method: &'a str,
        /// How many nodes, and the time it took to find them.
        found: Option<(usize, Duration)>,
    },
    /// One reply: the protocol's document, see [`protocol::Reply::encode`], and the agent's answer.
    Result {
        /// The JSON text of the protocol's reply.
        reply: &'a [u8],
        /// The answer.
        entry: &'a ReplyEntry<'a>,
    },
    /// The summaries of all replies.
    Summaries(&'a Value),
    /// The outcome.
    Stats(&'a Stats),
    /// A failure.
    Error(&'a str),
}

impl Results<'_> {
    /// The document's text, indented by three spaces, without a newline at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Data that nodes sent is laid out like the rest, in its own order, hence not with serde's own indentation.
        indented(&serde_json::to_string(self).unwrap_or_default(), "", "   ")
    }
}

impl<'a> ReplyEntry<'a> {
    /// The entry of one reply, which was made at `time`.
    #[must_use]
    pub fn new(sender: &'a Identity, body: &'a ReplyBody, time: SystemTime) -> Self {
        Self {
            sender,
            action: &body.action,
            statuscode: body.status,
            statusmsg: &body.message,
            data: &body.data,
            time_utc: utc_text(time),
        }
    }
}

impl Line<'_> {
    /// The line's text, without a newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let object = match self {
            Self::Discovery { method, found } => Keys {
                k: "discovery",
                count: found.map_or(0, |(count, _)| count),
                dt: found.map_or(0.0, |(_, time)| time.as_secs_f64()),
                dm: method,
                ..Keys::default()
            },
            Self::Result { reply, entry } => {
                let reply = std::str::from_utf8(reply).unwrap_or_default();
                let reply = RawValue::from_string(compact(reply)).ok();
                Keys { k: "result", pr: reply, rr: Some(LineEntry::new(entry)), ..Keys::default() }
            }
            Self::Summaries(summaries) => Keys { k: "summaries", agg: Some(summaries), ..Keys::default() },
            Self::Stats(stats) => Keys { k: "stats", stat: Some(stats), ..Keys::default() },
            Self::Error(error) => Keys { k: "error", err: error, ..Keys::default() },
        };
        // Data that nodes sent may hold newlines between its parts.
        compact(&serde_json::to_string(&object).unwrap_or_default())
    }
}

/// All keys a line can have; those without a value are left out.
#[derive(Default, Serialize)]
struct Keys<'a> {
    k: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pr: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rr: Option<LineEntry<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    count: usize,
    #[serde(skip_serializing_if = "is_no_time")]
    dt: f64,
    #[serde(skip_serializing_if = "str::is_empty")]
    dm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stat: Option<&'a Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agg: Option<&'a Value>,
    #[serde(skip_serializing_if = "str::is_empty")]
    err: &'a str,
}

/// A [`ReplyEntry`] in the order of the line form.
#[derive(Serialize)]
struct LineEntry<'a> {
    action: &'a str,
    statuscode: StatusCode,
    statusmsg: &'a str,
    data: &'a RawValue,
    sender: &'a Identity,
    time_utc: &'a str,
}

impl<'a> LineEntry<'a> {
    fn new(entry: &'a ReplyEntry<'a>) -> Self {
        Self {
            action: entry.action,
            statuscode: entry.statuscode,
            statusmsg: entry.statusmsg,
            data: entry.data,
            sender: entry.sender,
            time_utc: &entry.time_utc,
        }
    }
}

/// Whole nanoseconds, at most as many as fit.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn is_no_time(seconds: &f64) -> bool {
    *seconds == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stats() -> Stats {
        Stats {
            request: "3MPX6Dc3omI5tWJx7tpNWUtkvJi".parse().expect("an id"),
            agent: "rpcutil".parse().expect("an agent"),
            action: "ping".into(),
            discovered: 2,
            responses: 1,
            ok: 1,
            failed: 0,
            silent: vec!["n2".parse().expect("an identity")],
            unexpected: vec![],
            signed: 1,
            lost: 0,
            started: SystemTime::UNIX_EPOCH + Duration::new(1_795_252_998, 618_054_654),
            request_time: Duration::from_nanos(62_819_524),
            publish_time: Duration::from_nanos(31_393_633),
            discovery_time: Duration::from_nanos(389_450_601),
        }
    }

    fn body() -> ReplyBody {
        let text = "{\"action\":\"ping\",\"statuscode\":0,\"statusmsg\":\"OK\",\"data\":{ \"z\": 1.0,\n \"a\": [] }}";
        ReplyBody::parse(text.as_bytes()).expect("a reply")
    }

    #[test]
    fn the_document_has_the_documented_layout() {
        let (stats, body) = (stats(), body());
        let sender = "n1".parse().expect("an identity");
        let results = Results {
            agent: &stats.agent,
            action: &stats.action,
            replies: vec![ReplyEntry::new(&sender, &body, stats.started)],
            request_stats: &stats,
            summaries: &json!({}),
        };
        let expected = r#"{
   "agent": "rpcutil",
   "action": "ping",
   "replies": [
      {
         "sender": "n1",
         "action": "ping",
         "statuscode": 0,
         "statusmsg": "OK",
         "data": {
            "z": 1.0,
            "a": []
         },
         "time_utc": "2026-11-21T09:23:18.618054654Z"
      }
   ],
   "request_stats": {
      "requestid": "3MPX6Dc3omI5tWJx7tpNWUtkvJi",
      "no_responses": [
         "n2"
      ],
      "unexpected_responses": [],
      "discovered": 2,
      "failed": 0,
      "ok": 1,
      "responses": 1,
      "publish_time": 31393633,
      "request_time": 62819524,
      "discover_time": 389450601,
      "start_time_utc": "2026-11-21T09:23:18.618054654Z"
   },
   "summaries": {}
}"#;
        assert_eq!(results.to_json(), expected);
    }

    #[test]
    fn lines_leave_out_what_is_empty() {
        let (stats, body, sender) = (stats(), body(), "n1".parse().expect("an identity"));
        let entry = ReplyEntry::new(&sender, &body, stats.started);
        let summaries = json!({"o": {"a": 1}});
        let stats_line = format!(r#"{{"k":"stats","stat":{}}}"#, serde_json::to_string(&stats).expect("JSON"));
        let rows = [
            (Line::Discovery { method: "mc", found: None }, r#"{"k":"discovery","dm":"mc"}"#),
            (
                Line::Discovery { method: "mc", found: Some((3, Duration::from_millis(1500))) },
                r#"{"k":"discovery","count":3,"dt":1.5,"dm":"mc"}"#,
            ),
            (
                Line::Result { reply: b"{\"protocol\": \"x\"}", entry: &entry },
                concat!(
                    r#"{"k":"result","pr":{"protocol":"x"},"rr":{"action":"ping","statuscode":0,"statusmsg":"OK","#,
                    r#""data":{"z":1.0,"a":[]},"sender":"n1","time_utc":"2026-11-21T09:23:18.618054654Z"}}"#
                ),
            ),
            (Line::Summaries(&summaries), r#"{"k":"summaries","agg":{"o":{"a":1}}}"#),
            (Line::Stats(&stats), &stats_line),
            (Line::Error("did not discover any nodes"), r#"{"k":"error","err":"did not discover any nodes"}"#),
        ];
        for (line, expected) in rows {
            assert_eq!(line.to_json(), expected);
        }
    }
}
