//! Power cuts: whoever submits and the server are killed at any moment, again and again. Every id that was printed is in
//! the stream once, in order within its priority, and nothing else is.
//!
//! `CHORIA_POWER_CUTS` says how many kills; without it as many as fit into half a minute.

use crate::{run, until, waiting};
use async_nats::jetstream::stream;
use choria_tests::Lab;
use choria_tests::submission::{in_stream, make_stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One program that submits, and everything that its predecessors and it printed.
struct Submitter {
    priority: u64,
    batch: u64,
    place: PathBuf,
    printed: PathBuf,
    child: Child,
}

#[test]
fn what_was_acknowledged_arrives_once_and_in_order_whoever_is_killed() {
    let lab = Lab::new();
    lab.administrator();
    let mut broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    let spool = lab.spool("n1");
    let kills: usize = std::env::var("CHORIA_POWER_CUTS").map_or(120, |text| text.parse().expect("a number"));
    let seed =
        std::env::var("CHORIA_POWER_CUT_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    println!("power cuts: {kills} kills, CHORIA_POWER_CUT_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    run(async {
        let streams = lab.streams().await;
        let window = Duration::from_secs(3600);
        make_stream(&streams, stream::Config { duplicate_window: window, ..stream::Config::default() }).await;
        let mut server = lab.start("choria-server", &["--config", "n1.conf"]);
        let mut service = lab.start("choria-submit", &["--config", "n1.conf"]).ready();
        let (direct, socket) = (lab.spool_path("n1"), lab.path("submit.sock"));
        // Each queue has its own subject. Some write one message at a time, as cron jobs do, some many at once.
        let ways = [(0, 1, &direct), (1, 1, &socket), (2, 16, &socket), (4, 16, &direct)];
        let mut submitters: Vec<Submitter> =
            ways.map(|(priority, batch, place)| Submitter::start(&lab, priority, batch, place)).into();
        let mut killed = [0; 4];
        for _ in 0..kills {
            tokio::time::sleep(Duration::from_millis(random.gen_range(1..60))).await;
            // Submitters that are ahead of delivery only make the end of the test late.
            match random.gen_range(0..100) {
                0..65 => {
                    let chosen = random.gen_range(0..submitters.len());
                    submitters[chosen].kill_and_start();
                    killed[0] += 1;
                }
                65..75 => {
                    service.signal(Signal::SIGKILL);
                    drop(service);
                    service = lab.start("choria-submit", &["--config", "n1.conf"]);
                    killed[3] += 1;
                }
                75..97 => {
                    server.signal(Signal::SIGKILL);
                    drop(server);
                    server = lab.start("choria-server", &["--config", "n1.conf"]);
                    killed[1] += 1;
                }
                _ => {
                    for child in broker.children() {
                        // The broker starts its nats-server again.
                        let _gone_already = kill(Pid::from_raw(child), Signal::SIGKILL);
                    }
                    killed[2] += 1;
                }
            }
        }
        let printed: BTreeMap<u64, Vec<String>> = submitters.drain(..).map(Submitter::end).collect();
        let count: usize = printed.values().map(Vec::len).sum();
        let [submitter, servers, brokers, services] = killed;
        println!(
            "power cuts: {submitter} submitters, {servers} servers, {brokers} nats-servers, {services} services killed; {count} ids were printed"
        );
        let left = || (0..5).map(|priority| waiting(&spool, priority)).sum::<u64>();
        // A backlog takes its time on a busy machine; that nothing moves any more is the failure.
        let mut before = left();
        while before > 0 {
            until("the spool gets emptier", &server, || left() < before);
            before = left();
        }
        drop(service);
        let streams = lab.streams().await;
        let messages = in_stream(&streams).await;
        let mut seen = BTreeSet::new();
        let mut arrived: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for message in &messages {
            assert!(seen.insert(message.id.clone()), "{} is in the stream twice, seed {seed}", message.id);
            let priority = message.headers["Choria-Priority"].parse().expect("a number");
            arrived.entry(priority).or_default().push(message.id.clone());
        }
        for (priority, ids) in &printed {
            let known: BTreeSet<&String> = ids.iter().collect();
            let arrived = &arrived[priority];
            // What was stored when its submitter was killed before it could print the id may arrive.
            let of_printed: Vec<&String> = arrived.iter().filter(|id| known.contains(id)).collect();
            assert_eq!(of_printed.len(), ids.len(), "priority {priority}, seed {seed}");
            assert!(of_printed.into_iter().eq(ids), "the order of priority {priority}, seed {seed}");
            let unprinted = arrived.len() - ids.len();
            assert!(
                unprinted <= (submitter + services + 4) * 16,
                "{unprinted} messages that nobody was told of, seed {seed}"
            );
        }
        assert!(!server.log().contains("panicked"), "{}", server.log());
        println!("power cuts: {} messages in the stream, all {count} printed ids once and in order", messages.len());
        assert!(broker.is_running());
    });
}

impl Submitter {
    fn start(lab: &Lab, priority: u64, batch: u64, place: &Path) -> Self {
        let printed = lab.path(&format!("printed-{priority}"));
        std::fs::write(&printed, "").expect("a file");
        let child = spawn(priority, batch, place, &printed);
        Self { priority, batch, place: place.to_owned(), printed, child }
    }

    fn kill_and_start(&mut self) {
        self.kill();
        self.child = spawn(self.priority, self.batch, &self.place, &self.printed);
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), None, "the submitter ended by itself");
    }

    /// Its priority and the ids it printed, in their order.
    fn end(mut self) -> (u64, Vec<String>) {
        self.kill();
        let text = std::fs::read_to_string(&self.printed).expect("what it printed");
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
        (self.priority, text.lines().map(str::to_owned).collect())
    }
}

impl Drop for Submitter {
    fn drop(&mut self) {
        let _gone_already = (self.child.kill(), self.child.wait());
    }
}

fn spawn(priority: u64, batch: u64, place: &Path, printed: &Path) -> Child {
    let output = std::fs::OpenOptions::new().append(true).open(printed).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_submitter"))
        .arg(place)
        .arg(format!("local.test{priority}"))
        .args([priority.to_string(), batch.to_string()])
        .stdout(output)
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the submitter starts")
}
