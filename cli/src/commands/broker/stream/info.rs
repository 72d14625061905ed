//! `choria broker stream info` and `state`: a stream, its settings and what is in it.

use super::Surroundings;
use super::settings::{Contents, Described, Replica, Settings, Source};
use crate::duration::render_broker;
use crate::output::number::{bytes, grouped};
use crate::output::printable;
use anyhow::Context;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;
use time::format_description::FormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

#[derive(clap::Args, Debug)]
pub(super) struct Info {
    /// The stream
    stream: Option<String>,
    /// Print a JSON document
    #[arg(long, short)]
    json: bool,
    /// Show what is in it only
    #[arg(long)]
    state: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct State {
    /// The stream
    stream: Option<String>,
    /// Print a JSON document
    #[arg(long, short)]
    json: bool,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// Settings and state.
    Whole,
    /// What is in it.
    State,
}

impl Info {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        show(surroundings, self.stream.as_deref(), self.json, if self.state { Part::State } else { Part::Whole })
    }
}

impl State {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        show(surroundings, self.stream.as_deref(), self.json, Part::State)
    }
}

fn show(surroundings: &Surroundings, stream: Option<&str>, json: bool, part: Part) -> anyhow::Result<()> {
    let info = surroundings.with_api(async |api| {
        let stream = surroundings.pick(&api, stream).await?;
        api.info(&stream).await.with_context(|| format!("could not load Stream {stream}"))
    })?;
    let mut out = std::io::stdout().lock();
    if json { write_json(&mut out, info) } else { write(&mut out, info, surroundings.offset, part) }
}

/// Everything that nats-server said.
pub(super) fn write_json(out: &mut impl Write, mut info: Value) -> anyhow::Result<()> {
    if let Some(answer) = info.as_object_mut() {
        answer.retain(|key, _| !matches!(key.as_str(), "type" | "total" | "offset" | "limit"));
    }
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&info)?)?)
}

/// As people read it: labels to the right of one column, sections with titles (spec 09 §18).
pub(super) fn write(out: &mut impl Write, info: Value, offset: UtcOffset, part: Part) -> anyhow::Result<()> {
    let info: Described = serde_json::from_value(info).context("the broker's answer is not as expected")?;
    let mut rows = Rows::default();
    if part == Part::Whole {
        rows.settings(&info.config);
        rows.cluster(&info);
    }
    rows.contents(&info, offset);
    let what = if part == Part::Whole { "Information" } else { "State" };
    let (name, created) = (printable(&info.config.name).into_owned(), local(info.created, offset));
    writeln!(out, "{what} for Stream {name} created {created}\n")?;
    rows.write(out)
}

/// `2026-11-21 09:18:46`, in the zone of the user.
pub(super) fn local(time: OffsetDateTime, offset: UtcOffset) -> String {
    const SECONDS: &[FormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    time.to_offset(offset).format(SECONDS).unwrap_or_default()
}

/// Labels with values, in sections.
#[derive(Debug, Default)]
struct Rows(Vec<Row>);

/// A value as it is shown.
struct Shown(String);

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Self {
        Self(text.clone())
    }
}

impl From<bool> for Shown {
    fn from(value: bool) -> Self {
        Self(value.to_string())
    }
}

impl From<u32> for Shown {
    fn from(value: u32) -> Self {
        Self(value.to_string())
    }
}

#[derive(Debug)]
enum Row {
    Section(&'static str),
    Value(String, String),
}

impl Rows {
    fn add(&mut self, label: &str, value: impl Into<Shown>) {
        self.0.push(Row::Value(label.to_owned(), value.into().0));
    }

    fn add_if(&mut self, wanted: bool, label: &str, value: impl Into<Shown>) {
        if wanted {
            self.add(label, value);
        }
    }

    fn section(&mut self, title: &'static str) {
        self.0.push(Row::Section(title));
    }

    fn settings(&mut self, settings: &Settings) {
        self.add_if(!settings.description.is_empty(), "Description", &settings.description);
        self.add_if(!settings.subjects.is_empty(), "Subjects", settings.subjects.join(", "));
        self.add("Replicas", settings.num_replicas);
        self.add_if(settings.sealed, "Sealed", true);
        self.add("Storage", capital(&settings.storage));
        let compressed = !matches!(settings.compression.as_str(), "" | "none");
        self.add_if(compressed, "Compression", settings.compression.to_uppercase());
        self.add_if(settings.first_seq > 0, "First Sequence", grouped(settings.first_seq));
        if let Some(placement) = &settings.placement {
            self.add_if(!placement.cluster.is_empty(), "Placement Cluster", &placement.cluster);
            self.add_if(!placement.tags.is_empty(), "Placement Tags", placement.tags.join(", "));
        }
        self.options(settings);
        self.limits(settings);
        let own: Vec<_> = settings.metadata.iter().filter(|(key, _)| !key.starts_with("_nats.")).collect();
        if !own.is_empty() {
            self.section("Metadata");
            own.into_iter().for_each(|(key, value)| self.add(key, value));
        }
        if settings.mirror.is_some() || !settings.sources.is_empty() {
            self.section("Replication");
            if let Some(Source { name }) = &settings.mirror {
                self.add("Mirror", name);
            }
            for (number, Source { name }) in settings.sources.iter().enumerate() {
                self.add(if number == 0 { "Sources" } else { "" }, name);
            }
        }
    }

    fn options(&mut self, settings: &Settings) {
        self.section("Options");
        if let Some(transform) = settings.subject_transform.as_ref().filter(|transform| !transform.dest.is_empty()) {
            let source = if transform.src.is_empty() { ">" } else { &transform.src };
            self.add("Subject Transform", format!("{source} to {}", transform.dest));
        }
        if let Some(republish) = &settings.republish {
            let label = if republish.headers_only { "Republishing Headers" } else { "Republishing" };
            self.add(label, format!("{} to {}", republish.src, republish.dest));
        }
        let retention = match settings.retention.as_str() {
            "workqueue" => "WorkQueue".to_owned(),
            other => capital(other),
        };
        self.add("Retention", retention);
        self.add("Acknowledgments", !settings.no_ack);
        let per_subject = settings.discard_new_per_subject;
        self.add("Discard Policy", if per_subject { "New Per Subject".to_owned() } else { capital(&settings.discard) });
        self.add("Duplicate Window", duration(settings.duplicate_window));
        self.add_if(settings.allow_direct, "Direct Get", true);
        self.add_if(settings.mirror_direct, "Mirror Direct Get", true);
        self.add("Allows Atomic Batch Publish", settings.allow_atomic);
        self.add("Allows Fast Batch Publish", settings.allow_batched);
        self.add("Allows Counters", settings.allow_msg_counter);
        self.add("Allows Msg Delete", !settings.deny_delete);
        self.add("Allows Per-Message TTL", settings.allow_msg_ttl);
        self.add("Allows Purge", !settings.deny_purge);
        self.add("Allows Schedules", settings.allow_msg_schedules);
        self.add("Allows Rollups", settings.allow_rollup_hdrs);
    }

    fn limits(&mut self, settings: &Settings) {
        self.section("Limits");
        let limit = |value: i64, shown: fn(u64) -> String| match u64::try_from(value) {
            Ok(value) => shown(value),
            Err(_) => "unlimited".to_owned(),
        };
        let above_zero = |value: i64| if value == 0 { -1 } else { value };
        self.add("Maximum Messages", limit(settings.max_msgs, grouped));
        self.add("Maximum Per Subject", limit(above_zero(settings.max_msgs_per_subject), grouped));
        self.add("Maximum Bytes", limit(settings.max_bytes, bytes));
        let age = if settings.max_age <= 0 { "unlimited".to_owned() } else { duration(settings.max_age) };
        self.add("Maximum Age", age);
        self.add("Maximum Message Size", limit(settings.max_msg_size, bytes));
        self.add("Maximum Consumers", limit(settings.max_consumers, grouped));
    }

    fn cluster(&mut self, info: &Described) {
        let Some(cluster) = info.cluster.as_ref().filter(|cluster| !cluster.name.is_empty()) else { return };
        self.section("Cluster Information");
        self.add("Name", &cluster.name);
        self.add_if(!cluster.raft_group.is_empty(), "Cluster Group", &cluster.raft_group);
        self.add("Leader", &cluster.leader);
        cluster.replicas.iter().for_each(|replica| self.add("Replica", condition(replica)));
    }

    fn contents(&mut self, info: &Described, offset: UtcOffset) {
        self.section("State");
        let told = |key: &str| info.config.metadata.get(key).map(String::as_str);
        if let Some(version) = told("_nats.ver") {
            self.add("Host Version", version);
        }
        if let (Some(required), Some(level)) = (told("_nats.req.level"), told("_nats.level")) {
            self.add("Required API Level", format!("{required} hosted at level {level}"));
        }
        let state: &Contents = &info.state;
        let at = |sequence: u64, time: Option<&str>| {
            let time = time.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            match time.filter(|time| time.year() > 1970) {
                Some(time) => format!("{} @ {}", grouped(sequence), local(time, offset)),
                None => grouped(sequence),
            }
        };
        self.add("Messages", grouped(state.messages));
        self.add("Bytes", bytes(state.bytes));
        self.add("First Sequence", at(state.first_seq, state.first_ts.as_deref()));
        self.add("Last Sequence", at(state.last_seq, state.last_ts.as_deref()));
        self.add_if(state.num_deleted > 0, "Deleted Messages", grouped(state.num_deleted));
        self.add("Active Consumers", grouped(state.consumer_count));
        self.add_if(state.num_subjects > 0, "Number of Subjects", grouped(state.num_subjects));
    }

    fn write(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let labels = self.0.iter().filter_map(|row| match row {
            Row::Value(label, _) => Some(label.chars().count()),
            Row::Section(_) => None,
        });
        let width = labels.max().unwrap_or_default() + 2;
        for (number, row) in self.0.iter().enumerate() {
            match row {
                Row::Section(title) if number == 0 => writeln!(out, "{title}:\n")?,
                Row::Section(title) => writeln!(out, "\n{title}:\n")?,
                Row::Value(label, value) => {
                    let colon = if label.is_empty() { ' ' } else { ':' };
                    writeln!(out, "{label:>width$}{colon} {}", printable(value))?;
                }
            }
        }
        Ok(())
    }
}

/// How a member of a cluster follows.
fn condition(replica: &Replica) -> String {
    let mut parts = vec![replica.name.clone(), if replica.current { "current" } else { "outdated" }.to_owned()];
    if replica.offline {
        parts.push("OFFLINE".to_owned());
    }
    parts.push(match replica.active {
        active if active > 0 && active < i64::MAX => format!("seen {} ago", duration(active)),
        _ => "not seen".to_owned(),
    });
    match replica.lag {
        0 => {}
        1 => parts.push("1 operation behind".to_owned()),
        lag => parts.push(format!("{} operations behind", grouped(lag))),
    }
    parts.join(", ")
}

fn duration(nanoseconds: i64) -> String {
    render_broker(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default()))
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use vectors::Folder;

    fn written(info: Value, part: Part) -> String {
        let mut out = Vec::new();
        write(&mut out, info, UtcOffset::UTC, part).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    fn registration() -> Value {
        json!({
            "type": "io.nats.jetstream.api.v1.stream_create_response",
            "config": {
                "name": "CHORIA_REGISTRATION", "subjects": ["choria.node_metadata.>"], "retention": "limits",
                "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 86_400_000_000_000_i64,
                "max_msgs_per_subject": 5, "max_msg_size": -1, "discard": "old", "storage": "file", "num_replicas": 1,
                "duplicate_window": 120_000_000_000_i64, "allow_direct": true,
                "metadata": { "_nats.level": "4", "_nats.req.level": "0", "_nats.ver": "2.14.2" },
            },
            "created": "2026-11-21T09:16:42.123Z",
            "state": { "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "0001-01-01T00:00:00Z", "last_seq": 0,
                "last_ts": "0001-01-01T00:00:00Z", "consumer_count": 0 },
        })
    }

    #[test]
    fn a_stream_looks_as_recorded() {
        let recorded = Folder::open("cli").text("tour-20-stream-add.stdout.txt");
        let expected = recorded.strip_prefix("Stream CHORIA_REGISTRATION was created\n\n").expect("its first line");
        assert_eq!(written(registration(), Part::Whole).trim_end(), expected.trim_end());
    }

    #[test]
    fn a_state_looks_as_specified() {
        let mut info = registration();
        info["config"]["metadata"] = json!({});
        info["state"] = json!({ "messages": 20, "bytes": 378_880, "first_seq": 1, "first_ts": "2025-03-03T10:41:33Z",
            "last_seq": 20, "last_ts": "2025-03-03T10:43:15.5Z", "consumer_count": 0, "num_subjects": 10 });
        let expected = "\
State for Stream CHORIA_REGISTRATION created 2026-11-21 09:16:42

State:

            Messages: 20
               Bytes: 370 KiB
      First Sequence: 1 @ 2025-03-03 10:41:33
       Last Sequence: 20 @ 2025-03-03 10:43:15
    Active Consumers: 0
  Number of Subjects: 10
";
        assert_eq!(written(info, Part::State), expected);
    }

    #[test]
    fn members_of_a_cluster_are_told_with_their_condition() {
        let mut info = registration();
        info["cluster"] = json!({ "name": "C1", "leader": "b1", "replicas": [
            { "name": "b2", "current": true, "active": 418_000_000 },
            { "name": "b3", "current": false, "offline": true, "lag": 1_200 },
        ] });
        let text = written(info, Part::Whole);
        for line in [
            "                       Leader: b1\n",
            "Replica: b2, current, seen 418ms ago\n",
            "Replica: b3, outdated, OFFLINE, not seen, 1,200 operations behind\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }

    #[test]
    fn json_has_all_that_the_broker_said_of_the_stream() {
        let mut out = Vec::new();
        write_json(&mut out, registration()).expect("written");
        let got: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(got["config"], registration()["config"]);
        assert!(got.get("type").is_none());
    }
}
