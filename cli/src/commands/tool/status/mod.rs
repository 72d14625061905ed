//! `choria tool status`: whether a server is well, from the status file it writes (spec 04 §4.4, 09 §16.3). No network.

mod check;
mod file;
mod report;

use crate::duration;
use check::{Limits, Mode, findings};
use clap::ValueEnum;
use file::StatusFile;
use report::Verdict;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// What to read, and what is too old.
#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct StatusArguments {
    /// The status file, which the server writes where plugin.choria.status_file_path says
    #[arg(long, value_name = "FILE")]
    status_file: PathBuf,
    /// Fail when the file was not written for so long; 0 disables this check, as it does those below
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration::parse)]
    max_age: Duration,
    /// Fail when the certificate expires within this time
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
    certificate_age: Duration,
    /// Fail when the token expires within this time
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
    token_age: Duration,
    /// Fail when no request arrived for so long
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration::parse)]
    message_since: Duration,
    /// Accept a server that is not connected to a broker
    #[arg(long)]
    no_disconnected: bool,
    /// Fail when the server is not connected to a broker, as is usual
    #[arg(id = "check_connection", long = "disconnected", hide = true, overrides_with = "no_disconnected")]
    disconnected: bool,
    /// Fail unless the server waits to be provisioned
    #[arg(long, conflicts_with = "provisioned")]
    unprovisioned: bool,
    /// Fail when the server waits to be provisioned
    #[arg(long)]
    provisioned: bool,
    /// How to tell
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The words of `--format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// The file and OK, or the file and the first thing that is wrong
    Text,
    /// A line with performance data, and the exit codes of a monitoring plugin
    Nagios,
    /// One JSON object
    Json,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the server is well
  1  it is not; with --format nagios: its token or certificate expires soon
  2  with --format nagios: it is not well
  3  with --format nagios: the status file cannot be read";

/// Reads the file, judges it and says so in one line.
///
/// # Errors
/// When standard output is gone.
pub(crate) fn run(arguments: &StatusArguments) -> anyhow::Result<ExitCode> {
    let path = arguments.status_file.display();
    let now = SystemTime::now();
    let verdict = match StatusFile::read(&arguments.status_file) {
        Ok(status) => {
            let findings = findings(&status, &arguments.limits(), now);
            Verdict { file: path.to_string(), findings, status: Some(status) }
        }
        Err(error) => Verdict::unreadable(&path.to_string(), &error),
    };
    let mut out = io::stdout().lock();
    match arguments.format {
        Format::Text => verdict.text(&mut out)?,
        Format::Nagios => verdict.nagios(&mut out, now)?,
        Format::Json => verdict.json(&mut out)?,
    }
    out.flush()?;
    let level = verdict.level();
    Ok(match arguments.format {
        Format::Nagios => ExitCode::from(level.nagios_code()),
        Format::Text | Format::Json => ExitCode::from(u8::from(!verdict.findings.is_empty())),
    })
}

impl StatusArguments {
    fn limits(&self) -> Limits {
        Limits {
            age: self.max_age,
            certificate: self.certificate_age,
            token: self.token_age,
            message: self.message_since,
            connected: !self.no_disconnected,
            mode: match (self.unprovisioned, self.provisioned) {
                (true, _) => Some(Mode::Provisioning),
                (false, true) => Some(Mode::Provisioned),
                (false, false) => None,
            },
        }
    }
}
