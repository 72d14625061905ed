//! The journal, when systemd connected this process to it.

use nix::sys::stat::fstat;
use tracing_journald::{Layer, Priority, PriorityMappings};

/// A layer that writes to the journal under the name `name`; `None` when standard error is not the journal, or the journal
/// cannot be reached.
pub(super) fn layer(name: &str) -> Option<Layer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = fstat(std::io::stderr()).ok()?;
    if !is_same_file(&stream, stderr.st_dev, stderr.st_ino) {
        return None;
    }
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let layer = Layer::new().ok()?;
    Some(
        layer
            .with_syslog_identifier(name.to_owned())
            .with_field_prefix(Some("CHORIA".to_owned()))
            .with_priority_mappings(priorities),
    )
}

/// Whether `JOURNAL_STREAM`, `<device>:<inode>` in decimal, is that file: the variable is inherited even by processes
/// whose standard error was redirected later (systemd.exec(5)).
fn is_same_file(stream: &str, device: u64, inode: u64) -> bool {
    let mut parts = stream.splitn(2, ':').map(|part| part.parse::<u64>().ok());
    parts.next() == Some(Some(device)) && parts.next() == Some(Some(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_names_device_and_inode() {
        let rows = [
            ("8:1234", true),
            ("8:1235", false),
            ("9:1234", false),
            ("8", false),
            ("", false),
            ("8:1234:5", false),
            ("x:1234", false),
        ];
        for (stream, expected) in rows {
            assert_eq!(is_same_file(stream, 8, 1234), expected, "{stream:?}");
        }
    }
}
