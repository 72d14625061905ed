//! Three brokers in a cluster and a fourth that joins them as a leaf node, each a program with a configuration file, as
//! an operator runs them. Whatever is killed or stopped, a ping is whole again with nothing done by hand.

use choria_tests::{Lab, PATIENCE, Process, free_port};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Instant;

#[test]
fn the_fleet_is_whole_through_any_broker_whichever_is_killed() {
    let lab = Lab::new();
    let cluster = Cluster::new(&lab);
    let mut brokers = cluster.start(&lab);
    let mut servers = Vec::new();
    // Two servers that may use any member, one that knows the leaf node alone.
    for (name, ports) in
        [("n1", cluster.ports[..3].to_vec()), ("n2", cluster.ports[..3].to_vec()), ("n3", cluster.ports[3..].to_vec())]
    {
        lab.server(name, &format!("{name}.lab.example.net"));
        connects_to(&lab, name, &ports);
        servers.push(lab.start("choria-server", &["--config", &format!("{name}.conf")]));
    }
    let mut servers: Vec<_> = servers.into_iter().map(Process::ready).collect();
    for client in ["c1", "c2", "c3", "c4"] {
        whole(&lab, client, 3);
    }

    // The first broker dies while a ping waits for answers: nothing of it stays behind.
    let nats = nats_server_of(&brokers[0]);
    let ping = lab.start("choria", &["ping", "--names", "--timeout", "4"]);
    brokers[0].signal(Signal::SIGKILL);
    let began = Instant::now();
    while is_nats_server(nats) {
        assert!(began.elapsed() < PATIENCE, "an orphan is left behind");
        std::thread::yield_now();
    }
    println!("fault: broker killed: its nats-server was gone after {:?}", began.elapsed());
    drop(ping);
    for client in ["c2", "c3", "c4"] {
        whole(&lab, client, 3);
    }
    println!("fault: broker killed: the fleet answered through all others {:?} later", began.elapsed());

    // The nats-server of the second one dies alone, and its broker starts another.
    let nats = nats_server_of(&brokers[1]);
    kill(Pid::from_raw(nats), Signal::SIGKILL).expect("the nats-server runs");
    let began = Instant::now();
    whole(&lab, "c2", 3);
    println!("fault: nats-server killed: the fleet answered through the same broker {:?} later", began.elapsed());
    assert!(brokers[1].is_running() && servers.iter_mut().all(Process::is_running));

    // The first one returns, and the second one is stopped in order: its clients go elsewhere.
    brokers[0] = lab.start("choria-broker", &["--config", "b1.conf"]).ready();
    whole(&lab, "c1", 3);
    let output = brokers.remove(1).stop();
    assert_eq!(output.code, 0, "{output:#?}");
    assert!(output.stderr.contains("clients are sent to other brokers of the cluster"), "{output:#?}");
    println!("planned stop of a broker in a cluster: {:?}", output.took);
    for client in ["c1", "c3", "c4"] {
        whole(&lab, client, 3);
    }
    for secret in ["peer-s3cret", "leaf-s3cret"] {
        assert!(!output.stderr.contains(secret), "a password is in the log: {output:#?}");
    }
}

/// A broker process that hangs answers no question about connections: who is connected stays so, who comes is turned
/// away with a reason, and once it goes on everybody gets in.
#[test]
fn who_is_connected_survives_an_outage_of_the_callout() {
    let lab = Lab::new();
    let broker = lab.start_broker();
    let servers = lab.start_servers(2);
    lab.wait_for_fleet(2);
    broker.signal(Signal::SIGSTOP);
    let refused = lab.choria(&["ping", "--names", "--timeout", "2"]);
    broker.signal(Signal::SIGCONT);
    let began = Instant::now();
    refused.failed(1, &["could not connect to the Choria Broker"]);
    println!("callout outage: a new client saw, after {:?}: {}", refused.took, refused.stderr.trim());
    lab.wait_for_fleet(2);
    println!("callout outage: the fleet answered {:?} after its end", began.elapsed());
    for server in &servers {
        let log = server.log();
        assert!(!log.to_lowercase().contains("reconnect"), "a connected server was disturbed:\n{log}");
    }
    assert!(nats_server_of(&broker) > 0, "nats-server was not started again");
    assert!(!broker.log().contains("is started again in"), "{}", broker.log());
}

/// The files and ports of three members `b1` to `b3` and the leaf node `b4`, and of a client `c1` to `c4` of each.
struct Cluster {
    ports: Vec<u16>,
}

impl Cluster {
    fn new(lab: &Lab) -> Self {
        let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
        let peers: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let leaves: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let joined = |ports: &[u16], prefix: &str| {
            ports.iter().map(|port| format!("{prefix}127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
        };
        for number in 1..=4 {
            let name = format!("b{number}");
            lab.server_token(&format!("{name}.lab.example.net"), &name, "issuer.seed");
            let mut text = String::new();
            for line in lab.read("broker.conf").lines() {
                let key = line.split(" = ").next().unwrap_or_default();
                let folder = lab.folder().display();
                let changed = match key {
                    "identity" => format!("{name}.lab.example.net"),
                    "plugin.choria.network.client_port" => ports[number - 1].to_string(),
                    "plugin.choria.network.stream.store" => format!("{folder}/{name}.streams"),
                    "plugin.security.choria.token_file" => format!("{folder}/{name}.jwt"),
                    "plugin.security.choria.seed_file" => format!("{folder}/{name}.seed"),
                    _ => line.split_once(" = ").map_or(String::new(), |(_, value)| value.to_owned()),
                };
                text.push_str(&format!("{key} = {changed}\n"));
            }
            text.push_str(&if number < 4 {
                format!(
                    "plugin.choria.network.peers = {}\nplugin.choria.network.peer_port = {}\n\
                     plugin.choria.network.peer_user = peer\nplugin.choria.network.peer_password = peer-s3cret\n\
                     plugin.choria.network.leafnode_port = {}\nplugin.choria.network.leafnode_user = leaf\n\
                     plugin.choria.network.leafnode_password = leaf-s3cret\n",
                    joined(&peers, ""),
                    peers[number - 1],
                    leaves[number - 1]
                )
            } else {
                format!(
                    "plugin.choria.network.leafnode_remotes = hub\n\
                     plugin.choria.network.leafnode_remote.hub.url = {}\n",
                    joined(&leaves, "leafnode://leaf:leaf-s3cret@")
                )
            });
            lab.write(&format!("{name}.conf"), &text);
            let client = format!("c{number}");
            lab.client(&client, "issuer.seed");
            connects_to(lab, &client, &ports[number - 1..number]);
        }
        Self { ports }
    }

    fn start(&self, lab: &Lab) -> Vec<Process> {
        let start = |number| lab.start("choria-broker", &["--config", &format!("b{number}.conf")]);
        (1..=self.ports.len()).map(start).collect::<Vec<_>>().into_iter().map(Process::ready).collect()
    }
}

/// Has the server or client called `name` connect to brokers at `ports`.
fn connects_to(lab: &Lab, name: &str, ports: &[u16]) {
    let file = format!("{name}.conf");
    let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
    let text: Vec<String> = lab
        .read(&file)
        .lines()
        .map(|line| {
            let is_hosts = line.starts_with("plugin.choria.middleware_hosts");
            if is_hosts { format!("plugin.choria.middleware_hosts = {hosts}") } else { line.to_owned() }
        })
        .collect();
    lab.write(&file, &(text.join("\n") + "\n"));
}

/// Asks as `client` until exactly `count` servers answer.
fn whole(lab: &Lab, client: &str, count: usize) {
    let began = Instant::now();
    let expect = count.to_string();
    loop {
        let output = lab.choria_as(client, &["ping", "--names", "--timeout", "2", "--expect", &expect]);
        if output.stdout.lines().count() == count {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{client}: no {count} answers within {PATIENCE:?}, last:\n{output:?}");
    }
}

fn nats_server_of(broker: &Process) -> i32 {
    broker.children().into_iter().find(|child| is_nats_server(*child)).expect("the broker runs a nats-server")
}

fn is_nats_server(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("nats-server"))
}
