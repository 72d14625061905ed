//! The whole of provisioning with real processes: servers without configuration, the sample helpers, and provisioners that
//! are killed or compete.

use choria_tests::{Lab, PATIENCE, Process, free_port, http};
use network::election::Bucket;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

/// The node called `NAME.lab.example.net` that has nothing but its provisioning token.
fn node(lab: &Lab, name: &str) -> Process {
    std::fs::create_dir(lab.path(name)).expect("a folder");
    let url = format!("127.0.0.1:{}", lab.port);
    let (file, identity) = (format!("{name}/provisioning.jwt"), format!("{name}.lab.example.net"));
    let words = ["jwt", "provisioning", &file, "issuer.seed", "--token", "s3cret", "--urls", &url];
    lab.choria(&[&words[..], &["--default", "--protocol-v2", "--upgrade"]].concat()).succeeded();
    let config = format!("{name}/server.conf");
    lab.start("choria-server", &["--config", &config, "--identity", &identity]).ready()
}

/// Makes the credentials of provisioners, a helper that becomes the sample `sample`, and the configuration of the
/// provisioner `name`.
fn site(lab: &Lab, name: &str, sample: &str, more: &str) {
    if !lab.path("signer.jwt").exists() {
        let public = lab.keys("signer");
        let words = ["jwt", "client", "signer.jwt", "provisioner_signer", "issuer.seed", "--public-key", &public];
        lab.choria(&[&words[..], &["--server-provisioner", "--issuer", "--validity", "30d"]].concat()).succeeded();
    }
    let folder = lab.folder().display();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/choria-provisioner/helpers").join(sample);
    lab.write(
        "helper",
        &format!(
            "#!/bin/sh\n\
             # Hangs, with something else that hangs, as long as there is a file called hang.\n\
             if [ -e {folder}/hang ]; then echo $$ >{folder}/hung; sleep 1000; fi\n\
             export CHORIA_HELPER_ISSUER={issuer} CHORIA_HELPER_BROKERS=127.0.0.1:{port} CHORIA_HELPER_STATE={folder}\n\
             export CHORIA_HELPER_AUTHORIZATION= CHORIA_HELPER_STATUS_FILE={folder}/status.json\n\
             exec {sample}\n",
            issuer = lab.issuer,
            port = lab.port,
            sample = sample.display(),
        ),
    );
    lab.write(
        &format!("{name}.cfg"),
        &format!(
            "plugin.security.provider = choria\n\
             plugin.security.choria.token_file = {folder}/signer.jwt\n\
             plugin.security.choria.seed_file = {folder}/signer.seed\n\
             identity = {name}\n\
             plugin.choria.middleware_hosts = 127.0.0.1:{port}\n",
            port = lab.port,
        ),
    );
    lab.write(
        &format!("{name}.yaml"),
        &format!(
            "workers: 4\ninterval: 1m\nloglevel: info\nhelper: /bin/sh {folder}/helper\ntoken: s3cret\n\
             choria_insecure: false\nsite: testing\nbroker_provisioning_password: lab-provisioning\n\
             jwt_verify_cert: {issuer}\njwt_signing_key: {folder}/signer.seed\njwt_signing_token: {folder}/signer.jwt\n\
             audit_log: {folder}/audit.jsonl\nfeatures:\n  jwt: true\n  ed25519: true\n{more}\n",
            issuer = lab.issuer,
        ),
    );
}

fn start(lab: &Lab, name: &str) -> Process {
    let (own, choria) = (format!("{name}.yaml"), format!("{name}.cfg"));
    // As systemd would start it: nobody is the user.
    let arguments = ["run", "--config", &own, "--choria-config", &choria];
    lab.start_with("choria-provisioner", &arguments, &[("USER", "")]).ready()
}

/// Waits until `done`; prints what `process` logged otherwise.
fn until(what: &str, process: &Process, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE * 2, "{what}: not within {:?}:\n{}", PATIENCE * 2, process.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The audit lines, as node and outcome.
fn audit(lab: &Lab) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(lab.path("audit.jsonl")).unwrap_or_default();
    let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    lines.map(|line| (word(&line, "node"), word(&line, "outcome"))).collect()
}

#[test]
fn servers_without_configuration_come_into_the_fleet() {
    for sample in ["shell", "python"] {
        let lab = Lab::new();
        let _broker = lab.start_broker();
        let port = free_port();
        site(&lab, "p1", sample, &format!("monitor_port: {port}\nmonitor_address: 127.0.0.1\n"));
        // One is there before the provisioner, one comes later.
        let first = node(&lab, "n1");
        let provisioner = start(&lab, "p1");
        let second = node(&lab, "n2");
        let (first, second) = (first.ready(), second.ready());
        lab.wait_for_fleet(2);
        let mut audited = audit(&lab);
        audited.sort();
        let line = |name: &str| (name.to_owned(), "provisioned".to_owned());
        assert_eq!(audited, [line("n1.lab.example.net"), line("n2.lab.example.net")], "{}", provisioner.log());
        let metrics = http::get(port, "/metrics").body;
        for expected in [
            "choria_provisioner_provisioned{site=\"testing\"} 2",
            "choria_provisioner_provision_errors{site=\"testing\"} 0",
            "choria_provisioner_paused{site=\"testing\"} 0",
            "choria_provisioner_rpc_time_count{rpc=\"choria_provision#configure\",site=\"testing\"} 2",
            "process_resident_memory_bytes",
        ] {
            assert!(metrics.contains(expected), "{expected} is not in:\n{metrics}");
        }
        for secret in ["s3cret", "lab-provisioning", "eyJ"] {
            assert!(!provisioner.log().contains(secret), "{secret} is in the log");
        }
        drop((first, second));
        let stopped = Instant::now();
        provisioner.signal(Signal::SIGTERM);
        let output = provisioner.output();
        assert_eq!(output.code, 0, "{output:?}");
        assert!(stopped.elapsed() < PATIENCE);
    }
}

#[test]
fn a_provisioner_killed_in_the_middle_of_a_node_takes_it_up_again() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    site(&lab, "p1", "shell", "helper_timeout: 1h\n");
    lab.write("hang", "");
    let waiting = node(&lab, "n1");
    let killed = start(&lab, "p1");
    until("the helper hangs", &killed, || lab.path("hung").exists());
    killed.signal(Signal::SIGKILL);
    let output = killed.output();
    assert_eq!(output.code, -9, "{output:?}");
    std::fs::remove_file(lab.path("hang")).expect("removed");
    assert!(audit(&lab).is_empty());
    let again = start(&lab, "p1");
    let _member = waiting.ready();
    lab.wait_for_fleet(1);
    until("the node is audited", &again, || audit(&lab).len() == 1);
    assert_eq!(audit(&lab), [("n1.lab.example.net".to_owned(), "provisioned".to_owned())]);
}

#[test]
fn of_two_provisioners_one_works_and_the_other_takes_over_when_it_is_killed() {
    let lab = Lab::new();
    let _broker = start_broker_with_short_leads(&lab);
    for name in ["p1", "p2"] {
        site(&lab, name, "shell", "leader_election: true\n");
    }
    let provisioners = [start(&lab, "p1"), start(&lab, "p2")];
    let leads = |process: &Process| process.log().contains("leading: provisioning begins");
    until("one leads", &provisioners[0], || provisioners.iter().any(leads));
    let [one, two] = provisioners;
    let (leader, other) = if leads(&one) { (one, two) } else { (two, one) };
    let first = node(&lab, "n1");
    let _first = first.ready();
    lab.wait_for_fleet(1);
    assert!(!leads(&other), "two lead");
    assert_eq!(audit(&lab), [("n1.lab.example.net".to_owned(), "provisioned".to_owned())]);

    leader.signal(Signal::SIGKILL);
    drop(leader);
    let second = node(&lab, "n2");
    until("the other leads", &other, || leads(&other));
    let _second = second.ready();
    lab.wait_for_fleet(2);
    assert_eq!(audit(&lab).len(), 2);
}

#[test]
fn a_leader_that_loses_its_lead_in_the_middle_of_a_node_makes_no_further_call() {
    let lab = Lab::new();
    let _broker = start_broker_with_short_leads(&lab);
    site(&lab, "p1", "shell", "leader_election: true\nhelper_timeout: 1h\n");
    lab.write("hang", "");
    let provisioner = start(&lab, "p1");
    let waiting = node(&lab, "n1");
    until("the helper hangs", &provisioner, || {
        !std::fs::read_to_string(lab.path("hung")).unwrap_or_default().is_empty()
    });
    let helper = lab.read("hung").trim().to_owned();
    std::fs::remove_file(lab.path("hang")).expect("removed");

    evict(&lab);
    until("the work is given up", &provisioner, || !audit(&lab).is_empty());
    assert_eq!(audit(&lab)[0], ("n1.lab.example.net".to_owned(), "paused".to_owned()));
    assert!(lab.read("audit.jsonl").contains("provisioning is paused, cannot perform helper"));
    let stat = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    until("the helper is gone", &provisioner, || stat(&helper).is_empty() || stat(&helper).contains(") Z"));

    // Nobody else wants the lead, so it is won again, and the node found again.
    let _member = waiting.ready();
    lab.wait_for_fleet(1);
    assert_eq!(audit(&lab).len(), 2);
}

/// A lead that is not renewed is over after three seconds.
fn start_broker_with_short_leads(lab: &Lab) -> Process {
    let text = lab.read("broker.conf");
    lab.write("broker.conf", &format!("{text}plugin.choria.network.stream.leader_election_ttl = 3s\n"));
    lab.start_broker()
}

/// Takes the lead from whoever has it.
fn evict(lab: &Lab) {
    let public = lab.keys("admin");
    let words = ["jwt", "client", "admin.jwt", "up=admin", "issuer.seed", "--public-key", &public, "--org-admin"];
    lab.choria(&[&words[..], &["--validity", "1d"]].concat()).succeeded();
    lab.write("admin.conf", &lab.read("client.conf").replace("/client.", "/admin."));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let admin = lab.connect("admin").await;
        let bucket = Bucket::new(&admin.connection, network::election::BUCKET, None).expect("a bucket");
        bucket.delete("provisioner", None, PATIENCE).await.expect("deleted");
    });
}

#[test]
fn mistakes_in_both_files_are_told_at_once() {
    let lab = Lab::new();
    lab.write("p.yaml", "workers: many\ninterval: 5s\nfeatures: {ed25519: true}\n");
    lab.write("p.cfg", "plugin.choria.middleware_hosts = 127.0.0.1:4222\nttl = soon\n");
    let output = lab.start("choria-provisioner", &["--config", "p.yaml", "--choria-config", "p.cfg"]).output();
    output.failed(
        1,
        &[
            "workers: must be a whole number",
            "interval: 5s is too small",
            "helper: is not set",
            "jwt_signing_key: is not set",
            "ttl",
        ],
    );
    let output = lab.start("choria-provisioner", &["--config", "nothing.yaml"]).output();
    output.failed(1, &["nothing.yaml", "cannot be read", "--config"]);
}
