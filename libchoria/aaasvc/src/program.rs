//! `choria-aaasvc run`: from arguments to exit code (spec 07 §1, §2).

use crate::audit::{Auditors, Stream};
use crate::beat::{self, Beat};
use crate::http::{self, Api, Encryption, Server};
use crate::live::{Live, Parts};
use crate::login::{Login, Memory};
use crate::metrics::{Exporter, Metrics};
use crate::settings::{Circumstances, Problem, Problems, Settings};
use crate::sign::{Host, Service, Signer};
use agents::VERSION;
use anyhow::Context as _;
use daemon::logging::{Level, Logging};
use daemon::metrics::{About, Build, Endpoint};
use daemon::{Exit, Options, Sockets, Threads};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The arguments of `run`.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// `--config`: the configuration file.
    pub config: PathBuf,
    /// `--pid`: a file that holds the process number while the service runs.
    pub pid_file: Option<PathBuf>,
    /// `--debug`: log level debug, to standard error or the journal.
    pub debug: bool,
    /// `--disable-tls`: plain HTTP.
    pub disable_tls: bool,
    /// `--idle-exit`: end when nobody was connected for so long.
    pub idle_exit: Option<Duration>,
}

/// Runs the service to its end; the exit code is for `main`.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match prepare(arguments) {
        Ok((prepared, options)) => {
            daemon::run(options, |context| async move { Box::pin(serve(prepared, context)).await })
        }
        Err(error) => daemon::fail(NAME, &error),
    }
}

const NAME: &str = config::build::AAASVC;
/// `FileDescriptorName=` of the socket unit.
const SOCKET: &str = "https";

/// What was read before the log starts.
struct Prepared {
    arguments: Arguments,
    settings: Settings,
    /// systemd's socket.
    given: Option<std::net::TcpListener>,
}

/// Everything that can fail before the log starts.
fn prepare(arguments: &Arguments) -> anyhow::Result<(Prepared, Options)> {
    let sockets = Sockets::from_environment(NAME);
    let given = sockets.main_tcp(SOCKET)?;
    let settings = Settings::read(&arguments.config, circumstances(arguments, given.is_some()))?;
    if arguments.idle_exit.is_some() {
        may_end_idle(&settings, given.is_some())?;
    }
    let logging = match arguments.debug {
        true => Logging { level: Level::Debug, ..Logging::default() },
        false => Logging::from_settings(settings.logfile.as_deref(), Some(&settings.loglevel)),
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        logging,
        soft_shutdown: STOP_LIMIT,
        pid_file: arguments.pid_file.clone(),
        threads: Threads::Many(processors.min(MOST_THREADS)),
        sockets: Some(sockets),
        ..Options::new(NAME)
    };
    Ok((Prepared { arguments: arguments.clone(), settings, given }, options))
}

/// Whether `--idle-exit` would leave something undone.
fn may_end_idle(settings: &Settings, given_socket: bool) -> anyhow::Result<()> {
    if !given_socket {
        anyhow::bail!(
            "--idle-exit needs a socket of the service manager, which starts the service again at the next login: see \
             choria-aaasvc.socket"
        );
    }
    if settings.signer.as_ref().is_some_and(|signer| signer.service) {
        anyhow::bail!(
            "--idle-exit: requests to sign also come over the network (basicjwt_signer.choria_service), where nobody could \
             start the service again: leave out one of the two"
        );
    }
    Ok(())
}

fn circumstances(arguments: &Arguments, given_socket: bool) -> Circumstances {
    Circumstances { disable_tls: arguments.disable_tls, given_socket }
}

/// Parts that reloads make anew, and what they are made of.
struct Workshop {
    arguments: Arguments,
    given_socket: bool,
    settings: Settings,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
    auditors: Arc<Auditors>,
    live: Arc<Live>,
    encryption: Option<Arc<Encryption>>,
}

async fn serve(prepared: Prepared, context: daemon::Context) -> anyhow::Result<Exit> {
    let Prepared { arguments, settings, given } = prepared;
    let mut reloads = context.reloads();
    let file = arguments.config.display().to_string();
    tracing::info!("Choria AAA Service version {VERSION} starting with config {file}");
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));

    let metrics = Arc::new(Metrics::default());
    let (auditors, streams) = Auditors::open(&settings, &metrics).map_err(Problems::from)?;
    let mut workshop = Workshop {
        given_socket: given.is_some(),
        memory: Arc::new(Memory::new()),
        auditors: Arc::new(auditors),
        live: Arc::new(Live::new(Parts::default())),
        encryption: None,
        metrics,
        arguments,
        settings,
    };
    workshop.live.replace(workshop.parts(&workshop.settings).map_err(Problems::from)?);
    let stop = Stop::default();
    let mut work = Work { tasks: JoinSet::new(), beats: Vec::new() };
    let service = workshop.start_service(&mut work, &stop)?;
    let address = workshop.start_http(given, &mut work, &stop, &context).await?;
    let _statistics = workshop.statistics(service.clone(), &context).await?;
    // The decisions of the others must reach the streams, so these stop after them.
    let mut last: JoinSet<()> = JoinSet::new();
    for stream in streams {
        start_stream(stream, &mut last, &stop);
    }

    let identity = workshop.settings.choria.as_ref().map(|choria| choria.identity().to_string());
    let _questions = daemon::answer_status(&context, "Choria AAA Service", identity.unwrap_or_default());
    context.ready();
    let (metrics, memory) = (Arc::clone(&workshop.metrics), Arc::clone(&workshop.memory));
    let status = async {
        loop {
            context.status(&status_line(&metrics, address.as_deref(), service.as_ref(), &memory));
            tokio::time::sleep(STATUS_INTERVAL).await;
        }
    };
    let mut status = std::pin::pin!(status);
    let Work { mut tasks, beats } = work;
    // Made once: dropped in the middle of a question, it would leave it without an answer.
    let mut watchdog = std::pin::pin!(beat::collect(&beats, &context));
    let ended = loop {
        tokio::select! {
            biased;
            () = context.stop().cancelled() => break None,
            ended = tasks.join_next() => break ended,
            () = reloads.next() => {
                workshop.reload(&context);
                context.reloaded();
            }
            never = &mut watchdog => match never {},
            () = &mut status => {}
        }
    };
    stop.work.cancel();
    let result = match ended {
        Some(Ok(Err(error))) => Err(error),
        Some(Ok(Ok(()))) => Err(anyhow::anyhow!("a part of the service ended by itself")),
        Some(Err(fault)) => Err(anyhow::Error::from(fault).context("a part of the service ended by a fault")),
        None => Ok(()),
    };
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Err(error)) = ended {
            tracing::error!("while stopping: {error:#}");
        }
    }
    stop.streams.cancel();
    while last.join_next().await.is_some() {}
    result.map(|()| Exit::Clean)
}

/// The tasks that do the work, each of which ends only when it is told to.
struct Work {
    tasks: JoinSet<anyhow::Result<()>>,
    beats: Vec<Arc<Beat>>,
}

/// In the order in which they are cancelled.
#[derive(Debug, Default)]
struct Stop {
    work: CancellationToken,
    streams: CancellationToken,
}

fn start_stream(stream: Stream, tasks: &mut JoinSet<()>, stop: &Stop) {
    tasks.spawn(stream.run(stop.streams.clone(), GRACE));
}

impl Workshop {
    /// Login and signer as `settings` say.
    fn parts(&self, settings: &Settings) -> Result<Parts, Problem> {
        let login = settings.login.as_ref();
        let login = login.map(|login| Login::new(login, Arc::clone(&self.memory), Arc::clone(&self.metrics)));
        let signer = settings.signer.as_ref().map(|signer| {
            let (auditors, metrics) = (Arc::clone(&self.auditors), Arc::clone(&self.metrics));
            Arc::new(Signer::new(signer, settings.authorizer, &settings.site, auditors, metrics))
        });
        Ok(Parts { login: login.transpose()?.map(Arc::new), signer })
    }

    fn start_service(&self, work: &mut Work, stop: &Stop) -> anyhow::Result<Option<Service>> {
        let wanted = self.settings.signer.as_ref().is_some_and(|signer| signer.service);
        let Some(choria) = self.settings.choria.as_ref().filter(|_| wanted) else { return Ok(None) };
        let host = Host::new(choria, Arc::clone(&self.live), SystemTime::now()).map_err(Problems::from)?;
        let service = host.service();
        let (stop, beat) = (stop.work.clone(), Arc::new(Beat::default()));
        work.beats.push(Arc::clone(&beat));
        work.tasks.spawn(async move { host.run(stop, GRACE, beat).await.context("the service on the network") });
        Ok(Some(service))
    }

    /// The address that is listened on.
    async fn start_http(
        &mut self,
        given: Option<std::net::TcpListener>,
        work: &mut Work,
        stop: &Stop,
        context: &daemon::Context,
    ) -> anyhow::Result<Option<String>> {
        let Some(http) = &self.settings.http else { return Ok(None) };
        let listener = match given {
            Some(listener) => TcpListener::from_std(listener).context("systemd's socket")?,
            None => http::open(&http.address, http.port).await?,
        };
        let encryption =
            http.tls.as_ref().map(Encryption::new).transpose().map_err(|error| Problems::from(Problem::from(error)))?;
        self.encryption = encryption.map(Arc::new);
        let scheme = if self.encryption.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}/choria/v1", listener.local_addr().context("the listener's address")?);
        tracing::info!(event = "serving", "logins and signatures are served on {address}");
        let server = Server {
            listener,
            api: Arc::new(Api::new(Arc::clone(&self.live), Arc::clone(&self.metrics))),
            encryption: self.encryption.clone(),
            most_connections: http.most_connections,
            metrics: Arc::clone(&self.metrics),
            idle_exit: self.arguments.idle_exit,
        };
        let (stop, beat) = (stop.work.clone(), Arc::new(Beat::default()));
        work.beats.push(Arc::clone(&beat));
        let whole = context.stop().clone();
        work.tasks.spawn(async move {
            if server.run(stop, GRACE, beat).await {
                tracing::info!(event = "idle", "nobody was connected for a while: ending, as was asked for");
                whole.cancel();
            }
            Ok(())
        });
        Ok(Some(address))
    }

    async fn statistics(
        &self,
        service: Option<Service>,
        context: &daemon::Context,
    ) -> anyhow::Result<Option<AbortOnDropHandle<()>>> {
        let endpoint = match (Endpoint::given(context.sockets())?, &self.settings.monitor) {
            (Some(given), _) => given,
            (None, None) => return Ok(None),
            (None, Some((address, port))) => match Endpoint::bind(address, *port).await {
                // A machine without IPv6 has the other half of every address.
                Err(_) if address == "::" => Endpoint::bind("0.0.0.0", *port).await,
                bound => bound,
            }
            .context("monitor_port")?,
        };
        let exporter = Exporter {
            site: self.settings.site.clone(),
            metrics: Arc::clone(&self.metrics),
            live: Arc::clone(&self.live),
            auditors: self.auditors.kinds(),
            service,
        };
        let about = About {
            build: Build::this(),
            identity: self.settings.choria.as_ref().map(|choria| choria.identity().to_string()).unwrap_or_default(),
            config_file: self.arguments.config.clone(),
            tls: self.settings.http.as_ref().is_some_and(|http| http.tls.is_some()),
            secure: true,
            max_broker_clients: 0,
        };
        let serving = endpoint.serve(Arc::new(exporter), about, context.stop().clone());
        Ok(Some(AbortOnDropHandle::new(tokio::spawn(serving))))
    }

    /// Reads the configuration anew at SIGHUP: users, policies, keys, limits and the log level count at once. A bad one
    /// changes nothing.
    fn reload(&mut self, context: &daemon::Context) {
        self.auditors.reopen();
        if let Some(encryption) = &self.encryption {
            encryption.renew();
        }
        let parts = self.live.parts();
        parts.login.iter().for_each(|login| login.forget_users());
        parts.signer.iter().for_each(|signer| signer.forget_files());
        let read = Settings::read(&self.arguments.config, circumstances(&self.arguments, self.given_socket));
        let made = read.and_then(|settings| Ok((self.parts(&settings)?, settings)));
        let (parts, settings) = match made {
            Ok(made) => made,
            Err(problems) => {
                tracing::error!(
                    event = "reload_refused",
                    "the configuration read anew is refused: what was in force stays"
                );
                context.set_refused(true);
                problems.list().iter().for_each(|problem| tracing::error!("the configuration is refused: {problem}"));
                return;
            }
        };
        settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let waiting = self.settings.waiting(&settings);
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(event = "reload_waiting", keys, "these changes count after a restart only: {keys}");
        }
        if !self.arguments.debug {
            context.set_log_level(Level::from_setting(&settings.loglevel));
        }
        self.live.replace(parts);
        context.set_refused(false);
        tracing::info!(
            event = "reloaded",
            "the configuration was read anew: users, policies, keys and limits are in force"
        );
    }
}

/// The line in `systemctl status`.
fn status_line(metrics: &Metrics, address: Option<&str>, service: Option<&Service>, memory: &Memory) -> String {
    use crate::metrics::Signature;
    let mut parts: Vec<String> = address.map(|address| format!("Serving {address}")).into_iter().collect();
    parts.extend(service.map(|service| match service.broker().as_str() {
        "" => "not connected to a broker".to_owned(),
        broker => format!("connected to {broker}"),
    }));
    let (logins, refused) = metrics.login_counts();
    let (signed, denied) = (metrics.signatures(Signature::Allowed), metrics.signatures(Signature::Denied));
    let compared = memory.comparisons();
    parts.push(format!("{logins} logins, {refused} refused, {compared} passwords compared"));
    parts.push(format!("{signed} requests signed, {denied} denied"));
    parts.join("; ")
}

/// From the signal to stop to a forced end.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// For requests that were taken, and then for audit records that wait.
const GRACE: Duration = Duration::from_secs(10);

/// How often the status line is renewed.
const STATUS_INTERVAL: Duration = Duration::from_secs(30);

/// Signing is work of a fraction of a millisecond; passwords and policies have threads of their own.
const MOST_THREADS: usize = 4;
