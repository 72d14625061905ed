//! Running the helper: bounded in time and output, and gone with everything it started when its time is over.

use super::stderr;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// The helper as configured; run any number of times, one process for each node.
#[derive(Clone, Debug)]
pub struct Helper {
    /// Program and arguments; at least the program.
    pub command: Vec<String>,
    /// How long one run may take.
    pub limit: Duration,
    /// Texts that must not reach the log.
    pub secrets: Vec<String>,
}

/// Why a run of the helper does not count. What it wrote on standard error is in the log.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It cannot be started.
    #[error("the helper {program} cannot be started: {source}; see helper in the configuration of the provisioner")]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It did not end in time.
    #[error("the helper did not end within {} s (helper_timeout) and was killed with everything it started", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It failed.
    #[error("the helper failed with {0}, whatever it answered does not count")]
    Failed(ExitStatus),
    /// It answered nothing.
    #[error("the helper answered nothing")]
    Silent,
    /// It answered too much.
    #[error("the helper answered more than {LARGEST_OUTPUT} bytes, no node takes that much")]
    TooMuch,
    /// The system failed while it ran.
    #[error("the helper cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Most bytes that a helper may answer: what a broker carries in one message, before encoding.
pub const LARGEST_OUTPUT: usize = 1024 * 1024;

impl Helper {
    /// Runs the helper with `input` on its standard input and gives what it wrote on standard output. Dropping the future
    /// kills it with everything it started.
    ///
    /// # Errors
    /// [`HelperError`]; nothing of the helper is left running then.
    pub async fn run(&self, input: &[u8]) -> Result<Vec<u8>, HelperError> {
        let mut running = Running::start(&self.command)?;
        let mut said = Said::default();
        let result = match timeout(self.limit, running.converse(input, &mut said)).await {
            Ok(Ok(status)) if !status.success() => Err(HelperError::Failed(status)),
            Ok(Ok(_)) if said.output.is_empty() => Err(HelperError::Silent),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(HelperError::TimedOut(self.limit)),
        };
        drop(running);
        self.log(&said.complaints, result.is_err());
        result.map(|()| said.output)
    }

    fn log(&self, complaints: &[u8], failed: bool) {
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        for line in stderr::lines(&String::from_utf8_lossy(complaints), &secrets) {
            if failed {
                tracing::warn!("helper: {line}");
            } else {
                tracing::debug!("helper: {line}");
            }
        }
    }
}

/// What a helper wrote so far.
#[derive(Debug, Default)]
struct Said {
    output: Vec<u8>,
    complaints: Vec<u8>,
}

/// A helper that runs, as the leader of a process group of its own. Dropping this kills the group.
#[derive(Debug)]
struct Running {
    child: Child,
    /// Until the leader was waited for: only so long does the number belong to the group for certain.
    group: Option<Pid>,
}

impl Running {
    fn start(command: &[String]) -> Result<Self, HelperError> {
        let Some((program, arguments)) = command.split_first() else {
            let source = io::Error::other("no program is named");
            return Err(HelperError::Start { program: String::new(), source });
        };
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| HelperError::Start { program: program.clone(), source })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Hands over the input, takes what comes and waits for the end.
    async fn converse(&mut self, input: &[u8], said: &mut Said) -> Result<ExitStatus, HelperError> {
        let (stdin, stdout, stderr) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let Said { output, complaints } = said;
        let status = {
            let mut talk = std::pin::pin!(async {
                // Who reads all input before it answers and who answers before it reads are both served.
                let reading = read(stdout, output, LARGEST_OUTPUT);
                tokio::try_join!(tell(stdin, input), reading, complain(stderr, complaints)).map(|_| ())
            });
            let mut ended = std::pin::pin!(self.child.wait());
            tokio::select! {
                // Whoever closes its output ends soon.
                read = &mut talk => {
                    read?;
                    ended.await?
                }
                status = &mut ended => {
                    let status = status?;
                    // Something else may hold the output open. What the helper itself wrote is in the pipe by now.
                    match timeout(LEFTOVERS, &mut talk).await {
                        Ok(read) => {
                            self.group = None;
                            read?;
                        }
                        // Somebody of the group still lives, or its number would not be in use: kill it on the way out.
                        Err(_elapsed) => {}
                    }
                    return Ok(status);
                }
            }
        };
        self.group = None;
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        if let Err(error) = killpg(group, Signal::SIGKILL) {
            // Without anybody left there is nobody to kill.
            tracing::debug!("the helper's processes could not be killed: {error}");
        }
    }
}

/// Writes the input and closes it. A helper may end without reading everything.
async fn tell(stdin: Option<ChildStdin>, input: &[u8]) -> Result<(), HelperError> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    if let Err(error) = stdin.write_all(input).await {
        tracing::debug!("the helper did not read its whole input: {error}");
    }
    Ok(())
}

/// Reads to the end, at most `most` bytes.
async fn read(source: Option<impl AsyncRead + Unpin>, target: &mut Vec<u8>, most: usize) -> Result<(), HelperError> {
    let Some(source) = source else { return Ok(()) };
    let more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bounded = source.take(more);
    while bounded.read_buf(target).await? > 0 {}
    if target.len() > most { Err(HelperError::TooMuch) } else { Ok(()) }
}

/// Reads to the end and keeps the beginning, so that a helper that complains a lot is not stopped by it.
async fn complain(source: Option<impl AsyncRead + Unpin>, target: &mut Vec<u8>) -> Result<(), HelperError> {
    let Some(mut source) = source else { return Ok(()) };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = source.read(&mut buffer).await {
        let room = MOST_COMPLAINTS.saturating_sub(target.len());
        target.extend_from_slice(&buffer[..length.min(room)]);
    }
    Ok(())
}

/// Bytes of standard error that are kept.
const MOST_COMPLAINTS: usize = 16 * 1024;
/// How long output is waited for after the helper ended, if something else still holds it open.
const LEFTOVERS: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
