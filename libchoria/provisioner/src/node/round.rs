//! Everything that is done for one node, from finding it to its restart: the loop that performs the steps.

use super::answers::{Inventory, Malformed, NodeKey, NodeToken, SigningRequest};
use super::csr;
use super::failure::{Failure, Fault};
use super::server_token::{Holder, Signer};
use super::steps::{Done, Features, Known, Step, Upgrade, next, upgrade_from};
use crate::calls::{Call, CallError, Caller};
use crate::counts::{Ask, Counter, Counts};
use crate::helper::{Bundle, Decision, Helper, Input};
use crate::settings::{Credentials, Settings};
use names::Identity;
use rand::RngCore;
use security::key_transport::{Exchange, seal};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokens::{ProvisioningClaims, TrustRoots, VerificationKey};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The work for one node.
#[derive(Debug)]
pub(crate) struct Round {
    /// Who is provisioned, as it was found; nothing that is learned later changes that.
    pub(crate) node: Identity,
    /// What all rounds share.
    pub(crate) bench: Arc<Bench>,
    /// True while another provisioner is the leader.
    pub(crate) paused: watch::Receiver<bool>,
}

/// What the rounds over one connection share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) settings: Arc<Settings>,
    pub(crate) helper: Helper,
    pub(crate) counts: Arc<Counts>,
    pub(crate) caller: Caller,
    pub(crate) pace: Pace,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// One call to the agent `choria_provision`.
    pub provision_call: Duration,
    /// One call to the agent `rpcutil`.
    pub inventory_call: Duration,
    /// The pause after a failed try, counted from 1.
    pub pause: fn(u32) -> Duration,
}

/// How the work for one node succeeded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It has its configuration and restarts with it.
    Provisioned,
    /// It restarts with other software and will be provisioned then.
    Upgraded {
        /// The version it gets.
        version: String,
    },
    /// It stops, for this reason.
    Stopped(String),
}

impl Round {
    /// Performs all steps; what was done for a node in vain may be done again.
    ///
    /// # Errors
    /// The first thing that went wrong for good.
    pub(crate) async fn run(mut self) -> Result<Outcome, Failure> {
        let limit = self.bench.settings.node_limit;
        timeout(limit, self.steps()).await.unwrap_or(Err(Failure::TimedOut(limit)))
    }

    async fn steps(&mut self) -> Result<Outcome, Failure> {
        let features = Features::of(&self.bench.settings);
        let mut known = Known::default();
        let mut paused = self.paused.clone();
        loop {
            let step = next(features, &known);
            if let Step::Done(done) = step {
                return outcome(done, known.decision);
            }
            let pausing = async {
                if paused.wait_for(|paused| *paused).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = pausing => return Err(Failure::Paused(name(step))),
                performed = self.perform(step, &mut known) => performed?,
            }
        }
    }

    async fn perform(&self, step: Step, known: &mut Known) -> Result<(), Failure> {
        match step {
            Step::Token => {
                let token = self.ask(Ask::Jwt, |_| Map::new(), |data, _| NodeToken::read(data)).await?;
                let claims = self.verify(&token)?;
                known.token = Some((token, claims));
            }
            Step::Key => {
                let inputs = |nonce: &str| Map::from_iter([("nonce".to_owned(), nonce.into())]);
                known.key = Some(self.ask(Ask::Gen25519, inputs, NodeKey::read).await?);
            }
            Step::Inventory => {
                known.inventory =
                    Some(self.ask(Ask::Inventory, |_| Map::new(), |data, _| Inventory::read(data)).await?);
            }
            Step::Request => {
                let inputs = |_: &str| Map::from_iter([("cn".to_owned(), self.node.as_str().into())]);
                let request = self.ask(Ask::GenCsr, inputs, |data, _| SigningRequest::read(data)).await?;
                if let Credentials::Pki(deny) = &self.bench.settings.credentials {
                    csr::check(&request.csr, &self.node, deny)?;
                }
                known.request = Some(request);
            }
            Step::Helper => known.decision = Some(self.consult(known).await?),
            Step::Stop => {
                self.stop().await?;
                known.gone = true;
            }
            Step::Sign => known.server_token = Some(self.sign(known)?),
            Step::Upgrade => known.upgrade = Some(self.upgrade(known).await?),
            Step::Configure => {
                let inputs = self.configuration(known)?;
                self.ask(Ask::Configure, |_| inputs.clone(), |_, _| Ok(())).await?;
                known.configured = true;
            }
            Step::Restart => {
                let inputs = |_: &str| Map::from_iter([("splay".to_owned(), RESTART_SPLAY.into())]);
                self.ask(Ask::Restart, inputs, |_, _| Ok(())).await?;
                known.gone = true;
            }
            Step::Done(_) => {}
        }
        Ok(())
    }

    /// Makes a call as often as it takes, but not for ever. `inputs` and `judge` are given a nonce, new for each try.
    async fn ask<T>(
        &self,
        ask: Ask,
        inputs: impl Fn(&str) -> Map<String, Value>,
        judge: impl Fn(&Value, &str) -> Result<T, Malformed>,
    ) -> Result<T, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let nonce = nonce();
            let started = Instant::now();
            let answered = self.once(ask, inputs(&nonce)).await;
            self.bench.counts.add_call(ask, started.elapsed());
            let last = match answered.map(|data| judge(&data, &nonce)) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(malformed)) => Fault::Malformed(malformed),
                Err(fault) => Fault::Call(fault),
            };
            tracing::debug!(node = %self.node, tries, "{} failed: {last}", ask.name());
            if tries >= ask.tries() {
                self.bench.counts.add_call_error(ask);
                return Err(Failure::Call { call: ask.name(), tries, last });
            }
            sleep((self.bench.pace.pause)(tries)).await;
        }
    }

    async fn once(&self, ask: Ask, mut inputs: Map<String, Value>) -> Result<Value, CallError> {
        let Bench { settings, caller, pace, .. } = &*self.bench;
        let limit = if ask == Ask::Inventory {
            pace.inventory_call
        } else {
            inputs.insert("token".to_owned(), settings.token.reveal().into());
            pace.provision_call
        };
        let call = Call { node: &self.node, agent: ask.agent(), action: ask.action(), inputs, limit };
        Ok(caller.call(call).await?.value())
    }

    /// Whether the node's provisioning token was signed by who it should be. The key is read anew each time.
    fn verify(&self, token: &NodeToken) -> Result<ProvisioningClaims, Failure> {
        let key = self.bench.settings.verify.as_deref().unwrap_or_default();
        let key = VerificationKey::find(key).map_err(Failure::VerificationKey)?;
        let verified = TrustRoots::signers(vec![key]).verify_provisioning(&token.jwt, SystemTime::now());
        Ok(verified.map_err(Failure::NodeToken)?.into_claims())
    }

    async fn consult(&self, known: &Known) -> Result<Decision, Failure> {
        let input = Input {
            identity: &self.node,
            csr: known.request.as_ref(),
            ed25519_pubkey: known.key.as_ref(),
            inventory: known.inventory.as_ref().map_or("", |inventory| &inventory.text),
            jwt: known.token.as_ref().map(|(_, claims)| claims),
        };
        let started = Instant::now();
        let output = self.bench.helper.run(&input.encode()).await;
        self.bench.counts.add_helper(started.elapsed());
        let public_key = known.key.as_ref().map(|key| &key.public_key);
        let decision =
            output.map_err(Failure::from).and_then(|output| Ok(Decision::read(&output, &self.node, public_key)?));
        if decision.is_err() {
            self.bench.counts.add(Counter::HelperErrors);
        }
        let decision = decision?;
        if let Decision::Configure(bundle) = &decision {
            for warning in &bundle.warnings {
                tracing::debug!(node = %self.node, "the helper's answer: {warning}");
            }
        }
        Ok(decision)
    }

    /// A node that refuses to stop keeps waiting; that is told and no failure, as in the original.
    async fn stop(&self) -> Result<(), Failure> {
        match self.ask(Ask::Shutdown, |_| Map::new(), |_, _| Ok(())).await {
            Err(Failure::Call { last: Fault::Call(refused @ CallError::Refused { .. }), .. }) => {
                tracing::warn!(node = %self.node, "the node does not stop: {refused}");
            }
            other => other?,
        }
        self.bench.counts.add(Counter::Shutdowns);
        Ok(())
    }

    fn sign(&self, known: &Known) -> Result<String, Failure> {
        let (Credentials::Ed25519(signing), Some(key), Some(bundle)) =
            (&self.bench.settings.credentials, &known.key, bundle(known))
        else {
            return Ok(String::new());
        };
        let holder = Holder { identity: &self.node, public_key: key.public_key };
        let now = SystemTime::now();
        let signer = Signer::read(signing)?;
        Ok(signer.issue(holder, &bundle.claims, &bundle.configuration, now, &mut rand::thread_rng())?)
    }

    async fn upgrade(&self, known: &Known) -> Result<Upgrade, Failure> {
        let (Some(upgrades), Some(bundle), Some(inventory)) =
            (&self.bench.settings.upgrades, bundle(known), &known.inventory)
        else {
            return Ok(Upgrade::Skipped);
        };
        let upgraded = match upgrade_from(upgrades, &bundle.upgrade, inventory) {
            Ok(None) => return Ok(Upgrade::Skipped),
            Ok(Some(repository)) => {
                let version = bundle.upgrade.as_str();
                let inputs = |_: &str| {
                    Map::from_iter([
                        ("repository".to_owned(), repository.into()),
                        ("version".to_owned(), version.into()),
                    ])
                };
                self.ask(Ask::ReleaseUpdate, inputs, |_, _| Ok(Upgrade::Started)).await
            }
            Err(reason) => Err(Failure::Upgrade(reason)),
        };
        match upgraded {
            Err(failure) if upgrades.optional => {
                tracing::warn!(node = %self.node, "provisioned without an upgrade (upgrades_optional): {failure}");
                Ok(Upgrade::Skipped)
            }
            other => other,
        }
    }

    /// The inputs of `configure`; what there is not is sent empty.
    fn configuration(&self, known: &Known) -> Result<Map<String, Value>, Failure> {
        let Some(bundle) = bundle(known) else { return Ok(Map::new()) };
        let (key, ecdh_public) = self.private_key(known, bundle)?;
        // With a signing request the node has said where its certificates are.
        let ssldir = known.request.as_ref().map_or(&bundle.ssldir, |request| &request.ssldir);
        // Texts by text always have a JSON form.
        let config = serde_json::to_string(&bundle.configuration).unwrap_or_default();
        let inputs = json!({
            "config": config,
            "certificate": bundle.certificate,
            "ca": bundle.ca,
            "ssldir": ssldir,
            "key": key,
            "ecdh_public": ecdh_public,
            "server_jwt": known.server_token.as_deref().unwrap_or_default(),
            "action_policies": bundle.action_policies,
            "opa_policies": bundle.opa_policies,
        });
        match inputs {
            Value::Object(inputs) => Ok(inputs),
            _ => Ok(Map::new()),
        }
    }

    /// The helper's private key as only the node can read it, with our half of the key exchange.
    fn private_key(&self, known: &Known, bundle: &Bundle) -> Result<(String, String), Failure> {
        if bundle.key.is_empty() {
            return Ok(Default::default());
        }
        let peer = known.token.as_ref().map_or("", |(token, _)| token.ecdh_public.as_str());
        if peer.is_empty() {
            let text = "the node did not begin a key exchange; the feature jwt is needed, and a node that has one";
            return Err(Failure::PrivateKey(text.to_owned()));
        }
        let random = &mut rand::thread_rng();
        let exchange = Exchange::generate(random);
        let mut vector = [0; 16];
        random.fill_bytes(&mut vector);
        let sealed = exchange.agree(peer).and_then(|shared| seal(&bundle.key, &shared, vector));
        Ok((sealed.map_err(|error| Failure::PrivateKey(error.to_string()))?, exchange.public()))
    }
}

impl Pace {
    /// The usual limits, with `discovery_timeout` on top of what the agents' documents say.
    #[must_use]
    pub fn new(discovery_timeout: Duration) -> Self {
        Self {
            provision_call: discovery_timeout + Duration::from_secs(20),
            inventory_call: discovery_timeout + Duration::from_secs(2),
            pause: |tries| network::backoff::FIVE_SECONDS.random_delay(usize::try_from(tries).unwrap_or(usize::MAX)),
        }
    }
}

impl Outcome {
    /// One word, for the audit log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::Upgraded { .. } => "upgraded",
            Self::Stopped(_) => "stopped",
        }
    }
}

fn bundle(known: &Known) -> Option<&Bundle> {
    match &known.decision {
        Some(Decision::Configure(bundle)) => Some(bundle),
        _ => None,
    }
}

fn outcome(done: Done, decision: Option<Decision>) -> Result<Outcome, Failure> {
    match (done, decision) {
        (Done::Upgraded, Some(Decision::Configure(bundle))) => Ok(Outcome::Upgraded { version: bundle.upgrade }),
        (_, Some(Decision::Shutdown(reason))) => Ok(Outcome::Stopped(reason)),
        (_, Some(Decision::Defer(reason))) => Err(Failure::Deferred(reason)),
        _ => Ok(Outcome::Provisioned),
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Token => Ask::Jwt.name(),
        Step::Key => Ask::Gen25519.name(),
        Step::Inventory => Ask::Inventory.name(),
        Step::Request => Ask::GenCsr.name(),
        Step::Helper => "helper",
        Step::Stop => Ask::Shutdown.name(),
        Step::Sign => "signing",
        Step::Upgrade => Ask::ReleaseUpdate.name(),
        Step::Configure => Ask::Configure.name(),
        Step::Restart => Ask::Restart.name(),
        Step::Done(_) => "nothing",
    }
}

/// 32 hexadecimal digits, a text that the node signs.
fn nonce() -> String {
    let mut bytes = [0; 16];
    rand::thread_rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// Seconds over which the node chooses the moment of its restart, beyond the two that it always waits.
const RESTART_SPLAY: u64 = 1;
