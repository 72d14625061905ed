//! What to emulate.

use names::{Collective, Identity, InvalidName};
use network::{ServerAddress, Tls};
use std::path::PathBuf;
use tokens::Seed;

/// A fleet to be made.
#[derive(Debug)]
pub struct Plan {
    /// Number of servers.
    pub count: usize,
    /// First part of their names, which are `NAME-1`, `NAME-2` and so on, see [`Plan::identity`].
    pub name: String,
    /// Seed of the organization issuer that the broker and the servers trust; it signs the servers' tokens.
    pub issuer: Seed,
    /// The organization in the tokens and in the trust of the servers.
    pub organization: String,
    /// Brokers to connect to.
    pub servers: Vec<ServerAddress>,
    /// Encryption of all connections.
    pub tls: Tls,
    /// The collective of all servers.
    pub collective: Collective,
    /// Fact files, shared by all servers.
    pub facts: Vec<PathBuf>,
    /// File of classes, shared by all servers.
    pub classes: Option<PathBuf>,
    /// Connections that may be in the making at once.
    pub at_once: usize,
}

impl Plan {
    /// The name of server `number`, counted from 1, of a fleet called `name`.
    ///
    /// # Errors
    /// [`InvalidName`] when `name` cannot stand in a subject.
    pub fn identity(name: &str, number: usize) -> Result<Identity, InvalidName> {
        format!("{name}-{number}").parse()
    }
}
