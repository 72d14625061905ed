//! What is known of a network from files: configuration, DDLs, lists of nodes. Nothing is asked over a network, no
//! program is run, and what cannot be read is not known: a shell has no place for errors.

use super::engine::{Named, Sources};
use config::{Environment, Kind, Settings, SystemEnvironment, keys};
use protocol::Filter;
use rpc::ddl::{Action, AgentDdl, Input, InputType, Library};
use rpc::discovery::DiscoveryArguments;
use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

/// The files of a user.
#[derive(Debug, Default)]
pub(super) struct Disk {
    config: Option<PathBuf>,
    settings: OnceCell<Option<Settings>>,
}

impl Disk {
    fn settings(&self) -> Option<&Settings> {
        let load = || {
            let file = self.config.clone().unwrap_or_else(|| config::find_client_config(&Quick));
            config::load(&file, Kind::client(&Quick), &Quick).ok()?.check().ok()
        };
        self.settings.get_or_init(load).as_ref()
    }

    fn library(&self) -> Library {
        self.settings().map(Library::from_settings).unwrap_or_default()
    }

    fn action(&self, agent: &str, action: &str) -> Option<Action> {
        self.library().agent(agent).ok()?.action(action).ok().cloned()
    }
}

impl Sources for Disk {
    fn use_config(&mut self, path: &str) {
        *self = Self { config: Some(path.into()), ..Self::default() };
    }

    fn agents(&self) -> Vec<Named> {
        let library = self.library();
        let describe = |name: String| {
            let help = library.agent(&name).map(|ddl: AgentDdl| ddl.metadata.description).unwrap_or_default();
            (name, help)
        };
        library.agent_names().into_iter().map(describe).collect()
    }

    fn actions(&self, agent: &str) -> Vec<Named> {
        let actions = self.library().agent(agent).map(|ddl| ddl.actions).unwrap_or_default();
        let mut named: Vec<Named> = actions.into_iter().map(|action| (action.name, action.description)).collect();
        named.sort();
        named
    }

    /// Those that must be given first.
    fn inputs(&self, agent: &str, action: &str) -> Vec<Named> {
        let Some(action) = self.action(agent, action) else { return Vec::new() };
        let mut inputs: Vec<_> = action.inputs.into_iter().collect();
        inputs.sort_by_key(|(_, input)| input.optional);
        inputs.into_iter().map(|(name, input)| (name, described(&input))).collect()
    }

    fn input_values(&self, agent: &str, action: &str, input: &str) -> Vec<String> {
        let input = self.action(agent, action).and_then(|mut action| action.inputs.remove(input));
        let Some(input) = input else { return Vec::new() };
        match input.input_type() {
            Ok(InputType::Boolean) => ["true", "false"].map(str::to_owned).to_vec(),
            Ok(InputType::List) => input.allowed,
            _ => Vec::new(),
        }
    }

    fn collectives(&self) -> Vec<String> {
        self.settings()
            .map(|settings| settings.collectives().iter().map(ToString::to_string).collect())
            .unwrap_or_default()
    }

    fn federations(&self) -> Vec<String> {
        self.settings().map(|settings| settings.get(keys::FEDERATION_COLLECTIVES).to_vec()).unwrap_or_default()
    }

    /// The nodes of an inventory file, where that is how nodes are found.
    fn nodes(&self) -> Vec<String> {
        let Some(settings) = self.settings() else { return Vec::new() };
        let listed = matches!(settings.get(keys::DEFAULT_DISCOVERY_METHOD), Some("inventory" | "flatfile" | "file"));
        let filter = Filter::default();
        let nodes =
            listed.then(|| DiscoveryArguments::default().choose(&filter, settings).ok()?.offline(&filter).ok()?);
        nodes.flatten().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn config_keys(&self) -> Vec<Named> {
        config::table().map(|key| (key.name.to_owned(), key.description.to_owned())).collect()
    }
}

/// An input in a few words.
fn described(input: &Input) -> String {
    let text = if input.description.is_empty() { &input.prompt } else { &input.description };
    let optional = if input.optional { " (optional)" } else { "" };
    format!("{text}{optional}")
}

/// The system, without what may take long: names from DNS, facts from a program.
#[derive(Debug)]
struct Quick;

impl Environment for Quick {
    fn variable(&self, name: &str) -> Option<String> {
        SystemEnvironment.variable(name)
    }
    fn home(&self) -> Option<PathBuf> {
        SystemEnvironment.home()
    }
    fn working_directory(&self) -> io::Result<PathBuf> {
        SystemEnvironment.working_directory()
    }
    fn host_name(&self) -> Option<String> {
        SystemEnvironment.host_name()
    }
    fn reverse_name(&self, _host_name: &str) -> Option<String> {
        None
    }
    fn fact(&self, _name: &str) -> Option<String> {
        None
    }
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemEnvironment.read_file(path)
    }
    fn list_directory(&self, path: &Path) -> io::Result<Vec<String>> {
        SystemEnvironment.list_directory(path)
    }
    fn is_file(&self, path: &Path) -> bool {
        SystemEnvironment.is_file(path)
    }
    fn trusts(&self, path: &Path) -> bool {
        SystemEnvironment.trusts(path)
    }
}
