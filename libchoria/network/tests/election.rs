//! Elections on a real nats-server, from the fleet's account and from the provisioning account (spec 08 §6, 01 §9).

mod support;

use bytes::Bytes;
use choria_network::backoff::TWENTY_SECONDS;
use choria_network::election::{
    BUCKET, Bucket, Candidacy, Election, ElectionError, PROVISIONING_API_PREFIX, Pace, Standing, WriteError,
};
use choria_network::{Connection, Login, Options, State, UserPassword, connect};
use serde_json::{Value, json};
use std::time::Duration;
use support::real::NatsServer;
use support::{options, within};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// As the broker wires the two accounts.
const ACCOUNTS: &str = r#"
accounts {
  choria {
    jetstream: enabled
    users: [ { user: fleet, password: x } ]
    exports: [
      { service: "$JS.API.STREAM.INFO.KV_CHORIA_LEADER_ELECTION", accounts: [ provisioning ] }
      { service: "$KV.CHORIA_LEADER_ELECTION.provisioner", accounts: [ provisioning ] }
    ]
  }
  provisioning {
    users: [ { user: provisioner, password: x } ]
    imports: [
      { service: { account: choria, subject: "$JS.API.STREAM.INFO.KV_CHORIA_LEADER_ELECTION" }, to: "choria.streams.STREAM.INFO.KV_CHORIA_LEADER_ELECTION" }
      { service: { account: choria, subject: "$KV.CHORIA_LEADER_ELECTION.provisioner" } }
      { service: { account: choria, subject: "$KV.CHORIA_LEADER_ELECTION.provisioner" }, to: "choria.streams.$KV.CHORIA_LEADER_ELECTION.provisioner" }
    ]
  }
}
"#;

struct Runner {
    standing: watch::Receiver<Standing>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    connection: Connection,
}

impl Runner {
    async fn start(server: &NatsServer, user: &str, name: &str) -> Self {
        let connection = login(server, user).await;
        let candidacy = Candidacy {
            api_prefix: (user == "provisioner").then(|| PROVISIONING_API_PREFIX.to_owned()),
            pace: Pace::Backoff(TWENTY_SECONDS),
            splay: Duration::ZERO,
            ..Candidacy::new("provisioner", name)
        };
        let election = within("opening", Election::open(&connection, candidacy)).await.expect("it opens");
        let (standing, stop) = (election.standing(), CancellationToken::new());
        let task = tokio::spawn(election.run(stop.clone()));
        Self { standing, stop, task, connection }
    }

    async fn becomes(&mut self, standing: Standing) {
        let what = format!("becoming {}", standing.as_str());
        within(&what, self.standing.wait_for(|now| *now == standing)).await.expect("it runs");
    }

    fn leads(&self) -> bool {
        *self.standing.borrow() == Standing::Leader
    }
}

#[tokio::test]
async fn a_leader_that_resigns_is_followed_at_once_and_one_that_dies_when_its_key_expires() {
    let server = NatsServer::start_with(ACCOUNTS);
    let fleet = login(&server, "fleet").await;
    bucket(&fleet, 5).await;
    let mut first = Runner::start(&server, "fleet", "one").await;
    first.becomes(Standing::Leader).await;
    assert_eq!(leader(&fleet).await.as_deref(), Some("one"));
    let mut second = Runner::start(&server, "fleet", "two").await;
    assert!(!second.leads());

    first.stop.cancel();
    within("the first one's end", first.task).await.expect("it ends well");
    assert_eq!(leader(&fleet).await, None, "the key was given up");
    second.becomes(Standing::Leader).await;
    assert_eq!(leader(&fleet).await.as_deref(), Some("two"));

    // Killed: nothing is given up.
    let mut third = Runner::start(&server, "fleet", "three").await;
    second.task.abort();
    third.becomes(Standing::Leader).await;
    assert_eq!(leader(&fleet).await.as_deref(), Some("three"));
}

#[tokio::test]
async fn provisioners_elect_through_the_imports_of_their_account() {
    let server = NatsServer::start_with(ACCOUNTS);
    let fleet = login(&server, "fleet").await;
    bucket(&fleet, 3).await;
    let mut first = Runner::start(&server, "provisioner", "one").await;
    first.becomes(Standing::Leader).await;
    let mut second = Runner::start(&server, "provisioner", "two").await;
    first.stop.cancel();
    second.becomes(Standing::Leader).await;
    assert!(!first.leads());
    assert_eq!(leader(&fleet).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn an_evicted_leader_stands_down_and_a_restarted_broker_keeps_the_leader() {
    let mut server = NatsServer::start_with(ACCOUNTS);
    let fleet = login(&server, "fleet").await;
    bucket(&fleet, 5).await;
    let mut first = Runner::start(&server, "fleet", "one").await;
    first.becomes(Standing::Leader).await;

    let elections = Bucket::new(&fleet, BUCKET, None).expect("a name");
    elections.delete("provisioner", None, Duration::from_secs(5)).await.expect("it is evicted");
    first.becomes(Standing::Candidate).await;
    first.becomes(Standing::Leader).await;

    let mut second = Runner::start(&server, "fleet", "two").await;
    server.kill();
    first.becomes(Standing::Candidate).await;
    server.restart();
    let mut back = first.connection.changes();
    within("returning", back.wait_for(|state| *state == State::Connected)).await.expect("it lives");
    within("a leader", async {
        tokio::select! {
            _ = first.standing.wait_for(|now| *now == Standing::Leader) => {}
            _ = second.standing.wait_for(|now| *now == Standing::Leader) => {}
        }
    })
    .await;
    assert_ne!(first.leads(), second.leads(), "one leader");
}

#[tokio::test]
async fn what_cannot_be_an_election_is_refused_with_the_rule() {
    let server = NatsServer::start_with(ACCOUNTS);
    let fleet = login(&server, "fleet").await;
    let open = async |candidacy| within("opening", Election::open(&fleet, candidacy)).await.expect_err("it must fail");
    let missing = open(Candidacy::new("provisioner", "one")).await;
    assert_eq!(missing.to_string(), "bucket CHORIA_LEADER_ELECTION does not exist");
    bucket(&fleet, 7200).await;
    let text = open(Candidacy::new("provisioner", "one")).await.to_string();
    assert!(text.starts_with("bucket TTL should be less than or equal to 1 hour"), "{text}");
    for name in ["", "a b", "a..b", ".a", "a*", ">"] {
        assert_eq!(open(Candidacy::new(name, "one")).await, ElectionError::Name(name.to_owned()));
    }
    assert_eq!(open(Candidacy::new("x", "a\nb")).await, ElectionError::Candidate("a\nb".to_owned()));
    let provisioning = login(&server, "provisioner").await;
    let unmapped = Candidacy { api_prefix: Some("no.streams".to_owned()), ..Candidacy::new("x", "one") };
    let text = within("opening", Election::open(&provisioning, unmapped)).await.expect_err("it fails").to_string();
    assert!(text.contains("nobody answers on no.streams.STREAM.INFO.KV_CHORIA_LEADER_ELECTION"), "{text}");
}

#[tokio::test]
async fn keys_are_created_updated_and_deleted_by_revision() {
    let server = NatsServer::start_with(ACCOUNTS);
    let fleet = login(&server, "fleet").await;
    bucket(&fleet, 60).await;
    let (elections, limit) = (Bucket::new(&fleet, BUCKET, None).expect("a name"), Duration::from_secs(5));
    let first = elections.create("a", b"one", limit).await.expect("it is created");
    assert_eq!(elections.create("a", b"two", limit).await, Err(WriteError::Held));
    let second = elections.update("a", b"one", first, limit).await.expect("it is updated");
    assert_eq!(elections.update("a", b"two", first, limit).await, Err(WriteError::Held));
    assert_eq!(elections.delete("a", Some(first), limit).await, Err(WriteError::Held));
    elections.delete("a", Some(second), limit).await.expect("it is deleted");
    assert!(elections.get("a", limit).await.expect("it reads").expect("a marker").deleted);
    elections.create("a", b"two", limit).await.expect("it is created anew");
    assert_eq!(elections.get("a", limit).await.expect("it reads").expect("an entry").value, "two");
    assert_eq!(elections.get("b", limit).await, Ok(None));
    let info = elections.info_with_keys().await.expect("it is there");
    assert_eq!((info.keys, info.max_age, info.replicas), (vec!["a".to_owned()], Duration::from_secs(60), 1));
}

async fn login(server: &NatsServer, user: &str) -> Connection {
    let user = Some(UserPassword { user: user.to_owned(), password: "x".to_owned() });
    let options = Options { user, ..options(&server.nats, Login::Anonymous) };
    within("connecting", connect(options, CancellationToken::new())).await.expect("it connects")
}

/// As the broker makes it, with entries that live for `seconds`.
async fn bucket(fleet: &Connection, seconds: u64) {
    let config = json!({
        "name": "KV_CHORIA_LEADER_ELECTION", "subjects": ["$KV.CHORIA_LEADER_ELECTION.>"], "max_age": seconds * 1_000_000_000,
        "max_msgs_per_subject": 1, "max_msg_size": 1024, "discard": "new", "deny_delete": true, "allow_rollup_hdrs": true,
        "allow_direct": true, "storage": "file", "num_replicas": 1, "duplicate_window": 1_000_000_000_u64,
    });
    let subject = "$JS.API.STREAM.CREATE.KV_CHORIA_LEADER_ELECTION";
    let answer =
        fleet.request(subject, Bytes::from(config.to_string()), Duration::from_secs(5)).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    assert!(answer.get("error").is_none(), "{answer}");
}

async fn leader(fleet: &Connection) -> Option<String> {
    let elections = Bucket::new(fleet, BUCKET, None).expect("a name");
    let entry = elections.get("provisioner", Duration::from_secs(5)).await.expect("it reads");
    entry.filter(|entry| !entry.deleted).map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
}
