//! The documents every client carries: enough to talk to the agents of a Choria network without any file.
//!
//! They are kept as text and parsed only when asked for, since a client normally needs one of them.

use super::model::AgentDdl;

/// The names of the embedded agents, sorted.
#[must_use]
pub fn names() -> [&'static str; 7] {
    TEXTS.map(|(name, _)| name)
}

/// The JSON text of one embedded document.
#[must_use]
pub fn text(agent: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(name, _)| *name == agent).map(|(_, text)| *text)
}

/// One embedded document.
#[must_use]
pub fn find(agent: &str) -> Option<AgentDdl> {
    // A test parses every one of them, so `ok` hides nothing.
    text(agent).and_then(|text| serde_json::from_str(text).ok())
}

/// Name and document, sorted by name.
const TEXTS: [(&str, &str); 7] = [
    ("aaa_signer", include_str!("../../ddl/aaa_signer.json")),
    ("choria_provision", include_str!("../../ddl/choria_provision.json")),
    ("choria_registry", include_str!("../../ddl/choria_registry.json")),
    ("choria_util", include_str!("../../ddl/choria_util.json")),
    ("executor", include_str!("../../ddl/executor.json")),
    ("rpcutil", include_str!("../../ddl/rpcutil.json")),
    ("scout", include_str!("../../ddl/scout.json")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_parses_and_describes_its_agent() {
        let names = names();
        assert!(names.is_sorted());
        for name in names {
            assert_eq!(find(name).map(|ddl| ddl.metadata.name).as_deref(), Some(name));
        }
        assert_eq!(find("nosuch"), None);
    }
}
