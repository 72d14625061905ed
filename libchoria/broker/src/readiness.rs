//! Connecting to the public listener like a member of the fleet: the only proof that listener, TLS, callout, trust and
//! accounts work together. A listening port proves none of that.

use crate::decision::{Decision, Kind, Policy, Reason, Request, Secret, Tls, decide};
use crate::metrics::Metrics;
use crate::settings::{OwnLogin, Settings};
use network::{Login, Options, Role, Scheme, ServerAddress, Servers};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::Seed;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

/// The check that a broker makes of itself.
#[derive(Debug)]
pub(crate) struct SelfCheck {
    servers: Vec<ServerAddress>,
    login: OwnLogin,
    policy: watch::Receiver<Arc<Policy>>,
    /// Known to this process alone before it connects.
    name: String,
    metrics: Arc<Metrics>,
    /// Of the connections that checks make.
    counters: Arc<network::Counters>,
    tls: network::Tls,
}

/// What a successful check found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The broker's token was accepted.
    Accepted,
    /// The broker's token has expired and was refused as it must be: others are served.
    OwnTokenExpired,
}

/// The broker does not serve, or cannot tell.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The broker's own token or seed cannot be used.
    #[error("the broker's own token cannot be used: {0}")]
    Files(String),
    /// The broker's rules refuse the broker's own token, so they would refuse others like it.
    #[error("the broker refuses its own token in plugin.security.choria.token_file: {0}")]
    Refused(String),
    /// The connection did not come about.
    #[error("the broker cannot connect to itself: {0}")]
    Connect(String),
}

impl SelfCheck {
    /// Prepares checks of the broker with these settings; `tls` is for connections to the own nats-server.
    pub(crate) fn new(
        settings: &Settings,
        policy: watch::Receiver<Arc<Policy>>,
        metrics: Arc<Metrics>,
        tls: network::Tls,
    ) -> Self {
        Self {
            servers: addresses(&settings.listen_address, settings.client_port),
            login: settings.login.clone(),
            policy,
            name: format!("choria-broker self check {:08x}", rand::random::<u32>()),
            metrics,
            counters: Arc::default(),
            tls,
        }
    }

    /// What the connections of checks counted.
    pub(crate) fn counters(&self) -> Arc<network::Counters> {
        Arc::clone(&self.counters)
    }

    /// Judges the broker's own token without connecting: the same rules that others will meet, with a reason.
    ///
    /// # Errors
    /// [`CheckError::Files`] and [`CheckError::Refused`].
    pub(crate) fn rehearse(&self, now: SystemTime) -> Result<Verdict, CheckError> {
        let policy = Arc::clone(&self.policy.borrow());
        self.rehearse_with(&policy, now)
    }

    /// The same under rules that are not in force.
    ///
    /// # Errors
    /// As [`SelfCheck::rehearse`].
    pub(crate) fn rehearse_with(&self, policy: &Policy, now: SystemTime) -> Result<Verdict, CheckError> {
        let described = |error: tokens::KeyError| CheckError::Files(with_cause(&error));
        let token = tokens::read_token(&self.login.token_file).map_err(described)?;
        let seed = Seed::read(&self.login.seed_file).map_err(described)?;
        let request = Request {
            kind: Kind::Client,
            user: String::new(),
            password: None,
            token: Some(Secret::new(token)),
            signature: seed.sign(REHEARSED_NONCE.as_bytes()).to_base64(),
            nonce: REHEARSED_NONCE.to_owned(),
            tls: Tls::Unverified,
            address: self.servers.first().and_then(|server| server.host().trim_matches(['[', ']']).parse().ok()),
            name: self.name.clone(),
        };
        match decide(&request, policy, now) {
            Decision::Allow(_) => Ok(Verdict::Accepted),
            Decision::Deny(Reason::Token(tokens::Invalid::Expired)) => Ok(Verdict::OwnTokenExpired),
            Decision::Deny(reason) => Err(CheckError::Refused(reason.to_string())),
        }
    }

    /// The name of the checking connection in monitoring and logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Connects and closes again, within `patience`.
    ///
    /// # Errors
    /// [`CheckError`].
    pub(crate) async fn run(&self, patience: Duration, stop: &CancellationToken) -> Result<Verdict, CheckError> {
        let verdict = self.rehearse(SystemTime::now())?;
        let answered = self.metrics.snapshot().answered();
        let mut options =
            Options::new(Role::Client, self.name.as_str(), Servers::Fixed(self.servers.clone()), self.tls.clone());
        options.patience = Some(patience);
        options.counters = Arc::clone(&self.counters);
        options.login = self.login(verdict)?;
        // What the connector says to its users is not news here; the verdict is.
        let connecting = network::connect(options, stop.child_token()).with_subscriber(NoSubscriber::default());
        match (verdict, connecting.await) {
            (_, Ok(connection)) => {
                connection.close(CLOSE_GRACE).await;
                Ok(verdict)
            }
            // A refusal that the callout spoke shows as much as a welcome, and silence is not mistaken for one.
            (Verdict::OwnTokenExpired, Err(_)) if self.metrics.snapshot().answered() > answered => Ok(verdict),
            (_, Err(error)) => Err(CheckError::Connect(error.to_string())),
        }
    }

    /// An expired token is sent as nodes send one that wait to be provisioned: otherwise it would not be sent at all.
    fn login(&self, verdict: Verdict) -> Result<Login, CheckError> {
        match verdict {
            Verdict::Accepted => Ok(Login::Token {
                token_file: self.login.token_file.clone(),
                seed_file: Some(self.login.seed_file.clone()),
            }),
            Verdict::OwnTokenExpired => match tokens::read_token(&self.login.token_file) {
                Ok(token) => Ok(Login::Provisioning { token: token.into() }),
                Err(error) => Err(CheckError::Files(with_cause(&error))),
            },
        }
    }
}

/// Where this machine reaches a listener on `listen_address`.
fn addresses(listen_address: &str, port: u16) -> Vec<ServerAddress> {
    hosts(listen_address).into_iter().map(|host| ServerAddress::new(Scheme::Tls, host, port)).collect()
}

/// The hosts by which this machine reaches what listens on `listen_address`, the most likely first.
pub(crate) fn hosts(listen_address: &str) -> Vec<String> {
    match listen_address.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() && address.is_ipv6() => {
            vec!["127.0.0.1".to_owned(), "[::1]".to_owned()]
        }
        Ok(address) if address.is_unspecified() => vec!["127.0.0.1".to_owned()],
        Ok(IpAddr::V6(address)) => vec![format!("[{address}]")],
        _ => vec![listen_address.to_owned()],
    }
}

/// An error and what caused it, in one line.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_cause(source)),
        None => error.to_string(),
    }
}

/// Stands in for the server's nonce where no server is asked.
const REHEARSED_NONCE: &str = "rehearsal";

/// Closing sends nothing that could be lost.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
