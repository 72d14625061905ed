//! What a running server can read anew: whose requests count and what they may do, facts, classes, the audit.

use crate::problems::{Problem, Problems};
use crate::settings::{classes, facts};
use agents::{Audit, Authorization, ClassSource, FactSource, Node};
use config::{Settings, keys};
use security::{Provider, Role};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::watch;

/// The parts of a [`Node`] that may change while it serves, judged.
#[derive(Debug)]
pub struct Live {
    config: Settings,
    provider: Provider,
    facts: Arc<FactSource>,
    classes: Arc<ClassSource>,
    authorization: Authorization,
    audit: Option<Arc<Audit>>,
}

/// Changes a running server; it may outlive it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<watch::Sender<Arc<Node>>>);

impl Live {
    /// Reads token, seed, trusted issuers, facts and classes that `config` names.
    ///
    /// # Errors
    /// Every problem with them.
    pub fn from_settings(config: &Settings, now: SystemTime) -> Result<Self, Problems> {
        let provider = Provider::from_settings(config, Role::Server, now);
        let provider = provider.map_err(|errors| Problems::new(vec![Problem::from(errors)]))?;
        let live = Self {
            provider,
            facts: facts(config),
            classes: classes(config),
            authorization: Authorization::from_settings(config),
            audit: audit(config),
            config: config.clone(),
        };
        // What is wrong with these files is logged when they are read; better now than at the next request.
        drop((live.facts.read(), live.classes.read()));
        Ok(live)
    }
}

impl Handle {
    /// Every request from now on is judged by `live`; running ones end by what they began with.
    pub fn apply(&self, live: Live) {
        if let Some(warning) = live.authorization.warning() {
            tracing::warn!("{warning}");
        }
        self.0.send_modify(|node| {
            let Live { config, provider, facts, classes, authorization, audit } = live;
            let old = Node::clone(node);
            *node = Arc::new(Node { settings: config, provider, facts, classes, authorization, audit, ..old });
        });
    }

    /// The same with another token or seed alone.
    pub(crate) fn renew(&self, provider: Provider) {
        self.0.send_modify(|node| *node = Arc::new(Node { provider, ..Node::clone(node) }));
    }

    /// The node as it is now.
    pub(crate) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.0.borrow())
    }
}

/// The audit that `config` asks for. Without a file the server runs without, as the original does, but says so.
pub(crate) fn audit(config: &Settings) -> Option<Arc<Audit>> {
    match Audit::from_settings(config) {
        Ok(audit) => audit.map(Arc::new),
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    }
}

/// Whether a change of `key` counts without a restart.
pub(crate) fn is_live(key: &str) -> bool {
    let exact = [
        keys::LOGLEVEL.name(),
        keys::YAML.name(),
        keys::CLASSESFILE.name(),
        keys::RPCAUTHORIZATION.name(),
        keys::RPCAUTHPROVIDER.name(),
        keys::RPCAUDIT.name(),
        keys::LOCAL_SOCKET_FACTS_GROUP.name(),
        keys::SECURITY_ISSUER_NAMES.name(),
        keys::SECURITY_CHORIA_TRUSTED_SIGNERS.name(),
        keys::SECURITY_CHORIA_SIGN_REPLIES.name(),
    ];
    let starts = ["plugin.rpcaudit.", "plugin.actionpolicy.", "plugin.regopolicy.", "plugin.security.issuer."];
    exact.contains(&key) || starts.iter().any(|start| key.starts_with(start))
}

/// The path as text for a message.
pub(crate) fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "none".to_owned(), |path| path.display().to_string())
}
