//! Submits messages until it is killed, and prints the id of each once it is accepted: `submitter SPOOL|SOCKET SUBJECT
//! PRIORITY BATCH`. For tests.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;
use submission::{Draft, Limits, Message, MessageId, Priority, Sender, Spool, accept};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [place, subject, priority, batch] = arguments.as_slice() else {
        eprintln!("usage: submitter SPOOL SUBJECT PRIORITY BATCH");
        return ExitCode::FAILURE;
    };
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number"));
    let priority = Priority::new(number(priority)).expect("a priority");
    let limits = Limits { max_messages: 2_000_000, max_bytes: 1 << 40, ..Limits::default() };
    let spool = Spool::open(Path::new(place), limits).expect("a spool");
    let mut round = 0;
    loop {
        let drafts = (0..number(batch)).map(|index| {
            let payload = format!("{round} {index} {}", "x".repeat((round as usize * 7) % 300)).into_bytes();
            Draft { reliable: true, priority, max_tries: 1_000_000, ..Draft::new(subject.clone(), payload) }
        });
        let make = |draft| accept(draft, Sender::owner(0), "n1", MessageId::generate(), SystemTime::now());
        let messages: Vec<Message> = drafts.map(make).collect::<Result<_, _>>().expect("valid drafts");
        for (message, stored) in messages.iter().zip(spool.store_many(&messages)) {
            stored.expect("room in the spool");
            // One write for each, so that a kill leaves whole lines only.
            std::io::stdout().write_all(format!("{}\n", message.id).as_bytes()).expect("somebody reads");
        }
        std::io::stdout().flush().expect("somebody reads");
        round += 1;
    }
}
