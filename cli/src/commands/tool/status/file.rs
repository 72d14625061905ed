//! The status file as any version of the server writes it (spec 04 §4.3).

use serde::{Deserialize, Deserializer, Serialize};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A status file is a few hundred bytes; what is larger than this is none.
const LARGEST: u64 = 1 << 20;

/// What the file says, and when it was written.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StatusFile {
    /// The node.
    pub(super) identity: String,
    /// Seconds since the start.
    #[serde(default)]
    pub(super) uptime: u64,
    /// URL of the broker, empty while disconnected.
    #[serde(default)]
    pub(super) connected_server: String,
    /// When the last request was accepted, unix seconds, 0 if never.
    #[serde(default)]
    pub(super) last_message: u64,
    /// Whether the node waits to be provisioned.
    #[serde(default)]
    pub(super) provisioning_mode: bool,
    /// The counters.
    #[serde(default)]
    pub(super) stats: Counters,
    /// When the certificate expires, if there is one.
    #[serde(default, deserialize_with = "time")]
    pub(super) certificate_expires: Option<SystemTime>,
    /// When the token or its issuer expires, if there is one.
    #[serde(default, deserialize_with = "time")]
    pub(super) token_expires: Option<SystemTime>,
    /// When the file was written.
    #[serde(skip)]
    pub(super) written: Option<SystemTime>,
}

/// Messages since the start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Counters {
    pub(super) total: u64,
    pub(super) valid: u64,
    pub(super) invalid: u64,
    pub(super) passed: u64,
    pub(super) filtered: u64,
    pub(super) replies: u64,
    pub(super) ttlexpired: u64,
    pub(super) events: u64,
}

impl StatusFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// What the system says, and when the file holds something else.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = std::fs::File::open(path)?;
        let written = file.metadata()?.modified()?;
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        let status: Self = serde_json::from_slice(&text)
            .map_err(|error| io::Error::other(format!("it is no status file: {error}")))?;
        Ok(Self { written: Some(written), ..status })
    }
}

/// An RFC 3339 time; the year 1 stands for none.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
    Ok((time.year() > 1).then(|| time.into()))
}
