//! Two network namespaces with a wire between them that can be cut: the broker's side and the nodes' side. Nothing of the
//! machine's own network is touched.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

static MADE: AtomicUsize = AtomicUsize::new(0);

/// The two namespaces; dropping it removes them.
#[derive(Debug)]
pub struct Wire {
    broker: String,
    nodes: String,
}

/// How the wire is cut.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// The cable is pulled on the nodes' side: the system knows, routes are gone.
    Pulled,
    /// Every packet is lost without a word, both ways, as by a firewall or a router that died.
    Silent,
}

impl Wire {
    /// The broker's address on the wire.
    pub const BROKER: &'static str = "10.213.77.1";
    const NODES: &'static str = "10.213.77.2";

    /// Makes the wire.
    ///
    /// # Errors
    /// What this machine lacks, in words.
    pub fn new() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        for program in ["ip", "nft"] {
            run(&[program, "-V"])
                .or_else(|_| run(&[program, "--version"]))
                .map_err(|_| format!("{program} was not found: install iproute2 and nftables"))?;
        }
        let number = format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let wire = Self { broker: format!("choria-b-{number}"), nodes: format!("choria-n-{number}") };
        let (broker, nodes) = (wire.broker.as_str(), wire.nodes.as_str());
        run(&["ip", "netns", "add", broker])?;
        run(&["ip", "netns", "add", nodes])?;
        run(&["ip", "-n", broker, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", nodes])?;
        for (namespace, address) in [(broker, Self::BROKER), (nodes, Self::NODES)] {
            let address = format!("{address}/30");
            run(&["ip", "-n", namespace, "address", "add", &address, "dev", "wire"])?;
            run(&["ip", "-n", namespace, "link", "set", "lo", "up"])?;
            run(&["ip", "-n", namespace, "link", "set", "wire", "up"])?;
        }
        Ok(wire)
    }

    /// What goes before a command to run it on the broker's side.
    #[must_use]
    pub fn broker_side(&self) -> Vec<&str> {
        vec!["ip", "netns", "exec", &self.broker]
    }

    /// What goes before a command to run it on the nodes' side.
    #[must_use]
    pub fn nodes_side(&self) -> Vec<&str> {
        vec!["ip", "netns", "exec", &self.nodes]
    }

    /// Cuts the wire.
    pub fn cut(&self, how: Cut) {
        match how {
            Cut::Pulled => must(&["ip", "-n", &self.nodes, "link", "set", "wire", "down"]),
            Cut::Silent => {
                let rules = "table inet cut { chain in { type filter hook input priority 0; iifname wire drop; }; \
                             chain out { type filter hook output priority 0; oifname wire drop; }; }";
                must(&["ip", "netns", "exec", &self.nodes, "nft", rules]);
            }
        }
    }

    /// Makes the wire whole again.
    pub fn heal(&self, how: Cut) {
        match how {
            Cut::Pulled => must(&["ip", "-n", &self.nodes, "link", "set", "wire", "up"]),
            Cut::Silent => must(&["ip", "netns", "exec", &self.nodes, "nft", "delete", "table", "inet", "cut"]),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.broker, &self.nodes] {
            let _not_made = run(&["ip", "netns", "delete", namespace]);
        }
    }
}

fn must(command: &[&str]) {
    run(command).unwrap_or_else(|error| panic!("{error}"));
}

fn run(command: &[&str]) -> Result<(), String> {
    let failed = |why: &str| format!("`{}` failed: {}", command.join(" "), why.trim());
    let output = Command::new(command[0]).args(&command[1..]).output().map_err(|error| failed(&error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(&String::from_utf8_lossy(&output.stderr))) }
}
