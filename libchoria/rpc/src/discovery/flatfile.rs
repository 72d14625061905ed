//! Nodes listed in a file, or in the results of an earlier request (spec 03a §8.3).
//!
//! Kinder than the existing tools: blank lines and comments are skipped, each node counts once, and identity filters
//! select among the nodes. Stricter in one place: a filter that a list of names cannot answer is refused, not overlooked.

use crate::plan::unique;
use names::Identity;
use protocol::Filter;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How a list of nodes is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// One name a line; `#` starts a comment.
    #[default]
    Text,
    /// A JSON array of names, or any JSON with a query that leads to one.
    Json,
    /// The same in YAML.
    Yaml,
    /// The document of an earlier request, see [`crate::document`]: all its senders.
    Results,
}

/// A list of nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlatFile {
    /// Where it is.
    pub source: Source,
    /// How it is written.
    pub format: Format,
    /// A gjson path to the array of names; JSON and YAML only.
    pub query: Option<String>,
}

/// Where a list of nodes is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// In a file.
    Path(PathBuf),
    /// At hand already, for example read from standard input.
    Text(String),
}

/// Why a list gives no nodes.
#[derive(Debug, thiserror::Error)]
pub enum FlatFileError {
    /// The file cannot be read.
    #[error("could not read the list of nodes {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The text is not of the format.
    #[error("the list of nodes is not {format}: {reason}")]
    Malformed {
        /// What it should have been.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The query does not lead to an array.
    #[error("query {0:?} did not result in a array of nodes")]
    NoArray(String),
    /// A text that cannot be the name of a node.
    #[error("invalid identity string {text:?} ({place}): {reason}")]
    InvalidIdentity {
        /// The text.
        text: String,
        /// Where it stands.
        place: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A filter about more than names.
    #[error(
        "only identity filters are supported: a list of nodes knows no {0}, use -I with it or another discovery method"
    )]
    UnsupportedFilter(&'static str),
    /// An identity filter between slashes that is no expression.
    #[error("the identity filter {0} is not a valid regular expression")]
    InvalidFilter(String),
}

impl FlatFile {
    /// The list in `path`, in the format its extension tells: `.json`, `.yaml` or `.yml`, else text.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Format::Json,
            Some("yaml" | "yml") => Format::Yaml,
            _ => Format::Text,
        };
        Self { source: Source::Path(path), format, query: None }
    }

    /// Reads the list and keeps the nodes that `filter` matches. A filter on one agent is overlooked: it is the one the
    /// request is for, and a list cannot tell.
    ///
    /// # Errors
    /// [`FlatFileError`]; nothing is skipped silently.
    pub fn nodes(&self, filter: &Filter) -> Result<Vec<Identity>, FlatFileError> {
        let wanted = Wanted::new(filter)?;
        let nodes = match &self.source {
            Source::Text(text) => read(text, self.format, self.query.as_deref())?,
            Source::Path(path) => {
                let unreadable = |source| FlatFileError::Unreadable { path: path.clone(), source };
                let text = std::fs::read_to_string(path).map_err(unreadable)?;
                read(&text, self.format, self.query.as_deref())?
            }
        };
        Ok(nodes.into_iter().filter(|node| wanted.matches(node)).collect())
    }

    /// The file, when the list is in one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::Path(path) => Some(path),
            Source::Text(_) => None,
        }
    }
}

impl FromStr for Format {
    type Err = std::convert::Infallible;

    /// The word of the discovery option `format`; words that are not known mean text.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            "choriarpc" | "results" | "rpc" | "response" => Self::Results,
            _ => Self::Text,
        })
    }
}

/// The nodes listed in `text`, each once.
///
/// # Errors
/// What is not of the format, or no name of a node.
pub fn read(text: &str, format: Format, query: Option<&str>) -> Result<Vec<Identity>, FlatFileError> {
    let names = match format {
        Format::Text => text_lines(text),
        Format::Json => json_names(text, query)?,
        Format::Yaml => yaml_names(text, query)?,
        Format::Results => senders(text)?,
    };
    let parse = |(name, place): (String, String)| match name.parse::<Identity>() {
        Ok(identity) => Ok(identity),
        Err(error) => Err(FlatFileError::InvalidIdentity { text: error.text, place, reason: error.rule }),
    };
    names.into_iter().map(parse).collect::<Result<Vec<_>, _>>().map(unique)
}

/// A name and where it stands, in words.
type Placed = (String, String);

fn text_lines(text: &str) -> Vec<Placed> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let named = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    // A comment may follow a name after white space; no name holds a space.
    let name = |line: &str| line.split_once(" #").map_or(line, |(name, _)| name.trim_end()).to_owned();
    named.map(|(number, line)| (name(line), format!("line {number}"))).collect()
}

fn json_names(text: &str, query: Option<&str>) -> Result<Vec<Placed>, FlatFileError> {
    let value: Value = serde_json::from_str(text).map_err(|error| malformed("JSON", &error))?;
    match query {
        None => serde_json::from_value(value).map(placed).map_err(|error| malformed("a JSON array of names", &error)),
        Some("") => Err(FlatFileError::NoArray(String::new())),
        Some(query) => {
            let found = gjson::get(text, query);
            if found.kind() != gjson::Kind::Array {
                return Err(FlatFileError::NoArray(query.to_owned()));
            }
            let texts = found.array().into_iter().filter(|item| item.kind() == gjson::Kind::String);
            Ok(placed(texts.map(|item| item.str().to_owned()).collect()))
        }
    }
}

fn yaml_names(text: &str, query: Option<&str>) -> Result<Vec<Placed>, FlatFileError> {
    let value: Value = serde_yaml_ng::from_str(text).map_err(|error| malformed("YAML", &error))?;
    json_names(&value.to_string(), query)
}

fn senders(text: &str) -> Result<Vec<Placed>, FlatFileError> {
    #[derive(Deserialize)]
    struct Results {
        #[serde(default)]
        replies: Vec<Reply>,
    }
    #[derive(Deserialize)]
    struct Reply {
        sender: String,
    }
    let results: Results =
        serde_json::from_str(text).map_err(|error| malformed("the JSON results of a request", &error))?;
    Ok(placed(results.replies.into_iter().map(|reply| reply.sender).collect()))
}

fn placed(names: Vec<String>) -> Vec<Placed> {
    names.into_iter().enumerate().map(|(index, name)| (name, format!("entry {}", index + 1))).collect()
}

fn malformed(format: &'static str, error: &impl ToString) -> FlatFileError {
    FlatFileError::Malformed { format, reason: error.to_string() }
}

/// The identity filters of a request, one of which must match when there are any.
#[derive(Debug)]
struct Wanted {
    names: Vec<String>,
    expressions: Vec<Regex>,
}

impl Wanted {
    fn new(filter: &Filter) -> Result<Self, FlatFileError> {
        let others = [
            (!filter.facts.is_empty(), "facts"),
            (!filter.classes.is_empty(), "classes"),
            (filter.agents.len() > 1, "agents"),
            (!filter.compound.is_empty(), "facts, classes or data to select by"),
        ];
        if let Some((_, what)) = others.into_iter().find(|(given, _)| *given) {
            return Err(FlatFileError::UnsupportedFilter(what));
        }
        let mut wanted = Self { names: Vec::new(), expressions: Vec::new() };
        for identity in &filter.identities {
            let inner = identity.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
            match inner.map(Regex::new) {
                None => wanted.names.push(identity.clone()),
                Some(Ok(expression)) => wanted.expressions.push(expression),
                Some(Err(_)) => return Err(FlatFileError::InvalidFilter(identity.clone())),
            }
        }
        Ok(wanted)
    }

    fn matches(&self, node: &Identity) -> bool {
        (self.names.is_empty() && self.expressions.is_empty())
            || self.names.iter().any(|name| node == name.as_str())
            || self.expressions.iter().any(|expression| expression.is_match(node.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_format() {
        type Row<'a> = (Format, &'a str, Option<&'a str>, Result<&'a str, &'a str>);
        let rows: &[Row<'_>] = &[
            (Format::Text, "n1\n\n  n2.example.net  \n# a comment\nn1\nn3 # web\n", None, Ok("n1 n2.example.net n3")),
            (Format::Text, "", None, Ok("")),
            (Format::Text, "n1\nn 2\n", None, Err("invalid identity string \"n 2\" (line 2): an identity is")),
            (Format::Json, r#"["n1","n2"]"#, None, Ok("n1 n2")),
            (Format::Json, r#"["n1",2]"#, None, Err("the list of nodes is not a JSON array of names: invalid type")),
            (Format::Json, r#"["n1","*"]"#, None, Err("invalid identity string \"*\" (entry 2):")),
            (Format::Json, "{", None, Err("the list of nodes is not JSON: EOF")),
            (Format::Json, r#"{"a":[{"n":"n1"},{"n":"n2"},{"n":3}]}"#, Some("a.#.n"), Ok("n1 n2")),
            (Format::Json, r#"{"a":1}"#, Some("a"), Err("query \"a\" did not result in a array of nodes")),
            (Format::Json, r#"{"a":1}"#, Some(""), Err("query \"\" did not result in a array of nodes")),
            (Format::Yaml, "- n1\n- n2\n", None, Ok("n1 n2")),
            (Format::Yaml, "nodes:\n  - n1\n", Some("nodes"), Ok("n1")),
            (Format::Yaml, "a: [", None, Err("the list of nodes is not YAML:")),
            (
                Format::Results,
                r#"{"replies":[{"sender":"n2","data":{}},{"sender":"n1"}],"summaries":{}}"#,
                None,
                Ok("n2 n1"),
            ),
            (
                Format::Results,
                r#"{"replies":[{}]}"#,
                None,
                Err("the list of nodes is not the JSON results of a request:"),
            ),
        ];
        for (format, text, query, expected) in rows {
            let got = read(text, *format, *query);
            match (got, expected) {
                (Ok(nodes), Ok(expected)) => {
                    assert_eq!(nodes.iter().map(Identity::as_str).collect::<Vec<_>>().join(" "), *expected, "{text}");
                }
                (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{text}: {error}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn only_identity_filters_select() {
        let list = FlatFile { source: Source::Text("n1\nn2\nm1\n".into()), format: Format::Text, query: None };
        let filter = |identities: &[&str], agents: &[&str], classes: &[&str]| Filter {
            identities: identities.iter().map(ToString::to_string).collect(),
            agents: agents.iter().map(ToString::to_string).collect(),
            classes: classes.iter().map(ToString::to_string).collect(),
            ..Filter::default()
        };
        let rows = [
            (filter(&[], &["rpcutil"], &[]), Ok("n1 n2 m1")),
            (filter(&["/^n/"], &[], &[]), Ok("n1 n2")),
            (filter(&["m1", "/2$/"], &[], &[]), Ok("n2 m1")),
            (filter(&["x"], &[], &[]), Ok("")),
            (filter(&["/(/"], &[], &[]), Err("the identity filter /(/ is not a valid regular expression")),
            (
                filter(&[], &["a", "b"], &[]),
                Err("only identity filters are supported: a list of nodes knows no agents"),
            ),
            (filter(&[], &[], &["a"]), Err("only identity filters are supported: a list of nodes knows no classes")),
        ];
        for (filter, expected) in rows {
            match (list.nodes(&filter), expected) {
                (Ok(nodes), Ok(expected)) => {
                    assert_eq!(
                        nodes.iter().map(Identity::as_str).collect::<Vec<_>>().join(" "),
                        expected,
                        "{filter:?}"
                    );
                }
                (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{error}"),
                (got, _) => panic!("{filter:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn the_extension_tells_the_format() {
        for (path, format) in
            [("a.json", Format::Json), ("a.yml", Format::Yaml), ("a.yaml", Format::Yaml), ("a", Format::Text)]
        {
            assert_eq!(FlatFile::at(path.into()).format, format, "{path}");
        }
        let error =
            FlatFile::at("/nonexistent/list".into()).nodes(&Filter::default()).expect_err("no file").to_string();
        assert!(error.starts_with("could not read the list of nodes /nonexistent/list: "), "{error}");
    }
}
