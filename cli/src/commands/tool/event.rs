//! `choria tool event`: lifecycle events as they happen (spec 09 §16.2).

use crate::Global;
use crate::output::printable;
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::{Context, bail};
use clap::ValueEnum;
use lifecycle::{Component, Event};
use network::Delivery;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// Which events to show, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct EventArguments {
    /// Show events of one component only, as in server
    #[arg(long, value_name = "COMPONENT")]
    component: Option<Component>,
    /// Show events of one type only
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: Option<EventType>,
    /// Write the events as they came, one JSON object a line
    #[arg(long, short)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The words of `--type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum EventType {
    /// A server still runs
    Alive,
    /// A slot of a governor was taken or left
    Governor,
    /// A server got its configuration
    Provisioned,
    /// A server stops
    Shutdown,
    /// A server starts
    Startup,
    /// A server's software was replaced
    Upgraded,
}

/// Shows events until the user has seen enough.
///
/// # Errors
/// When the broker cannot be reached or refuses to tell, or standard output is gone.
pub(crate) fn run(arguments: &EventArguments, global: &Global) -> anyhow::Result<ExitCode> {
    // Asked now, because it cannot be asked once there are threads.
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let session = Session::open(global, &arguments.connect, Talk::Normal)?;
    let subject = arguments.subject();
    block_on(async {
        let client = session.client().await?;
        let connection = client.connection();
        let mut denials = connection.denials();
        let mut events = connection.subscribe(&subject, None).await?;
        if !arguments.json {
            let server = connection.connected_server().unwrap_or_default();
            shown(writeln!(io::stdout(), "Waiting for events from topic {subject} on {server}"))?;
        }
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut interrupt => return Ok(ExitCode::SUCCESS),
                denied = denials.wait_for(Option::is_some) => {
                    let words = denied.context("the connection to the broker is closed")?.clone().unwrap_or_default();
                    bail!(
                        "the broker does not tell about events ({words}): the token {} needs the permission that \
                         `choria jwt client --event-viewer` gives",
                        session.settings().token_file().map(|file| file.display().to_string()).unwrap_or_default()
                    );
                }
                event = events.recv() => {
                    let event = event.context("the connection to the broker is closed")?;
                    arguments.show(&event, offset, global.debug)?;
                }
            }
        }
    })
}

impl EventArguments {
    /// The narrowest subject that carries what is wanted, so that the broker sends nothing else.
    fn subject(&self) -> String {
        match (self.kind, &self.component) {
            (None, None) => Event::ALL_SUBJECTS.to_owned(),
            (Some(kind), None) => format!("choria.lifecycle.event.{}.>", kind.word()),
            (None, Some(component)) => format!("choria.lifecycle.event.*.{component}"),
            (Some(kind), Some(component)) => format!("choria.lifecycle.event.{}.{component}", kind.word()),
        }
    }

    /// Writes one event; what is none is told in the log.
    fn show(&self, delivery: &Delivery, offset: UtcOffset, debug: bool) -> anyhow::Result<()> {
        let raw = String::from_utf8_lossy(&delivery.payload);
        let event = match Event::parse(&delivery.payload) {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!("a message on {} is no event: {error}", delivery.subject);
                return Ok(());
            }
        };
        let mut out = io::stdout();
        if self.json {
            return shown(writeln!(out, "{}", one_line(&raw)));
        }
        if debug {
            shown(writeln!(out, "{}", printable(&raw)))?;
        }
        shown(writeln!(out, "{}", line(&event, OffsetDateTime::now_utc().to_offset(offset))))
    }
}

impl EventType {
    fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Governor => "governor",
            Self::Provisioned => "provisioned",
            Self::Shutdown => "shutdown",
            Self::Startup => "startup",
            Self::Upgraded => "upgraded",
        }
    }
}

/// One event as people read it, with the time it arrived.
fn line(event: &Event, now: OffsetDateTime) -> String {
    let clock = now.format(format_description!("[hour]:[minute]:[second]")).unwrap_or_default();
    format!("{clock} {}", printable(&event.to_string()))
}

/// JSON text without line breaks, which can only stand between its tokens.
fn one_line(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}

/// Errors of standard output, as such.
fn shown(written: io::Result<()>) -> anyhow::Result<()> {
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use time::macros::datetime;
    use vectors::Folder;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        arguments: EventArguments,
    }

    #[test]
    fn the_broker_sends_only_what_is_wanted() {
        let rows: [(&[&str], &str); 4] = [
            (&[], "choria.lifecycle.event.>"),
            (&["--type", "startup"], "choria.lifecycle.event.startup.>"),
            (&["--component", "server"], "choria.lifecycle.event.*.server"),
            (&["--component", "server", "--type", "alive"], "choria.lifecycle.event.alive.server"),
        ];
        for (words, expected) in rows {
            let words = Words::parse_from([&["event"], words].concat());
            assert_eq!(words.arguments.subject(), expected);
        }
        for wrong in ["--type=born", "--component=a b", "--component=*"] {
            assert!(Words::try_parse_from(["event", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_recorded_event_has_its_recorded_line() {
        let folder = Folder::open("lifecycle");
        let texts = ["tool-event.txt", "tool-event-governor.txt"].map(|file| folder.text(file)).concat();
        let lines: Vec<&str> = texts.lines().filter_map(|line| line.get(9..)).collect();
        let files = [
            ("lifecycle-event-startup-server--1302.json", "[startup]"),
            ("lifecycle-event-shutdown-server--4323.json", "[shutdown]"),
            ("lifecycle-event-alive-server--4514.json", "[alive]"),
            ("lifecycle-event-provisioned-provision_mode_server--1147.json", "[provisioned]"),
            ("lifecycle-event-governor--9522.json", "[governor]"),
        ];
        for (file, kind) in files {
            let event = Event::parse(&folder.read(file)).expect(file);
            let got = line(&event, datetime!(2026-11-21 09:24:44 +1));
            assert!(got.starts_with(&format!("09:24:44 {kind} ")), "{file}: {got}");
            // Another node's line of the same kind differs in the name alone.
            let shape = |text: &str| text.split_once(": ").map(|(_, rest)| rest.to_owned());
            assert!(
                lines.iter().any(|line| line.starts_with(kind) && shape(line) == shape(&got[9..])),
                "{file}: {got}"
            );
        }
    }

    #[test]
    fn events_stay_on_one_line_and_cannot_steer_the_terminal() {
        assert_eq!(one_line("{\n\"a\":1\r\n}"), "{ \"a\":1  }");
        let text = r#"{"protocol":"io.choria.lifecycle.v1.startup","identity":"n1","component":"server","timestamp":1,
            "version":"1\u001b[2J"}"#;
        let event = Event::parse(text.as_bytes()).expect("an event");
        assert_eq!(line(&event, datetime!(2026-11-21 0:00 UTC)), "00:00:00 [startup] n1: server version 1\\u{1b}[2J");
    }
}
