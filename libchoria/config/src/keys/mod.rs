//! The table of all keys: each is declared once, here, with its name, type, default, rule and documentation.
//!
//! A constant is named after its key, without the leading `plugin.` and `choria.`: `plugin.choria.use_srv` is
//! [`USE_SRV`], `plugin.security.provider` is [`SECURITY_PROVIDER`]. Validation, `choria tool config`, the manual page
//! and the typed [`crate::Settings::get`] are made from these declarations; `tests/spec.rs` compares them with spec 04b.

use crate::key::{KeyInfo, Section};
use crate::rule::Rule;

/// Declares the keys of one section: a typed constant for each and the section's part of the table.
///
/// A line reads `CONSTANT: Type = key("name", "description") .option(…) … ;`.
macro_rules! keys {
    (
        $title:literal;
        $($constant:ident: $kind:ident = key($name:literal, $description:literal) $(.$option:ident($($value:expr)?))*;)*
    ) => {
        $(
            #[doc = $description]
            pub const $constant: crate::key::Key<$kind> = crate::key::Key::new($name);
        )*

        /// This section of the table.
        pub(super) const SECTION: crate::key::Section = crate::key::Section {
            title: $title,
            keys: &[$(
                crate::key::KeyInfo::new($name, <$kind as crate::key::TypedKey>::TYPE, $description)
                    $(.$option($($value)?))*
            ),*],
        };
    };
}

mod broker;
mod connectivity;
mod general;
mod machines;
mod raw;
mod registration;
mod rpc;
mod security;
mod server;
mod streams;

pub use broker::*;
pub use connectivity::*;
pub use general::*;
pub use machines::*;
pub use registration::*;
pub use rpc::*;
pub use security::*;
pub use server::*;
pub use streams::*;

/// All typed keys by section, in reading order.
#[must_use]
pub fn sections() -> &'static [Section] {
    SECTIONS
}

/// All typed keys, in reading order.
pub fn table() -> impl Iterator<Item = &'static KeyInfo> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The typed key called `name`.
#[must_use]
pub fn find_key(name: &str) -> Option<&'static KeyInfo> {
    table().find(|key| key.name == name)
}

/// Patterns of raw options (spec 04b §12): names with `<name>` parts, read with [`crate::Settings::raw`].
#[must_use]
pub fn patterns() -> &'static [KeyInfo] {
    raw::PATTERNS
}

static SECTIONS: &[Section] = &[
    general::SECTION,
    rpc::SECTION,
    registration::SECTION,
    server::SECTION,
    machines::SECTION,
    connectivity::SECTION,
    security::SECTION,
    broker::SECTION,
    streams::SECTION,
];

/// Zero turns a port off.
const PORT: Rule = Rule::Between(0, 65535);

/// NATS makes at most five copies of a stream; -1 counts the peers, 0 is one copy.
const REPLICAS: Rule = Rule::Between(-1, 5);

/// The suites that the original calls secure, by the names it uses.
const CIPHER_SUITES: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;
    use std::collections::BTreeSet;

    #[test]
    fn every_declared_default_obeys_its_own_rule() {
        for key in table().chain(patterns()) {
            let Some(default) = key.default else { continue };
            let value = Value::parse(key.value_type, &[default], None).expect(key.name);
            assert_eq!(key.rule.check(&value), Ok(()), "{}", key.name);
        }
    }

    #[test]
    fn every_key_is_declared_once_and_described_in_sentences() {
        let mut names = BTreeSet::new();
        for key in table().chain(patterns()) {
            assert!(names.insert(key.name), "{} is declared twice", key.name);
            assert!(key.description.ends_with('.'), "{}", key.name);
            assert_eq!(key.description.matches('`').count() % 2, 0, "{}: unpaired backquote", key.name);
        }
    }

    #[test]
    fn a_typed_key_is_found_by_name() {
        assert_eq!(find_key(USE_SRV.name()).map(|key| key.value_type), Some(crate::key::Type::Boolean));
        assert!(find_key("plugin.choria.usesrv").is_none());
    }
}
