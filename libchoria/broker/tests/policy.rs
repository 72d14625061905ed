//! What an administrator's rules do to real connections: where clients may come from, how many there may be, when a
//! connection ends, whose tokens count, and rules that change while everybody is connected.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test program uses its part of the laboratory")]
mod lab;

use bytes::Bytes;
use choria_broker_role::{Broker, Metrics, ReloadError, Reloader};
use lab::{Lab, PATIENCE, Served, until, user};
use network::{Connection, Failure, Login, Options, State};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_only_from_where_they_may() {
    let rows = [
        ("192.0.2.0/24, 2001:db8::/32", false),
        ("192.0.2.0/24, 127.0.0.0/8", true),
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("::/0", false),
    ];
    for (hosts, expected) in rows {
        let lab = Lab::new();
        let client = lab.client(ClientPermissions { system_user: true, ..ClientPermissions::default() });
        let broker = lab.serve(&[("plugin.choria.network.client_hosts", hosts)]).await;
        let system = Options { user: user("system", "sysp"), ..lab.options("system", client.login()) };
        for (name, options) in [("client", lab.options("client", client.login())), ("system user", system)] {
            let got = lab.connect(options).await.map(drop);
            let wanted = if expected { Ok(()) } else { Err(Failure::Unauthorized) };
            assert_eq!(got, wanted, "{name} with client_hosts = {hosts}");
        }
        let refused = broker.metrics.snapshot().denied.get("client_host").copied().unwrap_or_default();
        assert_eq!(refused >= 2, !expected, "{hosts}: {refused}");
        lab.connect(lab.options("n1", lab.server("n1").login())).await.expect("servers come from anywhere");
        broker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_broker_turns_others_away_until_there_is_room() {
    let lab = Lab::new();
    let broker = lab.serve(&[("plugin.choria.network.max_connections", "10")]).await;
    let holder = lab.client(ClientPermissions::default());
    let options = || Options { patience: Some(Duration::from_secs(2)), ..lab.options("client", holder.login()) };
    let mut inside = Vec::new();
    let failure = loop {
        match lab.connect(options()).await {
            Ok(connection) => inside.push(connection),
            Err(failure) => break failure,
        }
        assert!(inside.len() <= 10, "the limit holds");
    };
    assert!(inside.len() >= 6, "{} are inside", inside.len());
    let told = failure.to_string();
    assert!(told.contains("maximum connections") || told.contains("limits"), "{told}");
    let before = broker.metrics.snapshot().departed;
    inside.pop().unwrap().close(PATIENCE).await;
    until("the end is noticed", async || broker.metrics.snapshot().departed > before).await;
    lab.connect(lab.options("later", holder.login())).await.expect("there is room again");
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_its_token_when_that_is_wanted() {
    for enforced in ["true", "false"] {
        let lab = Lab::new();
        let broker = lab.serve(&[("plugin.choria.network.enforce_token_expiry", enforced)]).await;
        let short = Duration::from_secs(3);
        let end = SystemTime::now() + short;
        let (client, server) = (renewable(&lab, "client"), renewable(&lab, "n1"));
        client.write(&client_token(&lab, &client.seed, short));
        server.write(&server_token(&lab, &server.seed, short));
        let renewed = lab.connect(lab.options("client", client.login())).await.unwrap();
        let server_side = lab.connect(lab.options("n1", server.login())).await.unwrap();
        let stale = lab.client_with(|claims| claims.standard.expires = Some(end));
        let stale = lab.connect(lab.options("stale", stale.login())).await.unwrap();

        // Both are renewed in place long before their end, as a node's token is.
        client.write(&client_token(&lab, &client.seed, HOUR));
        server.write(&server_token(&lab, &server.seed, HOUR));
        if enforced == "true" {
            until("the renewed client is back", async || renewed.status().reconnects == 1).await;
            until("the renewed server is back", async || server_side.status().reconnects == 1).await;
            until("the other stays outside", async || {
                let status = stale.status();
                status.state == State::Reconnecting && status.last_failure.is_some()
            })
            .await;
            assert!(SystemTime::now() >= end - Duration::from_secs(1), "not before its end");
            assert_eq!(renewed.status().state, State::Connected);
        } else {
            until("its time is over", async || SystemTime::now() > end + Duration::from_secs(1)).await;
            for connection in [&renewed, &server_side, &stale] {
                let status = connection.status();
                assert_eq!((status.state, status.reconnects), (State::Connected, 0), "as on the existing broker");
            }
        }
        broker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_issuer_issues_for_its_organization() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let login_service = Seed::from_bytes([5; 32]);
    let organization = Seed::from_bytes([1; 32]);
    let chained = |appointed_by: &Seed, ou: &str| {
        let random = &mut rand::thread_rng();
        let mut issuer = ClientClaims::new("up=login", HOUR, SystemTime::now(), random).unwrap();
        issuer.standard.public_key = Some(login_service.public().to_string());
        issuer.standard.add_org_issuer(appointed_by).unwrap();
        let seed = Seed::generate();
        let mut claims = ClientClaims::new("up=alice", HOUR, SystemTime::now(), random).unwrap();
        claims.standard.public_key = Some(seed.public().to_string());
        claims.organization_unit = ou.to_owned();
        claims.standard.add_chain_issuer(&issuer, &login_service).unwrap();
        let token = claims.sign(&SigningKey::Ed25519(Seed::from_bytes([5; 32]))).unwrap();
        Login::TokenText { token: token.into(), seed: Arc::new(seed) }
    };
    let rows = [
        ("appointed by the organization", chained(&organization, "choria"), Ok(())),
        ("appointed by another", chained(&Seed::from_bytes([6; 32]), "choria"), Err(Failure::Unauthorized)),
        ("of another organization", chained(&organization, "other"), Err(Failure::Unauthorized)),
    ];
    for (name, login, expected) in rows {
        assert_eq!(lab.connect(lab.options(name, login)).await.map(drop), expected, "{name}");
    }
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_change_while_everybody_stays_connected() {
    let lab = Lab::new();
    let (broker, mut reloader) = serve_reloadable(&lab, &[]).await;
    let other = SigningKey::Ed25519(Seed::from_bytes([2; 32]));
    let other_key = Seed::from_bytes([2; 32]).public().to_string();
    let new_issuer: &[(&str, &str)] = &[
        ("plugin.security.issuer.names", "choria, acme"),
        ("plugin.security.issuer.acme.public", &other_key),
        ("loglevel", "warn"),
    ];
    let of_acme = || {
        let seed = Seed::generate();
        let mut claims = ClientClaims::new("up=acme", HOUR, SystemTime::now(), &mut rand::thread_rng()).unwrap();
        claims.standard.public_key = Some(seed.public().to_string());
        claims.organization_unit = "acme".to_owned();
        Login::TokenText { token: claims.sign(&other).unwrap().into(), seed: Arc::new(seed) }
    };
    let fleet = lab.client(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    let old = lab.connect(lab.options("old", fleet.login())).await.unwrap();
    let node = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    let numbers = |connections: &[&Connection]| -> Vec<u64> {
        connections.iter().map(|connection| connection.client().server_info().client_id).collect()
    };
    let before = numbers(&[&old, &node]);
    let acme = |name: &str| lab.options(name, of_acme());
    assert_eq!(lab.connect(acme("too early")).await.map(drop), Err(Failure::Unauthorized));

    // A new issuer.
    let changes = reloader.apply(lab.config(new_issuer)).unwrap();
    let keys = ["loglevel", "plugin.security.issuer.acme.public", "plugin.security.issuer.names"];
    assert_eq!(changes.applied, keys);
    assert_eq!(changes.waiting, Vec::<String>::new());
    let guest = lab.connect(acme("in time")).await.expect("the new issuer counts");

    // Bad configurations change nothing, and name everything that is wrong.
    let bad = [("plugin.security.issuer.choria.public", "00".repeat(32)), ("plugin.choria.broker_network", "0".into())];
    let bad: Vec<(&str, &str)> = bad.iter().map(|(key, value)| (*key, value.as_str())).collect();
    match reloader.apply(lab.config(&bad)) {
        Err(ReloadError::Settings(error)) => assert_eq!(error.0.len(), 2, "{error}"),
        other => panic!("{other:?}"),
    }
    let foreign = [("plugin.security.issuer.choria.public", other_key.as_str())];
    let error = reloader.apply(lab.config(&foreign)).expect_err("it could not connect to itself any more");
    assert!(matches!(error, ReloadError::OwnToken(_)), "{error}");
    lab.connect(acme("still")).await.expect("what was in force stays in force");

    // The issuer goes again, the fleet may only be watched, and two changes wait.
    let last: &[(&str, &str)] = &[
        ("plugin.choria.network.read_only", "1"),
        ("plugin.choria.network.max_connections", "100"),
        ("plugin.choria.network.write_deadline", "5s"),
    ];
    let changes = reloader.apply(lab.config(last)).unwrap();
    assert_eq!(changes.waiting, ["plugin.choria.network.max_connections", "plugin.choria.network.write_deadline"]);
    assert!(changes.applied.contains(&"plugin.choria.network.read_only".to_owned()), "{changes:?}");
    assert_eq!(lab.connect(acme("too late")).await.map(drop), Err(Failure::Unauthorized));
    let watcher = lab.connect(lab.options("watcher", fleet.login())).await.unwrap();
    watcher.publish("choria.node.n1", Bytes::new()).await.unwrap();
    until("a new client only watches", async || watcher.status().errors > 0).await;

    // Nobody noticed: the same connections, with what they were given.
    assert_eq!(numbers(&[&old, &node]), before);
    for (name, connection) in [("old client", &old), ("server", &node), ("client of the removed issuer", &guest)] {
        let status = connection.status();
        assert_eq!((status.state, status.reconnects, status.errors), (State::Connected, 0, 0), "{name}");
    }
    let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
    until("the old client still reaches the server", async || {
        old.publish("choria.node.n1", Bytes::from_static(b"ping")).await.unwrap();
        tokio::time::timeout(Duration::from_millis(200), inbox.recv()).await.is_ok()
    })
    .await;
    let seen = broker.metrics.snapshot();
    assert_eq!((seen.reloads, seen.reloads_refused, seen.restarts), (2, 2, 0));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_nats_server_lacks_waits_for_a_restart() {
    let lab = Lab::new();
    let without = ("plugin.choria.network.provisioning.client_password", "");
    let (broker, mut reloader) = serve_reloadable(&lab, &[without]).await;
    let waiting = || lab.options("waiting", Login::Provisioning { token: lab.provisioning() });
    let changes = reloader.apply(lab.config(&[("plugin.choria.network.system.password", "new")])).unwrap();
    assert_eq!(changes.waiting, ["plugin.choria.network.provisioning.client_password"]);
    assert_eq!(changes.applied, ["plugin.choria.network.system.password"]);
    assert_eq!(lab.connect(waiting()).await.map(drop), Err(Failure::Unauthorized));

    // Passwords are others from now on.
    let system = lab.client(ClientPermissions { system_user: true, ..ClientPermissions::default() });
    let with = |password| Options { user: user("system", password), ..lab.options("system", system.login()) };
    assert_eq!(lab.connect(with("sysp")).await.map(drop), Err(Failure::Unauthorized));
    lab.connect(with("new")).await.expect("the new password counts");
    broker.end().await;
}

// Making brokers and tokens

async fn serve_reloadable(lab: &Lab, changes: &[(&str, &str)]) -> (Served, Reloader) {
    let metrics = Arc::new(Metrics::default());
    let broker = Broker::build(lab.settings(changes), &lab.surroundings(), Arc::clone(&metrics)).await.unwrap();
    let reloader = broker.reloader(lab.config(changes));
    let stop = CancellationToken::new();
    let mut running = broker.start(stop.clone());
    running.ready().await.unwrap();
    (Served { running, metrics, stop }, reloader)
}

/// A token in a file, which is read anew for each connection.
struct Renewable {
    token_file: std::path::PathBuf,
    seed_file: std::path::PathBuf,
    seed: Seed,
}

impl Renewable {
    fn write(&self, token: &str) {
        let new = self.token_file.with_extension("new");
        std::fs::write(&new, token).unwrap();
        std::fs::rename(new, &self.token_file).unwrap();
    }

    fn login(&self) -> Login {
        Login::Token { token_file: self.token_file.clone(), seed_file: Some(self.seed_file.clone()) }
    }
}

fn renewable(lab: &Lab, name: &str) -> Renewable {
    let seed = Seed::generate();
    let (token_file, seed_file) = (lab.path(&format!("{name}.jwt")), lab.path(&format!("{name}.seed")));
    seed.write(&seed_file).unwrap();
    Renewable { token_file, seed_file, seed }
}

fn client_token(lab: &Lab, seed: &Seed, validity: Duration) -> String {
    let mut claims = ClientClaims::new("up=alice", validity, SystemTime::now(), &mut rand::thread_rng()).unwrap();
    claims.standard.public_key = Some(seed.public().to_string());
    claims.sign(&lab.issuer).unwrap()
}

fn server_token(lab: &Lab, seed: &Seed, validity: Duration) -> String {
    let collectives = vec!["choria".to_owned()];
    let random = &mut rand::thread_rng();
    let claims = ServerClaims::new("n1", collectives, seed.public(), validity, SystemTime::now(), random).unwrap();
    claims.sign(&lab.issuer).unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);
