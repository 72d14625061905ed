//! A client of the laboratory inside the test's own process.

use crate::Lab;
use config::{FixedEnvironment, Kind, Settings};
use network::{Connection, Options, Role};
use security::Provider;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// A connected client with what it signs with and is configured by.
#[derive(Debug)]
pub struct Member {
    /// Its connection.
    pub connection: Connection,
    /// Its credentials.
    pub provider: Provider,
    /// Its configuration.
    pub settings: Settings,
}

impl Lab {
    /// Connects as the configuration file `NAME.conf` says. What is tested does not depend on who runs the tests.
    ///
    /// # Panics
    /// When no connection comes about.
    pub async fn connect(&self, name: &str) -> Member {
        let file = format!("{name}.conf");
        let kind = Kind::Client { working_directory: self.folder().to_owned() };
        let environment =
            FixedEnvironment::default().with_file(self.path(&file), self.read(&file)).with_variable("USER", "tester");
        let inputs = config::load(&self.path(&file), kind, &environment).expect("a configuration");
        let settings = inputs.check().expect("a valid configuration");
        let provider =
            Provider::from_settings(&settings, security::Role::Client, SystemTime::now()).expect("credentials");
        let options =
            Options::from_settings(&settings, Role::Client, name, provider.caller().as_str()).expect("options");
        let connection = network::connect(options, CancellationToken::new()).await.expect("a connection");
        Member { connection, provider, settings }
    }
}
