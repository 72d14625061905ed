//! The server's own socket, `io.choria.Server`: what local tools may ask (design §2.5).
//!
//! systemd's socket named `varlink`, else the path in `plugin.choria.local_socket`, else none. Anybody may connect:
//! `Ping`, `Status` and `VerifyToken` tell nothing that other users may not know. `Facts` can hold secrets of the site and
//! is for root, the user that the server runs as, and the group in `plugin.choria.local_socket.facts_group`.

use crate::live::Handle;
use crate::report;
use agents::{Node, Status, VERSION};
use config::{Settings, keys};
use daemon::Sockets;
use local::server::{INTERFACE, Mode, Pong, TokenText, VerifiedToken};
use local::varlink::{About, BindError, Bounds, Call, Failure, Interface, Listener, Peer, Server, Service};
use nix::unistd::{Group, geteuid};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use submission::Account;
use submission::delivery::{self, Count, Standing};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokens::{Purpose, StandardClaims, TrustRoots, claims_of, purpose_of};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Answers for one server.
#[derive(Debug)]
pub(crate) struct Questions {
    pub(crate) handle: Handle,
    /// Of delivery, where there is a spool.
    pub(crate) submission: Option<Arc<delivery::Counts>>,
}

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
enum SocketError {
    #[error(transparent)]
    Given(#[from] daemon::SocketError),
    #[error("plugin.choria.local_socket: {0}")]
    Bind(#[from] BindError),
}

/// Serves the questions of local tools where there is a socket. A socket that cannot be had is no reason for a node to be
/// out of reach, so it is logged and the server goes on.
pub(crate) fn serve(
    config: &Settings,
    sockets: &Sockets,
    questions: Questions,
    stop: &CancellationToken,
) -> Option<AbortOnDropHandle<()>> {
    let listener = match listener(config, sockets) {
        Ok(listener) => listener?,
        Err(error) => {
            tracing::error!("local tools cannot ask this server: {error}");
            return None;
        }
    };
    let server = Server::new(listener, Arc::new(questions), bounds());
    let stop = stop.clone();
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = server.run(stop, GRACE).await {
            tracing::error!("local tools cannot ask this server any more: {error}");
        }
    })))
}

/// For calls that are being answered when the server stops.
const GRACE: Duration = Duration::from_millis(500);

/// Questions are short and rare.
fn bounds() -> Bounds {
    Bounds {
        connections: 64,
        connections_of_user: 16,
        message: 256 * 1024,
        large: (4, 2),
        ahead: 8,
        ..Bounds::default()
    }
}

fn listener(config: &Settings, sockets: &Sockets) -> Result<Option<Listener>, SocketError> {
    if let Some(given) = sockets.main_unix("varlink")? {
        return Ok(Some(Listener::given(given)));
    }
    Ok(config.get(keys::LOCAL_SOCKET).map(|path| Listener::bind(&path, 0o666)).transpose()?)
}

impl Service for Questions {
    fn about(&self) -> About {
        About { vendor: "Choria", product: "Choria Server", version: VERSION, url: "https://choria.io" }
    }

    fn interface(&self) -> Interface {
        INTERFACE
    }

    async fn call<'a>(&'a self, call: Call<'a>) -> Result<Value, Failure> {
        match call.method {
            "Ping" => Ok(self.ping()),
            "Status" => Ok(self.status().await),
            "Facts" => self.facts(call.peer).await,
            "VerifyToken" => {
                let TokenText { token } = call.parameters.parse()?;
                let node = self.handle.node();
                let verified = verify(node.provider.roots(), token.trim(), SystemTime::now());
                verified.map(|verified| json!(verified)).map_err(|why| Failure::because("TokenRefused", why))
            }
            _ => Err(call.unknown(&INTERFACE)),
        }
    }
}

impl Questions {
    fn ping(&self) -> Value {
        let identity = self.handle.node().identity().to_string();
        json!(Pong { identity, version: VERSION.to_owned(), time: rfc3339(SystemTime::now()) })
    }

    async fn status(&self) -> Value {
        let node = self.handle.node();
        let now = SystemTime::now();
        let broker = node.broker.connected_server();
        let dropped = node.broker.status().map_or(0, |status| status.dropped_messages);
        let last = report::age(node.stats.last_accepted(), now);
        let line = report::line(&broker, node.stats.counts(), dropped, last, None);
        let mode = if node.provisioning { Mode::Provisioning } else { Mode::Fleet };
        let mut details = details(&node, &broker, now);
        if let Some(counts) = &self.submission {
            details.insert("submission".to_owned(), submission(counts).await);
        }
        json!(local::server::Status {
            identity: node.identity().to_string(),
            version: VERSION.to_owned(),
            mode,
            broker: Some(broker).filter(|broker| !broker.is_empty()),
            uptime: node.uptime(now).as_secs_f64(),
            line,
            details,
        })
    }

    async fn facts(&self, peer: Peer) -> Result<Value, Failure> {
        let node = self.handle.node();
        let group = node.settings.get(keys::LOCAL_SOCKET_FACTS_GROUP).map(str::to_owned);
        // Who is in a group may be a question to a directory service, and facts come from files.
        let answer = tokio::task::spawn_blocking(move || {
            if !may_see_facts(peer, group.as_deref()) {
                let rule = "facts are for root, the server's own user and the group in \
                            plugin.choria.local_socket.facts_group";
                return Err(Failure::because("Refused", format!("user {} may not see the facts: {rule}", peer.uid)));
            }
            let facts: Value = serde_json::from_str(node.facts.read().json()).unwrap_or_default();
            match facts {
                Value::Object(facts) => Ok(json!({ "facts": facts })),
                _ => Err(Failure::because("FactsUnavailable", "this server has no facts; see plugin.yaml")),
            }
        });
        answer.await.unwrap_or_else(|fault| Err(Failure::because("FactsUnavailable", fault)))
    }
}

/// Whether this user may see the facts.
fn may_see_facts(peer: Peer, group: Option<&str>) -> bool {
    if peer.uid == 0 || peer.uid == geteuid().as_raw() {
        return true;
    }
    let Some(group) = group.and_then(|group| Group::from_name(group).ok().flatten()) else { return false };
    let account = Account::look_up(peer.uid, peer.gid);
    account.caller().groups.iter().any(|one| one.gid == group.gid.as_raw())
}

/// What the status file holds.
fn details(node: &Node, broker: &str, now: SystemTime) -> Map<String, Value> {
    let status = Status {
        identity: node.identity(),
        uptime: node.uptime(now).as_secs(),
        connected_server: broker.to_owned(),
        last_message: node.stats.last_accepted().unwrap_or_default(),
        provisioning_mode: node.provisioning,
        stats: node.stats.counts(),
        certificate_expires: crate::certificate::expiry(&node.settings),
        token_expires: node.provider.credentials().and_then(security::Credentials::expiry),
    };
    match serde_json::to_value(status) {
        Ok(Value::Object(details)) => details,
        _ => Map::new(),
    }
}

/// How delivery of submitted messages does.
async fn submission(counts: &Arc<delivery::Counts>) -> Value {
    let mut text = Map::new();
    let (delivering, why) = match counts.standing() {
        Standing::Waiting => (false, Some("there was no connection yet".to_owned())),
        Standing::NoSpool => (false, Some("nothing was submitted yet, so there is no spool".to_owned())),
        Standing::Delivering => (true, None),
        Standing::Hindered(why) => (false, Some(why)),
    };
    text.insert("delivering".to_owned(), json!(delivering));
    text.extend(why.map(|why| ("hindered".to_owned(), json!(why))));
    text.extend(Count::ALL.map(|count| (count.as_str().to_owned(), json!(counts.value(count)))));
    let counts = Arc::clone(counts);
    if let Ok(Ok(Some(summary))) = tokio::task::spawn_blocking(move || counts.waiting()).await {
        text.insert("waiting".to_owned(), json!(summary.messages()));
        text.insert("waiting_bytes".to_owned(), json!(summary.bytes()));
        text.insert("corrupt".to_owned(), json!(summary.corrupt));
    }
    Value::Object(text)
}

/// Judges a token of any kind by the issuers that this server trusts.
fn verify(roots: Option<&TrustRoots>, token: &str, now: SystemTime) -> Result<VerifiedToken, String> {
    let roots = roots.ok_or("this server trusts no issuer of tokens: set plugin.security.issuer.names")?;
    let text = |error: tokens::Invalid| error.to_string();
    let (subject, standard): (String, StandardClaims) = match purpose_of(token).map_err(text)? {
        Purpose::Client => {
            let claims = roots.verify_client(token, now).map_err(text)?.into_claims();
            (claims.caller_id, claims.standard)
        }
        Purpose::Server => {
            let claims = roots.verify_server(token, now).map_err(text)?.into_claims();
            (claims.identity, claims.standard)
        }
        Purpose::Provisioning => {
            let claims = roots.verify_provisioning(token, now).map_err(text)?.into_claims();
            (claims.standard.subject.clone(), claims.standard)
        }
        other => return Err(format!("{other} tokens are not verified here")),
    };
    let claims = claims_of(token).map_err(text)?;
    let kind = claims.get("purpose").and_then(Value::as_str).unwrap_or_default().to_owned();
    let expires = standard.effective_expiry().map(rfc3339);
    Ok(VerifiedToken { kind, subject, public_key: standard.public_key, issuer: standard.issuer, expires, claims })
}

fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_for_the_server_itself_and_root() {
        let own = geteuid().as_raw();
        let rows = [
            (0, None, true),
            (own, None, true),
            (own + 12_345, None, false),
            (own + 12_345, Some("no such group at all"), false),
        ];
        for (uid, group, allowed) in rows {
            let peer = Peer { uid, gid: own + 12_345, pid: None };
            assert_eq!(may_see_facts(peer, group), allowed, "{uid} {group:?}");
        }
        // A stranger whose group is named sees them.
        let root = Group::from_gid(nix::unistd::Gid::from_raw(0)).ok().flatten().map(|group| group.name);
        assert!(may_see_facts(Peer { uid: own + 12_345, gid: 0, pid: None }, root.as_deref()));
    }
}
