//! Members that try what they may do on a real nats-server, and the table of what came of it.
//!
//! A publish counts as allowed when an observer without limits in the same account receives it, a subscription when it
//! receives what that observer sends; either counts as refused when nats-server says so about that very subject.

use super::{Holder, Lab, PATIENCE};
use async_nats::{Auth, Client, ConnectOptions, Event};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a member is given, beyond which nothing may be possible. A subject is open to a member with any of its grants.
pub(crate) type Grants = &'static [&'static str];

/// What members try.
pub(crate) struct Rows {
    /// Subjects to publish to, and the grants that open them.
    pub(crate) publish: &'static [(&'static str, Grants)],
    /// Subjects to subscribe to, a message that matches each, and the grants that open them.
    pub(crate) subscribe: &'static [(&'static str, &'static str, Grants)],
}

/// The grant of those that have no limits.
pub(crate) const EVERYTHING: &str = "everything";

/// What a member logs in with.
#[derive(Clone)]
pub(crate) struct Access {
    token: Option<Arc<str>>,
    seed: Option<Arc<tokens::Seed>>,
    user: Option<(&'static str, &'static str)>,
    tls: network::Tls,
    name: &'static str,
}

/// A connection and what nats-server complained about on it.
pub(crate) struct Member {
    pub(crate) client: Client,
    complaints: Arc<Mutex<BTreeSet<String>>>,
}

/// The table while it is filled.
pub(crate) struct Table<'lab> {
    lab: &'lab Lab,
    observer: Member,
    /// Texts of the messages that the observer received.
    observed: Arc<Mutex<BTreeSet<String>>>,
    /// Whether the observer may send what subscriptions should receive.
    pub(crate) sends: bool,
    tried: usize,
    failures: Vec<String>,
}

/// What became of one attempt.
#[derive(Debug, PartialEq)]
enum Outcome {
    Delivered,
    Refused,
}

impl Access {
    pub(crate) fn token(holder: &Holder) -> Self {
        Self { seed: Some(Arc::clone(&holder.seed)), ..Self::unsigned(&holder.token) }
    }

    pub(crate) fn unsigned(token: &Arc<str>) -> Self {
        Self { token: Some(Arc::clone(token)), ..Self::certificate(&network::Tls::unverified().unwrap()) }
    }

    /// Nothing but the certificate that `tls` presents.
    pub(crate) fn certificate(tls: &network::Tls) -> Self {
        Self { token: None, seed: None, user: None, tls: tls.clone(), name: "n1" }
    }

    pub(crate) fn with_user(mut self, user: &'static str, password: &'static str) -> Self {
        self.user = Some((user, password));
        self
    }

    /// With another name of the connection than `n1`.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// With a certificate.
    pub(crate) fn over(mut self, tls: &network::Tls) -> Self {
        self.tls = tls.clone();
        self
    }

    fn answer(&self, nonce: &[u8]) -> Auth {
        let mut auth = Auth::new();
        auth.token = self.token.as_deref().map(str::to_owned);
        auth.signature = self.seed.as_ref().map(|seed| seed.sign(nonce).as_bytes().to_vec());
        auth.username = self.user.map(|(user, _)| user.to_owned());
        auth.password = self.user.map(|(_, password)| password.to_owned());
        auth
    }
}

impl Member {
    pub(crate) async fn connect(lab: &Lab, access: &Access) -> Self {
        Self::try_connect(lab, access).await.unwrap()
    }

    /// Connects once.
    pub(crate) async fn try_connect(lab: &Lab, access: &Access) -> Result<Self, async_nats::ConnectError> {
        Self::connect_to(lab.port, access).await
    }

    /// Connects once to the broker on `port` of this machine.
    pub(crate) async fn connect_to(port: u16, access: &Access) -> Result<Self, async_nats::ConnectError> {
        let complaints = Arc::<Mutex<BTreeSet<String>>>::default();
        let (heard, access) = (Arc::clone(&complaints), access.clone());
        let (tls, name) = (access.tls.config().as_ref().clone(), access.name);
        let client = ConnectOptions::with_auth_callback(move |nonce| {
            let auth = access.answer(&nonce);
            async move { Ok(auth) }
        })
        .name(name)
        .tls_client_config(tls)
        .require_tls(true)
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .custom_inbox_prefix(subject("choria.reply.ALICE"))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                heard.lock().unwrap().insert(error.to_string());
            }
            async {}
        })
        .connect(format!("tls://127.0.0.1:{port}"))
        .await?;
        Ok(Self { client, complaints })
    }

    /// The same for members that may not ask anything: a subscription is in force once nats-server answered a ping.
    pub(crate) async fn flush(&self) {
        self.client.flush().await.unwrap();
    }

    /// Returns when nats-server has taken everything sent so far.
    pub(crate) async fn settle(&self) {
        self.client.request("$SYS.REQ.USER.INFO", "".into()).await.unwrap();
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        self.complaints.lock().unwrap().iter().filter(|text| text.contains("ermissions")).cloned().collect()
    }

    /// Whether nats-server refused `what` ("Publish" or "Subscription") of exactly `subject`.
    pub(crate) fn was_refused(&self, what: &str, subject: &str) -> bool {
        let sentence = format!("permissions violation for {what} to \"{subject}\"").to_lowercase();
        self.complaints.lock().unwrap().iter().any(|text| text.to_lowercase().contains(&sentence))
    }
}

impl<'lab> Table<'lab> {
    /// A table whose observer is without limits in the fleet's account.
    pub(crate) async fn open(lab: &'lab Lab) -> Self {
        let admin = lab.client_permitted(|permissions| permissions.org_admin = true);
        Self::observed_by(lab, &Access::token(&admin)).await
    }

    pub(crate) async fn observed_by(lab: &'lab Lab, access: &Access) -> Self {
        let observer = Member::connect(lab, access).await;
        Self::with(lab, observer, true).await
    }

    pub(crate) async fn with(lab: &'lab Lab, observer: Member, sends: bool) -> Self {
        let observed = Arc::<Mutex<BTreeSet<String>>>::default();
        let mut messages = observer.client.subscribe(">").await.unwrap();
        observer.settle().await;
        let seen = Arc::clone(&observed);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                seen.lock().unwrap().insert(String::from_utf8_lossy(&message.payload).into_owned());
            }
        });
        Self { lab, observer, observed, sends, tried: 0, failures: Vec::new() }
    }

    /// Tries everything as one member.
    pub(crate) async fn member(&mut self, tried: &Rows, name: &str, access: &Access, grants: Grants) {
        let member = Member::connect(self.lab, access).await;
        for rows in tried.publish.chunks(AT_A_TIME) {
            self.publish(name, &member, rows, grants).await;
        }
        if self.sends {
            for rows in tried.subscribe.chunks(AT_A_TIME) {
                self.subscribe(name, &member, rows, grants).await;
            }
        }
    }

    pub(crate) async fn publish(&mut self, name: &str, member: &Member, rows: &[(&str, Grants)], grants: Grants) {
        let text = |to: &str| format!("{name} publishes to {to}");
        for (to, _) in rows {
            member.client.publish((*to).to_owned(), text(to).into()).await.unwrap();
        }
        let mut outcomes = BTreeMap::new();
        let deadline = Instant::now() + PATIENCE;
        while outcomes.len() < rows.len() && Instant::now() < deadline {
            for (to, _) in rows {
                if self.observed.lock().unwrap().contains(&text(to)) {
                    outcomes.insert(text(to), Outcome::Delivered);
                } else if member.was_refused("Publish", to) {
                    outcomes.insert(text(to), Outcome::Refused);
                }
            }
            tokio::time::sleep(POLL).await;
        }
        for (to, open_to) in rows {
            self.judge(&text(to), outcomes.get(&text(to)), open_to, grants);
        }
    }

    pub(crate) async fn subscribe(
        &mut self,
        name: &str,
        member: &Member,
        rows: &[(&str, &str, Grants)],
        grants: Grants,
    ) {
        let text = |to: &str| format!("{name} subscribes to {to}");
        let received = Arc::<Mutex<BTreeSet<String>>>::default();
        let mut tasks = tokio::task::JoinSet::new();
        for (to, _, _) in rows {
            let mut messages = member.client.subscribe(subject(to)).await.unwrap();
            let (received, own) = (Arc::clone(&received), text(to));
            tasks.spawn(async move {
                while let Some(message) = messages.next().await {
                    // Other subscriptions of this table may match too.
                    if message.payload == own.as_bytes() {
                        received.lock().unwrap().insert(own.clone());
                    }
                }
            });
        }
        let mut outcomes = BTreeMap::new();
        let deadline = Instant::now() + PATIENCE;
        while outcomes.len() < rows.len() && Instant::now() < deadline {
            for (to, matching, _) in rows {
                if received.lock().unwrap().contains(&text(to)) {
                    outcomes.insert(text(to), Outcome::Delivered);
                } else if member.was_refused("Subscription", &subject(to)) {
                    outcomes.insert(text(to), Outcome::Refused);
                } else {
                    self.observer.client.publish(subject(matching), text(to).into()).await.unwrap();
                }
            }
            tokio::time::sleep(POLL).await;
        }
        for (to, _, open_to) in rows {
            self.judge(&text(to), outcomes.get(&text(to)), open_to, grants);
        }
    }

    fn judge(&mut self, what: &str, outcome: Option<&Outcome>, open_to: Grants, grants: Grants) {
        let open = grants.contains(&EVERYTHING) || open_to.iter().any(|grant| grants.contains(grant));
        let expected = if open { Outcome::Delivered } else { Outcome::Refused };
        self.tried += 1;
        if outcome != Some(&expected) {
            self.failures.push(format!("{what}: {outcome:?}, and {expected:?} was expected"));
        }
    }

    pub(crate) fn finish(self) {
        assert!(self.failures.is_empty(), "{} of {}:\n{}", self.failures.len(), self.tried, self.failures.join("\n"));
        assert!(self.tried > 0, "something was tried");
    }
}

/// A subject of the tables with the ids of their owners in place.
pub(crate) fn subject(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let short = |owner: &str| names::NetworkId::of(owner).to_string();
    let long = |owner: &str| hex::encode(Sha256::digest(owner.as_bytes()));
    text.replace("ALICE256", &long("up=alice"))
        .replace("ALICE", &short("up=alice"))
        .replace("BOB", &short("up=bob"))
        .replace("N1256", &long("n1"))
        .replace("N1", &short("n1"))
}

/// The client library keeps this many complaints until they are read, and drops more.
const AT_A_TIME: usize = 50;

/// Between two looks at what arrived.
const POLL: Duration = Duration::from_millis(5);
