//! Nodes of an inventory file, which knows their facts, classes and agents (spec 03a §8.5).

use crate::FilterArguments;
use crate::plan::unique;
use names::{AgentName, Collective, Identity, InvalidName};
use protocol::facts::{FactFile, Facts};
use protocol::filter::{DataAnswers, InvalidFact, NodeView};
use protocol::{Filter, filter::CompiledFilter};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The id in `$schema` of inventory files.
pub const INVENTORY_SCHEMA: &str = "https://choria.io/schemas/choria/discovery/v1/inventory_file.json";

/// An inventory file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inventory {
    /// Where it is; YAML when it ends in `.yaml` or `.yml`, else JSON.
    pub path: PathBuf,
    /// Whether keys that do not belong there are refused, and names of groups checked.
    pub strict: bool,
}

/// Why an inventory gives no nodes.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file cannot be read.
    #[error("could not read the inventory {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is no inventory.
    #[error("invalid inventory file {}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A node's name or agent is none.
    #[error("invalid inventory file {}: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The rule.
        source: InvalidName,
    },
    /// `-I group:` names a group that the file does not have.
    #[error("unknown group '{0}'")]
    UnknownGroup(String),
    /// `-I group:` together with other filters.
    #[error("group matches cannot be combined with other filters")]
    CombinedGroup,
    /// A fact filter of a group is none.
    #[error("the filter of the group '{group}' is not valid: {source}")]
    GroupFilter {
        /// The group.
        group: String,
        /// What is wrong.
        source: InvalidFact,
    },
}

impl Inventory {
    /// The nodes of `collective` that match `filter`; or with `-I group:NAME`, those that match the filters of these
    /// groups, in any collective. A compound filter that fails on a node does not match it; data providers are not known here.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn nodes(&self, filter: &Filter, collective: &Collective) -> Result<Vec<Identity>, InventoryError> {
        let document = self.read()?;
        let groups: Vec<&str> = filter.identities.iter().filter_map(|identity| identity.strip_prefix(GROUP)).collect();
        if groups.is_empty() {
            return self.matching(&document, filter, Some(collective));
        }
        let alone = groups.len() == filter.identities.len()
            && filter.agents.len() <= 1
            && Filter { agents: Vec::new(), identities: Vec::new(), ..filter.clone() }.is_empty();
        if !alone {
            return Err(InventoryError::CombinedGroup);
        }
        let mut found = BTreeSet::new();
        for name in groups {
            let group = document.groups.iter().find(|group| group.name == name);
            let group = group.ok_or_else(|| InventoryError::UnknownGroup(name.to_owned()))?;
            found.extend(self.matching(&document, &group.filter()?, None)?);
        }
        Ok(found.into_iter().collect())
    }

    fn matching(
        &self,
        document: &Document,
        filter: &Filter,
        collective: Option<&Collective>,
    ) -> Result<Vec<Identity>, InventoryError> {
        // Only the first compound filter is looked at, as in the existing tools.
        let filter = Filter { compound: filter.compound.iter().take(1).cloned().collect(), ..filter.clone() };
        let compiled = filter.compile();
        let in_collective =
            |node: &&Node| collective.is_none_or(|wanted| node.collectives.iter().any(|name| wanted == name.as_str()));
        let matching =
            document.nodes.iter().filter(in_collective).filter_map(|node| node.matching(&compiled).transpose());
        let nodes = matching
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| InventoryError::Name { path: self.path.clone(), source });
        nodes.map(unique)
    }

    fn read(&self) -> Result<Document, InventoryError> {
        let unreadable = |source| InventoryError::Unreadable { path: self.path.clone(), source };
        let malformed = |reason: String| InventoryError::Malformed { path: self.path.clone(), reason };
        let text = std::fs::read_to_string(&self.path).map_err(unreadable)?;
        let value: Value = if is_yaml(&self.path) {
            serde_yaml_ng::from_str(&text).map_err(|error| malformed(error.to_string()))?
        } else {
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?
        };
        if self.strict {
            check(&value).map_err(malformed)?;
        }
        let document: Document = serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
        if document.schema == INVENTORY_SCHEMA {
            return Ok(document);
        }
        Err(malformed(format!("invalid schema {:?} expected {INVENTORY_SCHEMA:?}", document.schema)))
    }
}

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(rename = "$schema", default)]
    schema: String,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    filter: GroupFilter,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct GroupFilter {
    #[serde(default)]
    agents: Vec<String>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    facts: Vec<String>,
    #[serde(default)]
    identities: Vec<String>,
    #[serde(default)]
    compound: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Node {
    name: String,
    #[serde(default)]
    collectives: Vec<String>,
    #[serde(default)]
    facts: Map<String, Value>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    agents: Vec<String>,
}

impl Group {
    fn filter(&self) -> Result<Filter, InventoryError> {
        let GroupFilter { agents, classes, facts, identities, compound } = self.filter.clone();
        let arguments = FilterArguments { facts, classes, agents, identities, compound, combined: Vec::new() };
        arguments.filter(None).map_err(|source| InventoryError::GroupFilter { group: self.name.clone(), source })
    }
}

impl Node {
    /// The node's name if it matches.
    fn matching(&self, filter: &CompiledFilter<'_>) -> Result<Option<Identity>, InvalidName> {
        let agents = self.agents.iter().map(|name| name.parse()).collect::<Result<Vec<AgentName>, _>>()?;
        let text = Value::Object(self.facts.clone()).to_string();
        let (facts, _) = Facts::merge(&[FactFile { name: "facts.json", text: &text }]);
        let view = NodeView {
            identity: &self.name,
            agents: &agents,
            classes: &self.classes,
            facts: &facts,
            data: &DataAnswers::default(),
        };
        // What cannot be decided about a node does not match it.
        if filter.matches(&view).unwrap_or(false) { self.name.parse().map(Some) } else { Ok(None) }
    }
}

/// Refuses keys that do not belong into an inventory: a misspelled one would silently select other nodes.
fn check(document: &Value) -> Result<(), String> {
    only_keys(document, "the document", &["$schema", "groups", "nodes"])?;
    for group in items(document, "groups") {
        let name = group["name"].as_str().unwrap_or_default();
        let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !valid {
            return Err(format!("the group name {name:?} is not made of letters, digits, _ and -"));
        }
        only_keys(group, &format!("the group {name}"), &["name", "filter"])?;
        let keys = ["agents", "classes", "facts", "identities", "compound"];
        only_keys(&group["filter"], &format!("the filter of the group {name}"), &keys)?;
    }
    for node in items(document, "nodes") {
        let name = node["name"].as_str().unwrap_or_default();
        only_keys(node, &format!("the node {name:?}"), &["name", "collectives", "facts", "classes", "agents"])?;
    }
    Ok(())
}

fn only_keys(value: &Value, what: &str, allowed: &[&str]) -> Result<(), String> {
    let unknown = value.as_object().into_iter().flat_map(Map::keys).find(|key| !allowed.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| Err(format!("{what} has the unknown key {key:?}; known are {}", allowed.join(", "))))
}

fn items<'a>(document: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    document[key].as_array().into_iter().flatten()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// What comes before the name of a group in an identity filter.
const GROUP: &str = "group:";

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
$schema: https://choria.io/schemas/choria/discovery/v1/inventory_file.json
groups:
  - name: all
    filter: {identities: ["/./"]}
  - name: malta
    filter: {facts: ["country=mt"]}
  - name: odd
    filter: {compound: "with('apache') and fact('country') == 'us'"}
nodes:
  - {name: n1, collectives: [mcollective], facts: {country: mt}, classes: [apache], agents: [rpcutil]}
  - {name: n2, collectives: [mcollective, uk], facts: {country: us}, classes: [apache], agents: [rpcutil, package]}
  - {name: n3, collectives: [uk], facts: {country: mt}}
"#;

    fn nodes(text: &str, filter: &Filter, strict: bool) -> Result<String, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("inventory.yaml");
        std::fs::write(&path, text).expect("a file");
        let collective = "mcollective".parse().expect("a collective");
        let found = Inventory { path, strict }.nodes(filter, &collective).map_err(|error| error.to_string())?;
        Ok(found.iter().map(Identity::as_str).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn filters_and_groups_select() {
        let filter = |identities: &[&str], agents: &[&str], facts: &[&str], compound: &str| {
            let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
            FilterArguments {
                identities: texts(identities),
                agents: texts(agents),
                facts: texts(facts),
                compound: Some(compound.to_owned()),
                ..FilterArguments::default()
            }
            .filter(None)
            .expect("a filter")
        };
        let rows = [
            (filter(&[], &[], &[], ""), Ok("n1 n2")),
            (filter(&[], &["package"], &[], ""), Ok("n2")),
            (filter(&["/1/"], &["rpcutil"], &["country=mt"], ""), Ok("n1")),
            (filter(&[], &[], &[], "with('apache') and fact('country') == 'mt'"), Ok("n1")),
            (filter(&[], &[], &[], "choria().uptime > 1"), Ok("")),
            (filter(&["group:malta"], &["rpcutil"], &[], ""), Ok("n1 n3")),
            (filter(&["group:odd", "group:malta"], &[], &[], ""), Ok("n1 n2 n3")),
            (filter(&["group:all"], &[], &[], ""), Ok("n1 n2 n3")),
            (filter(&["group:nosuch"], &[], &[], ""), Err("unknown group 'nosuch'")),
            (filter(&["group:all", "n1"], &[], &[], ""), Err("group matches cannot be combined with other filters")),
            (filter(&["group:all"], &[], &["a=b"], ""), Err("group matches cannot be combined with other filters")),
            (filter(&["group:all"], &["a", "b"], &[], ""), Err("group matches cannot be combined with other filters")),
        ];
        for (filter, expected) in rows {
            assert_eq!(nodes(FILE, &filter, true), expected.map(str::to_owned).map_err(str::to_owned), "{filter:?}");
        }
    }

    #[test]
    fn files_that_are_no_inventory_are_refused() {
        let other_schema = FILE.replace("inventory_file.json", "other.json");
        let rows = [
            ("{", true, "did not find"),
            (
                other_schema.as_str(),
                true,
                "invalid schema \"https://choria.io/schemas/choria/discovery/v1/other.json\" expected",
            ),
            (&FILE.replace("groups:", "grups:"), true, "the document has the unknown key \"grups\""),
            (
                &FILE.replace("{facts: [", "{fact: ["),
                true,
                "the filter of the group malta has the unknown key \"fact\"",
            ),
            (&FILE.replace("name: malta", "name: ma lta"), true, "the group name \"ma lta\" is not made of letters"),
            (
                &FILE.replace("country: us}", "country: us}, role: x"),
                true,
                "the node \"n2\" has the unknown key \"role\"",
            ),
            (&FILE.replace("name: n1", "name: n 1"), true, "\"n 1\" is not a valid identity"),
            (&FILE.replace("name: n1", "name: [1]"), false, "invalid type: sequence, expected a string"),
        ];
        for (text, strict, part) in rows {
            let error = nodes(text, &Filter::default(), strict).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(nodes(&FILE.replace("groups:", "grups:"), &Filter::default(), false), Ok("n1 n2".to_owned()));
    }
}
