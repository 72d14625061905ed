use super::*;

fn parse(text: &str) -> Result<Settings, Problems> {
    Settings::parse(Path::new("p.yaml"), text)
}

#[test]
fn the_demonstrations_file_loads_unchanged() {
    let path = vectors::root().join("config/provisioner.yaml");
    let settings = Settings::read(&path).expect("a valid file");
    assert_eq!((settings.workers, settings.interval), (4, Duration::from_secs(60)));
    assert_eq!(settings.helper, ["/etc/choria-provisioner/provisioner/helper.rb"]);
    assert_eq!(settings.token.reveal(), "s3cret");
    assert_eq!(settings.broker_password.as_ref().map(Secret::reveal), Some("s3cret"));
    assert_eq!((settings.site.as_str(), settings.insecure, settings.leader_election), ("testing", false, false));
    assert_eq!(settings.verify.as_deref(), Some("ISSUER"));
    assert_eq!(settings.logging.level, Level::Warn);
    let Credentials::Ed25519(signing) = &settings.credentials else { panic!("{settings:?}") };
    assert_eq!(signing.key, Path::new("/etc/choria-provisioner/credentials/signer.seed"));
    assert_eq!(signing.token.as_deref(), Some(Path::new("/etc/choria-provisioner/credentials/signer.jwt")));
    assert_eq!(signing.validity, Duration::from_secs(365 * 24 * 3600));
    assert!(settings.monitor.is_none() && settings.upgrades.is_none() && settings.audit_log.is_none());
    assert!(!format!("{settings:?}").contains("s3cret"), "a secret is shown");
}

#[test]
fn json_is_read_as_well() {
    let settings = parse(r#"{"workers": 2, "helper": "h 'a b' c", "interval": "2h", "monitor_port": 8080}"#);
    let settings = settings.expect("a valid file");
    assert_eq!((settings.workers, settings.interval), (2, Duration::from_secs(7200)));
    assert_eq!(settings.helper, ["h", "a b", "c"]);
    assert_eq!(settings.monitor, Some(("[::]".to_owned(), 8080)));
    assert_eq!((settings.helper_limit, settings.node_limit), (Duration::from_secs(10), Duration::from_secs(300)));
    assert_eq!(settings.component.to_string(), "provision_mode_server");
}

#[test]
fn nothing_said_means_the_defaults() {
    let settings = parse("helper: h\nworkers: 0\ninterval: ''\n").expect("a valid file");
    assert_eq!(settings.workers, processors());
    assert_eq!(settings.interval, Duration::from_secs(60));
    assert_eq!(settings.logging, Logging { destination: Destination::Automatic, level: Level::Warn });
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn every_problem_is_listed_with_its_key() {
    let rows = [
        ("", "helper: is not set"),
        ("helper: ''", "helper: is not set"),
        ("helper: \"a 'b\"", "helper: has a quotation mark that is not closed"),
        ("helper: '  '", "helper: names no program"),
        ("interval: 30s", "interval: 30s is too small: the minimum is 60 s"),
        ("interval: soon", "interval: \"soon\" is not a length of time"),
        ("interval: 60", "interval: must be text: put quotes around it"),
        ("workers: many", "workers: must be a whole number from 0 to 10000"),
        ("workers: -1", "workers: must be a whole number"),
        ("token: 12345", "token: must be text: put quotes around it"),
        ("token: [a]", "token: must be text"),
        ("choria_insecure: 'yes'", "choria_insecure: must be true or false"),
        ("monitor_port: 70000", "monitor_port: must be a whole number from 0 to 65535"),
        ("lifecycle_component: a.b", "lifecycle_component: must be one word"),
        ("lifecycle_component: '>'", "lifecycle_component: must be one word"),
        ("features: [pki]", "features: must hold keys with values"),
        ("features: {pki: true, ed25519: true}", "features: pki and ed25519 exclude each other"),
        ("features: {jwt: true}", "jwt_verify_cert: is not set"),
        ("features: {ed25519: true}", "jwt_signing_key: is not set"),
        ("features: {jwt: 1}", "features.jwt: must be true or false"),
        ("features: {upgrades: true}", "upgrades_repository: is not set"),
        ("upgrades_repository: ftp://x", "upgrades_repository: must be an address"),
        ("upgrades_repository: \"http://x\\ny\"", "upgrades_repository: must be an address"),
        ("{features: {pki: true}, cert_deny_list: ['(']}", "cert_deny_list: \"(\" is not a regular expression"),
        ("cert_deny_list: [1]", "cert_deny_list: must be a list of texts"),
        ("server_jwt_validity: 1h", "server_jwt_validity: 1h is too small"),
        ("- a", "the file must hold keys with values"),
        ("a: [", "the file is neither YAML nor JSON"),
        ("helper_timeout: 1ms", "helper_timeout: 1ms is too small"),
    ];
    for (text, expected) in rows {
        let problems = parse(text).expect_err(text).to_string();
        assert!(problems.contains(expected), "{text}: {problems}");
    }
    let all = parse("workers: x\ninterval: y\ntoken: 1\n").expect_err("many problems");
    let keys: Vec<&str> = all.list().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["workers", "interval", "helper", "token"]);
}

#[test]
fn what_means_nothing_is_told_and_no_obstacle() {
    let rows = [
        ("helper: h\nWorkers: 3\n", "Workers is not a known key and has no effect, did you mean workers?"),
        ("helper: h\nfeatures: {puppet: true}\n", "features.puppet is not a known key"),
        ("helper: h\nfeatures: {broker: true}\n", "features.broker has no effect: remove it"),
        ("helper: h\nrego_policy: /p.rego\n", "rego_policy has no effect: remove it"),
        ("helper: h\nfeatures: {jwt: true}\njwt_verify_cert: /nonexistent\n", "jwt_verify_cert: cannot read"),
    ];
    for (text, expected) in rows {
        let warnings = parse(text).expect("a valid file").warnings;
        assert!(warnings.iter().any(|warning| warning.contains(expected)), "{text}: {warnings:?}");
    }
}

#[test]
fn the_log_goes_where_the_file_says() {
    let rows = [
        ("", Destination::Automatic),
        ("logfile: stdout", Destination::Automatic),
        ("logfile: /dev/stderr", Destination::StandardError),
        ("logfile: discard", Destination::Discard),
        ("logfile: /var/log/p.log", Destination::File("/var/log/p.log".into())),
    ];
    for (line, expected) in rows {
        let settings = parse(&format!("helper: h\n{line}\n")).expect("a valid file");
        assert_eq!(settings.logging.destination, expected, "{line}");
    }
}

#[test]
fn the_shipped_file_is_valid_and_speaks_of_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/choria-provisioner/choria-provisioner.yaml");
    let text = std::fs::read_to_string(&path).expect("the shipped file");
    let settings = Settings::parse(&path, &text).expect("a valid file");
    assert!(
        settings.warnings.iter().all(|warning| warning.contains("cannot read") || warning.contains("cannot be read"))
    );
    let retired = ["broker_port", "rego_policy", "management"];
    for key in KEYS.iter().filter(|key| !retired.contains(key)) {
        let is_there = |line: &str| line.trim_start_matches('#').starts_with(&format!("{key}:"));
        assert!(text.lines().any(is_there), "{key} is not in the shipped file");
    }
    // What is commented out is valid as well.
    let all: String = text.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    let all = Settings::parse(&path, &all).expect("a valid file with everything in it");
    assert_eq!((all.workers, all.helper_limit, all.node_limit), (4, HELPER_LIMIT, NODE_LIMIT));
}

/// A setting that is commented out has no space behind the `#`.
fn uncommented(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
}
