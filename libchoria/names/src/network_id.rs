//! The private network id of a caller or node.

use md5::{Digest, Md5};
use std::fmt;

/// Lower-case hexadecimal MD5 of a caller id or identity: the private part of reply subjects and inboxes
/// (spec 01 §6, 02 §5). Not a secret and not a proof of anything; only a short, subject-safe name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct NetworkId(String);

impl NetworkId {
    /// The id of `owner`: a caller id for clients, an identity for servers.
    #[must_use]
    pub fn of(owner: &str) -> Self {
        Self(hex::encode(Md5::digest(owner.as_bytes())))
    }

    /// The id as text, 32 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_documented_values() {
        assert_eq!(NetworkId::of("up=alice").as_str(), "9ff94a8781520105e44481be68e5d47f");
        assert_eq!(NetworkId::of("up=bob").as_str(), "72dc525f8fe0064c0372c1fb3d729560");
    }
}
