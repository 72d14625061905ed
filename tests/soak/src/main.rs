//! One server and one client exchange a million requests, each signed and verified. Prints resident memory after the first
//! hundred thousand and at the end, and fails when that of the server or the client differs by 5 % or more.

use anyhow::{Context, bail, ensure};
use choria_tests::{Lab, Process};
use clap::Parser;
use names::Identity;
use rpc::client::{Call, Client, Event, Recipients};
use rpc::ddl::embedded;
use rpc::plan::Plan;
use serde_json::Map;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, Parser)]
struct Arguments {
    /// Requests in all
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Requests before memory is looked at first
    #[arg(long, default_value_t = 100_000)]
    first: u64,
    /// Requests that are under way at a time
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
}

/// Resident memory of everybody, in bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    server: u64,
    client: u64,
    broker: u64,
    nats_server: u64,
}

/// Memory may differ by less than this, in per cent.
const LIMIT: f64 = 5.0;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("choria-soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    ensure!(0 < arguments.first && arguments.first < arguments.requests, "--first is not between 0 and --requests");
    let lab = Lab::new();
    let broker = lab.start_broker();
    let servers = lab.start_servers(1);
    lab.wait_for_fleet(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let member = lab.connect("client").await;
        let client =
            Client::new(member.connection, member.provider.clone(), member.provider.signer(), &member.settings);
        let began = Instant::now();
        exchange(&client, arguments.first, arguments.in_flight).await?;
        let first = measure(&servers[0], &broker)?;
        println!("{} requests after {:.1} s", arguments.first, began.elapsed().as_secs_f64());
        exchange(&client, arguments.requests - arguments.first, arguments.in_flight).await?;
        let last = measure(&servers[0], &broker)?;
        let took = began.elapsed().as_secs_f64();
        println!("{} requests after {took:.1} s, {:.0}/s", arguments.requests, arguments.requests as f64 / took);
        judge(arguments, first, last)
    })
}

/// Makes `count` requests and waits for all answers.
async fn exchange(client: &Client, count: u64, in_flight: usize) -> anyhow::Result<()> {
    let ddl = embedded::find("rpcutil").context("the document of rpcutil")?;
    let node: Identity = "n1.lab.example.net".parse()?;
    let plan = Plan::new(vec![node], None, None)?;
    let mut call = Call::new(&ddl, ddl.action("ping")?, Map::new(), Recipients::Nodes(plan))?;
    call.timeout = Duration::from_secs(30);
    let mut under_way = JoinSet::new();
    for number in 0..count {
        if under_way.len() >= in_flight {
            under_way.join_next().await.context("a request under way")???;
        }
        let (client, call) = (client.clone(), call.clone());
        under_way.spawn(async move { ask(&client, call).await.with_context(|| format!("request {number}")) });
    }
    while let Some(answered) = under_way.join_next().await {
        answered??;
    }
    Ok(())
}

/// One request and its answer.
async fn ask(client: &Client, call: Call) -> anyhow::Result<()> {
    let mut replies = client.request(call).await?;
    while let Some(event) = replies.next().await {
        match event? {
            Event::Reply(_) => {}
            Event::Done(stats) if stats.ok == 1 => return Ok(()),
            other => bail!("{other:?}"),
        }
    }
    bail!("the request ended without an answer")
}

fn measure(server: &Process, broker: &Process) -> anyhow::Result<Memory> {
    let child = broker.children().into_iter().next().context("the broker runs a nats-server")?;
    Ok(Memory {
        server: resident(&server.pid().to_string())?,
        client: resident("self")?,
        broker: resident(&broker.pid().to_string())?,
        nats_server: resident(&child.to_string())?,
    })
}

/// `VmRSS` of a process.
fn resident(process: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

fn judge(arguments: Arguments, first: Memory, last: Memory) -> anyhow::Result<()> {
    println!("{:<12} {:>16} {:>16} {:>10}", "resident", arguments.first, arguments.requests, "change");
    let rows = [
        ("server", first.server, last.server, true),
        ("client", first.client, last.client, true),
        ("broker", first.broker, last.broker, false),
        ("nats-server", first.nats_server, last.nats_server, false),
    ];
    let mut grown = Vec::new();
    for (name, first, last, is_judged) in rows {
        let change = (last as f64 - first as f64) / first as f64 * 100.0;
        println!("{name:<12} {:>13} kB {:>13} kB {change:>+8.1} %", first / 1024, last / 1024);
        if is_judged && change.abs() >= LIMIT {
            grown.push(format!("{name} by {change:+.1} %"));
        }
    }
    ensure!(grown.is_empty(), "memory differs by {LIMIT} % or more: {}", grown.join(", "));
    Ok(())
}
