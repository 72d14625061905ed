//! What is configured about adapters, `plugin.choria.adapter.<name>.…`.

use crate::settings::Reader;
use config::keys;

/// One adapter, complete and checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AdapterSettings {
    pub(crate) name: String,
    /// The subject it reads; may hold wildcards.
    pub(crate) ingest_topic: String,
    pub(crate) kind: Kind,
    pub(crate) ingest_workers: usize,
    /// The subject it writes to; each `%s` stands for the sender.
    pub(crate) stream_topic: String,
    pub(crate) stream_workers: usize,
    /// Messages that wait to be written, at most; more are dropped.
    pub(crate) queue: usize,
}

/// What messages an adapter reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Request,
    Reply,
}

/// Reads every adapter that is named, with a problem for each that cannot run.
pub(crate) fn read(reader: &mut Reader<'_>) -> Vec<AdapterSettings> {
    let names = reader.config.get(keys::ADAPTERS).to_vec();
    names.into_iter().filter_map(|name| read_one(reader, name)).collect()
}

fn read_one(reader: &mut Reader<'_>, name: String) -> Option<AdapterSettings> {
    let key = |part: &str| format!("plugin.choria.adapter.{name}.{part}");
    let kind = key("type");
    match reader.config.raw(&kind) {
        Some("choria_streams" | "jetstream") => {}
        Some("nats_stream") => {
            reader.problem(&kind, "the NATS Streaming Server adapter has been deprecated; use choria_streams");
        }
        Some(other) => {
            let rule = format!("unknown kind of adapter {other:?}; it is choria_streams or jetstream");
            reader.problem(&kind, rule);
        }
        None => {
            let rule = format!("could not determine type for adapter {name}; set it to choria_streams");
            reader.problem(&kind, rule);
        }
    }
    let topic = key("ingest.topic");
    let ingest_topic = reader.config.raw(&topic).unwrap_or_default().to_owned();
    if !is_subject(&ingest_topic) {
        reader.problem(&topic, "no ingest topic configured; set it to the subject that the adapter reads");
    }
    let topic = key("stream.topic");
    let stream_topic = reader.config.raw(&topic).filter(|text| !text.is_empty()).unwrap_or(&name).to_owned();
    if !is_subject(&stream_topic) || stream_topic.contains(['*', '>']) {
        reader.problem(&topic, "the subject to write to has no space, no wildcard and no empty part between dots");
    }
    let servers = key("stream.servers");
    if reader.config.raw(&servers).is_some_and(|servers| !servers.is_empty()) {
        reader.warn(&servers, "no effect on a broker that runs the network itself: its adapters write to it");
    }
    let request = reader.config.raw(&key("ingest.protocol")) == Some("request");
    let queue = number(reader, &key("queue_len"), QUEUE, MOST_QUEUED)?;
    let ingest_workers = number(reader, &key("ingest.workers"), WORKERS, MOST_WORKERS)?;
    let stream_workers = number(reader, &key("stream.workers"), WORKERS, MOST_WORKERS)?;
    let kind = if request { Kind::Request } else { Kind::Reply };
    Some(AdapterSettings { name, ingest_topic, kind, ingest_workers, stream_topic, stream_workers, queue })
}

fn number(reader: &mut Reader<'_>, key: &str, default: usize, most: usize) -> Option<usize> {
    let Some(text) = reader.config.raw(key) else { return Some(default) };
    let number = text.trim().parse().ok().filter(|number| (1..=most).contains(number));
    if number.is_none() {
        reader.problem(key, format!("should be a integer number, from 1 to {most}"));
    }
    number
}

fn is_subject(text: &str) -> bool {
    let visible = |c: char| !c.is_whitespace() && !c.is_control();
    text.chars().all(visible) && text.split('.').all(|part| !part.is_empty())
}

/// Workers of either sort where none are configured (spec 08 §1.1).
const WORKERS: usize = 10;

/// More would only wait for each other.
const MOST_WORKERS: usize = 256;

/// Messages that wait where no other number is configured (spec 08 §1.1).
const QUEUE: usize = 1000;

/// A message may have a megabyte.
const MOST_QUEUED: usize = 1_000_000;
