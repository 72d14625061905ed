//! `choria broker stream add`: makes a stream.

use super::settings::{Placement, Settings, Transform};
use super::{Surroundings, info, is_terminal};
use crate::output::number::parse_bytes;
use anyhow::{Context, bail};
use clap::ValueEnum;
use inquire::{Confirm, Select, Text};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Add {
    /// The stream
    stream: Option<String>,
    /// What it takes, wildcards included; several separated by commas
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',')]
    subjects: Vec<String>,
    /// Ask nothing: what is not given is as usual
    #[arg(long)]
    defaults: bool,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Where messages are kept
    #[arg(long, value_enum)]
    storage: Option<Storage>,
    /// How messages are compressed
    #[arg(long, value_enum, default_value_t)]
    compression: Compression,
    /// How many members of a cluster keep it
    #[arg(long, value_name = "COPIES", value_parser = clap::value_parser!(u32).range(1..=5))]
    replicas: Option<u32>,
    /// Keep it on members with this tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Keep it in this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Do not tell publishers that a message is stored
    #[arg(long)]
    no_ack: bool,
    /// How long messages are kept: for the limits, for those interested, or until one has worked on them
    #[arg(long, value_enum)]
    retention: Option<Retention>,
    /// What gives way at a limit: old messages or new ones
    #[arg(long, value_enum)]
    discard: Option<Discard>,
    /// With --discard new: refuse new messages of a subject that has its most
    #[arg(long)]
    discard_per_subject: bool,
    /// The number of the first message
    #[arg(long, value_name = "NUMBER")]
    first_sequence: Option<u64>,
    /// Remove messages of this age; -1 for never
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = limited_duration)]
    max_age: Option<Age>,
    /// The most bytes; -1 for no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse_bytes)]
    max_bytes: Option<i64>,
    /// The most consumers; -1 for no limit
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, default_value_t = -1)]
    max_consumers: i64,
    /// The largest message; -1 for the broker's limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse_bytes)]
    max_msg_size: Option<i64>,
    /// The most messages; -1 for no limit
    #[arg(long, value_name = "MESSAGES", allow_hyphen_values = true)]
    max_msgs: Option<i64>,
    /// The most messages of one subject; -1 for no limit
    #[arg(long, value_name = "MESSAGES", allow_hyphen_values = true)]
    max_msgs_per_subject: Option<i64>,
    /// How long the id of a message is remembered, so that it is stored once
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    dupe_window: Option<Duration>,
    /// A message may replace those before it
    #[arg(long)]
    allow_rollup: bool,
    /// Single messages cannot be removed
    #[arg(long)]
    deny_delete: bool,
    /// Messages cannot be purged
    #[arg(long)]
    deny_purge: bool,
    /// Only the leader of the stream hands out messages
    #[arg(long)]
    no_allow_direct: bool,
    /// Messages may say themselves how long they are kept (nats-server 2.11 or newer)
    #[arg(long)]
    allow_msg_ttl: bool,
    /// Store these subjects under others
    #[arg(long, value_name = "SUBJECT", requires = "transform_destination")]
    transform_source: Option<String>,
    /// The others
    #[arg(long, value_name = "SUBJECT", requires = "transform_source")]
    transform_destination: Option<String>,
    /// Publish stored messages of these subjects once more
    #[arg(long, value_name = "SUBJECT", requires = "republish_destination")]
    republish_source: Option<String>,
    /// Under these
    #[arg(long, value_name = "SUBJECT", requires = "republish_source")]
    republish_destination: Option<String>,
    /// Without their bodies
    #[arg(long, requires = "republish_source")]
    republish_headers: bool,
    /// Something to remember with the stream
    #[arg(long, value_name = "KEY=VALUE", value_parser = crate::filters::option)]
    metadata: Vec<(String, String)>,
    /// Print the stream as a JSON document
    #[arg(long, short)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Storage {
    /// On disk
    File,
    /// In memory, gone after a restart
    Memory,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Compression {
    /// As they are
    #[default]
    None,
    /// S2, fast
    S2,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Retention {
    /// As long as the limits allow
    Limits,
    /// While somebody is interested
    Interest,
    /// Until one worker has taken it
    #[value(alias = "workq", alias = "workqueue")]
    Work,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Discard {
    /// New messages are refused
    New,
    /// Old messages go
    Old,
}

/// How old a message gets; `None` for any age.
type Age = Option<Duration>;

/// What stays open after the flags.
#[derive(Clone, Debug)]
struct Answers {
    name: String,
    storage: Storage,
    replicas: u32,
    retention: Retention,
    discard: Discard,
    max_msgs: i64,
    max_msgs_per_subject: i64,
    max_bytes: i64,
    max_age: Age,
    max_msg_size: i64,
    dupe_window: Duration,
    allow_rollup: bool,
    deny_delete: bool,
    deny_purge: bool,
}

impl Add {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let mut flags = self.clone();
        let settings = if self.defaults || !is_terminal() {
            flags.check_complete()?;
            flags.settings(flags.usual()?)
        } else {
            let answers = flags.ask()?;
            flags.settings(answers)
        };
        let made = surroundings.with_api(async |api| api.create(&settings).await.context("could not create Stream"))?;
        let mut out = io::stdout().lock();
        if self.json {
            return info::write_json(&mut out, made);
        }
        writeln!(out, "Stream {} was created\n", settings.name)?;
        info::write(&mut out, made, surroundings.offset, info::Part::Whole)
    }

    /// What nobody can be asked for has to be given.
    fn check_complete(&self) -> anyhow::Result<()> {
        if self.stream.is_none() {
            bail!("there is no terminal to ask for the name of the Stream: give it on the command line");
        }
        if self.subjects.is_empty() {
            bail!("there is nobody to ask what the Stream takes: give --subjects");
        }
        if !self.defaults {
            bail!("there is no terminal to ask for the settings of the Stream: pass --defaults for the usual ones");
        }
        Ok(())
    }

    /// What is not given, as usual.
    fn usual(&self) -> anyhow::Result<Answers> {
        let max_age = self.max_age.unwrap_or_default();
        Ok(Answers {
            name: self.stream.clone().context("the Stream has no name")?,
            storage: self.storage.unwrap_or(Storage::File),
            replicas: self.replicas.unwrap_or(1),
            retention: self.retention.unwrap_or(Retention::Limits),
            discard: self.discard.unwrap_or(Discard::Old),
            max_msgs: self.max_msgs.unwrap_or(-1),
            max_msgs_per_subject: self.max_msgs_per_subject.unwrap_or(-1),
            max_bytes: self.max_bytes.unwrap_or(-1),
            max_age,
            max_msg_size: self.max_msg_size.unwrap_or(-1),
            dupe_window: self.dupe_window.unwrap_or(usual_window(max_age)),
            allow_rollup: self.allow_rollup,
            deny_delete: self.deny_delete,
            deny_purge: self.deny_purge,
        })
    }

    /// Asks for what is not given, in the order of spec 09 §18.
    fn ask(&mut self) -> anyhow::Result<Answers> {
        if self.stream.is_none() {
            self.stream = Some(asked("Stream Name", None)?);
        }
        if self.subjects.is_empty() {
            let text: String = asked("Subjects", None)?;
            self.subjects = split(&text);
        }
        let mut answers = self.usual()?;
        if self.storage.is_none() {
            answers.storage = chosen("Storage", &[("file", Storage::File), ("memory", Storage::Memory)], 0)?;
        }
        if self.replicas.is_none() {
            answers.replicas = asked("Replication", Some("1"))?;
        }
        if self.retention.is_none() {
            let options =
                [("Limits", Retention::Limits), ("Interest", Retention::Interest), ("Work Queue", Retention::Work)];
            answers.retention = chosen("Retention Policy", &options, 0)?;
        }
        if self.discard.is_none() {
            answers.discard = chosen("Discard Policy", &[("New", Discard::New), ("Old", Discard::Old)], 1)?;
        }
        if self.max_msgs.is_none() {
            answers.max_msgs = asked("Stream Messages Limit", Some("-1"))?;
        }
        if self.max_msgs_per_subject.is_none() {
            answers.max_msgs_per_subject = asked("Per Subject Messages Limit", Some("-1"))?;
        }
        if self.max_bytes.is_none() {
            answers.max_bytes = asked_as("Total Stream Size", Some("-1"), parse_bytes)?;
        }
        if self.max_age.is_none() {
            answers.max_age = asked_as("Message TTL", Some("-1"), limited_duration)?;
        }
        if self.max_msg_size.is_none() {
            answers.max_msg_size = asked_as("Max Message Size", Some("-1"), parse_bytes)?;
        }
        if self.dupe_window.is_none() {
            let usual = crate::duration::render_go(usual_window(answers.max_age));
            answers.dupe_window = asked_as("Duplicate tracking time window", Some(&usual), crate::duration::parse)?;
        }
        if !self.allow_rollup {
            answers.allow_rollup = Confirm::new("Allow message Roll-ups").with_default(false).prompt()?;
        }
        if !self.deny_delete {
            answers.deny_delete = !Confirm::new("Allow message deletion").with_default(true).prompt()?;
        }
        if !self.deny_purge {
            let question = "Allow purging subjects or the entire stream";
            answers.deny_purge = !Confirm::new(question).with_default(true).prompt()?;
        }
        Ok(answers)
    }

    /// The stream in the words of nats-server's API.
    fn settings(&self, answers: Answers) -> Settings {
        let no_limit = |number: i64| if number <= 0 { -1 } else { number };
        let placed = self.cluster.is_some() || !self.tags.is_empty();
        let transform = |source: &Option<String>, destination: &Option<String>, headers_only| {
            source.clone().zip(destination.clone()).map(|(src, dest)| Transform { src, dest, headers_only })
        };
        Settings {
            name: answers.name,
            description: self.description.clone().unwrap_or_default(),
            subjects: self.subjects.iter().flat_map(|subjects| split(subjects)).collect(),
            retention: match answers.retention {
                Retention::Limits => "limits",
                Retention::Interest => "interest",
                Retention::Work => "workqueue",
            }
            .to_owned(),
            max_consumers: no_limit(self.max_consumers),
            max_msgs: no_limit(answers.max_msgs),
            max_bytes: no_limit(answers.max_bytes),
            max_age: nanoseconds(answers.max_age.unwrap_or_default()),
            max_msgs_per_subject: no_limit(answers.max_msgs_per_subject),
            max_msg_size: no_limit(answers.max_msg_size),
            discard: if answers.discard == Discard::New { "new" } else { "old" }.to_owned(),
            storage: if answers.storage == Storage::Memory { "memory" } else { "file" }.to_owned(),
            num_replicas: answers.replicas,
            no_ack: self.no_ack,
            duplicate_window: nanoseconds(answers.dupe_window),
            placement: placed
                .then(|| Placement { cluster: self.cluster.clone().unwrap_or_default(), tags: self.tags.clone() }),
            compression: if self.compression == Compression::S2 { "s2" } else { "none" }.to_owned(),
            first_seq: self.first_sequence.unwrap_or_default(),
            subject_transform: transform(&self.transform_source, &self.transform_destination, false),
            republish: transform(&self.republish_source, &self.republish_destination, self.republish_headers),
            discard_new_per_subject: self.discard_per_subject,
            allow_rollup_hdrs: answers.allow_rollup,
            deny_delete: answers.deny_delete,
            deny_purge: answers.deny_purge,
            allow_direct: !self.no_allow_direct,
            allow_msg_ttl: self.allow_msg_ttl,
            metadata: BTreeMap::from_iter(self.metadata.iter().cloned()),
            ..Settings::default()
        }
    }
}

/// Reads a duration, or `-1` for any age.
fn limited_duration(text: &str) -> Result<Age, String> {
    match text.trim() {
        "-1" | "0" => Ok(None),
        other => crate::duration::parse(other).map(Some),
    }
}

/// Two minutes, unless messages do not get as old.
fn usual_window(max_age: Age) -> Duration {
    max_age.map_or(WINDOW, |age| age.min(WINDOW))
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Subjects between commas or spaces.
fn split(text: &str) -> Vec<String> {
    let separates = |c: char| c == ',' || c.is_whitespace();
    text.split(separates).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Asks until there is an answer that can be used.
fn asked<Value: FromStr>(message: &str, usual: Option<&str>) -> anyhow::Result<Value> {
    asked_as(message, usual, |text| text.trim().parse().map_err(|_| "this is no answer to that".to_owned()))
}

fn asked_as<Value>(
    message: &str,
    usual: Option<&str>,
    read: impl Fn(&str) -> Result<Value, String>,
) -> anyhow::Result<Value> {
    loop {
        let mut question = Text::new(message);
        if let Some(usual) = usual {
            question = question.with_default(usual);
        }
        let text = question.prompt()?;
        match read(&text) {
            Ok(value) if !text.trim().is_empty() => return Ok(value),
            Ok(_) => eprintln!("X Sorry, your reply was invalid: Value is required"),
            Err(rule) => eprintln!("X Sorry, your reply was invalid: {rule}"),
        }
    }
}

fn chosen<Value: Copy>(message: &str, options: &[(&'static str, Value)], first: usize) -> anyhow::Result<Value> {
    let names = options.iter().map(|(name, _)| *name).collect();
    let index = Select::new(message, names).with_starting_cursor(first).raw_prompt()?.index;
    Ok(options[index].1)
}

/// How long ids are remembered unless somebody says otherwise.
const WINDOW: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::{Value, json};

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        add: Add,
    }

    fn settings(words: &[&str]) -> Result<Value, String> {
        let words = Words::try_parse_from([&["add"], words].concat()).map_err(|error| error.to_string())?;
        words.add.check_complete().map_err(|error| error.to_string())?;
        let usual = words.add.usual().expect("complete");
        Ok(serde_json::to_value(words.add.settings(usual)).expect("JSON"))
    }

    #[test]
    fn the_usual_settings_are_those_of_the_existing_command() {
        let got = settings(&["SUBMIT", "--subjects", "choria.submission.in.>", "--defaults"]).expect("complete");
        let expected = json!({
            "name": "SUBMIT", "subjects": ["choria.submission.in.>"], "retention": "limits", "max_consumers": -1,
            "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1, "max_msg_size": -1,
            "discard": "old", "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000_i64,
            "compression": "none", "allow_direct": true,
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn flags_reach_their_setting() {
        let rows: [(&[&str], &str, Value); 19] = [
            (&["--subjects", "a,b c"], "subjects", json!(["a", "b", "c"])),
            (&["--description", "x"], "description", json!("x")),
            (&["--storage", "memory"], "storage", json!("memory")),
            (&["--replicas", "3"], "num_replicas", json!(3)),
            (&["--retention", "work"], "retention", json!("workqueue")),
            (&["--discard", "new"], "discard", json!("new")),
            (&["--max-age", "1d"], "max_age", json!(86_400_000_000_000_i64)),
            (&["--max-age", "-1"], "max_age", json!(0)),
            (&["--max-age", "1m"], "duplicate_window", json!(60_000_000_000_i64)),
            (&["--max-msgs", "7"], "max_msgs", json!(7)),
            (&["--max-msgs", "-1"], "max_msgs", json!(-1)),
            (&["--max-bytes", "10MiB"], "max_bytes", json!(10 << 20)),
            (&["--max-msg-size", "-1"], "max_msg_size", json!(-1)),
            (&["--max-msg-size", "2K"], "max_msg_size", json!(2048)),
            (&["--dupe-window", "10m"], "duplicate_window", json!(600_000_000_000_i64)),
            (&["--no-ack"], "no_ack", json!(true)),
            (&["--tag", "ssd", "--cluster", "c1"], "placement", json!({ "cluster": "c1", "tags": ["ssd"] })),
            (&["--metadata", "team=ops"], "metadata", json!({ "team": "ops" })),
            (
                &["--transform-source", "a.>", "--transform-destination", "b.>"],
                "subject_transform",
                json!({ "src": "a.>", "dest": "b.>" }),
            ),
        ];
        for (words, key, expected) in rows {
            let subjects: &[&str] = if words[0] == "--subjects" { &[] } else { &["--subjects", "a"] };
            let got = settings(&[&["S", "--defaults"], subjects, words].concat());
            assert_eq!(got.expect("complete")[key], expected, "{words:?}");
        }
    }

    #[test]
    fn without_a_terminal_everything_needed_is_given_or_named() {
        let rows: [(&[&str], &str); 5] = [
            (&["--subjects", "a", "--defaults"], "name of the Stream"),
            (&["S", "--defaults"], "--subjects"),
            (&["S", "--subjects", "a"], "--defaults"),
            (&["S", "--subjects", "a", "--defaults", "--replicas", "6"], "6"),
            (&["S", "--subjects", "a", "--defaults", "--max-bytes", "much"], "bytes"),
        ];
        for (words, expected) in rows {
            let error = settings(words).expect_err(expected);
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
