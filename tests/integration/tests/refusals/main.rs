//! `daemons/REFUSALS.md` lists every refusal that a user can meet. Each row is produced here, by the real program or by the
//! public function that the program uses, and its sentence compared with the row's.

mod asks;
mod connections;
mod logins;
mod messages;
mod provisioners;
mod starts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

/// A refusal that was produced.
struct Refusal {
    /// The row of the table.
    id: &'static str,
    /// The program, or the function.
    from: &'static str,
    /// What it said.
    text: String,
}

impl Refusal {
    fn new(id: &'static str, from: &'static str, text: impl Display) -> Self {
        // Daemons log on one line, with newlines and quotes written out.
        let text = format!("{text}").replace("\\n", "\n").replace("\\\"", "\"");
        Self { id, from, text }
    }
}

/// A row of the table.
#[derive(Debug)]
struct Row {
    /// What the user reads; `…` stands for any words.
    sentence: String,
    /// The program, or the function.
    from: String,
}

#[test]
fn every_refusal_in_the_table_is_what_is_said() {
    let table = table();
    let mut produced = Vec::new();
    produced.extend(starts::refusals());
    produced.extend(connections::refusals());
    produced.extend(messages::refusals());
    produced.extend(asks::refusals());
    produced.extend(provisioners::refusals());
    produced.extend(logins::refusals());
    if std::env::var_os("CHORIA_SHOW_REFUSALS").is_some() {
        produced.iter().for_each(|refusal| println!("@@ {} | {} | {}", refusal.id, refusal.from, refusal.text.trim()));
    }

    let ids: BTreeSet<&str> = produced.iter().map(|refusal| refusal.id).collect();
    assert_eq!(ids.len(), produced.len(), "a refusal is produced twice");
    let mut wrong = Vec::new();
    for refusal in &produced {
        match table.get(refusal.id) {
            None => wrong.push(format!("{} has no row; it says: {}", refusal.id, refusal.text)),
            Some(row) if row.from != refusal.from => {
                wrong.push(format!("{} is said by {}, the table says {}", refusal.id, refusal.from, row.from));
            }
            Some(row) if !says(&row.sentence, &refusal.text) => {
                wrong.push(format!("{}\n  table: {}\n  said:  {}", refusal.id, row.sentence, refusal.text.trim()));
            }
            Some(_) => {}
        }
    }
    wrong.extend(table.keys().filter(|id| !ids.contains(id.as_str())).map(|id| format!("{id} is not produced")));
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("refusals: {} produced", produced.len());
}

/// Whether `text` holds the sentence; white space of any kind is one space, `…` is any words.
fn says(sentence: &str, text: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (sentence, text) = (plain(sentence), plain(text));
    let mut parts = sentence.split('…');
    let Some(mut at) = parts.next().and_then(|first| text.find(first).map(|at| at + first.len())) else { return false };
    parts.all(|part| match text[at..].find(part) {
        Some(found) => {
            at += found + part.len();
            true
        }
        None => false,
    })
}

/// The rows of the table: `| id | refused | sentence | set in | what to do | from |`, no cell empty.
fn table() -> BTreeMap<String, Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/REFUSALS.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, refused, sentence, place, fix, from] = cells[..] else { panic!("{} cells: {line}", cells.len()) };
        let quoted = |cell: &str| cell.trim_matches('`').to_owned();
        assert!(![refused, place, fix].contains(&""), "an empty cell: {line}");
        assert!(quoted(sentence).len() > 12, "no sentence: {line}");
        let row = Row { sentence: quoted(sentence), from: quoted(from) };
        assert!(rows.insert(quoted(id), row).is_none(), "twice: {line}");
    }
    assert!(!rows.is_empty(), "no rows in {}", path.display());
    rows
}

#[test]
fn sentences_are_compared_by_their_words() {
    let rows = [
        ("the token … expired", "the token in /x\n  expired at", true),
        ("the token … expired", "expired is the token", false),
        ("a … b … c", "say a 1 b 2 c", true),
        ("a … b … c", "a c b", false),
        ("whole", "the whole of it", true),
        ("whole", "a part", false),
    ];
    for (sentence, text, expected) in rows {
        assert_eq!(says(sentence, text), expected, "{sentence} {text}");
    }
}
