//! `choria-provisioner`, from arguments to exit code.

use crate::exporter::Exporter;
use crate::provisioner::{Parts, Provisioner, Running, STOP_LIMIT};
use crate::settings::Settings;
use anyhow::Context as _;
use config::{Environment, Inputs, Kind, Protection, SystemEnvironment, keys};
use daemon::logging::Level;
use daemon::metrics::{About, Build, Endpoint};
use daemon::{Exit, Options, Sockets};
use network::Counters;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The arguments of a provisioner (spec 06 §4.2).
#[derive(Clone, Debug)]
pub struct Arguments {
    /// `--config`: the provisioner's own configuration file.
    pub config: PathBuf,
    /// `--choria-config`: the Choria configuration file; searched for as clients do unless given.
    pub choria_config: Option<PathBuf>,
    /// `--pid`: a file that holds the process number while the provisioner runs.
    pub pid_file: Option<PathBuf>,
    /// `--debug`: log level debug.
    pub debug: bool,
}

/// Runs a provisioner to its end; the exit code is for `main`.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match prepare(arguments) {
        Err(error) => daemon::fail(NAME, &error),
        Ok((settings, config, options)) => daemon::run(options, |context| serve(settings, config, context)),
    }
}

const NAME: &str = config::build::PROVISIONER;

/// Everything that can fail before the log starts; both files are judged, so that all problems are told at once.
fn prepare(arguments: &Arguments) -> anyhow::Result<(Settings, config::Settings, Options)> {
    let settings = Settings::read(&arguments.config);
    let insecure = settings.as_ref().is_ok_and(|settings| settings.insecure);
    let path = arguments.choria_config.clone().unwrap_or_else(|| config::find_client_config(&SystemEnvironment));
    let choria = read_choria(&path, insecure, &SystemEnvironment);
    let (settings, choria) = match (settings, choria) {
        (Ok(settings), Ok(choria)) => (settings, choria),
        (Err(own), Err(choria)) => anyhow::bail!("{own}\n{choria:#}"),
        (Err(own), Ok(_)) => return Err(own.into()),
        (Ok(_), Err(choria)) => return Err(choria),
    };
    let mut logging = settings.logging.clone();
    if arguments.debug {
        logging.level = Level::Debug;
    }
    let pid_file = arguments.pid_file.clone();
    let options =
        Options { logging, soft_shutdown: STOP_LIMIT + Duration::from_secs(1), pid_file, ..Options::new(NAME) };
    Ok((settings, choria, options))
}

/// The Choria configuration with what provisioning demands: its collective, whoever the user is.
///
/// # Errors
/// What cannot be read, and every setting that cannot be used.
pub(crate) fn read_choria(
    path: &Path,
    insecure: bool,
    environment: &dyn Environment,
) -> anyhow::Result<config::Settings> {
    let mut inputs: Inputs = config::load(path, Kind::client(environment), environment)
        .with_context(|| "the Choria configuration of the provisioner, see --choria-config")?;
    inputs.use_credentials("provisioner", environment);
    inputs.default_user(USER);
    inputs.set(keys::COLLECTIVES.name(), COLLECTIVE);
    inputs.set(keys::MAIN_COLLECTIVE.name(), COLLECTIVE);
    if insecure {
        inputs.set(keys::SECURITY_PROVIDER.name(), "file");
        let protection = Protection { tls: false, verify_tls: false, validate_security: false, signed_messages: false };
        inputs.protect(protection);
    }
    Ok(inputs.check()?)
}

async fn serve(settings: Settings, config: config::Settings, context: daemon::Context) -> anyhow::Result<Exit> {
    tracing::info!("Choria Provisioner version {} starting", agents::VERSION);
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    daemon::tell_of_credentials(&config.credentials());
    let mut parts = Parts::from_settings(&settings, &config, SystemTime::now())?;
    parts.context = Some(context.clone());
    let (connector, monitored) = (Arc::clone(&parts.network.counters), settings.clone());
    let endpoint = listen(&settings, context.sockets()).await?;
    let _questions = daemon::answer_status(&context, "Choria Provisioner", config.identity().to_string());
    let running = Provisioner::build(settings, parts).start();
    let _metrics = endpoint.map(|endpoint| monitor(endpoint, &monitored, &config, &running, connector, context.stop()));
    // Waiting for a broker must hold up neither a boot nor a shutdown.
    tokio::select! {
        () = running.attempted() => context.ready(),
        () = context.stop().cancelled() => {}
    }
    running.wait(context.stop().clone().cancelled_owned()).await?;
    Ok(Exit::Clean)
}

/// The listener for metrics, if there shall be one; that it cannot be had ends the start.
async fn listen(settings: &Settings, sockets: &Sockets) -> anyhow::Result<Option<Endpoint>> {
    if let Some(given) = Endpoint::given(sockets)? {
        return Ok(Some(given));
    }
    let Some((address, port)) = &settings.monitor else { return Ok(None) };
    let host = address.trim_start_matches('[').trim_end_matches(']');
    let bound = match TcpListener::bind((host, *port)).await {
        // Where there is no IPv6, every address means every IPv4 address.
        Err(_) if host == "::" => TcpListener::bind(("0.0.0.0", *port)).await,
        bound => bound,
    };
    let text = || format!("metrics cannot be served on {address} port {port}: see monitor_port and monitor_address");
    bound.map(|listener| Some(Endpoint::new(listener))).with_context(text)
}

fn monitor(
    endpoint: Endpoint,
    settings: &Settings,
    config: &config::Settings,
    running: &Running,
    connector: Arc<Counters>,
    stop: &CancellationToken,
) -> AbortOnDropHandle<()> {
    let exporter = Exporter {
        counts: running.counts(),
        live: running.live(),
        campaigns: running.campaigns(),
        connector,
        site: settings.site.clone(),
        identity: config.identity().to_string(),
        leader_election: settings.leader_election,
    };
    let about = About {
        build: Build::this(),
        identity: config.identity().to_string(),
        config_file: config.config_file().unwrap_or(Path::new("")).to_owned(),
        tls: config.protection().tls,
        secure: !settings.insecure,
        max_broker_clients: 0,
    };
    let serving = endpoint.serve(Arc::new(exporter), about, stop.clone());
    AbortOnDropHandle::new(tokio::spawn(serving))
}

/// Where nodes wait for their configuration.
const COLLECTIVE: &str = "provisioning";
/// Who asks where no user is named.
const USER: &str = "choria";

#[cfg(test)]
mod tests {
    use super::*;
    use config::FixedEnvironment;

    #[test]
    fn the_demonstrations_choria_configuration_loads_unchanged() {
        let path = vectors::root().join("config/provisioner-choria.cfg");
        let text = std::fs::read_to_string(&path).expect("the file");
        let environment = FixedEnvironment::default().with_file(&path, text);
        let config = read_choria(&path, false, &environment).expect("a valid configuration");
        assert_eq!(config.identity(), "provisioner_signer");
        assert_eq!(config.main_collective().as_str(), "provisioning");
        assert_eq!(config.collectives().len(), 1);
        assert_eq!((config.user(), config.provider()), (Some("choria"), "choria"));
        assert!(config.protection().tls && config.protection().signed_messages);
        let insecure = read_choria(&path, true, &environment).expect("a valid configuration");
        assert!(!insecure.protection().tls && !insecure.protection().signed_messages);
    }

    #[test]
    fn a_missing_configuration_is_told_with_its_argument() {
        let error = read_choria(Path::new("/nonexistent.cfg"), false, &FixedEnvironment::default());
        let error = format!("{:#}", error.expect_err("no file"));
        assert!(error.contains("--choria-config") && error.contains("/nonexistent.cfg"), "{error}");
    }
}
