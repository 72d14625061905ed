//! What waits in the spool of this machine.

use super::settings::Setup;
use crate::Global;
use crate::duration::render_broker;
use crate::output::number::{bytes, grouped};
use crate::output::table::Table;
use crate::output::{printable, terminal_width};
use local::submission::{Status as Told, Waiting};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use submission::{Message, Timestamp};

#[derive(clap::Args, Debug)]
pub(super) struct Status {
    /// Print a JSON document
    #[arg(long, short)]
    json: bool,
}

/// The message at the head of a queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Head {
    priority: u8,
    subject: String,
    tries: u64,
    max_tries: u64,
    /// When it is tried again; nothing when it is due.
    next_try: Option<Timestamp>,
}

impl Status {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<ExitCode> {
        let setup = Setup::read(global)?;
        let told = match &setup.settings {
            Some(settings) => local::submission::status(settings)?,
            None => setup.service()?.status()?,
        };
        let spool = Path::new(&told.spool);
        let waiting = told.priorities.iter().filter(|waiting| waiting.messages > 0);
        let heads: Vec<Head> = waiting.filter_map(|waiting| head(spool, waiting.priority)).collect();
        let mut out = io::stdout().lock();
        if self.json {
            let mut document = serde_json::to_value(&told)?;
            document["heads"] = serde_json::to_value(&heads)?;
            writeln!(out, "{document:#}")?;
        } else {
            write(&mut out, &told, &heads, SystemTime::now())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(out: &mut impl Write, told: &Told, heads: &[Head], now: SystemTime) -> io::Result<()> {
    let title = format!("Messages waiting in {}", printable(&told.spool));
    let mut table = Table::new(&["Priority", "Messages", "Bytes", "Oldest", "Tries", "Next Try"]).titled(title);
    for waiting in &told.priorities {
        let head = heads.iter().find(|head| head.priority == waiting.priority);
        let tries = head.map_or_else(String::new, |head| format!("{} of {}", head.tries, head.max_tries));
        table.row(&[
            waiting.priority.to_string(),
            grouped(waiting.messages),
            bytes(waiting.bytes),
            age(waiting, now).map(render_broker).unwrap_or_default(),
            tries,
            head.map(|head| next_try(head, now)).unwrap_or_default(),
        ]);
    }
    table.fitted(terminal_width()).write(out)?;
    let limits = &told.limits;
    writeln!(
        out,
        "{} of {} in all; {} messages of each priority and {} in one are allowed",
        bytes(told.bytes),
        bytes(limits.spool_bytes),
        grouped(limits.messages),
        bytes(limits.payload_bytes)
    )?;
    if told.corrupt > 0 {
        writeln!(
            out,
            "{} files were no messages and are set aside in {}/corrupt",
            grouped(told.corrupt),
            printable(&told.spool)
        )?;
    }
    Ok(())
}

/// How long the oldest message waits.
pub(crate) fn age(waiting: &Waiting, now: SystemTime) -> Option<Duration> {
    let oldest: Timestamp = waiting.oldest.as_deref()?.parse().ok()?;
    Some(now.duration_since(oldest.into()).unwrap_or_default())
}

fn next_try(head: &Head, now: SystemTime) -> String {
    let wait = head.next_try.and_then(|time| SystemTime::from(time).duration_since(now).ok());
    match wait.filter(|wait| !wait.is_zero()) {
        Some(wait) => format!("in {}", render_broker(wait)),
        None => "now".to_owned(),
    }
}

/// The first message of a queue, for a user who may read it. Nothing is changed: what is no message is passed over.
fn head(spool: &Path, priority: u8) -> Option<Head> {
    let queue = spool.join(format!("P{priority}"));
    let names = std::fs::read_dir(&queue).ok()?.take(MOST_NAMES).filter_map(Result::ok);
    let mut names: Vec<_> =
        names.map(|entry| entry.file_name()).filter(|name| is_message(&name.to_string_lossy())).collect();
    names.sort();
    let message = names.iter().take(MOST_READ).find_map(|name| Message::parse(&contents(&queue.join(name))?).ok())?;
    let waits = message.tries > 0 && !message.next_try.is_zero();
    Some(Head {
        priority,
        subject: message.subject,
        tries: message.tries,
        max_tries: message.max_tries,
        next_try: waits.then_some(message.next_try),
    })
}

fn is_message(name: &str) -> bool {
    name.ends_with(".msg") && !name.starts_with('.')
}

/// Follows no link and waits for nobody.
fn contents(path: &Path) -> Option<Vec<u8>> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().ok().filter(|kind| kind.is_file())?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Names of a queue that are looked at: more than that are never waited for.
const MOST_NAMES: usize = 100_000;

/// Files that are read to find the first message.
const MOST_READ: usize = 16;

/// The largest file that is read.
const LARGEST: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told() -> Told {
        let queue = |priority: u8, messages: u64| {
            let oldest = (messages > 0).then_some("2026-11-21T09:00:00Z");
            json!({ "priority": priority, "messages": messages, "bytes": messages * 1024, "oldest": oldest })
        };
        let queues = [queue(0, 0), queue(1, 2), queue(2, 0), queue(3, 0), queue(4, 1_200)];
        let limits = json!({ "messages": 500, "spool_bytes": 64 << 20, "payload_bytes": 1 << 20, "ttl": 1.0 });
        serde_json::from_value(json!({
            "identity": "n1", "spool": "/var/spool/choria/submission", "messages": 1202, "bytes": 1_230_848,
            "priorities": queues, "corrupt": 3, "limits": limits,
            "counters": { "accepted": 0, "accepted_bytes": 0, "commits": 0, "refused": {} },
        }))
        .expect("a status")
    }

    #[test]
    fn queues_stand_in_a_table_with_what_keeps_them() {
        let now: Timestamp = "2026-11-21T09:18:44Z".parse().expect("a time");
        let head = Head {
            priority: 1,
            subject: "jobs.backup".to_owned(),
            tries: 16,
            max_tries: 100,
            next_try: Some("2026-11-21T09:18:48.5Z".parse().expect("a time")),
        };
        let due = Head { priority: 4, tries: 0, next_try: None, ..head.clone() };
        let mut out = Vec::new();
        write(&mut out, &told(), &[head, due], now.into()).expect("written");
        let expected = "\
╭───────────────────────────────────────────────────────────────╮
│       Messages waiting in /var/spool/choria/submission        │
├──────────┬──────────┬─────────┬────────┬───────────┬──────────┤
│ Priority │ Messages │ Bytes   │ Oldest │ Tries     │ Next Try │
├──────────┼──────────┼─────────┼────────┼───────────┼──────────┤
│ 0        │ 0        │ 0 B     │        │           │          │
│ 1        │ 2        │ 2.0 KiB │ 18m44s │ 16 of 100 │ in 4.50s │
│ 2        │ 0        │ 0 B     │        │           │          │
│ 3        │ 0        │ 0 B     │        │           │          │
│ 4        │ 1,200    │ 1.2 MiB │ 18m44s │ 0 of 100  │ now      │
╰──────────┴──────────┴─────────┴────────┴───────────┴──────────╯

1.2 MiB of 64 MiB in all; 500 messages of each priority and 1.0 MiB in one are allowed
3 files were no messages and are set aside in /var/spool/choria/submission/corrupt
";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn the_head_of_a_queue_is_its_first_message() {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = folder.path().join("P1");
        std::fs::create_dir(&queue).expect("made");
        assert_eq!(head(folder.path(), 1), None);
        let recorded = vectors::Folder::open("submission");
        let message = recorded.read("message-3940.spool.json");
        std::os::unix::fs::symlink("/etc/hostname", queue.join("1-a.msg")).expect("linked");
        std::fs::write(queue.join("2-b.msg"), "{").expect("written");
        std::fs::write(queue.join("3-c.msg"), &message).expect("written");
        std::fs::write(queue.join("0-d.tmp"), &message).expect("written");
        let found = head(folder.path(), 1).expect("a message");
        assert_eq!(found.subject, "hello.world");
        let names = |folder: &Path| std::fs::read_dir(folder).expect("listed").count();
        assert_eq!(names(&queue), 4, "nothing is moved");
    }
}
