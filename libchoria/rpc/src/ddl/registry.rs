//! Documents from the registry service, kept beside those of the library for ever (spec 03a §6).

use super::find::{FindError, Library};
use super::model::AgentDdl;
use crate::client::Client;
use crate::service::{ServiceError, ask};
use names::{AgentName, InvalidName};
use serde_json::{Map, Value};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// The service that hands out documents.
const REGISTRY: &str = "choria_registry";

/// Why the registry gave no document.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name is none, so that no file is named after it.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is none here either, or a file is none.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The service did not answer well.
    #[error("the registry gave no document: {0}")]
    Service(#[from] ServiceError),
    /// What it gave is no document of that agent.
    #[error("the registry gave something that is not the DDL of the {name} agent: {reason}")]
    Malformed {
        /// The agent asked for.
        name: AgentName,
        /// What is wrong.
        reason: String,
    },
}

impl Library {
    /// The document of the agent called `name`, from the registry if it is nowhere else and the registry is used; then it
    /// is stored, so that the registry is asked once. A document that cannot be stored is used all the same, with a warning
    /// in the log.
    ///
    /// # Errors
    /// As [`Library::agent`], and when the registry has no such document.
    pub async fn agent_or_registry(&self, name: &str, client: &Client) -> Result<AgentDdl, RegistryError> {
        match (self.agent(name), self.stored()) {
            (Err(FindError::NotFound { .. }), Some(directory)) => from_registry(name, directory, client).await,
            (found, _) => Ok(found?),
        }
    }

    /// Whether documents that are nowhere else are asked for (`plugin.choria.services.registry.cache`).
    #[must_use]
    pub fn uses_registry(&self) -> bool {
        self.stored().is_some()
    }
}

async fn from_registry(name: &str, directory: &Path, client: &Client) -> Result<AgentDdl, RegistryError> {
    let name: AgentName = name.parse()?;
    let texts = [("name", name.as_str()), ("plugin_type", "agent"), ("format", "json")];
    let inputs: Map<_, _> = texts.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))).collect();
    let answer = ask(client, REGISTRY, "ddl", inputs).await?;
    let text = answer.get("ddl").and_then(Value::as_str);
    let text = text.ok_or_else(|| ServiceError::Incomplete { agent: REGISTRY.to_owned(), output: "ddl" })?;
    let malformed = |reason| RegistryError::Malformed { name: name.clone(), reason };
    let ddl: AgentDdl = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if ddl.metadata.name != name.as_str() {
        return Err(malformed(format!("it names itself {:?}", ddl.metadata.name)));
    }
    let directory = directory.join("agent");
    if let Err(error) = store(&directory, &name, text) {
        tracing::warn!("could not save the DDL of {name} in {}: {error}", directory.display());
    }
    Ok(ddl)
}

/// Writes the document as it came, readable by all, in a directory of the user's own.
fn store(directory: &Path, name: &AgentName, text: &str) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(directory.join(format!("{name}.json")))?;
    Ok(())
}
