//! Rows 14 and 15: a storm of connections with tokens, and their return after a restart of the broker.

mod client;
pub(crate) mod processes;
pub(crate) mod traffic;

use client::{Connected, Dialer, Member, Miss};
pub(crate) use processes::Usage;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokens::SigningKey;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// How a storm is made.
struct Plan {
    address: String,
    issuer: SigningKey,
    count: usize,
    at_once: usize,
    /// The broker; its children belong to it.
    pid: Option<u32>,
    /// Wait for a restart and measure the return.
    hold: bool,
    servers: bool,
}

/// Prints one line of JSON for the storm, and with `--hold` a second one after the broker was restarted.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let plan = Plan::parse(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(plan))
}

impl Plan {
    fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let (mut address, mut issuer, mut pid) = (None, None, None);
        let (mut count, mut at_once, mut hold, mut servers) = (2000, 50, false, false);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or_else(|| anyhow::anyhow!("{word} needs a value"));
            match *word {
                "--address" => address = Some(value()?.to_owned()),
                "--issuer" => issuer = Some(SigningKey::read(value()?.as_ref())?),
                "--count" => count = value()?.parse()?,
                "--at-once" => at_once = value()?.parse()?,
                "--pid" => pid = Some(value()?.parse()?),
                "--hold" => hold = true,
                "--servers" => servers = true,
                other => anyhow::bail!("storm knows no {other}"),
            }
        }
        let (Some(address), Some(issuer)) = (address, issuer) else {
            anyhow::bail!("storm needs --address HOST:PORT and --issuer SEED_FILE");
        };
        Ok(Self { address, issuer, count, at_once, pid, hold, servers })
    }
}

async fn measure(plan: Plan) -> anyhow::Result<()> {
    let make = if plan.servers { Member::server } else { Member::client };
    let members: Vec<_> = (0..plan.count).map(|n| make(n, &plan.issuer).map(Arc::new)).collect::<Result<_, _>>()?;
    let dialer = Dialer::new(&plan.address)?;
    let before = plan.pid.map(Usage::of);
    let began = Instant::now();
    let (held, times, missed) = storm(&dialer, &members, plan.at_once).await;
    let seconds = began.elapsed().as_secs_f64();
    let after = plan.pid.map(Usage::of);
    tokio::time::sleep(SETTLE).await;
    let settled = plan.pid.map(Usage::of);

    let connected = held.len().max(1) as f64;
    let each = |later: Option<Usage>, pick: fn(&Usage) -> f64| match (before, later) {
        (Some(before), Some(later)) => json!((pick(&later) - pick(&before)) / connected),
        _ => json!(null),
    };
    println!(
        "{}",
        json!({"connected": held.len(), "failed": missed.len(), "seconds": seconds, "rate": held.len() as f64 / seconds,
            "p50_ms": percentile(&times, 0.50), "p99_ms": percentile(&times, 0.99),
            "cpu_ms": each(after, |usage| usage.cpu_ms), "rss_kib": each(settled, |usage| usage.rss_kib),
            "misses": tally(&missed)})
    );
    if plan.hold {
        let returned = watch_return(&dialer, &members, held).await?;
        println!("{returned}");
    }
    Ok(())
}

/// Connects all `members` once, at most `at_once` at a time.
async fn storm(
    dialer: &Dialer,
    members: &[Arc<Member>],
    at_once: usize,
) -> (Vec<(Arc<Member>, Connected)>, Vec<f64>, Vec<Miss>) {
    let places = Arc::new(Semaphore::new(at_once));
    let mut attempts = JoinSet::new();
    for member in members {
        let (places, dialer, member) = (Arc::clone(&places), dialer.clone(), Arc::clone(member));
        attempts.spawn(async move {
            // Never closed.
            let _place = places.acquire().await;
            let began = Instant::now();
            let connected = dialer.connect(&member).await;
            (member, connected, began.elapsed().as_secs_f64() * 1e3)
        });
    }
    let (mut held, mut times, mut missed) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(Ok((member, connected, time))) = attempts.join_next().await {
        match connected {
            Ok(stream) => {
                held.push((member, stream));
                times.push(time);
            }
            Err(miss) => missed.push(miss),
        }
    }
    times.sort_by(f64::total_cmp);
    (held, times, missed)
}

/// Holds the connections; once all were lost, measures from the first loss until all are back.
async fn watch_return(
    dialer: &Dialer,
    members: &[Arc<Member>],
    held: Vec<(Arc<Member>, Connected)>,
) -> anyhow::Result<serde_json::Value> {
    let wanted = held.len();
    anyhow::ensure!(wanted == members.len(), "{wanted} of {} are connected, so a return shows nothing", members.len());
    let lost = Arc::new(AtomicUsize::new(0));
    let (events, mut news) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for (member, stream) in held {
        let (dialer, events, lost) = (dialer.clone(), events.clone(), Arc::clone(&lost));
        tasks.spawn(async move {
            client::hold(stream).await;
            lost.fetch_add(1, Ordering::Relaxed);
            let _ = events.send(Event::Lost);
            let mut attempt = 1;
            loop {
                tokio::time::sleep(network::backoff::TWENTY_SECONDS.random_delay(attempt)).await;
                match dialer.connect(&member).await {
                    Ok(stream) => {
                        let _ = events.send(Event::Back);
                        return client::hold(stream).await;
                    }
                    Err(miss) => {
                        let _ = events.send(Event::Missed(miss));
                    }
                }
                attempt += 1;
            }
        });
    }
    let (mut began, mut back, mut missed, mut times) = (None, 0, Vec::new(), Vec::new());
    let deadline = Instant::now() + LONGEST_RETURN;
    while back < wanted {
        let event = tokio::time::timeout_at(deadline.into(), news.recv()).await;
        let Ok(Some(event)) = event else { break };
        match event {
            Event::Lost => {
                began.get_or_insert_with(Instant::now);
            }
            Event::Back => {
                back += 1;
                times.push(began.map_or(0.0, |began: Instant| began.elapsed().as_secs_f64()));
            }
            Event::Missed(miss) => missed.push(miss),
        }
    }
    let denied = missed.iter().filter(|miss| matches!(miss, Miss::Denied | Miss::Late | Miss::Dropped)).count();
    Ok(json!({"lost": lost.load(Ordering::Relaxed), "back": back, "seconds": times.last(),
        "half_seconds": times.get(times.len() / 2), "failed_authentications": denied, "misses": tally(&missed)}))
}

enum Event {
    Lost,
    Back,
    Missed(Miss),
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

fn tally(missed: &[Miss]) -> serde_json::Value {
    let count = |kind| missed.iter().filter(|miss| **miss == kind).count();
    json!({"refused": count(Miss::Refused), "turned_away": count(Miss::TurnedAway), "denied": count(Miss::Denied),
        "late": count(Miss::Late), "dropped": count(Miss::Dropped)})
}

/// Time between the last connection and the look at memory.
const SETTLE: Duration = Duration::from_secs(3);

/// A return that takes longer has failed.
const LONGEST_RETURN: Duration = Duration::from_secs(60);
