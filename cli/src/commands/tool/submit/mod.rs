//! `choria tool submit`: hands a message to this machine's server, which delivers it (spec 04 §5.8).
//!
//! Made for programs that run every second on every machine: no log, no runtime, no network, and only the configuration
//! that says where the message goes.

mod payload;

use super::submission::settings::Setup;
use crate::Global;
use local::submission::SubmitError;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use submission::{Draft, MessageId, Priority};

pub(crate) const LONG_ABOUT: &str = "\
Hands a message to the Choria Server of this machine, which delivers it to the network as COLLECTIVE.submission.in.SUBJECT.

The message's id is printed once it is safe on the disk; whether there is a network does not matter, nor whether the server \
runs. The service choria-submit takes it on /run/choria/submit.sock; without that service, whoever may write the spool does.

Which users may submit which subjects stands in plugin.choria.submission.allow.";

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
   0  the message is safe on the disk and its id was printed
   1  the message is refused, or the command line is wrong: trying again does not help
  75  nothing takes messages now, the spool is full, or the disk fails: try again later")]
pub(crate) struct SubmitArguments {
    /// What the message is about, as in jobs.backup
    subject: String,
    /// A file with the message; - for standard input
    payload: String,
    /// Deliver until a stream confirms it, in order
    #[arg(long)]
    reliable: bool,
    /// Which of the five queues it waits in, 0 to 4; reliable messages keep their order within one
    #[arg(long, value_name = "PRIORITY", default_value = "4", value_parser = priority)]
    priority: Priority,
    /// Drop it when it could not be delivered for so long, 31 days at most
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = crate::duration::parse)]
    ttl: Duration,
    /// Drop a reliable message after so many attempts
    #[arg(long, value_name = "ATTEMPTS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// Record this sender instead of the user; for root and the owner of the spool
    #[arg(long)]
    sender: Option<String>,
    /// Have the server sign it, so that readers can verify where it comes from
    #[arg(long)]
    sign: bool,
    /// A header to send with it; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME:VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
}

/// Submits the message and prints its id.
///
/// # Errors
/// When the configuration or the payload cannot be used.
pub(crate) fn run(arguments: &SubmitArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let setup = Setup::read(global)?;
    let most = match (&setup.settings, &setup.file) {
        (Some(settings), Some(_)) => settings.limits.max_message_size,
        // The service knows what is allowed, and this user does not.
        _ => LARGEST,
    };
    let draft = arguments.draft(payload::read(&arguments.payload, most)?);
    match hand_in(&setup, &draft) {
        Ok(id) => {
            let mut out = std::io::stdout().lock();
            if let Err(error) = writeln!(out, "{id}").and_then(|()| out.flush()) {
                eprintln!("choria: warning: message {id} is stored, and its id could not be printed: {error}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("choria: error: {error}");
            Ok(exit_code(&error))
        }
    }
}

fn hand_in(setup: &Setup, draft: &Draft) -> Result<MessageId, SubmitError> {
    match &setup.settings {
        Some(settings) => local::submission::submit(settings, draft),
        None => setup.service()?.submit(draft),
    }
}

/// Whether the same message may be taken later.
fn exit_code(error: &SubmitError) -> ExitCode {
    match error {
        SubmitError::Refused(_) | SubmitError::Invalid(_) | SubmitError::TooLarge(_) => ExitCode::FAILURE,
        _ => ExitCode::from(TRY_AGAIN),
    }
}

impl SubmitArguments {
    fn draft(&self, payload: Vec<u8>) -> Draft {
        Draft {
            reliable: self.reliable,
            priority: self.priority,
            ttl: self.ttl,
            max_tries: self.tries,
            sender: self.sender.clone(),
            sign: self.sign,
            headers: BTreeMap::from_iter(self.headers.iter().cloned()),
            ..Draft::new(self.subject.as_str(), payload)
        }
    }
}

fn priority(text: &str) -> Result<Priority, String> {
    let number = text.parse::<u64>().ok().and_then(|number| Priority::new(number).ok());
    number.ok_or_else(|| format!("priorities are 0 to 4, got '{text}'"))
}

/// Splits at the first colon or equals sign; a space may stand behind it, as in `Name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once([':', '=']).ok_or_else(|| format!("expected NAME:VALUE got '{text}'"))?;
    Ok((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()))
}

/// What a message to the service can hold at most: base64 of it fits its 4 MiB.
const LARGEST: u64 = 3 << 20;

/// `EX_TEMPFAIL` of sysexits(3): schedulers and mail systems know it.
const TRY_AGAIN: u8 = 75;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        arguments: SubmitArguments,
    }

    fn draft(words: &[&str]) -> Draft {
        let words = Words::try_parse_from([&["submit"], words].concat()).expect("a command line");
        assert_eq!(words.arguments.payload, "-");
        words.arguments.draft(b"x".to_vec())
    }

    #[test]
    fn flags_reach_the_message() {
        let plain = Draft::new("hello.world", "x");
        assert_eq!(draft(&["hello.world", "-"]), plain);
        assert_eq!(draft(&["hello.world", "--", "-"]), plain);
        let headers = [("Acme", "1"), ("Site", "a=b:c"), ("Url", "http://x")];
        let expected = Draft {
            reliable: true,
            priority: Priority::new(1).expect("a priority"),
            ttl: Duration::from_secs(7 * 86_400),
            max_tries: 5,
            sender: Some("backup".to_owned()),
            sign: true,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..plain
        };
        let words = [
            "--reliable",
            "--priority",
            "1",
            "--ttl",
            "7d",
            "--tries",
            "5",
            "--sender",
            "backup",
            "--sign",
            "-H",
            "Acme=1",
            "--header",
            "Site:a=b:c",
            "--header=Url: http://x",
            "hello.world",
            "--",
            "-",
        ];
        assert_eq!(draft(&words), expected);
    }

    #[test]
    fn wrong_flags_are_refused() {
        let rows: [&[&str]; 7] = [
            &["a"],
            &["a", "-", "--priority", "5"],
            &["a", "-", "--priority", "-1"],
            &["a", "-", "--tries", "0"],
            &["a", "-", "--ttl", "soon"],
            &["a", "-", "--header", "Acme"],
            &["a", "-", "b"],
        ];
        for words in rows {
            assert!(Words::try_parse_from([&["submit"], words].concat()).is_err(), "{words:?}");
        }
    }

    #[test]
    fn exit_codes_say_whether_to_try_again() {
        let text = String::new;
        let rows = [
            (SubmitError::Refused(text()), ExitCode::FAILURE),
            (SubmitError::Invalid(text()), ExitCode::FAILURE),
            (SubmitError::TooLarge(text()), ExitCode::FAILURE),
            (SubmitError::NoSocket(text()), ExitCode::from(75)),
            (SubmitError::SpoolFull(text()), ExitCode::from(75)),
            (SubmitError::SpoolFailed(text()), ExitCode::from(75)),
            (SubmitError::Busy(text()), ExitCode::from(75)),
            (SubmitError::Io(text()), ExitCode::from(75)),
        ];
        for (error, expected) in rows {
            assert_eq!(format!("{:?}", exit_code(&error)), format!("{expected:?}"), "{error:?}");
        }
    }
}
