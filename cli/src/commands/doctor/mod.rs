//! `choria doctor`: what is wrong between this machine and its fleet, and what to do about it.
//!
//! One module for each check; each takes what the one before found, adds findings to the [`report`] and gives what it found
//! itself. Nothing is changed, nothing secret is shown, and each step has a time limit.

mod broker;
mod clock;
mod configuration;
mod credentials;
mod fleet;
mod login;
mod names;
mod permissions;
mod policies;
mod port;
mod report;
mod server;
mod submission;
mod tls;

use crate::Global;
use crate::output::colour::{Palette, Wishes};
use crate::session::block_on;
use ::config::{Settings, SystemEnvironment, keys};
use ::network::{Connection, Role as NetworkRole};
use credentials::{Claims, Own};
use report::{Patient, Report};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

pub(crate) const LONG_ABOUT: &str = "\
Examines the way from this machine to its fleet step by step: configuration, token and seed, clock, names, ports, TLS, login, \
permissions, nodes. Says what is wrong and what to do; changes nothing.

Without --config it examines what client commands use. A server or broker is examined on its own machine, by a user who may \
read its seed: choria doctor --config /etc/choria/server.conf";

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  all is well
  1  something does not work, or the examination could not be made
  2  everything works, and something needs a look")]
pub(crate) struct DoctorArguments {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    /// Examine a server: without --config, /etc/choria/server.conf
    #[arg(long, group = "role")]
    server: bool,
    /// Examine a client, whatever the configuration looks like
    #[arg(long, group = "role")]
    client: bool,
    /// Examine a broker: without --config, /etc/choria/broker.conf
    #[arg(long, group = "role")]
    broker: bool,
}

/// Whose configuration is examined.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Client,
    Server,
    Broker,
}

/// Examines and tells.
pub(crate) fn run(arguments: &DoctorArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let environment = SystemEnvironment;
    let named = global.config.as_deref();
    let file = configuration::file(named, arguments.role(), &environment);
    let role = arguments.role().unwrap_or_else(|| configuration::role(&file, &environment));
    if global.debug {
        let logging = daemon::logging::Logging { level: daemon::logging::Level::Debug, ..Default::default() };
        daemon::logging::start("choria", &logging)?;
    }
    let mut report = Report::default();
    let settings = configuration::examine(&mut report, &file, role, &environment);
    if let Some(settings) = &settings {
        block_on(async {
            examine(&mut report, settings, role).await;
            Ok(())
        })?;
    }
    report.skip_unreached(role.checks());

    let mut out = io::stdout().lock();
    let patient = Patient { role: role.name(), config: file.display().to_string() };
    if arguments.json {
        report.write_json(&mut out, &patient)?;
    } else {
        report.write_text(&mut out, &patient, palette(settings.as_ref()))?;
    }
    out.flush()?;
    Ok(report.exit_code())
}

/// Everything after the configuration.
async fn examine(report: &mut Report, settings: &Settings, role: Role) {
    let now = SystemTime::now();
    if role == Role::Broker {
        broker::settings(report, settings);
        broker::program(report).await;
        broker::store(report, settings);
    }
    let own = credentials::examine(report, settings, role, now);
    clock::examine(report, own.as_ref().map(|own| &own.claims), now).await;
    let settings = match role {
        Role::Broker => own_listener(settings),
        Role::Client | Role::Server => settings.clone(),
    };
    let targets = names::examine(report, &settings).await;
    let ports = port::examine(report, targets).await;
    let brokers = tls::examine(report, &settings, role.network(), ports, now).await;
    let connection = match &own {
        Some(own) if !brokers.is_empty() => login::examine(report, &settings, role, own, brokers).await,
        _ => None,
    };
    if let (Some(own), Some(connection)) = (&own, &connection) {
        connected(report, &settings, role, own, connection).await;
    }
    if let Some(connection) = connection {
        connection.close(CLOSE_GRACE).await;
    }
    match role {
        Role::Client => {}
        Role::Server => {
            policies::examine(report, &settings);
            submission::examine(report, &settings, own.as_ref().map(|own| &own.claims), now);
            server::status(report, &settings, now);
            server::unit(report, config::build::SERVER).await;
        }
        Role::Broker => server::unit(report, config::build::BROKER).await,
    }
}

/// What can be examined over a connection.
async fn connected(report: &mut Report, settings: &Settings, role: Role, own: &Own, connection: &Connection) {
    match (role, &own.claims, &own.provider) {
        (Role::Client, Claims::Client(claims), Some(provider)) => {
            let allowed = permissions::client(report, settings, claims, connection).await;
            if allowed {
                fleet::examine(report, settings, provider, connection).await;
            }
        }
        (Role::Server, claims, _) => {
            let allowed = permissions::server(report, settings, claims);
            if allowed {
                server::subjects(report, settings, connection).await;
            }
        }
        _ => {}
    }
}

/// Settings with which a broker's own listener is examined: it is reached over loopback, and its certificate has other
/// names than that.
fn own_listener(settings: &Settings) -> Settings {
    let Some(listener) = broker::listener(settings) else { return settings.clone() };
    let overrides = [
        (keys::MIDDLEWARE_HOSTS.name(), listener.to_string()),
        (keys::FEDERATION_COLLECTIVES.name(), String::new()),
        (keys::SECURITY_CHORIA_CA.name(), String::new()),
    ];
    settings.with(&overrides).unwrap_or_else(|_| settings.clone())
}

fn palette(settings: Option<&Settings>) -> Palette {
    let variable = |name| std::env::var(name).ok();
    let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
    Palette::new(Wishes {
        terminal: io::stdout().is_terminal(),
        setting: settings.is_none_or(|settings| settings.get(keys::COLOR)),
        no_color: no_color.as_deref(),
        term: term.as_deref(),
    })
}

impl DoctorArguments {
    fn role(&self) -> Option<Role> {
        match (self.client, self.server, self.broker) {
            (true, _, _) => Some(Role::Client),
            (_, true, _) => Some(Role::Server),
            (_, _, true) => Some(Role::Broker),
            _ => None,
        }
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Broker => "broker",
        }
    }

    /// How the connection is made; a broker checks itself as a client.
    fn network(self) -> NetworkRole {
        match self {
            Self::Server => NetworkRole::Server,
            Self::Client | Self::Broker => NetworkRole::Client,
        }
    }

    /// Every check of this role, in order.
    fn checks(self) -> &'static [&'static str] {
        use credentials::{ISSUER, SEED, TOKEN};
        match self {
            Self::Client => &[
                TOKEN,
                SEED,
                ISSUER,
                clock::CHECK,
                names::CHECK,
                port::CHECK,
                tls::CHECK,
                login::CHECK,
                permissions::CHECK,
                fleet::FLEET,
                fleet::REQUEST,
            ],
            Self::Server => &[
                TOKEN,
                SEED,
                ISSUER,
                clock::CHECK,
                names::CHECK,
                port::CHECK,
                tls::CHECK,
                login::CHECK,
                permissions::CHECK,
                server::SUBJECTS,
                policies::CHECK,
                submission::CHECK,
                server::STATUS,
                server::UNIT,
            ],
            Self::Broker => &[
                broker::SETTINGS,
                broker::PROGRAM,
                broker::STORE,
                TOKEN,
                SEED,
                clock::CHECK,
                names::CHECK,
                port::CHECK,
                tls::CHECK,
                login::CHECK,
                server::UNIT,
            ],
        }
    }
}

/// Nothing is on its way when the examination ends.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
