//! The statistics endpoints of broker and server as Prometheus meets them, and the files in daemons/monitoring/ against
//! what is really exported.

use choria_tests::exposition::{self, Families};
use choria_tests::{Lab, PATIENCE, Process, free_port, http};
use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[test]
fn every_metric_of_the_files_is_exported_and_every_exported_metric_is_explained() {
    let site = Site::start();
    let (broker, server) = (site.scrape(site.broker_port), site.scrape(site.server_port));
    let exported: BTreeSet<String> = broker.keys().chain(server.keys()).cloned().collect();
    let documented = documented();
    let explained: BTreeSet<String> = documented.iter().map(|(name, _)| name.clone()).collect();

    for (name, kind) in &documented {
        if let Some(family) = broker.get(name).or(server.get(name)) {
            assert_eq!(&family.kind, kind, "type of {name} in README.md");
        } else {
            // This laboratory has no leaf nodes and no provisioner; unit tests of their exporters cover these.
            let elsewhere = ["choria_network_leafnode_", "choria_provisioner_", "choria_election_"];
            let covered = elsewhere.iter().any(|prefix| name.starts_with(prefix));
            assert!(covered, "{name} is in README.md and nobody exports it");
        }
    }
    let unexplained: Vec<_> = exported.difference(&explained).collect();
    assert!(unexplained.is_empty(), "exported and not in README.md: {unexplained:?}");

    let mut expressions = 0;
    for (place, expression) in dashboard("broker.json").into_iter().chain(dashboard("fleet.json")).chain(alerts()) {
        for name in names(&place, &expression) {
            let known = name == "up" || explained.contains(base(&name, &explained));
            assert!(known, "{place} asks for {name}, which nobody exports: {expression}");
        }
        expressions += 1;
    }
    assert!(expressions > 100, "only {expressions} expressions were found");
    shared_names_are_those_of_the_original(&broker, &server);
}

#[test]
fn the_endpoint_answers_what_it_should_and_withstands_the_rest() {
    let site = Site::start();
    for port in [site.broker_port, site.server_port] {
        methods_and_paths(port);
        garbage(port);
        slow_clients_do_not_lock_others_out(port);
        many_at_once(port);
    }
    let about = http::get(site.server_port, "/choria/");
    let about: Value = serde_json::from_str(&about.body).expect("JSON");
    for key in ["version", "sha", "build_date", "license", "tls", "secure", "go", "max_broker_clients"] {
        assert!(!about["build"][key].is_null(), "{key} in {about}");
    }
    assert!(
        about["system"]["rss"].as_u64() > Some(1_000_000) && about["system"]["cpu_cores"].as_u64() > Some(0),
        "{about}"
    );
    assert_eq!(about["identity"], "n1.lab.example.net");
    assert!(about["config_file"].as_str().is_some_and(|file| file.ends_with("n1.conf")), "{about}");
}

#[test]
fn monitoring_of_nats_server_is_passed_on_without_tokens() {
    let site = Site::start();
    let token = site.lab.read("mallory.jwt");
    let varz: Value = serde_json::from_str(&http::get(site.broker_port, "/varz").body).expect("JSON");
    assert_eq!(varz["server_name"], "broker.lab.example.net", "{varz}");
    for path in ["/connz", "/routez", "/gatewayz", "/leafz", "/subsz", "/accountz", "/accstatz", "/jsz", "/healthz"] {
        let page = http::get(site.broker_port, path);
        assert_eq!(page.status, 200, "{path}: {page:?}");
        serde_json::from_str::<Value>(&page.body).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let denied = |query: &str| http::get(site.broker_port, &format!("/connz?{query}")).body;
    for query in
        ["auth=1&state=closed", "state=closed&auth=true", "%61uth=1&state=closed", "state=closed&auth=1&subs=1"]
    {
        let page = denied(query);
        assert!(page.contains("\"reason\": \"Authentication Failure\""), "the denied connection is there: {page}");
        assert!(!page.contains(token.trim()) && !page.contains("eyJ"), "{query} shows a token: {page}");
    }
    assert!(!denied("callback=f").starts_with("f("), "a page of others can read this");
}

/// A broker and a server with statistics, everything that makes a metric appear having happened.
struct Site {
    lab: Lab,
    broker_port: u16,
    server_port: u16,
    _processes: [Process; 2],
}

impl Site {
    fn start() -> Self {
        let lab = Lab::new();
        let (broker_port, server_port) = (free_port(), free_port());
        append(&lab, "broker.conf", &format!("plugin.choria.stats_port = {broker_port}\n{ADAPTER}"));
        let folder = lab.folder().display().to_string();
        let broker =
            lab.start_with("choria-broker", &["--config", "broker.conf"], &[("STATE_DIRECTORY", &folder)]).ready();
        lab.submitting_server("n1", "n1.lab.example.net");
        // The server shows the broker's generated certificate as its own: only its end is looked at.
        let certificate = format!(
            "plugin.security.choria.certificate = {folder}/listener.pem\nplugin.security.choria.key = {folder}/listener.key\n"
        );
        append(&lab, "n1.conf", &format!("plugin.choria.stats_port = {server_port}\n{certificate}"));
        let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        lab.wait_for_fleet(1);
        lab.keys("rogue");
        lab.client("mallory", "rogue.seed");
        assert_ne!(lab.choria_as("mallory", &["ping", "--timeout", "1"]).code, 0, "an untrusted issuer is refused");
        Self { lab, broker_port, server_port, _processes: [broker, server] }
    }

    fn scrape(&self, port: u16) -> Families {
        let page = http::get(port, "/choria/prometheus");
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", page.head);
        exposition::parse(&page.body).unwrap_or_else(|error| panic!("{error}\nin\n{}", page.body))
    }
}

fn append(lab: &Lab, file: &str, lines: &str) {
    lab.write(file, &format!("{}{lines}", lab.read(file)));
}

fn shared_names_are_those_of_the_original(broker: &Families, server: &Families) {
    let value = |families: &Families, name: &str| families[name].samples[0].2;
    assert!(value(broker, "choria_network_connections") >= 1.0);
    assert!(value(broker, "choria_network_stream_streams") >= 5.0);
    assert!(value(broker, "choria_broker_serving") == 1.0 && value(server, "choria_server_connected") == 1.0);
    assert!(value(server, "choria_server_validated") >= 1.0 && value(server, "choria_server_replies") >= 1.0);
    let denied = &broker["choria_broker_connections_denied"].samples;
    let counted = |reason: &str| denied.iter().find(|sample| sample.1["reason"] == reason).map(|sample| sample.2);
    assert!(counted("token") >= Some(1.0) && counted("nonce") == Some(0.0), "{denied:?}");
    for (families, identity) in [(broker, "broker.lab.example.net"), (server, "n1.lab.example.net")] {
        let (_, labels, value) = &families["choria_build_info"].samples[0];
        assert_eq!((labels["identity"].as_str(), *value), (identity, 1.0));
        assert_eq!(families["choria_dns_srv_lookups"].samples[0].1["identity"], identity);
        assert!(families["choria_connector_initial_connect_time"].samples.iter().all(|sample| sample.1.is_empty()));
        assert!(families["choria_connector_initial_connect_time"].samples[1].2 >= 1.0);
    }
    let versions: Vec<_> =
        server["choria_protocol_valid"].samples.iter().map(|sample| sample.1["version"].as_str()).collect();
    assert_eq!(versions, ["1", "2"]);
}

fn methods_and_paths(port: u16) {
    let ask = |line: &str| {
        let request = format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n");
        http::exchange(port, request.as_bytes()).unwrap_or_else(|| panic!("no answer to {line}"))
    };
    for (line, status) in [
        ("GET / HTTP/1.1", 200),
        ("GET /choria/ HTTP/1.1", 200),
        ("GET /choria HTTP/1.1", 200),
        ("GET /choria/metrics HTTP/1.1", 200),
        ("GET /choria/prometheus?x=y HTTP/1.1", 200),
        ("GET /choria/prometheus/ HTTP/1.1", 404),
        ("GET /choria/../etc/passwd HTTP/1.1", 404),
        ("GET /metrics HTTP/1.1", 404),
        ("POST /choria/prometheus HTTP/1.1", 405),
        ("DELETE /choria/ HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 405),
    ] {
        let answer = ask(line);
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert_eq!(status == 405, answer.head.contains("allow: get, head"), "{line}: {answer:?}");
        assert!(answer.head.contains("cache-control: no-store"), "{line}: {answer:?}");
    }
    let head = ask("HEAD /choria/prometheus HTTP/1.1");
    assert_eq!((head.status, head.body.as_str()), (200, ""), "{head:?}");
}

/// Nothing that is no request harms the endpoint.
fn garbage(port: u16) {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5000));
    for request in
        [b"\x16\x03\x01\x02\x00\x01".as_slice(), b"\0\r\n\r\n", b"GET\r\n\r\n", long.as_bytes(), many.as_bytes()]
    {
        let shown = String::from_utf8_lossy(&request[..request.len().min(20)]).into_owned();
        let answer = http::exchange(port, request);
        assert!(answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status)), "{shown:?}: {answer:?}");
        assert_eq!(http::get(port, "/choria/").status, 200, "after {shown:?}");
    }
}

/// Connections that say nothing are closed, and others get their turn meanwhile or soon after.
fn slow_clients_do_not_lock_others_out(port: u16) {
    let mut silent: Vec<TcpStream> = (0..80)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
            stream.write_all(b"GET /choria/ HT").expect("half a request");
            stream
        })
        .collect();
    let began = Instant::now();
    assert_eq!(http::get(port, "/choria/").status, 200);
    assert!(began.elapsed() < PATIENCE);
    for stream in &mut silent {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut text = Vec::new();
        // Reset or end of file: either way it is over.
        if let Err(error) = stream.read_to_end(&mut text) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "a silent connection is still open");
        }
    }
}

fn many_at_once(port: u16) {
    let all: Vec<_> = (0..200).map(|_| std::thread::spawn(move || http::get(port, "/choria/metrics").status)).collect();
    assert!(all.into_iter().all(|one| one.join().expect("an answer") == 200));
}

/// An adapter makes metrics from its start on.
const ADAPTER: &str = "plugin.choria.adapters = registration\n\
    plugin.choria.adapter.registration.type = choria_streams\n\
    plugin.choria.adapter.registration.ingest.topic = choria.broadcast.agent.registration\n";

/// Names and types of the table in README.md.
fn documented() -> Vec<(String, String)> {
    let text = read("README.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| row.starts_with("choria_") || row.starts_with("process_"));
    // The test `aaasvc` looks after these.
    let rows = rows.filter(|row| !row.starts_with("choria_aaa_"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let found: Vec<_> = cells.map(|row| (row[0].trim_end_matches('`').to_owned(), row[1].to_owned())).collect();
    let unique: BTreeSet<_> = found.iter().map(|(name, _)| name).collect();
    assert!(found.len() > 50 && unique.len() == found.len(), "{} rows, {} names", found.len(), unique.len());
    found
}

/// The expressions of a dashboard, with the title of their panel.
fn dashboard(file: &str) -> Vec<(String, String)> {
    let board: Value = serde_json::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let variables: Vec<_> =
        board["templating"]["list"].as_array().expect("variables").iter().map(|one| &one["name"]).collect();
    assert_eq!(variables, ["datasource", "identity"], "{file}");
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in board["panels"].as_array().expect("panels") {
        let place = format!("{file}: {}", panel["title"]);
        assert!(ids.insert(panel["id"].as_u64()), "{place}: its id is there twice");
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap_or_default().is_empty(), "{place} says nothing of itself");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{place} has no unit");
        for target in panel["targets"].as_array().expect("targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}");
            let expression = target["expr"].as_str().expect("an expression").replace("$__rate_interval", "5m");
            found.push((place.clone(), expression));
        }
    }
    found
}

/// The expressions of the alert rules, with their names.
fn alerts() -> Vec<(String, String)> {
    let rules: Value = serde_yaml_ng::from_str(&read("alerts.yml")).expect("YAML");
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for group in rules["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let name = rule["alert"].as_str().expect("a name");
            assert!(names.insert(name), "{name} is there twice");
            for text in ["summary", "description"] {
                assert!(rule["annotations"][text].is_string(), "{name} has no {text}");
            }
            assert!(["warning", "critical"].iter().any(|known| rule["labels"]["severity"] == *known), "{name}");
            found.push((format!("alerts.yml: {name}"), rule["expr"].as_str().expect("an expression").to_owned()));
        }
    }
    found
}

/// The metrics that an expression asks for.
fn names(place: &str, expression: &str) -> Vec<String> {
    struct Names(Vec<String>);
    impl ExprVisitor for Names {
        type Error = Infallible;
        fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
            match expression {
                Expr::VectorSelector(selector) => self.0.extend(selector.name.clone()),
                Expr::MatrixSelector(selector) => self.0.extend(selector.vs.name.clone()),
                _ => {}
            }
            Ok(true)
        }
    }
    let parsed = parser::parse(expression).unwrap_or_else(|error| panic!("{place}: {error} in {expression}"));
    let mut names = Names(Vec::new());
    let Ok(_) = walk_expr(&mut names, &parsed);
    assert!(!names.0.is_empty(), "{place} asks for nothing: {expression}");
    names.0
}

/// The name of a summary without the ending of one of its values.
fn base<'a>(name: &'a str, known: &BTreeSet<String>) -> &'a str {
    let stripped = name.strip_suffix("_sum").or(name.strip_suffix("_count"));
    stripped.filter(|base| known.contains(*base)).unwrap_or(name)
}

fn read(file: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/monitoring").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
