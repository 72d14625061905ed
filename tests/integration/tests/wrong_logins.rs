//! A thousand wrong logins a second beside a working fleet: the fleet stays whole, newcomers get in, memory and logs
//! stay bounded.

use choria_tests::{Lab, PATIENCE, Process};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokens::{Seed, ServerClaims, SigningKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

#[test]
fn a_fleet_stays_whole_beside_wrong_logins() {
    withstand("without the front", false, STRANGER);
}

#[test]
fn a_fleet_behind_the_front_stays_whole_beside_wrong_logins() {
    withstand("front, strangers elsewhere", true, STRANGER);
}

/// Good nodes and wrong logins come from one address, as behind a router: the good ones are not locked out.
#[test]
fn good_nodes_are_not_locked_out_for_wrong_logins_of_their_neighbours() {
    withstand("front, strangers at the same address", true, FLEET);
}

fn withstand(name: &str, front: bool, source: [u8; 4]) {
    // Told apart by their address, strangers stand back for everybody else.
    let first_try = front && source != FLEET;
    let lab = Lab::new();
    if front {
        let text = lab.read("broker.conf");
        lab.write("broker.conf", &format!("{text}plugin.choria.network.tls_front = true\n"));
    }
    let mut broker = lab.start_broker();
    let mut servers = lab.start_servers(3);
    lab.wait_for_fleet(3);
    let logged = broker.log().lines().count();

    let began = Instant::now();
    let attack = Attack::start(&lab, source);
    attack.wait_for(500);
    let slowest = (0..5).map(|_| whole_ping(&lab, first_try)).max().unwrap_or_default();
    lab.server("n4", "n4.lab.example.net");
    servers.push(lab.start("choria-server", &["--config", "n4.conf"]).ready());
    let newcomer = Instant::now();
    while lab.choria(&PING_OF_FOUR).stdout.lines().count() < 4 {
        assert!(newcomer.elapsed() < LONGEST_ENTRY, "a new server does not get in: {attack:?}");
    }
    let newcomer = newcomer.elapsed();
    attack.wait_for(2000);
    let memory = resident_mib(&broker);
    let lasted = began.elapsed();
    let seen = attack.stop();

    let lines = broker.log().lines().count() - logged;
    println!(
        "wrong logins, {name}: {:.0} a second for {lasted:.0?} ({} denied, {} turned away, {} late); slowest of 5 pings \
         {slowest:.1?}, a new server answered after {newcomer:.1?}, {memory} MiB, {lines} lines logged",
        seen.begun as f64 / lasted.as_secs_f64(),
        seen.denied,
        seen.turned_away,
        seen.late
    );
    assert_eq!(seen.accepted, 0, "a wrong login was accepted");
    assert!(seen.denied > 20, "hardly any wrong login was answered: {seen:?}");
    assert!(memory < MOST_MEMORY_MIB, "{memory} MiB");
    // Denials are sampled; what is said at all is bounded by time and not by attempts.
    let most = 100 + 20 * usize::try_from(lasted.as_secs()).expect("seconds fit");
    assert!(lines < most, "{lines} lines were logged, more than {most}; the last:\n{}", last_lines(&broker.log()));
    assert!(broker.is_running() && servers.iter_mut().all(Process::is_running), "{}", broker.log());
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

/// A ping by a new client, and the time until it was answered by the whole fleet. A client that finds no place among the
/// strangers may try again, within [`LONGEST_ENTRY`]; once it is in, the whole fleet answers.
fn whole_ping(lab: &Lab, first_try: bool) -> Duration {
    let began = Instant::now();
    loop {
        let ping = lab.choria(&["ping", "--names", "--timeout", "20", "--expect", "3"]);
        match ping.stdout.lines().count() {
            3 => return began.elapsed(),
            0 if !first_try && ping.stderr.contains("could not connect") => {}
            _ => panic!("a ping is not whole: {ping:#?}"),
        }
        assert!(began.elapsed() < LONGEST_ENTRY, "a new client does not get in: {ping:#?}");
    }
}

/// Wrong logins at the wanted rate, or what the machine gives, in a thread of its own.
struct Attack {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    denied: AtomicU64,
    turned_away: AtomicU64,
    late: AtomicU64,
    accepted: AtomicU64,
}

/// The counts at the end.
#[derive(Debug)]
struct Seen {
    begun: u64,
    denied: u64,
    turned_away: u64,
    late: u64,
    accepted: u64,
}

impl std::fmt::Debug for Attack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.counts.fmt(f)
    }
}

impl Attack {
    fn start(lab: &Lab, source: [u8; 4]) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let logins: Arc<[Login]> = wrong_logins(lab).into();
        let target = SocketAddr::from(([127, 0, 0, 1], lab.port));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&counts));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let tls = TlsConnector::from(Arc::clone(network::Tls::unverified().expect("TLS").config()));
                let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
                let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
                while !stopped.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    // Who attacks with more than it can hold gains nothing.
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let number = counted.begun.fetch_add(1, Ordering::Relaxed);
                    let (tls, logins, counts) = (tls.clone(), Arc::clone(&logins), Arc::clone(&counted));
                    tokio::spawn(async move {
                        let login = &logins[usize::try_from(number).unwrap_or_default() % logins.len()];
                        let attempt = tokio::time::timeout(LONGEST_ATTEMPT, attempt(source, target, &tls, login));
                        let counter = match attempt.await {
                            Ok(Ok(heard)) if heard.contains("PONG") => &counts.accepted,
                            Ok(Ok(heard)) if heard.contains("-ERR") => &counts.denied,
                            Ok(_) => &counts.turned_away,
                            Err(_) => &counts.late,
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                        drop(place);
                    });
                }
            });
        });
        Self { stop, counts, thread }
    }

    /// Waits until `count` attempts were begun.
    fn wait_for(&self, count: u64) {
        let began = Instant::now();
        while self.counts.begun.load(Ordering::Relaxed) < count {
            assert!(began.elapsed() < PATIENCE, "the machine makes too few attempts: {:?}", self.counts);
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the attack ends");
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { begun, denied, turned_away, late, accepted } = &*self.counts;
        Seen {
            begun: read(begun),
            denied: read(denied),
            turned_away: read(turned_away),
            late: read(late),
            accepted: read(accepted),
        }
    }
}

/// What one kind of stranger presents.
struct Login {
    token: String,
    seed: Seed,
}

/// Another issuer, an expired token, somebody else's token, no token at all.
fn wrong_logins(lab: &Lab) -> Vec<Login> {
    let issuer = SigningKey::read(&lab.path("issuer.seed")).expect("the issuer's seed");
    let stranger = SigningKey::Ed25519(Seed::generate());
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let token = |signer: &SigningKey, seed: &Seed, made: SystemTime| {
        let random = &mut rand::thread_rng();
        let claims =
            ServerClaims::new("x.lab.example.net", vec!["choria".to_owned()], seed.public(), hour, made, random);
        claims.expect("claims").sign(signer).expect("a token")
    };
    let seed = Seed::generate();
    vec![
        Login { token: token(&stranger, &seed, now), seed: Seed::from_bytes([1; 32]) },
        Login { token: token(&issuer, &seed, now - 2 * hour), seed: Seed::from_bytes([2; 32]) },
        Login { token: token(&issuer, &seed, now), seed: Seed::from_bytes([3; 32]) },
        Login { token: "not.a.token".to_owned(), seed },
    ]
}

/// Everything the broker says after the login.
async fn attempt(source: [u8; 4], target: SocketAddr, tls: &TlsConnector, login: &Login) -> std::io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    let mut stream = socket.connect(target).await?;
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if stream.read_buf(&mut line).await? == 0 {
            return Ok(String::new());
        }
    }
    let info: serde_json::Value = serde_json::from_slice(line.strip_prefix(b"INFO ").unwrap_or_default())?;
    let signature = login.seed.sign(info["nonce"].as_str().unwrap_or_default().as_bytes()).to_base64();
    let mut stream = tls.connect(ServerName::from(std::net::Ipv4Addr::LOCALHOST), stream).await?;
    let connect = serde_json::json!({"verbose": false, "tls_required": true, "lang": "x", "name": "stranger",
        "auth_token": login.token, "sig": signature});
    stream.write_all(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).await?;
    let mut heard = Vec::new();
    // A reset after the last words is as good as an orderly end.
    let _ = stream.read_to_end(&mut heard).await;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(20).collect();
    lines.join("\n")
}

/// Memory of the broker and its nats-server.
fn resident_mib(broker: &Process) -> u64 {
    let of = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
        pages * 4096 / 1024 / 1024
    };
    of(broker.pid()) + broker.children().into_iter().map(of).sum::<u64>()
}

const PING_OF_FOUR: [&str; 6] = ["ping", "--names", "--timeout", "5", "--expect", "4"];

/// How long a new member may take to get in beside more strangers than the machine can serve.
const LONGEST_ENTRY: Duration = Duration::from_secs(90);

const STRANGER: [u8; 4] = [127, 0, 0, 66];

const FLEET: [u8; 4] = [127, 0, 0, 1];

/// Wrong logins a second, where the machine gives that many.
const RATE: u32 = 1000;

/// Connections of the strangers at a time.
const MOST_AT_ONCE: usize = 1000;

const LONGEST_ATTEMPT: Duration = Duration::from_secs(10);

/// Both processes together; a fleet of this size alone takes about 50.
const MOST_MEMORY_MIB: u64 = 400;
