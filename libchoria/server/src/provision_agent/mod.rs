//! The agent `choria_provision`: how a provisioner gives a node its credentials and configuration, and restarts it
//! (spec 06 §3).
//!
//! | module | holds |
//! |---|---|
//! | `round` | what one round of provisioning needs to remember: the lock, keys that were made and are not used yet |
//! | `bundle` | the inputs of `configure`, judged |
//! | `overlay` | the system with a new configuration in place, for judging it |
//! | `files` | replacing all files of a bundle or none |
//! | `request` | private key and certificate request |
//! | `update` | `release_update` |
//!
//! New keys stay in memory until `configure` brings what belongs to them, and then all files are replaced together: a node
//! that is rebooted in between has its old credentials, or none, and is provisioned from the beginning.

mod bundle;
mod files;
mod overlay;
mod request;
mod round;
mod update;

use crate::control::{Control, Outcome};
use crate::provisioning::ProvisioningToken;
use agents::{Actions, Agent, Authorized, Metadata, Node, Rpc, VERSION};
use bundle::{Bundle, Plan, or_empty};
use config::{Kind, SystemEnvironment, keys};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lifecycle::Kind as EventKind;
use names::{Identity, InvalidName};
use rand::rngs::StdRng;
use round::State;
use rpc::ReplyBody;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use time::OffsetDateTime;

/// What the agent must know about the server it runs in.
#[derive(Clone, Debug)]
pub struct ProvisionSetup {
    /// Whether the server waits to be provisioned.
    pub provisioning: bool,
    /// The provisioning token, whose secret every action asks for.
    pub token: ProvisioningToken,
    /// The configuration file, whether it exists or not.
    pub config_file: PathBuf,
    /// What `--identity` gave: the node's name as long as no configuration says another.
    pub name: Option<Identity>,
    /// The running program, which `release_update` replaces.
    pub program: Option<PathBuf>,
}

/// The agent for one server.
///
/// # Errors
/// Never: its name is valid; it is said by type rather than by a panic.
pub fn provision_agent(setup: ProvisionSetup, control: Control, random: StdRng) -> Result<Arc<dyn Agent>, InvalidName> {
    let metadata = metadata()?;
    let config_file = std::path::absolute(&setup.config_file).unwrap_or_else(|_| setup.config_file.clone());
    let setup = ProvisionSetup { config_file, ..setup };
    let state = Arc::new(Mutex::new(State::new(random)));
    Ok(Arc::new(Rpc(Provision { metadata, setup, control, state, turn: tokio::sync::Mutex::default() })))
}

/// How the agent describes itself.
pub(crate) fn metadata() -> Result<Metadata, InvalidName> {
    Ok(Metadata {
        license: "Apache-2.0".into(),
        author: "R.I.Pienaar <rip@devco.net>".into(),
        timeout: Duration::from_secs(20),
        name: "choria_provision".parse()?,
        version: VERSION.into(),
        url: "https://choria.io".into(),
        description: "Choria Provisioner".into(),
        provider: "".into(),
        service: false,
    })
}

/// Completes or undoes what an earlier process was writing when it ended. To be called before the configuration is read.
///
/// # Errors
/// A sentence with the file that stands in the way.
pub(crate) fn complete_interrupted(config_file: &Path) -> Result<bool, String> {
    let directory = config_file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    files::recover(&files::SystemDisk, directory).map_err(|error| {
        format!(
            "provisioning of this node was interrupted and cannot be completed: {}: {}",
            error.path.display(),
            error.source
        )
    })
}

#[derive(Debug)]
struct Provision {
    metadata: Metadata,
    setup: ProvisionSetup,
    control: Control,
    state: Arc<Mutex<State>>,
    /// Actions run one after the other.
    turn: tokio::sync::Mutex<()>,
}

impl Actions for Provision {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn knows(&self, action: &str) -> bool {
        ACTIONS.contains(&action)
    }

    fn run(&self, call: Authorized, node: Arc<Node>) -> BoxFuture<'_, ReplyBody> {
        async move {
            let _turn = self.turn.lock().await;
            let done = match call.action() {
                "jwt" => self.jwt(&call),
                "gen25519" => self.gen25519(&call),
                "gencsr" => self.gencsr(&call, &node).await,
                "configure" => self.configure(&call, &node).await,
                "reprovision" => self.reprovision(&call, &node),
                "restart" => self.restart(&call).await,
                "shutdown" => self.shutdown(&call),
                "release_update" => self.release_update(&call).await,
                other => Err(call.aborted(format!("there is no action {other}"))),
            };
            done.unwrap_or_else(|refused| refused)
        }
        .boxed()
    }
}

/// Both arms are replies; the failure arm lets `?` end an action early.
type Done = Result<ReplyBody, ReplyBody>;

/// The inputs that most actions have.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Inputs {
    #[serde(deserialize_with = "or_empty")]
    token: String,
    #[serde(deserialize_with = "or_empty")]
    nonce: String,
    #[serde(deserialize_with = "or_empty")]
    splay: i64,
}

impl Provision {
    fn jwt(&self, call: &Authorized) -> Done {
        let inputs: Inputs = call.inputs()?;
        self.admit_round(call, &inputs.token, RECONFIGURE)?;
        let Some(path) = self.setup.token.path() else {
            return Err(call.aborted("No Provisioning JWT file has been configured".to_owned()));
        };
        let text = read_bounded(path).map_err(|error| {
            call.aborted(match error.kind() {
                io::ErrorKind::NotFound => "Provisioning JWT file does not exist".to_owned(),
                _ => format!("Could not read Provisioning JWT: {error}"),
            })
        })?;
        let public = self.state().new_exchange();
        Ok(call.ok(&json!({"jwt": text, "ecdh_public": public})))
    }

    fn gen25519(&self, call: &Authorized) -> Done {
        let inputs: Inputs = call.inputs()?;
        self.admit_round(call, &inputs.token, RECONFIGURE)?;
        let (public, signature) = self.state().new_seed(inputs.nonce.as_bytes());
        let directory = self.directory().display().to_string();
        Ok(call.ok(&json!({"public_key": public, "directory": directory, "signature": signature})))
    }

    async fn gencsr(&self, call: &Authorized, node: &Node) -> Done {
        let subject: request::Subject = call.inputs()?;
        self.admit_round(call, &subject.token, RECONFIGURE)?;
        let directory = node.settings.get(keys::SSLDIR).unwrap_or_else(|| self.directory().join("ssl"));
        let identity = node.identity();
        let made = blocking(move || request::make(&subject, identity.as_str())).await;
        let made = made.and_then(|made| made).map_err(|why| call.aborted(format!("Could not create a CSR: {why}")))?;
        let reply =
            json!({"csr": &made.request, "public_key": &made.public, "ssldir": directory.display().to_string()});
        self.state().keys.request = Some((made.private, made.request));
        Ok(call.ok(&reply))
    }

    async fn configure(&self, call: &Authorized, node: &Node) -> Done {
        let bundle: Bundle = call.inputs()?;
        self.admit_round(call, &bundle.token, RECONFIGURE)?;
        let (heading, identity, setup) = (heading(call, SystemTime::now()), node.identity(), self.setup.clone());
        // Keys move to the thread that uses them, and come back: nobody else asks for them during this turn.
        let keys = std::mem::take(&mut self.state().keys);
        let (keys, planned) = blocking(move || {
            let planned = {
                let round = bundle::Round {
                    config_file: &setup.config_file,
                    identity: &identity,
                    name: setup.name.as_ref(),
                    seed: keys.seed.as_ref(),
                    request: keys.request.as_ref(),
                    exchange: keys.exchange.as_ref(),
                    heading: &heading,
                    now: SystemTime::now(),
                };
                bundle::plan(&bundle, &round).and_then(|Plan { changes, lines }| {
                    let directory = directory_of(&setup.config_file);
                    let committed = files::commit(&files::SystemDisk, &directory, &changes);
                    committed.map(|()| lines).map_err(|error| format!("Could not write config: {error}"))
                })
            };
            (keys, planned)
        })
        .await
        .map_err(|why| call.aborted(why))?;
        self.state().keys = keys;
        let lines = planned.map_err(|why| call.aborted(why))?;
        let file = self.setup.config_file.display();
        tracing::info!(
            event = "was_provisioned",
            caller = %call.admitted().request().caller,
            %file,
            lines,
            "the node was configured"
        );
        self.control.announce(EventKind::Provisioned);
        Ok(call.ok(&json!({"message": format!("Wrote {lines} lines to {file}")})))
    }

    /// Gives the node back to its provisioner. The file that is replaced is kept beside it.
    fn reprovision(&self, call: &Authorized, node: &Node) -> Done {
        let inputs: Inputs = call.inputs()?;
        if self.setup.provisioning {
            return Err(call.aborted("Server is already in provisioning mode, cannot enable provisioning mode again"));
        }
        self.check_token(call, &inputs.token)?;
        let changes = self
            .reprovision_changes(call, node)
            .map_err(|why| call.aborted(format!("Could not write config: {why}")))?;
        files::commit(&files::SystemDisk, &self.directory(), &changes)
            .map_err(|error| call.aborted(format!("Could not write config: {error}")))?;
        let delay = Duration::from_secs(self.state().below(10) + 2);
        self.control.leave(Outcome::Restart, delay);
        Ok(call.ok(&json!({"message": format!("Restarting after {}s", delay.as_secs())})))
    }

    fn reprovision_changes(&self, call: &Authorized, node: &Node) -> Result<Vec<files::Change>, String> {
        let mut pairs = BTreeMap::from([
            (keys::SERVER_PROVISION.name().to_owned(), "1".to_owned()),
            (keys::LOGLEVEL.name().to_owned(), "debug".to_owned()),
        ]);
        // The original loses the node's name; a node keeps it.
        let mut kept = vec![keys::IDENTITY.name(), keys::LOGFILE.name()];
        let data = "plugin.choria.registration.file_content.data";
        if self.setup.token.claims().registration_data.is_empty() && node.settings.raw(data).is_some() {
            pairs.insert("registration".to_owned(), "file_content".to_owned());
            kept.push(data);
        }
        for key in kept {
            pairs.extend(node.settings.raw(key).map(|text| (key.to_owned(), text.to_owned())));
        }
        let text = bundle::configuration(&pairs, &heading(call, SystemTime::now()))?;
        let file = std::fs::canonicalize(&self.setup.config_file).unwrap_or_else(|_| self.setup.config_file.clone());
        let write = |target: PathBuf, bytes: Vec<u8>| files::Change {
            target,
            content: files::Content::Write { bytes: bytes.into(), mode: 0o600 },
        };
        let old = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".before-reprovision");
        Ok(vec![write(file.with_file_name(name), old), write(file, text.into_bytes())])
    }

    async fn restart(&self, call: &Authorized) -> Done {
        let inputs: Inputs = call.inputs()?;
        self.check_token(call, &inputs.token)?;
        if !(0..=LONGEST_SPLAY).contains(&inputs.splay) {
            return Err(call.aborted(format!("splay must be from 0 to {LONGEST_SPLAY} seconds")));
        }
        let (file, by_default) = (self.setup.config_file.clone(), self.provisions_by_default());
        let checked = blocking(move || check_configuration(&file, by_default)).await;
        checked.and_then(|checked| checked).map_err(|why| call.aborted(why))?;
        let splay = if inputs.splay == 0 { 10 } else { inputs.splay.unsigned_abs() };
        let delay = Duration::from_secs(self.state().below(splay) + 2);
        tracing::info!(caller = %call.admitted().request().caller, "restarting in {} s as asked for", delay.as_secs());
        self.control.leave(Outcome::Restart, delay);
        Ok(call.ok(&json!({"message": format!("Restarting Choria Server after {}s", delay.as_secs())})))
    }

    fn shutdown(&self, call: &Authorized) -> Done {
        let inputs: Inputs = call.inputs()?;
        self.check_token(call, &inputs.token)?;
        let delay = Duration::from_secs(self.state().below(10));
        tracing::info!(caller = %call.admitted().request().caller, "stopping in {} s as asked for", delay.as_secs());
        self.control.leave(Outcome::Stopped, delay);
        Ok(call.ok(&json!({"message": format!("Shutting Choria Server down after {}s", delay.as_secs())})))
    }

    async fn release_update(&self, call: &Authorized) -> Done {
        let release: update::Release = call.inputs()?;
        self.admit_round(call, &release.token, "Cannot update a server that is not in provisioning mode")?;
        if !self.setup.token.claims().allow_update {
            return Err(call.aborted("Version updates is not enabled in the configuration"));
        }
        if !self.state().begin_update() {
            return Err(call.aborted("Another update is under way"));
        }
        // A download may take longer than a caller waits; it is completed all the same.
        let (control, state, program) = (self.control.clone(), Arc::clone(&self.state), self.setup.program.clone());
        let installing = tokio::spawn(async move {
            let installed = update::install(&release, program.as_deref(), &update::fetch).await;
            match &installed {
                Ok(()) => {
                    let new_version = release.version.clone();
                    tracing::info!(version = %new_version, "the program was replaced, restarting");
                    control.announce(EventKind::Upgraded { version: VERSION.to_owned(), new_version });
                    control.leave(Outcome::Restart, Duration::from_secs(2));
                }
                Err(why) => tracing::error!("{why}"),
            }
            state.lock().unwrap_or_else(PoisonError::into_inner).end_update();
            installed
        });
        let installed =
            installing.await.map_err(|fault| call.aborted(format!("the work ended by a fault: {fault}")))?;
        installed.map_err(|why| call.aborted(why))?;
        Ok(call.ok(&json!({"message": "Restarting Choria Server after 2s"})))
    }

    /// Whether the call may change a node that is being provisioned: mode, then secret, then lock. The original takes the
    /// lock first, so that anybody can keep the provisioner out.
    fn admit_round(&self, call: &Authorized, token: &str, outside: &'static str) -> Result<(), ReplyBody> {
        if !self.setup.provisioning {
            return Err(call.aborted(outside));
        }
        self.check_token(call, token)?;
        let request = call.admitted().request();
        let holder = format!("{}.{}", request.sender, request.caller);
        if self.state().lock(&holder, Instant::now()) {
            Ok(())
        } else {
            Err(call.aborted("Could not obtain provisioning lock"))
        }
    }

    fn check_token(&self, call: &Authorized, token: &str) -> Result<(), ReplyBody> {
        if self.setup.token.is_secret(token) {
            return Ok(());
        }
        let request = call.admitted().request();
        tracing::warn!(caller = %request.caller, sender = %request.sender, action = call.action(), "a call with a wrong provisioning token was refused");
        Err(call.aborted("Incorrect provision token supplied"))
    }

    /// Whether the node would be provisioned again for want of a word in its configuration.
    fn provisions_by_default(&self) -> bool {
        self.setup.provisioning && self.setup.token.claims().provision_by_default
    }

    fn directory(&self) -> PathBuf {
        directory_of(&self.setup.config_file)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ACTIONS: [&str; 8] =
    ["configure", "gen25519", "gencsr", "jwt", "release_update", "reprovision", "restart", "shutdown"];

const RECONFIGURE: &str = "Cannot reconfigure a server that is not in provisioning mode";

/// Seconds; nobody who waits longer for a restart remembers it.
const LONGEST_SPLAY: i64 = 24 * 3600;

fn directory_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Refuses to restart into a configuration that does not load, or with which the node would wait to be provisioned again.
fn check_configuration(file: &Path, by_default: bool) -> Result<(), String> {
    let shown = file.display();
    let broken = |error: String| format!("Configuration {shown} could not be parsed, restart cannot continue: {error}");
    let inputs = config::load(file, Kind::Server, &SystemEnvironment).map_err(|error| broken(error.to_string()))?;
    let settings = inputs.check().map_err(|error| broken(error.to_string()))?;
    if settings.get(keys::SERVER_PROVISION) {
        return Err(format!("Configuration {shown} enables provisioning, restart cannot continue"));
    }
    if by_default && !settings.is_set(keys::SERVER_PROVISION) {
        return Err(format!(
            "Configuration {shown} enables provisioning, restart cannot continue: it does not set \
             plugin.choria.server.provision = false, and the provisioning token provisions by default"
        ));
    }
    Ok(())
}

/// The comment at the top of a written configuration.
fn heading(call: &Authorized, now: SystemTime) -> String {
    let request = call.admitted().request();
    let time = OffsetDateTime::from(now);
    let date = time::macros::format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:9] +0000 UTC"
    );
    let time = time.format(date).unwrap_or_default();
    let (id, caller, sender) = (&request.id, &request.caller, &request.sender);
    format!("configuration file written in request {id} from {caller} ({sender}) at {time}")
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(64 * 1024).read_to_string(&mut text)?;
    Ok(text)
}

/// Files and RSA keys take their time; the server goes on meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|fault| format!("the work ended by a fault: {fault}"))
}
