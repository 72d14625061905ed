//! Who may call what on a real node: each provider with a real broker and client, policies that change while the server
//! runs, and what an administrator finds afterwards.

use choria_tests::{Lab, PATIENCE, Process, free_port, http};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

const NODE: &str = "n1.lab.example.net";
const DENIED: &str = "You are not authorized to call this agent or action";

/// A broker, one server that authorizes, and the clients `up=client`, `up=ann` and `up=bob`.
struct Site {
    lab: Lab,
    server: Process,
    _broker: Process,
    port: u16,
    settings: String,
}

impl Site {
    fn new(provider: &str) -> Self {
        let lab = Lab::new();
        ["ann", "bob"].into_iter().for_each(|name| lab.client(name, "issuer.seed"));
        std::fs::create_dir_all(lab.path("policies/rego")).expect("folders");
        let broker = lab.start_broker();
        lab.server("n1", NODE);
        let port = free_port();
        let audit = lab.path("audit.log");
        let settings = lab.read("n1.conf").replace("rpcauthorization = false\n", "rpcauthorization = true\n");
        let settings = format!(
            "{settings}rpcaudit = 1\nplugin.rpcaudit.logfile = {}\nplugin.choria.stats_port = {port}\n",
            audit.display()
        );
        lab.write("n1.conf", &format!("{settings}rpcauthprovider = {provider}\n"));
        let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        lab.wait_for_fleet(1);
        Self { lab, server, _broker: broker, port, settings }
    }

    /// Another provider, taken over while the server runs.
    fn provider(&self, provider: &str) {
        let reloads = || self.server.log().matches("the configuration was read anew").count();
        let before = reloads();
        self.lab.write("n1.conf", &format!("{}rpcauthprovider = {provider}\n", self.settings));
        self.server.signal(Signal::SIGHUP);
        let began = Instant::now();
        while reloads() == before {
            assert!(began.elapsed() < PATIENCE, "no reload; the log:\n{}", self.server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether `client` may call `action` of `rpcutil`.
    #[track_caller]
    fn allows(&self, client: &str, action: &str) -> bool {
        let mut arguments = vec!["req", "rpcutil", action, "--json", "-I", NODE];
        if action == "get_fact" {
            arguments.push("fact=name");
        }
        let output = self.lab.choria_as(client, &arguments);
        let reply: Value = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", output.stdout, output.stderr));
        let reply = &reply["replies"][0];
        match reply["statuscode"].as_u64() {
            Some(0) => true,
            Some(1) if reply["statusmsg"] == DENIED => false,
            _ => panic!("{reply}; the log:\n{}", self.server.log()),
        }
    }

    /// Makes the token of `client` anew, with more flags.
    fn token(&self, client: &str, flags: &[&str]) {
        let (file, caller) = (format!("{client}.jwt"), format!("up={client}"));
        let public = self.lab.read(&format!("{client}.public"));
        let mut arguments = vec!["jwt", "client", &file, &caller, "issuer.seed", "--public-key", public.trim()];
        arguments.extend(["--validity", "1d"]);
        arguments.extend(flags);
        self.lab.choria(&arguments).succeeded();
    }

    fn metric(&self, name: &str) -> u64 {
        let body = http::get(self.port, "/choria/prometheus").body;
        let line = body.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {body}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// The last line of the audit.
    fn audited(&self) -> Value {
        serde_json::from_str(self.lab.read("audit.log").lines().last().expect("a line")).expect("JSON")
    }
}

#[test]
fn policy_files_decide_and_their_changes_count_at_once() {
    let site = Site::new("action_policy");
    assert!(!site.allows("ann", "ping"), "without a policy nobody may do anything");
    let line = site.audited();
    assert_eq!((&line["caller"], &line["agent"]), (&"up=ann".into(), &"rpcutil".into()), "{line}");
    assert_eq!(line["denied_action"], "ping", "{line}");
    assert!(line["reason"].as_str().expect("a reason").contains("policies/rpcutil.policy"), "{line}");

    site.lab.write("policies/groups", "ops up=ann\n");
    let policy = "policy default deny\nallow\tops\tping get_fact\tos.family=debian\troles::base\nallow * * * *\n";
    site.lab.write("policies/rpcutil.policy", policy);
    assert!(site.allows("ann", "ping") && site.allows("ann", "get_fact"));
    assert_eq!(site.audited()["action"], "get_fact");
    assert!(!site.allows("ann", "inventory") && !site.allows("bob", "ping"));
    let told = |words: &str| site.server.log().lines().filter(|line| line.contains(words)).count();
    assert_eq!(told("rpcutil.policy: line 3: "), 1, "once for each change:\n{}", site.server.log());

    site.provider("rego_policy");
    assert!(!site.allows("ann", "ping"));
    let older = "package io.choria.mcorpc.authpolicy\ndefault allow = false\nallow {\n  input.callerid == \"up=ann\"\n  \
        input.facts.os.family == \"Debian\"\n  input.action == \"ping\"\n}\n";
    site.lab.write("policies/rego/default.rego", older);
    assert!(site.allows("ann", "ping") && !site.allows("ann", "get_fact") && !site.allows("bob", "ping"));
    site.lab.write("policies/rego/rpcutil.rego", &older.replace("allow {", "allow if {").replace("up=ann", "up=bob"));
    assert!(site.allows("bob", "ping") && !site.allows("ann", "ping"));
    assert_eq!(site.metric("choria_server_policy_faults{"), 0);
    site.lab.write("policies/rego/rpcutil.rego", "package io.choria.mcorpc.authpolicy\nallow { not allow }\n");
    assert!(!site.allows("bob", "ping") && !site.allows("ann", "ping"));
    assert_eq!(told("rpcutil.rego in line 2 is not valid"), 3, "once for the file and once for each denial");
    assert_eq!(site.metric("choria_server_policy_faults{"), 2);
    assert!(site.metric("choria_server_denied{") >= 8);
    // The same is told by an examination of the node's files, before anything counts.
    let report = site.lab.choria_as("n1", &["doctor", "--server", "--json"]).stdout;
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
    let findings: Vec<&Value> =
        report["checks"].as_array().expect("checks").iter().filter(|check| check["check"] == "policies").collect();
    assert!(findings.len() == 1 && findings[0]["result"] == "fail", "{findings:?}");
    let text = findings[0]["text"].as_str().expect("a text");
    assert!(text.contains("policies/rego/rpcutil.rego line 2: rules build on themselves"), "{text}");
    // Discovery is nobody's to forbid.
    site.lab.wait_for_fleet(1);

    site.provider("nonsense");
    assert!(!site.allows("bob", "ping"));
    assert!(told("every RPC request will be denied: rpcauthprovider is") > 0, "{}", site.server.log());
    assert_eq!(site.server.stop().code, 0);
}

#[test]
fn tokens_decide_by_their_agents_or_their_policy() {
    let site = Site::new("aaasvc");
    assert!(!site.allows("ann", "ping"));
    assert!(site.audited()["reason"].as_str().expect("a reason").starts_with("no policy received in token"));
    site.token("ann", &["--agents", "rpcutil.ping", "--agents", "puppet.*"]);
    assert!(site.allows("ann", "ping") && !site.allows("ann", "inventory"));

    // The policy of the demonstration, in older Rego.
    site.lab.write(
        "choria.rego",
        "package io.choria.aaasvc\n\ndefault allow = false\n\nallow {\n  input.agent != \"choria_provision\"\n}\n",
    );
    site.token("bob", &["--opa-file", &site.lab.path("choria.rego").display().to_string()]);
    assert!(site.allows("bob", "ping") && site.allows("bob", "inventory"));

    // A policy that works for hours denies, holds one thread, and the server goes on.
    let endless = "package io.choria.aaasvc\ndefault allow = false\nn = numbers.range(1, 3000)\n\
        allow { count([1 | n[_] == n[_]; n[_] == n[_]]) > 0 }\n";
    site.token("ann", &["--opa", endless]);
    assert!(!site.allows("ann", "ping") && !site.allows("ann", "ping"));
    assert!(site.audited()["reason"].as_str().expect("a reason").contains("took too long still runs"));
    assert!(site.allows("bob", "ping"));
    assert_eq!(site.metric("choria_server_policy_faults{"), 2);
    assert_eq!(site.server.stop().code, 0, "a running evaluation does not hold up the end");
}
