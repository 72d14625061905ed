//! Everything one node says about itself (spec 09 §8).

use crate::output::columns::{aligned, downwards};
use crate::output::printable;
use crate::output::value::{Layout, sorted};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use time::OffsetDateTime;
use time::macros::format_description;

/// Class names are padded to the longest, but no further.
const WIDEST_CLASS: usize = 40;

/// The outputs of `rpcutil#inventory`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Inventory {
    version: String,
    upgradable: bool,
    #[serde(deserialize_with = "nullable")]
    collectives: Vec<String>,
    main_collective: String,
    #[serde(deserialize_with = "nullable")]
    agents: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    classes: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    machines: Vec<Machine>,
    facts: Option<Box<RawValue>>,
}

/// One autonomous agent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Machine {
    name: String,
    version: String,
    state: String,
}

/// The outputs of `rpcutil#daemon_stats`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Statistics {
    starttime: i64,
    configfile: String,
    pid: i64,
    total: u64,
    passed: u64,
    filtered: u64,
    ttlexpired: u64,
    replies: u64,
    events: u64,
}

/// Writes the whole page.
pub(super) fn write(
    out: &mut impl Write,
    identity: &str,
    inventory: &Inventory,
    statistics: &Statistics,
    facts: bool,
) -> io::Result<()> {
    writeln!(out, "Inventory for {identity}\n\n  Choria Server Statistics:\n")?;
    for (label, value) in rows(inventory, statistics) {
        writeln!(out, "{label:>27}: {}", printable(&value))?;
    }
    writeln!(out, "\n  Agents:\n")?;
    padded(out, &inventory.agents, 3, 15)?;
    writeln!(out, "\n  Tagged Classes:\n")?;
    let longest = inventory.classes.iter().map(|class| class.chars().count()).max().unwrap_or_default();
    padded(out, &inventory.classes, 2, longest.min(WIDEST_CLASS))?;
    writeln!(out)?;
    if !inventory.machines.is_empty() {
        writeln!(out, "  Autonomous Agents:\n")?;
        let cells = |machine: &Machine| {
            [&machine.name, &machine.version, &machine.state].map(|cell| printable(cell).into_owned())
        };
        let rows: Vec<[String; 3]> = inventory.machines.iter().map(cells).collect();
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        aligned(out, &rows)?;
        writeln!(out)?;
    }
    if facts {
        let text = inventory.facts.as_ref().map_or("{}", |facts| facts.get());
        writeln!(out, "  Facts:\n\n    {}\n", printable(&sorted(text, Layout { prefix: 4, width: 0 })))?;
    }
    Ok(())
}

/// Writes what the node answered, as it came; only the facts may be left out.
pub(super) fn write_json(
    out: &mut impl Write,
    identity: &str,
    inventory: &RawValue,
    statistics: &RawValue,
    facts: bool,
) -> io::Result<()> {
    let mut inventory: BTreeMap<String, Box<RawValue>> = serde_json::from_str(inventory.get())?;
    if !facts {
        inventory.remove("facts");
    }
    let document = serde_json::json!({"identity": identity, "inventory": inventory, "daemon_stats": statistics});
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// The block at the top.
fn rows(inventory: &Inventory, statistics: &Statistics) -> [(&'static str, String); 12] {
    let upgradable = if inventory.upgradable { " (upgradable during provisioning)" } else { "" };
    [
        ("Version", format!("{}{upgradable}", inventory.version)),
        ("Start Time", start_time(statistics.starttime)),
        ("Config File", statistics.configfile.clone()),
        ("Collectives", inventory.collectives.join(", ")),
        ("Main Collective", inventory.main_collective.clone()),
        ("Process ID", statistics.pid.to_string()),
        ("Total Messages", statistics.total.to_string()),
        ("Messages Passed Filters", statistics.passed.to_string()),
        ("Messages Filtered", statistics.filtered.to_string()),
        ("Expired Messages", statistics.ttlexpired.to_string()),
        ("Replies Sent", statistics.replies.to_string()),
        ("Events Published", statistics.events.to_string()),
    ]
}

/// Seconds since the epoch as `2025-03-03 10:00:00 +0000 UTC`.
fn start_time(seconds: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] +0000 UTC");
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(format).ok()).unwrap_or_else(|| seconds.to_string())
}

/// Words in columns that run downwards, each padded to `width`.
fn padded(out: &mut impl Write, words: &[String], columns: usize, width: usize) -> io::Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for row in downwards(&words, columns) {
        let mut line = String::from("   ");
        for word in row {
            // Writing to a String does not fail.
            write!(line, " {:width$}", printable(word)).unwrap_or_default();
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Lists that a node left empty may be `null`.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Transport;
    use rpc::ReplyBody;
    use serde::de::DeserializeOwned;
    use vectors::Folder;

    fn recorded<Outputs: DeserializeOwned>(file: &str) -> Outputs {
        let transport = Transport::parse(&Folder::open("rpc").read(file)).expect("a message");
        let reply = transport.secure_reply().and_then(|secure| secure.unverified_reply()).expect("a reply");
        let body = ReplyBody::parse(&reply.payload).expect("a body");
        serde_json::from_str(body.data.get()).expect("outputs")
    }

    #[test]
    fn the_recorded_answers_make_the_recorded_page() {
        let inventory: Inventory = recorded("reply-rpcutil-inventory-2940.json");
        let mut statistics: Statistics = recorded("reply-rpcutil-daemon_stats-2968.json");
        // The page is that of a second run: two requests later.
        for counter in [&mut statistics.total, &mut statistics.passed, &mut statistics.replies] {
            *counter += 2;
        }
        let mut out = Vec::new();
        write(&mut out, "s1.choria.local", &inventory, &statistics, true).expect("written");
        let expected = Folder::open("cli").text("tour-02-inventory.stdout.txt");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn programs_get_the_answers_as_they_came() {
        let inventory: Box<RawValue> = recorded("reply-rpcutil-inventory-2940.json");
        let statistics: Box<RawValue> = recorded("reply-rpcutil-daemon_stats-2968.json");
        for facts in [true, false] {
            let mut out = Vec::new();
            write_json(&mut out, "s1", &inventory, &statistics, facts).expect("written");
            let document: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            assert_eq!(document["identity"], "s1");
            assert_eq!(document["inventory"]["main_collective"], "choria");
            assert_eq!(document["inventory"].get("facts").is_some(), facts);
            assert!(document["daemon_stats"]["pid"].is_u64(), "{document}");
        }
    }

    #[test]
    fn a_node_with_nothing_has_a_page_too() {
        let inventory: Inventory = serde_json::from_str(r#"{"agents": null, "facts": {}}"#).expect("outputs");
        let mut out = Vec::new();
        write(&mut out, "n1", &inventory, &Statistics::default(), true).expect("written");
        let text = String::from_utf8_lossy(&out);
        assert!(text.contains("\n  Agents:\n\n\n  Tagged Classes:\n\n\n  Facts:\n\n    {}\n\n"), "{text}");
    }
}
