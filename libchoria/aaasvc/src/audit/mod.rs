//! Who learns of each decision (spec 07 §10): a file, a stream, or both, in the order of the configuration.
//!
//! A record that a file does not take is logged and counted and changes nothing, as in the original. A stream's records
//! wait in a bounded queue; when that is full the decision waits, at most five seconds, and then the request is **not**
//! signed: what was allowed is either in the queue or did not happen. At the end of the process the queue is emptied as
//! far as time allows, and what is left is written to the log in full.

mod jetstream;
mod logfile;

pub(crate) use jetstream::Stream;

use crate::metrics::Metrics;
use crate::settings;
use logfile::LogFile;
use std::sync::Arc;
use std::time::SystemTime;

/// What was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Allow,
    Deny,
}

/// One decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) action: Action,
    pub(crate) caller: &'a str,
    /// The request, JSON text.
    pub(crate) request: &'a [u8],
    pub(crate) time: SystemTime,
}

/// All auditors of a service.
#[derive(Debug)]
pub(crate) struct Auditors {
    list: Vec<Auditor>,
    site: String,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Auditor {
    LogFile(LogFile),
    Stream(jetstream::Queue),
}

/// An audit record found no room in time.
#[derive(Debug, thiserror::Error)]
#[error("the audit queue is full: {0} records wait for the stream of jetstream_auditor.servers")]
pub(crate) struct NoRoom(usize);

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Auditors {
    /// The auditors that `settings` name, and the streams that must be run for them.
    ///
    /// # Errors
    /// A file that cannot be opened, or a stream's connection that cannot be described.
    pub(crate) fn open(
        settings: &settings::Settings,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Vec<Stream>), settings::Problem> {
        let (mut list, mut streams) = (Vec::new(), Vec::new());
        for auditor in &settings.auditors {
            list.push(match auditor {
                settings::Auditor::LogFile(file) => Auditor::LogFile(LogFile::open(file.as_deref())?),
                settings::Auditor::JetStream { servers, topic } => {
                    let choria = settings.choria.as_ref();
                    let choria = choria.ok_or(settings::Problem::NoChoriaConfig("the jetstream auditor"))?;
                    let (queue, stream) = jetstream::open(choria, servers, topic, metrics)?;
                    streams.push(stream);
                    Auditor::Stream(queue)
                }
            });
        }
        Ok((Self { list, site: settings.site.clone(), metrics: Arc::clone(metrics) }, streams))
    }

    /// Tells everybody.
    ///
    /// # Errors
    /// [`NoRoom`]: the decision must not be carried out.
    pub(crate) async fn tell(&self, record: Record<'_>) -> Result<(), NoRoom> {
        let mut verdict = Ok(());
        for auditor in &self.list {
            match auditor {
                Auditor::LogFile(file) => {
                    if let Err(error) = file.write(&record, &self.site) {
                        self.metrics.auditor_error("logfile");
                        tracing::error!("Auditing failed: {file}: {error}; see logfile_auditor.logfile");
                    }
                }
                Auditor::Stream(queue) => {
                    if let Err(full) = queue.put(&record, &self.site).await {
                        self.metrics.auditor_error("jetstream");
                        tracing::error!("Auditing failed: {full}");
                        verdict = Err(full);
                    }
                }
            }
        }
        verdict
    }

    /// Opens files anew at the next record.
    pub(crate) fn reopen(&self) {
        for auditor in &self.list {
            if let Auditor::LogFile(file) = auditor {
                file.reopen();
            }
        }
    }

    /// Their names in metrics.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let kind = |auditor: &Auditor| match auditor {
            Auditor::LogFile(_) => "logfile",
            Auditor::Stream(_) => "jetstream",
        };
        self.list.iter().map(kind).collect()
    }
}
