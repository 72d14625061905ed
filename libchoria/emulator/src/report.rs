//! How a fleet fares.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// A fleet at one moment; JSON keys as the fields are named, times in microseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Servers that were to be started.
    pub instances: usize,
    /// Servers that are connected.
    pub connected: usize,
    /// Servers that ended by a fault.
    pub failed: usize,
    /// Messages received by all servers.
    pub requests: u64,
    /// Messages that could not be verified.
    pub invalid: u64,
    /// Requests for other nodes.
    pub filtered: u64,
    /// Requests outside their time.
    pub expired: u64,
    /// Replies of all servers.
    pub replies: u64,
    /// How often connections were lost and came back.
    pub reconnects: u64,
    /// Messages dropped because a server was busy.
    pub dropped: u64,
    /// Resident memory of the process, bytes.
    pub resident_bytes: u64,
    /// Resident memory beyond that of the process before the first server, divided by the servers, bytes.
    pub resident_bytes_per_instance: u64,
    /// Half of all requests took at most this long from arrival to reply.
    #[serde(serialize_with = "micros")]
    pub p50: Duration,
    /// 90 of 100 requests.
    #[serde(serialize_with = "micros")]
    pub p90: Duration,
    /// 99 of 100 requests.
    #[serde(serialize_with = "micros")]
    pub p99: Duration,
    /// All requests.
    #[serde(serialize_with = "micros")]
    pub longest: Duration,
}

/// One line for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes / 1024;
        write!(
            f,
            "{} of {} connected, {} failed; {} requests, {} replies, {} filtered, {} invalid, {} expired, {} dropped, \
             {} reconnects; handling p50 {:?} p90 {:?} p99 {:?} max {:?}; {} MiB resident, {} KiB an instance",
            self.connected,
            self.instances,
            self.failed,
            self.requests,
            self.replies,
            self.filtered,
            self.invalid,
            self.expired,
            self.dropped,
            self.reconnects,
            self.p50,
            self.p90,
            self.p99,
            self.longest,
            kib(self.resident_bytes) / 1024,
            kib(self.resident_bytes_per_instance),
        )
    }
}

/// Resident memory of this process in bytes, 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&text).unwrap_or_default() * 1024
}

/// The number of the line `VmRSS:   1234 kB`.
fn kibibytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn micros<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(time.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status_of_the_process() {
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t   24052 kB\nRssAnon:\t 1 kB\n"), Some(24052));
        assert_eq!(kibibytes("Name:\tx\n"), None);
        assert!(resident_bytes() > 0);
    }

    #[test]
    fn the_line_and_the_json_tell_the_same() {
        let report = Report { instances: 2, connected: 1, p50: Duration::from_micros(3), ..Report::default() };
        assert!(report.to_string().starts_with("1 of 2 connected, 0 failed;"), "{report}");
        let json = serde_json::to_value(report).expect("JSON");
        assert_eq!((&json["connected"], &json["p50"]), (&1.into(), &3.into()));
    }
}
