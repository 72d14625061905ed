//! The socket of a daemon that is asked how it does, `io.choria.Daemon`: systemd's socket named `varlink`.

use crate::context::Context;
use local::daemon::{INTERFACE, Pong, Status};
use local::varlink::{About, Bounds, Call, Failure, Interface, Listener, Server, Service};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::task::AbortOnDropHandle;

/// Answers `Ping` and `Status` to anybody who can connect to the service manager's socket named `varlink`; `None` where
/// there is none. `product` is the daemon's name for people, `identity` its name in the network. A socket that cannot be
/// used is no reason not to serve, so it is logged.
#[must_use]
pub fn answer_status(context: &Context, product: &'static str, identity: String) -> Option<AbortOnDropHandle<()>> {
    let listener = match context.sockets().unix("varlink") {
        Ok(listener) => listener?,
        Err(error) => {
            tracing::error!("local tools cannot ask this program: {error}");
            return None;
        }
    };
    let service = Arc::new(Questions { context: context.clone(), product, identity });
    let bounds =
        Bounds { connections: 32, connections_of_user: 8, message: 64 * 1024, large: (2, 1), ..Bounds::default() };
    let server = Server::new(Listener::given(listener), service, bounds);
    let stop = context.stop().clone();
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = server.run(stop, GRACE).await {
            tracing::error!("local tools cannot ask this program any more: {error}");
        }
    })))
}

/// For calls that are being answered at a stop.
const GRACE: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Questions {
    context: Context,
    product: &'static str,
    identity: String,
}

impl Service for Questions {
    fn about(&self) -> About {
        let version = env!("CARGO_PKG_VERSION");
        About { vendor: "Choria", product: self.product, version, url: "https://choria.io" }
    }

    fn interface(&self) -> Interface {
        INTERFACE
    }

    async fn call<'a>(&'a self, call: Call<'a>) -> Result<Value, Failure> {
        let (role, version) = (self.context.name().to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        match call.method {
            "Ping" => {
                let now = OffsetDateTime::from(SystemTime::now());
                let now = now.replace_nanosecond(0).unwrap_or(now);
                Ok(json!(Pong { role, version, time: now.format(&Rfc3339).unwrap_or_default() }))
            }
            "Status" => Ok(json!(Status {
                role,
                version,
                identity: self.identity.clone(),
                ready: self.context.is_ready(),
                line: self.context.line(),
                uptime: self.context.uptime().as_secs_f64(),
            })),
            _ => Err(call.unknown(&INTERFACE)),
        }
    }
}
