//! Which step comes next for a node: a function over what is known of it (spec 06 §6).

use super::answers::{Inventory, NodeKey, NodeToken, SigningRequest};
use super::versions;
use crate::helper::Decision;
use crate::settings::{Credentials, Settings, Upgrades};
use std::cmp::Ordering;
use tokens::ProvisioningClaims;

/// What is done for nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// Nodes show their provisioning token.
    pub jwt: bool,
    /// Nodes make a key and get a token for it.
    pub ed25519: bool,
    /// Nodes make a key and get a certificate for it.
    pub pki: bool,
    /// Nodes get another version of their software first.
    pub upgrades: bool,
}

/// What is known of a node so far.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The node's provisioning token, verified.
    pub(crate) token: Option<(NodeToken, ProvisioningClaims)>,
    /// The node's key, proven.
    pub(crate) key: Option<NodeKey>,
    /// What the node says about itself.
    pub(crate) inventory: Option<Inventory>,
    /// The node's signing request, judged.
    pub(crate) request: Option<SigningRequest>,
    /// What the helper wants.
    pub(crate) decision: Option<Decision>,
    /// The node's future token.
    pub(crate) server_token: Option<String>,
    /// What became of the wish for another version.
    pub(crate) upgrade: Option<Upgrade>,
    /// Whether the node has its configuration.
    pub(crate) configured: bool,
    /// Whether the node restarts or stops.
    pub(crate) gone: bool,
}

/// What became of the wish for another version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Upgrade {
    /// There is nothing to do, or it is done without.
    Skipped,
    /// The node restarts with it.
    Started,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Ask for the provisioning token and verify it.
    Token,
    /// Let the node make a key.
    Key,
    /// Ask for the inventory.
    Inventory,
    /// Let the node make a signing request and judge it.
    Request,
    /// Ask the helper.
    Helper,
    /// Let the node stop.
    Stop,
    /// Make the node's token.
    Sign,
    /// Let the node replace its software, if it has another version than the helper wants.
    Upgrade,
    /// Send the node its configuration.
    Configure,
    /// Let the node restart.
    Restart,
    /// All is done.
    Done(Done),
}

/// How it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Done {
    Provisioned,
    Upgraded,
    Stopped,
    Deferred,
}

impl Features {
    /// What the settings switch on; tokens for keys are given to nodes with a provisioning token only.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            jwt: settings.verify.is_some(),
            ed25519: matches!(settings.credentials, Credentials::Ed25519(_)),
            pki: matches!(settings.credentials, Credentials::Pki(_)),
            upgrades: settings.upgrades.is_some(),
        }
    }
}

/// The next step.
pub(crate) fn next(features: Features, known: &Known) -> Step {
    if features.jwt && known.token.is_none() {
        return Step::Token;
    }
    if features.ed25519 && known.key.is_none() {
        return Step::Key;
    }
    if known.inventory.is_none() {
        return Step::Inventory;
    }
    if features.pki && known.request.is_none() {
        return Step::Request;
    }
    match &known.decision {
        None => Step::Helper,
        Some(Decision::Defer(_)) => Step::Done(Done::Deferred),
        Some(Decision::Shutdown(_)) if known.gone => Step::Done(Done::Stopped),
        Some(Decision::Shutdown(_)) => Step::Stop,
        Some(Decision::Configure(_)) => {
            let unsigned = features.ed25519 && known.server_token.is_none();
            match known.upgrade {
                _ if unsigned => Step::Sign,
                None if features.upgrades => Step::Upgrade,
                Some(Upgrade::Started) => Step::Done(Done::Upgraded),
                _ if !known.configured => Step::Configure,
                _ if !known.gone => Step::Restart,
                _ => Step::Done(Done::Provisioned),
            }
        }
    }
}

/// Whether a node with this inventory shall get the version `wanted`: the repository to get it from, nothing if it has that
/// version already.
pub(crate) fn upgrade_from<'a>(
    upgrades: &'a Upgrades,
    wanted: &str,
    inventory: &Inventory,
) -> Result<Option<&'a str>, &'static str> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let version = inventory.version.as_deref().filter(|version| !version.is_empty());
    let version = version.ok_or("its inventory does not tell its version")?;
    if versions::compare(version, wanted) == Ordering::Equal {
        return Ok(None);
    }
    if !inventory.upgradable {
        return Err("it does not support upgrades");
    }
    upgrades.repository.as_deref().map(Some).ok_or("upgrades_repository is not configured")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::Bundle;

    fn inventory(version: Option<&str>, upgradable: bool) -> Inventory {
        Inventory { text: "{}".to_owned(), version: version.map(str::to_owned), upgradable }
    }

    /// Performs the steps as if each succeeded, and gives their names.
    fn walk(features: Features, decision: &Decision, upgrade: Upgrade) -> Vec<Step> {
        let mut known = Known::default();
        let mut steps = Vec::new();
        loop {
            let step = next(features, &known);
            steps.push(step);
            assert!(steps.len() < 20, "{steps:?}");
            match step {
                Step::Token => {
                    let token = NodeToken { jwt: String::new(), ecdh_public: String::new() };
                    known.token = Some((token, ProvisioningClaims::default()));
                }
                Step::Key => {
                    let public_key = tokens::Seed::from_bytes([1; 32]).public();
                    known.key = Some(NodeKey { public_key, directory: String::new(), signature: String::new() });
                }
                Step::Inventory => known.inventory = Some(inventory(None, false)),
                Step::Request => {
                    let empty = String::new;
                    known.request = Some(SigningRequest { csr: empty(), public_key: empty(), ssldir: empty() });
                }
                Step::Helper => known.decision = Some(decision.clone()),
                Step::Stop | Step::Restart => known.gone = true,
                Step::Sign => known.server_token = Some(String::new()),
                Step::Upgrade => known.upgrade = Some(upgrade),
                Step::Configure => known.configured = true,
                Step::Done(_) => return steps,
            }
        }
    }

    #[test]
    fn every_feature_adds_its_steps() {
        use Step::{
            Configure, Done as End, Helper, Inventory, Key, Request, Restart, Sign, Stop, Token, Upgrade as Update,
        };
        let configure = Decision::Configure(Box::default());
        let (stop, defer) = (Decision::Shutdown("x".into()), Decision::Defer("x".into()));
        let none = Features::default();
        let tokens = Features { jwt: true, ed25519: true, ..none };
        let certificates = Features { jwt: true, pki: true, ..none };
        let upgrades = Features { upgrades: true, ..tokens };
        let (skipped, started) = (Upgrade::Skipped, Upgrade::Started);
        let rows = [
            (none, &configure, skipped, vec![Inventory, Helper, Configure, Restart, End(Done::Provisioned)]),
            (
                tokens,
                &configure,
                skipped,
                vec![Token, Key, Inventory, Helper, Sign, Configure, Restart, End(Done::Provisioned)],
            ),
            (
                certificates,
                &configure,
                skipped,
                vec![Token, Inventory, Request, Helper, Configure, Restart, End(Done::Provisioned)],
            ),
            (upgrades, &configure, started, vec![Token, Key, Inventory, Helper, Sign, Update, End(Done::Upgraded)]),
            (
                upgrades,
                &configure,
                skipped,
                vec![Token, Key, Inventory, Helper, Sign, Update, Configure, Restart, End(Done::Provisioned)],
            ),
            (tokens, &stop, skipped, vec![Token, Key, Inventory, Helper, Stop, End(Done::Stopped)]),
            (upgrades, &defer, skipped, vec![Token, Key, Inventory, Helper, End(Done::Deferred)]),
        ];
        for (features, decision, upgrade, expected) in rows {
            assert_eq!(walk(features, decision, upgrade), expected, "{features:?} {decision:?}");
        }
        assert!(matches!(configure, Decision::Configure(bundle) if *bundle == Bundle::default()));
    }

    #[test]
    fn nodes_are_upgraded_to_another_version_only() {
        let from = |repository: Option<&str>| Upgrades { repository: repository.map(str::to_owned), optional: false };
        let rows = [
            ("", Some("1.0"), true, Some("http://r"), Ok(None)),
            ("1.0", Some("1.0"), true, Some("http://r"), Ok(None)),
            ("1.0.0", Some("1.0.00"), true, Some("http://r"), Ok(None)),
            ("1.0", Some("1.0"), false, None, Ok(None)),
            ("1.1", Some("1.0"), true, Some("http://r"), Ok(Some("http://r"))),
            ("0.9", Some("1.0"), true, Some("http://r"), Ok(Some("http://r"))),
            ("1.1", Some("1.0"), true, None, Err("upgrades_repository is not configured")),
            ("1.1", Some("1.0"), false, Some("http://r"), Err("it does not support upgrades")),
            ("1.1", None, true, Some("http://r"), Err("its inventory does not tell its version")),
            ("1.1", Some(""), true, Some("http://r"), Err("its inventory does not tell its version")),
        ];
        for (wanted, version, upgradable, repository, expected) in rows {
            let upgrades = from(repository);
            let got = upgrade_from(&upgrades, wanted, &inventory(version, upgradable));
            assert_eq!(got, expected, "{wanted} {version:?}");
        }
    }
}
