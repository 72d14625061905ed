//! Finding the nodes a request goes to (spec 03a §8).
//!
//! | module | holds |
//! |---|---|
//! | here | [`DiscoveryArguments`] from flags, [`Discovery`]: the method that follows from them |
//! | [`external`] | nodes found by a program of the user's |
//! | [`inventory`] | nodes of an inventory file |
//! | [`flatfile`] | nodes listed in a file, or in the results of an earlier request |
//!
//! Broadcast discovery is [`Client::ping`], each node once.

pub mod external;
pub mod flatfile;
pub mod inventory;

use crate::client::{Client, PingOptions, RequestError};
use crate::plan::unique;
use config::{Settings, keys};
use external::{External, ExternalError};
use flatfile::{FlatFile, FlatFileError, Format, Source};
use inventory::{Inventory, InventoryError};
use names::{Collective, Identity, InvalidName};
use protocol::Filter;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What the user said about discovery; everything else is found in the configuration.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryArguments {
    /// `--dm`: the method's word.
    pub method: Option<String>,
    /// `--nodes`: a list of nodes, in the format its extension tells.
    pub nodes: Option<PathBuf>,
    /// `--do`: options of the method.
    pub options: BTreeMap<String, String>,
    /// `-T`: the part of the fleet.
    pub collective: Option<Collective>,
    /// `--discovery-timeout`.
    pub timeout: Option<Duration>,
    /// `--discovery-window`.
    pub windowed: bool,
    /// What standard input held, where it is not a terminal and the command takes results from it.
    pub piped: Option<String>,
}

/// How nodes will be found.
#[derive(Clone, Debug)]
pub struct Discovery {
    word: String,
    method: Method,
}

/// Why nodes cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The word names no method.
    #[error("unsupported discovery method {word:?}: use one of {}", METHODS.join(", "))]
    UnknownMethod {
        /// The word given.
        word: String,
    },
    /// The word names a method that this program does not have.
    #[error(
        "the discovery method {word:?} is not available in this program: use one of {} (--dm or default_discovery_method)",
        METHODS.join(", ")
    )]
    NotAvailable {
        /// The word given.
        word: String,
    },
    /// A list of nodes is wanted and none is named.
    #[error("could not determine file to use as discovery source: give one with --nodes FILE or --do file=FILE")]
    NoSource,
    /// The list of nodes cannot be used.
    #[error(transparent)]
    FlatFile(#[from] FlatFileError),
    /// An inventory is wanted and none is named.
    #[error("no discovery source file specified: set plugin.choria.discovery.inventory.source or give --do file=FILE")]
    NoInventory,
    /// The inventory cannot be used.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The program found none.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// A name given with `-I` is not the name of a node.
    #[error("the identity filter cannot match: {0}")]
    Identity(#[from] InvalidName),
    /// The fleet cannot be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
}

#[derive(Clone, Debug)]
enum Method {
    Broadcast(PingOptions),
    FlatFile(FlatFile),
    Inventory(Inventory, Collective),
    External { program: External, collective: Collective, federations: Vec<String> },
}

impl DiscoveryArguments {
    /// The method that follows from these arguments, `filter` and the configuration (spec 03a §8): a list of nodes if one is
    /// given; broadcast if the filter needs the nodes themselves; results on standard input if there are any and no method was
    /// asked for; else the method asked for or configured.
    ///
    /// # Errors
    /// A method that does not exist or is not available, or one that lacks its source.
    pub fn choose(&self, filter: &Filter, settings: &Settings) -> Result<Discovery, DiscoveryError> {
        let configured = settings.get(keys::DEFAULT_DISCOVERY_METHOD).unwrap_or("mc");
        let word = self.method.as_deref().unwrap_or(configured);
        if let Some(path) = &self.nodes {
            return Ok(Discovery { word: "flatfile".to_owned(), method: Method::FlatFile(FlatFile::at(path.clone())) });
        }
        if !filter.compound.is_empty() && word != "inventory" {
            let word = if BROADCAST.contains(&word) { word } else { "broadcast" };
            return Ok(Discovery { word: word.to_owned(), method: self.broadcast(settings) });
        }
        let piped = self.piped.as_deref().map(str::trim).filter(|text| text.starts_with('{') && text.ends_with('}'));
        if let (Some(text), None) = (piped, &self.method) {
            let list = FlatFile { source: Source::Text(text.to_owned()), format: Format::Results, query: None };
            return Ok(Discovery { word: "flatfile".to_owned(), method: Method::FlatFile(list) });
        }
        let method = match word {
            word if BROADCAST.contains(&word) => self.broadcast(settings),
            "flatfile" | "file" => Method::FlatFile(self.flat_file(settings)?),
            "inventory" => Method::Inventory(self.inventory(settings)?, self.collective(settings)),
            "external" => Method::External {
                program: self.external(settings)?,
                collective: self.collective(settings),
                federations: settings.get(keys::FEDERATION_COLLECTIVES).to_vec(),
            },
            "choria" | "puppetdb" => return Err(DiscoveryError::NotAvailable { word: word.to_owned() }),
            word => return Err(DiscoveryError::UnknownMethod { word: word.to_owned() }),
        };
        Ok(Discovery { word: word.to_owned(), method })
    }

    fn broadcast(&self, settings: &Settings) -> Method {
        Method::Broadcast(PingOptions {
            collective: self.collective.clone(),
            timeout: self.timeout(settings),
            windowed: self.windowed || settings.get(keys::DISCOVERY_BROADCAST_WINDOWED_TIMEOUT),
        })
    }

    fn flat_file(&self, settings: &Settings) -> Result<FlatFile, DiscoveryError> {
        let options = self.options(settings);
        let path = options.get("file").ok_or(DiscoveryError::NoSource)?;
        let list = FlatFile::at(expand_home(path));
        let format = options.get("format").map_or(list.format, |word| word.parse().unwrap_or(list.format));
        Ok(FlatFile { format, query: options.get("filter").cloned(), ..list })
    }

    fn inventory(&self, settings: &Settings) -> Result<Inventory, DiscoveryError> {
        let options = self.options(settings);
        let configured = || settings.get(keys::DISCOVERY_INVENTORY_SOURCE);
        let path =
            options.get("file").map(|path| expand_home(path)).or_else(configured).ok_or(DiscoveryError::NoInventory)?;
        Ok(Inventory { path, strict: !options.contains_key("novalidate") })
    }

    fn external(&self, settings: &Settings) -> Result<External, DiscoveryError> {
        let mut options = self.options(settings);
        let given = options.remove("command").filter(|command| !command.is_empty());
        let configured = || settings.raw(keys::DISCOVERY_EXTERNAL_COMMAND.name()).map(str::to_owned);
        let command = given.or_else(configured).unwrap_or_default();
        Ok(External::new(&command, options, self.timeout(settings))?)
    }

    fn timeout(&self, settings: &Settings) -> Duration {
        let seconds = u64::try_from(settings.get(keys::DISCOVERY_TIMEOUT)).unwrap_or_default();
        self.timeout.unwrap_or(Duration::from_secs(seconds))
    }

    fn collective(&self, settings: &Settings) -> Collective {
        self.collective.clone().unwrap_or_else(|| settings.main_collective().clone())
    }

    /// The options given, else the lines `name=value` of `default_discovery_options`; other lines are overlooked.
    fn options(&self, settings: &Settings) -> BTreeMap<String, String> {
        if !self.options.is_empty() {
            return self.options.clone();
        }
        let option = |line: &String| {
            let (name, value) = line.split_once('=').filter(|(_, value)| !value.contains('='))?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        settings.get(keys::DEFAULT_DISCOVERY_OPTIONS).iter().filter_map(option).collect()
    }
}

impl Discovery {
    /// The method's word, as progress lines and `--jsonl` show it.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The nodes, when they can be told at once: from a file, or because the filter names them all. `None` when the fleet
    /// or a program must be asked, see [`Discovery::nodes`].
    ///
    /// # Errors
    /// When the list cannot be used, or a name is none.
    pub fn offline(&self, filter: &Filter) -> Result<Option<Vec<Identity>>, DiscoveryError> {
        match &self.method {
            Method::FlatFile(list) => Ok(Some(list.nodes(filter)?)),
            Method::Broadcast(_) => Ok(named(filter).transpose()?),
            Method::Inventory(inventory, collective) => Ok(Some(inventory.nodes(filter, collective)?)),
            Method::External { .. } => Ok(None),
        }
    }

    /// The nodes that match `filter`, each once, in the order in which they answer or are listed. None is no error.
    ///
    /// # Errors
    /// As [`Discovery::offline`], and when the fleet cannot be asked.
    pub async fn nodes(&self, client: &Client, filter: &Filter) -> Result<Vec<Identity>, DiscoveryError> {
        if let Some(nodes) = self.offline(filter)? {
            return Ok(nodes);
        }
        match &self.method {
            Method::Broadcast(options) => Ok(broadcast(client, filter, options).await?),
            Method::External { program, collective, federations } => {
                Ok(program.nodes(filter, collective, federations).await?)
            }
            Method::FlatFile(_) | Method::Inventory(..) => Ok(Vec::new()),
        }
    }
}

/// Asks the fleet who matches `filter`; each node once, in the order in which they answer.
///
/// # Errors
/// When it cannot be asked.
pub async fn broadcast(client: &Client, filter: &Filter, options: &PingOptions) -> Result<Vec<Identity>, RequestError> {
    let mut pings = client.ping(filter, options).await?;
    let mut nodes = Vec::new();
    while let Some(pong) = pings.next().await {
        nodes.push(pong.sender);
    }
    Ok(unique(nodes))
}

/// The nodes a filter names, when it names them all and says nothing else: then nobody needs to be asked. The agent is
/// not looked at (spec 03a §8.1).
fn named(filter: &Filter) -> Option<Result<Vec<Identity>, InvalidName>> {
    let is_expression = |identity: &String| identity.starts_with('/');
    let others = !(filter.facts.is_empty() && filter.classes.is_empty() && filter.compound.is_empty());
    if others || filter.identities.is_empty() || filter.identities.iter().any(is_expression) {
        return None;
    }
    Some(filter.identities.iter().map(|identity| identity.parse()).collect::<Result<Vec<_>, _>>().map(unique))
}

/// The path in an option: shells do not expand a `~` behind `file=`.
fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// The words for asking the fleet itself.
const BROADCAST: [&str; 2] = ["broadcast", "mc"];

/// The words that can be used.
const METHODS: [&str; 6] = ["broadcast", "mc", "flatfile", "file", "external", "inventory"];

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::filter::Compound;

    fn settings(lines: &[(&str, &str)]) -> Settings {
        let builder = lines.iter().fold(Settings::builder(), |builder, (key, text)| builder.set(key, text));
        builder.build().expect("settings")
    }

    #[test]
    fn the_method_follows_from_arguments_filter_and_configuration() {
        let compound = Filter { compound: vec![Compound::Expression("true".into())], ..Filter::default() };
        let none = Filter::default();
        let dm = |word: &str| DiscoveryArguments { method: Some(word.into()), ..DiscoveryArguments::default() };
        let file = |option: &str| DiscoveryArguments { options: [("file".into(), option.into())].into(), ..dm("file") };
        let nodes = DiscoveryArguments { nodes: Some("list.yaml".into()), ..dm("broadcast") };
        let piped = DiscoveryArguments { piped: Some(" {\"replies\":[]}\n".into()), ..DiscoveryArguments::default() };
        let text = DiscoveryArguments { piped: Some("n1\n".into()), ..DiscoveryArguments::default() };
        let defaults: &[(&str, &str)] = &[];
        let default_file: &[(&str, &str)] = &[("default_discovery_options", "file=a.json")];
        let rows = [
            (DiscoveryArguments::default(), &none, defaults, Ok("mc")),
            (DiscoveryArguments::default(), &none, &[("default_discovery_method", "broadcast")][..], Ok("broadcast")),
            (nodes, &compound, defaults, Ok("flatfile")),
            (dm("mc"), &compound, defaults, Ok("mc")),
            (dm("choria"), &compound, defaults, Ok("broadcast")),
            (piped.clone(), &none, defaults, Ok("flatfile")),
            (DiscoveryArguments { method: Some("mc".into()), ..piped }, &none, defaults, Ok("mc")),
            (text, &none, defaults, Ok("mc")),
            (file("a.json"), &none, defaults, Ok("file")),
            (dm("flatfile"), &none, default_file, Ok("flatfile")),
            (dm("flatfile"), &none, defaults, Err("could not determine file to use as discovery source")),
            (
                dm("puppetdb"),
                &none,
                defaults,
                Err("the discovery method \"puppetdb\" is not available in this program"),
            ),
            (dm("x"), &none, defaults, Err("unsupported discovery method \"x\": use one of broadcast, mc, ")),
        ];
        for (arguments, filter, lines, expected) in rows {
            match (arguments.choose(filter, &settings(lines)), expected) {
                (Ok(discovery), Ok(word)) => assert_eq!(discovery.word(), word, "{arguments:?}"),
                (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{error}"),
                (got, _) => panic!("{arguments:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn options_decide_about_lists() {
        let options = [("file", "list"), ("format", "json"), ("filter", "nodes.#.name")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let arguments = DiscoveryArguments { options, ..DiscoveryArguments::default() };
        let list = arguments.flat_file(&settings(&[])).expect("a list");
        let expected =
            FlatFile { source: Source::Path("list".into()), format: Format::Json, query: Some("nodes.#.name".into()) };
        assert_eq!(list, expected);
    }

    #[test]
    fn names_alone_need_no_network() {
        let filter = |identities: &[&str], classes: &[&str]| Filter {
            identities: identities.iter().map(ToString::to_string).collect(),
            classes: classes.iter().map(ToString::to_string).collect(),
            agents: vec!["rpcutil".into()],
            ..Filter::default()
        };
        let rows = [
            (filter(&["n1", "n2", "n1"], &[]), Some(Ok(2))),
            (filter(&["n1", "/n/"], &[]), None),
            (filter(&["n1"], &["apache"]), None),
            (filter(&[], &[]), None),
            (filter(&["n 1"], &[]), Some(Err(()))),
        ];
        for (filter, expected) in rows {
            let got = named(&filter).map(|names| names.map(|names| names.len()).map_err(|_| ()));
            assert_eq!(got, expected, "{filter:?}");
        }
    }
}
