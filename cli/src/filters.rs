//! The flags that say which nodes are meant, shared by every command that asks the fleet (spec 09 §3.2).

use anyhow::Context;
use clap::{Args, ValueEnum};
use names::{AgentName, Collective};
use protocol::Filter;
use rpc::FilterArguments;
use std::path::PathBuf;

/// Which nodes match. Every flag given must match; a flag given several times adds to itself.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Filters {
    /// Match nodes with a certain fact, as in os.family=Debian
    #[arg(short = 'F', long = "wf", value_name = "FACT")]
    pub(crate) facts: Vec<String>,
    /// Match nodes with a certain configuration management class, or /regex/
    #[arg(short = 'C', long = "wc", value_name = "CLASS")]
    pub(crate) classes: Vec<String>,
    /// Match nodes with a certain agent, or /regex/
    #[arg(short = 'A', long = "wa", value_name = "AGENT")]
    pub(crate) agents: Vec<String>,
    /// Match nodes with a certain identity, or /regex/
    #[arg(short = 'I', long = "wi", value_name = "IDENTITY")]
    pub(crate) identities: Vec<String>,
    /// Match classes and facts, several in one text separated by spaces
    #[arg(short = 'W', long = "with", value_name = "FILTER")]
    pub(crate) combined: Vec<String>,
}

/// What else decides where a request goes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Reach {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Match nodes for which an expression is true
    #[arg(short = 'S', long, value_name = "EXPR")]
    pub(crate) select: Option<String>,
    /// Ask a certain collective instead of the main one
    #[arg(short = 'T', long, value_name = "COLLECTIVE")]
    pub(crate) target: Option<String>,
    /// Give the discovery method an option
    #[arg(long = "do", value_name = "KEY=VALUE", value_parser = option)]
    pub(crate) discovery_options: Vec<(String, String)>,
}

/// How nodes are found.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Discovery")]
pub(crate) struct Selection {
    /// How to find nodes (default: default_discovery_method of the configuration)
    #[arg(long = "dm", value_name = "METHOD", value_enum)]
    pub(crate) method: Option<Method>,
    /// Seconds to wait for nodes (default: discovery_timeout of the configuration)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) discovery_timeout: Option<u32>,
    /// End discovery early, once no node answered for 300 milliseconds
    #[arg(long)]
    pub(crate) discovery_window: bool,
    /// Ask the nodes listed in a file instead of finding them: one name a line, or a list in .json or .yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) nodes: Option<PathBuf>,
}

/// The words of `--dm`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Method {
    /// Ask every node
    Broadcast,
    /// Ask every node (another name of broadcast)
    Mc,
    /// Ask PuppetDB
    Choria,
    /// Read a file
    File,
    /// Read a file (another name of file)
    Flatfile,
    /// Run a program
    External,
    /// Read an inventory file
    Inventory,
}

impl Filters {
    /// The filter these flags and an expression mean, for nodes that have `agent`.
    ///
    /// # Errors
    /// When a fact filter is none.
    pub(crate) fn filter(&self, select: Option<&str>, agent: Option<&AgentName>) -> anyhow::Result<Filter> {
        let arguments = FilterArguments {
            facts: self.facts.clone(),
            classes: self.classes.clone(),
            agents: self.agents.clone(),
            identities: self.identities.clone(),
            combined: self.combined.clone(),
            compound: select.map(str::to_owned),
        };
        Ok(arguments.filter(agent)?)
    }
}

impl Reach {
    /// The filter these flags mean, for nodes that have `agent`.
    ///
    /// # Errors
    /// When a fact filter is none.
    pub(crate) fn filter(&self, agent: Option<&AgentName>) -> anyhow::Result<Filter> {
        self.filters.filter(self.select.as_deref(), agent)
    }

    /// The collective to ask, if one was named.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub(crate) fn collective(&self) -> anyhow::Result<Option<Collective>> {
        self.target.as_deref().map(str::parse).transpose().context("--target")
    }
}

impl Method {
    /// The word as given.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Mc => "mc",
            Self::Choria => "choria",
            Self::File => "file",
            Self::Flatfile => "flatfile",
            Self::External => "external",
            Self::Inventory => "inventory",
        }
    }
}

/// Splits once at the first `=` or `:`.
///
/// # Errors
/// When there is neither.
pub(crate) fn option(text: &str) -> Result<(String, String), String> {
    let split = text.split_once(['=', ':']).filter(|(key, _)| !key.is_empty());
    let (key, value) = split.ok_or_else(|| format!("expected KEY=VALUE got '{text}'"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_split_at_the_first_sign() {
        let pair = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
        let cases = [
            ("a=b", pair("a", "b")),
            ("a:b=c", pair("a", "b=c")),
            ("a=b:c", pair("a", "b:c")),
            ("a=", pair("a", "")),
            ("=b", None),
            ("a", None),
        ];
        for (text, expected) in cases {
            assert_eq!(option(text).ok(), expected, "{text}");
        }
    }
}
