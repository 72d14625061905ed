//! Submits messages until it is killed, and prints the id of each once it is accepted: `submitter PLACE SUBJECT PRIORITY
//! BATCH`, where PLACE is a spool or the socket of the submission service. For tests.

use local::submission::Client;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use submission::{Draft, Limits, Message, MessageId, Priority, Sender, Spool, accept};

/// Where messages are handed in.
enum Place {
    Spool(Box<Spool>),
    Socket(PathBuf, Option<Client>),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [place, subject, priority, batch] = arguments.as_slice() else {
        eprintln!("usage: submitter PLACE SUBJECT PRIORITY BATCH");
        return ExitCode::FAILURE;
    };
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number"));
    let (priority, batch) = (Priority::new(number(priority)).expect("a priority"), number(batch));
    let mut place = Place::open(Path::new(place));
    for round in 0.. {
        let drafts = (0..batch).map(|index| {
            let payload = format!("{round} {index} {}", "x".repeat((round * 7) % 300)).into_bytes();
            Draft { reliable: true, priority, max_tries: 1_000_000, ..Draft::new(subject.clone(), payload) }
        });
        for id in place.submit(&drafts.collect::<Vec<_>>()) {
            // One write for each, so that a kill leaves whole lines only.
            std::io::stdout().write_all(format!("{id}\n").as_bytes()).expect("somebody reads");
            std::io::stdout().flush().expect("somebody reads");
        }
    }
    ExitCode::SUCCESS
}

impl Place {
    fn open(path: &Path) -> Self {
        if path.metadata().is_ok_and(|about| about.file_type().is_socket()) {
            return Self::Socket(path.to_owned(), None);
        }
        let limits = Limits { max_messages: 2_000_000, max_bytes: 1 << 40, ..Limits::default() };
        Self::Spool(Box::new(Spool::open(path, limits).expect("a spool")))
    }

    /// The ids of those that were accepted.
    fn submit(&mut self, drafts: &[Draft]) -> Vec<MessageId> {
        match self {
            Self::Spool(spool) => {
                let make = |draft: &Draft| {
                    let now = SystemTime::now();
                    accept(draft.clone(), Sender::owner(0), "n1", MessageId::generate(), now).expect("a valid draft")
                };
                let messages: Vec<Message> = drafts.iter().map(make).collect();
                let stored = spool.store_many(&messages);
                messages
                    .into_iter()
                    .zip(stored)
                    .map(|(message, stored)| stored.map(|_| message.id).expect("room"))
                    .collect()
            }
            Self::Socket(path, client) => {
                if client.is_none() {
                    *client = Client::connect(path).ok();
                }
                let Some(open) = client else {
                    // The service was killed and is not back yet.
                    std::thread::sleep(Duration::from_millis(5));
                    return Vec::new();
                };
                let answers = open.submit_many(drafts);
                if answers.iter().any(Result::is_err) {
                    *client = None;
                }
                answers.into_iter().flatten().collect()
            }
        }
    }
}
