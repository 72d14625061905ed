//! Servers that wait to be provisioned and then become members, each with a folder and files of its own (spec 06).
//!
//! They are what `choria-server` is, decision, agent and files included; only a restart is a new server in the same
//! process instead of a new process.

use crate::plan::Plan;
use config::{Environment, Kind, SystemEnvironment};
use names::{Identity, InvalidName};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use server::provisioning::{Prepared, prepare};
use server::{Outcome, Parts, ProvisionSetup, Server, Settings};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Servers to be provisioned.
#[derive(Clone, Debug)]
pub struct CandidatePlan {
    /// Number of servers.
    pub count: usize,
    /// First part of their names, see [`Plan::identity`].
    pub name: String,
    /// The provisioning token that all of them have.
    pub token: PathBuf,
    /// Where their folders are made, one for each, called as the server.
    pub folder: PathBuf,
    /// Servers that may be starting at once.
    pub at_once: usize,
}

/// How far they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Progress {
    /// Servers of the plan.
    pub instances: usize,
    /// Connected and waiting to be provisioned.
    pub waiting: usize,
    /// Connected as members of the fleet.
    pub members: usize,
    /// Restarts so far.
    pub restarts: usize,
    /// Servers that ended by a fault.
    pub failed: usize,
    /// Time since the first was started.
    pub milliseconds: u128,
}

/// Why they cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// Their names are not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A folder cannot be made, or the token not be put into it.
    #[error("cannot prepare {path}: {source}", path = .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Runs the servers of `plan` until `stop` is cancelled; tells `told` every `interval`, and at once when all are members.
///
/// # Errors
/// [`CandidateError`] before the first server starts; servers that fail later are counted and logged.
pub async fn run_candidates(
    plan: CandidatePlan,
    stop: CancellationToken,
    interval: Duration,
    mut told: impl FnMut(&Progress),
) -> Result<Progress, CandidateError> {
    let folder = std::path::absolute(&plan.folder)
        .map_err(|source| CandidateError::Folder { path: plan.folder.clone(), source })?;
    let mut nodes = Vec::new();
    for number in 1..=plan.count {
        let identity = Plan::identity(&plan.name, number)?;
        let folder = folder.join(identity.as_str());
        let made =
            std::fs::create_dir_all(&folder).and_then(|()| std::fs::copy(&plan.token, folder.join("provisioning.jwt")));
        made.map_err(|source| CandidateError::Folder { path: folder.clone(), source })?;
        nodes.push((identity, folder.join("server.conf")));
    }
    let counts = Arc::new(Counts { starting: Semaphore::new(plan.at_once.max(1)), ..Counts::default() });
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (identity, config_file) in nodes {
        let (counts, stop) = (Arc::clone(&counts), stop.clone());
        tasks.spawn(async move {
            if let Err(why) = live(&identity, &config_file, &counts, &stop).await {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(server = %identity, "{why}");
            }
        });
    }
    let mut complete = false;
    let mut last = Instant::now();
    while !stop.is_cancelled() {
        let progress = counts.progress(plan.count, began);
        let now_complete = progress.members == plan.count;
        if now_complete != complete || last.elapsed() >= interval {
            (complete, last) = (now_complete, Instant::now());
            told(&progress);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    let progress = counts.progress(plan.count, began);
    while tasks.join_next().await.is_some() {}
    Ok(progress)
}

/// One server from its first start to the end, over all its restarts.
async fn live(
    identity: &Identity,
    config_file: &Path,
    counts: &Counts,
    stop: &CancellationToken,
) -> Result<(), String> {
    loop {
        let starting = counts.starting.acquire().await.map_err(|error| error.to_string())?;
        let (name, file) = (identity.clone(), config_file.to_owned());
        // It reads and judges files, of which a busy machine may take its time to give the bytes.
        let built = tokio::task::spawn_blocking(move || build(&name, &file)).await;
        let (server, waits) = built.map_err(|error| error.to_string())??;
        let running = server.start();
        tokio::select! {
            () = running.serving() => {}
            () = stop.cancelled() => {}
        }
        drop(starting);
        let count = if waits { &counts.waiting } else { &counts.members };
        count.fetch_add(1, Ordering::Relaxed);
        let ended = running.wait(stop.cancelled()).await;
        count.fetch_sub(1, Ordering::Relaxed);
        match ended.map_err(|error| error.to_string())? {
            Outcome::Restart if !stop.is_cancelled() => _ = counts.restarts.fetch_add(1, Ordering::Relaxed),
            Outcome::Restart | Outcome::Stopped => return Ok(()),
        }
    }
}

/// The server that the files make, and whether it waits to be provisioned.
fn build(identity: &Identity, config_file: &Path) -> Result<(Server, bool), String> {
    let surroundings = Named(identity.as_str());
    let load = || config::load(config_file, Kind::Server, &surroundings);
    let now = SystemTime::now();
    let prepared = prepare(config_file, Some(identity), load, &surroundings, now).map_err(|error| error.to_string())?;
    let setup = |provisioning, token| ProvisionSetup {
        provisioning,
        token,
        config_file: config_file.to_owned(),
        name: Some(identity.clone()),
        program: None,
    };
    let (settings, parts, waits) = match prepared {
        Prepared::Provision { config, token, .. } => {
            let settings = Settings::unprovisioned(config);
            let parts = Parts::provisioning(&settings, setup(true, token), StdRng::from_entropy());
            (settings, parts, true)
        }
        Prepared::Fleet { config, token, .. } => {
            let settings = Settings::new(config, false);
            let parts = Parts::from_settings(&settings, now);
            let parts = match token {
                Some(token) => parts
                    .and_then(|parts| parts.with_provisioning(&settings, setup(false, token), StdRng::from_entropy())),
                None => parts,
            };
            (settings, parts, false)
        }
    };
    let parts = parts.map_err(|error| error.to_string())?;
    let server = Server::build(settings, parts, rand::random(), now).map_err(|error| error.to_string())?;
    Ok((server, waits))
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instances, waiting, members, restarts, failed, milliseconds } = self;
        let seconds = Duration::from_millis(u64::try_from(*milliseconds).unwrap_or(u64::MAX)).as_secs_f64();
        write!(
            f,
            "{members} of {instances} servers are members after {seconds:.1} s, {waiting} wait to be provisioned, {restarts} \
             restarts, {failed} failed"
        )
    }
}

#[derive(Debug)]
struct Counts {
    starting: Semaphore,
    waiting: AtomicUsize,
    members: AtomicUsize,
    restarts: AtomicUsize,
    failed: AtomicUsize,
}

impl Default for Counts {
    fn default() -> Self {
        let zero = || AtomicUsize::new(0);
        Self { starting: Semaphore::new(1), waiting: zero(), members: zero(), restarts: zero(), failed: zero() }
    }
}

impl Counts {
    fn progress(&self, instances: usize, began: Instant) -> Progress {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Progress {
            instances,
            waiting: read(&self.waiting),
            members: read(&self.members),
            restarts: read(&self.restarts),
            failed: read(&self.failed),
            milliseconds: began.elapsed().as_millis(),
        }
    }
}

/// The system, on a host of another name; nobody is asked for it.
struct Named<'a>(&'a str);

impl Environment for Named<'_> {
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
        Some(self.0.to_owned())
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

/// How often the counts are looked at.
const LOOK: Duration = Duration::from_millis(100);
