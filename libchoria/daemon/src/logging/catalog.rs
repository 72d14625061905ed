//! Events that operators look up: each has a message id, under which `journalctl -x` shows the explanation that
//! `systemd/catalog/choria.catalog` gives, and `journalctl MESSAGE_ID=…` finds all of its kind.
//!
//! A record is of such an event when its field `event` says so. An id is fixed for ever: other programs may watch for it.

/// Names of events with their message ids.
pub const EVENTS: &[(&str, &str)] = &[
    ("token_expires", "44793562cead4e7698da48aa8693b824"),
    ("token_expired", "3116baeec60047198c48749dbfb9d807"),
    ("broker_unreachable", "e00791eb01c749ff859b1267f13da36e"),
    ("waits_to_be_provisioned", "3e3bd8961c9e467a8d29028d4d1bfed9"),
    ("was_provisioned", "54ed2f07ce4a42678bbb2349cb2ba9ff"),
    ("policy_unusable", "1ba767fdeaac4a4b863ee72124d298c1"),
    ("call_denied", "eeeba1972e4e42469b329223df459340"),
    ("connection_denied", "53dea9468b40490aa60a2c6dd0a02756"),
    ("submission_denied", "a4319fc8a1d24ef5b807d02963a6e611"),
    ("message_set_aside", "12a6ab9f48694f85b75e2baec8ad048e"),
    ("spool_full", "f694ea7eca134726af41e1f25ca9342a"),
    ("nats_server_ended", "a687e0233b3c43d69efb06cbd89d0de5"),
    ("reload_refused", "737217d8efab49e1b685eda121dd0613"),
    ("login_locked_out", "06887257f4fe42dbaae4c6457463235a"),
];

#[cfg(test)]
mod tests {
    use super::EVENTS;
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// Entries of the catalog: header and text by id.
    fn catalog() -> BTreeMap<String, (String, String)> {
        let text = std::fs::read_to_string(root().join("systemd/catalog/choria.catalog")).expect("the catalog");
        let entries = text.split("\n-- ").skip(1);
        let entry = |entry: &str| {
            let (id, rest) = entry.split_once('\n').expect("an id on a line of its own");
            let (header, text) = rest.split_once("\n\n").expect("an empty line after the header");
            (id.to_owned(), (header.to_owned(), text.to_owned()))
        };
        entries.map(entry).collect()
    }

    #[test]
    fn table_and_catalog_have_the_same_events_and_each_entry_says_what_to_do() {
        let catalog = catalog();
        let ids: Vec<&str> = EVENTS.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), catalog.len(), "one entry for each event");
        for (name, id) in EVENTS {
            assert!(
                id.len() == 32 && id.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)),
                "{name}: {id}"
            );
            let (header, text) = catalog.get(*id).unwrap_or_else(|| panic!("{name} is not in the catalog"));
            for field in ["Subject: ", "Defined-By: ", "Support: ", "Documentation: man:"] {
                assert!(header.contains(field), "{name}: no {field}in {header}");
            }
            assert!(text.contains("What to do:") && text.contains("See more:"), "{name}: {text}");
        }
    }

    /// Source text of all crates, but for this file.
    fn sources(folder: &Path, found: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("catalog.rs") {
                found.push_str(&std::fs::read_to_string(&path).expect("text"));
            }
        }
    }

    #[test]
    fn each_event_is_emitted_and_its_entry_names_fields_that_are() {
        let mut text = String::new();
        for krate in std::fs::read_dir(root().join("libchoria")).expect("the crates").flatten() {
            let folder = krate.path().join("src");
            if folder.is_dir() {
                sources(&folder, &mut text);
            }
        }
        let catalog = catalog();
        for (name, id) in EVENTS {
            let needle = format!("event = \"{name}\"");
            let records: Vec<&str> = text.match_indices(&needle).map(|(at, _)| until_semicolon(&text[at..])).collect();
            assert!(!records.is_empty(), "{name} is emitted nowhere");
            let (_, entry) = &catalog[*id];
            for field in entry.split('@').skip(1).step_by(2) {
                let plain =
                    field.strip_prefix("CHORIA_").unwrap_or_else(|| panic!("{name}: @{field}@ is no field of ours"));
                let plain = plain.to_ascii_lowercase();
                for record in &records {
                    let has = |before: &str| record.contains(&format!("{before}{plain}"));
                    assert!([" ", "%", "?"].iter().any(|before| has(before)), "{name}: no field {plain} in {record}");
                }
            }
        }
    }

    fn until_semicolon(text: &str) -> &str {
        text.split(");").next().unwrap_or(text)
    }
}
