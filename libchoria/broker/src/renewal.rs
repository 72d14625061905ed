//! Noticing that the listener's certificate was replaced.

use crate::certificates::Certificate;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What the files of a certificate looked like when nats-server last read them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint([Option<Stamp>; 2]);

/// Changes with every replacement, in place or by renaming.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Fingerprint {
    /// The files as they are now; a file that cannot be looked at counts as a state of its own.
    pub(crate) fn of(certificate: &Certificate) -> Self {
        Self([stamp(&certificate.certificate), stamp(&certificate.key)])
    }

    /// Whether both files are there. While only one is, a replacement is under way.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let of = |found: Metadata| Stamp {
        inode: found.ino(),
        size: found.size(),
        seconds: found.mtime(),
        nanoseconds: found.mtime_nsec(),
    };
    std::fs::metadata(file).ok().map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_each_replacement() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let certificate = Certificate { certificate: file("c"), key: file("k") };
        std::fs::write(file("c"), "1").unwrap();
        let only_one = Fingerprint::of(&certificate);
        std::fs::write(file("k"), "1").unwrap();
        let both = Fingerprint::of(&certificate);
        std::fs::write(file("new"), "1").unwrap();
        std::fs::rename(file("new"), file("c")).unwrap();
        let renamed = Fingerprint::of(&certificate);
        std::fs::write(file("k"), "22").unwrap();
        let written = Fingerprint::of(&certificate);

        let seen = [only_one, both, renamed, written];
        for (index, one) in seen.iter().enumerate() {
            assert_eq!(one.is_complete(), index > 0, "{index}");
            assert!(seen[index + 1..].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(Fingerprint::of(&certificate), written);
    }
}
