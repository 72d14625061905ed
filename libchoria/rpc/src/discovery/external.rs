//! Nodes found by a program of the user's (spec 03a §8.4).

use crate::plan::unique;
use names::{Collective, Identity, InvalidName};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use protocol::Filter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A program that finds nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct External {
    /// The program and its arguments, as a shell would split them.
    pub command: Vec<String>,
    /// What the user wants to tell it.
    pub options: BTreeMap<String, String>,
    /// How long it may run; at least a second.
    pub timeout: Duration,
}

/// Why a program found no nodes.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// No program is named.
    #[error(
        "no command specified for external discovery: set plugin.choria.discovery.external.command or give --do command=COMMAND"
    )]
    NoCommand,
    /// The command cannot be split into words.
    #[error("the command {0:?} for external discovery cannot be split into words: a quote is not closed")]
    Quoting(String),
    /// It cannot be prepared or started.
    #[error("executing {command} failed: {source}")]
    Start {
        /// The program.
        command: String,
        /// The reason.
        source: std::io::Error,
    },
    /// It ended with a failure.
    #[error("executing {command} failed: {status}")]
    Failed {
        /// The program.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It did not end in time and was killed.
    #[error("executing {command} failed: it did not end within {} s (discovery_timeout) and was killed", limit.as_secs())]
    TimedOut {
        /// The program.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// Its answer cannot be read.
    #[error("failed to decode reply json of {command}: {reason}")]
    Malformed {
        /// The program.
        command: String,
        /// What is wrong.
        reason: String,
    },
    /// It says what went wrong.
    #[error("{0}")]
    Said(String),
    /// Its answer is of another kind.
    #[error("invalid response received, expected protocol {REPLY_PROTOCOL:?} got {0:?}")]
    Protocol(String),
    /// A name it gave is none.
    #[error("invalid response received: {0}")]
    Name(#[from] InvalidName),
}

impl External {
    /// The program in `command`, split as a shell would.
    ///
    /// # Errors
    /// When there is none, or a quote is not closed.
    pub fn new(command: &str, options: BTreeMap<String, String>, timeout: Duration) -> Result<Self, ExternalError> {
        let words = shell_words::split(command).map_err(|_| ExternalError::Quoting(command.to_owned()))?;
        if words.is_empty() {
            return Err(ExternalError::NoCommand);
        }
        Ok(Self { command: words, options, timeout: timeout.max(SHORTEST) })
    }

    /// Runs the program and gives the nodes it found, each once. What it prints goes to the log. When this is dropped, the
    /// program is killed with all it started.
    ///
    /// # Errors
    /// [`ExternalError`].
    pub async fn nodes(
        &self,
        filter: &Filter,
        collective: &Collective,
        federations: &[String],
    ) -> Result<Vec<Identity>, ExternalError> {
        let request = Request {
            protocol: REQUEST_PROTOCOL,
            collective,
            filter,
            federations: Some(federations).filter(|names| !names.is_empty()),
            options: &self.options,
            schema: REQUEST_SCHEMA,
            timeout: self.timeout.as_secs_f64(),
        };
        let (asking, answer) = self.files(&request).map_err(|source| self.start_error(source))?;
        let mut running = self.start(asking.path().as_os_str(), answer.path().as_os_str())?;
        let status = match timeout(self.timeout, running.finish()).await {
            Ok(status) => status.map_err(|source| self.start_error(source))?,
            Err(_elapsed) => return Err(ExternalError::TimedOut { command: self.name(), limit: self.timeout }),
        };
        if !status.success() {
            return Err(ExternalError::Failed { command: self.name(), status });
        }
        let mut bytes = Vec::new();
        let read = answer.reopen().and_then(|file| file.take(MOST_ANSWER).read_to_end(&mut bytes));
        read.map_err(|source| self.start_error(source))?;
        self.read(&bytes)
    }

    fn files(&self, request: &Request<'_>) -> std::io::Result<(NamedTempFile, NamedTempFile)> {
        let mut asking = NamedTempFile::with_prefix("request")?;
        asking.write_all(&serde_json::to_vec(request)?)?;
        Ok((asking, NamedTempFile::with_prefix("reply")?))
    }

    fn start(&self, asking: &OsStr, answer: &OsStr) -> Result<Running, ExternalError> {
        let (program, arguments) = self.command.split_first().ok_or(ExternalError::NoCommand)?;
        let mut command = Command::new(program);
        command.args(arguments).args([asking, answer, OsStr::new(REQUEST_PROTOCOL)]);
        command.current_dir(std::env::temp_dir()).process_group(0).kill_on_drop(true);
        command.env_clear().env("CHORIA_EXTERNAL_REQUEST", asking).env("CHORIA_EXTERNAL_REPLY", answer);
        command.env("CHORIA_EXTERNAL_PROTOCOL", REQUEST_PROTOCOL);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Running(command.spawn().map_err(|source| self.start_error(source))?))
    }

    fn read(&self, answer: &[u8]) -> Result<Vec<Identity>, ExternalError> {
        let malformed =
            |error: serde_json::Error| ExternalError::Malformed { command: self.name(), reason: error.to_string() };
        let reply: Reply = serde_json::from_slice(answer).map_err(malformed)?;
        if !reply.error.is_empty() {
            return Err(ExternalError::Said(reply.error));
        }
        if reply.protocol != REPLY_PROTOCOL {
            return Err(ExternalError::Protocol(reply.protocol));
        }
        Ok(unique(reply.nodes.iter().map(|name| name.parse()).collect::<Result<_, _>>()?))
    }

    fn name(&self) -> String {
        self.command.first().cloned().unwrap_or_default()
    }

    fn start_error(&self, source: std::io::Error) -> ExternalError {
        ExternalError::Start { command: self.name(), source }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    protocol: &'static str,
    collective: &'a Collective,
    filter: &'a Filter,
    federations: Option<&'a [String]>,
    options: &'a BTreeMap<String, String>,
    #[serde(rename = "$schema")]
    schema: &'static str,
    timeout: f64,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    error: String,
}

/// A running program; dropping it kills the program with all it started.
struct Running(Child);

impl Running {
    /// Waits for the end, with all output read to the log meanwhile.
    async fn finish(&mut self) -> std::io::Result<ExitStatus> {
        let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
        let out = each_line(out, |line| tracing::info!("external discovery: {line}"));
        let err = each_line(err, |line| tracing::error!("external discovery: {line}"));
        let (status, (), ()) = tokio::join!(self.0.wait(), out, err);
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group {
            // It fails only when nobody is left in the group.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Hands every line to `log`. What follows a megabyte, or text that is not UTF-8, is read and passed over.
async fn each_line(stream: Option<impl AsyncRead + Unpin>, log: impl Fn(&str)) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream.take(MOST_OUTPUT)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log(&line);
    }
    let mut rest = lines.into_inner().into_inner().into_inner();
    // The program is done with a stream that cannot be read.
    let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
}

/// Bytes of output that go to the log.
const MOST_OUTPUT: u64 = 1 << 20;

/// Bytes an answer may have: far more than the names of a hundred thousand nodes.
const MOST_ANSWER: u64 = 16 << 20;

const REQUEST_PROTOCOL: &str = "io.choria.choria.discovery.v1.external_request";
const REPLY_PROTOCOL: &str = "io.choria.choria.discovery.v1.external_reply";
const REQUEST_SCHEMA: &str = "https://choria.io/schemas/choria/discovery/v1/external_request.json";

/// Programs need a moment to start.
const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Runs `script` in a shell, which finds request and reply file in its variables.
    async fn run(script: &str) -> Result<String, String> {
        let quoted = shell_words::join(["sh", "-c", script, "discovery"]);
        let options = [("foo".to_owned(), "bar".to_owned())].into();
        let external = External::new(&quoted, options, Duration::from_millis(1)).expect("a command");
        let filter = Filter { agents: vec!["rpcutil".into()], ..Filter::default() };
        let collective = "mcollective".parse().expect("a collective");
        let found = external.nodes(&filter, &collective, &[]).await.map_err(|error| error.to_string())?;
        Ok(found.iter().map(Identity::as_str).collect::<Vec<_>>().join(" "))
    }

    fn answering(json: &str) -> String {
        format!("echo '{json}' > \"$CHORIA_EXTERNAL_REPLY\"")
    }

    #[tokio::test]
    async fn answers_and_failures() {
        let good = r#"{"protocol":"io.choria.choria.discovery.v1.external_reply","nodes":["one","two","one"]}"#;
        let wait = "sleep 60 & wait";
        let rows = [
            (answering(good), Ok("one two")),
            (format!("echo noise; echo more >&2; {}", answering(good)), Ok("one two")),
            (answering(&good.replace("two", "t w")), Err("invalid response received: \"t w\" is not a valid identity")),
            (answering(r#"{"error":"no database"}"#), Err("no database")),
            (answering(r#"{"protocol":"x"}"#), Err("invalid response received, expected protocol \"io.choria.")),
            ("true".to_owned(), Err("failed to decode reply json of sh: EOF")),
            ("exit 3".to_owned(), Err("executing sh failed: exit status: 3")),
            (wait.to_owned(), Err("executing sh failed: it did not end within 1 s (discovery_timeout) and was killed")),
        ];
        let began = Instant::now();
        for (script, expected) in rows {
            match (run(&script).await, expected) {
                (Ok(nodes), Ok(expected)) => assert_eq!(nodes, expected, "{script}"),
                (Err(error), Err(start)) => assert!(error.starts_with(start), "{script}: {error}"),
                (got, _) => panic!("{script}: {got:?}"),
            }
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nothing outlives its time");
    }

    #[tokio::test]
    async fn the_program_gets_what_it_needs_and_no_more() {
        let checks = r#"test "$1" = "$CHORIA_EXTERNAL_REQUEST" && test "$2" = "$CHORIA_EXTERNAL_REPLY" &&
            test "$3" = io.choria.choria.discovery.v1.external_request && test -z "$HOME" &&
            grep -q '"collective":"mcollective"' "$1" && grep -q '"agent":\["rpcutil"\]' "$1" &&
            grep -q '"federations":null,"options":{"foo":"bar"}' "$1" && grep -q '"timeout":1.0' "$1" &&"#;
        let answer = answering(r#"{"protocol":"io.choria.choria.discovery.v1.external_reply","nodes":["fine"]}"#);
        assert_eq!(run(&format!("{checks} {answer}")).await, Ok("fine".to_owned()));
    }

    #[test]
    fn commands_that_are_none() {
        for (command, start) in [("", "no command specified"), ("a 'b", "the command \"a 'b\" for external discovery")]
        {
            let error = External::new(command, BTreeMap::new(), SHORTEST).expect_err(command).to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }
}
