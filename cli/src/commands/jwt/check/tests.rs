//! Messages, forms and exit codes of the probe.

use super::*;
use clap::Parser;
use tokens::{ClientClaims, Seed, SigningKey};

const MADE: u64 = 1_700_000_000;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    check: Check,
}

fn parse(flags: &[&str]) -> Check {
    Line::try_parse_from(["check", "client.jwt"].iter().chain(flags)).expect("valid flags").check
}

fn at(unix: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix)
}

fn issuer() -> Seed {
    Seed::from_bytes([1; 32])
}

/// A token that passes every check without flags, changed by `change`.
fn token(change: impl Fn(&mut ClientClaims)) -> String {
    let mut claims =
        ClientClaims::new("up=alice", Duration::from_secs(3600), at(MADE), &mut rand::rngs::OsRng).unwrap();
    claims.standard.public_key = Some(Seed::from_bytes([2; 32]).public().to_string());
    claims.additional_publish_subjects = vec!["acme.in".to_owned()];
    change(&mut claims);
    claims.sign(&SigningKey::Ed25519(issuer())).unwrap()
}

fn nagios(check: &Check, token: &str, now: u64) -> String {
    let mut report = Report::new("client.jwt");
    check.check(token, at(now), &mut report);
    report.render(Format::Nagios).unwrap()
}

#[test]
fn a_good_token_passes() {
    let key = issuer().public().to_string();
    let rows: [&[&str]; 8] = [
        &[],
        &["--purpose", "client", "--identity", "up=alice", "--issuer", &key],
        &["--validity-min", "59m", "--validity-max", "1h"],
        &["--no-chain-issuer"],
        &["--pub", "acme.in"],
        &["--query", "agents == nil and tcs == nil and len(callerid) > 3"],
        &["--query", "not (permissions?.org_admin == true)", "--query", "pub_subjects == ['acme.in']"],
        &["--query", "callerid == 'up=alice'", "--query", "exp > iat and purpose contains 'client'"],
    ];
    for flags in rows {
        let line = nagios(&parse(flags), &token(|_| {}), MADE);
        assert_eq!(line, "OK client.jwt OK:client token | expires=3600.0000s\n", "{flags:?}");
    }
}

#[test]
fn each_flag_has_its_message() {
    let other = Seed::from_bytes([9; 32]).public().to_string();
    let rows: [(&[&str], &str); 13] = [
        (&["--purpose", "server"], "Crit:choria_client_id purpose OK:client token"),
        (&["--validity-min", "2h"], "Crit:expires in 1h0m0s OK:client token"),
        (&["--validity-max", "30m"], "Crit:expires in 1h0m0s OK:client token"),
        (&["--chain-issuer"], "Crit:chain issuer: false OK:client token"),
        (&["--issuer", "zz"], "Crit:invalid issuer"),
        (&["--issuer", &other], "Crit:the token was changed or not signed by the expected issuer"),
        (&["--client-opa"], "Crit:no OPA policy OK:client token"),
        (&["--sub", "x", "--pub", "acme.in"], "Crit:subscribe x OK:client token"),
        (&["--pub", "x"], "Crit:publish x OK:client token"),
        (&["--identity", "up=bob"], "Crit:identity up=alice OK:client token"),
        (&["--query", "callerid == 'up=bob'"], "Crit:callerid == 'up=bob' OK:client token"),
        (
            &["--query", "callerid"],
            "Crit:invalid query: callerid: its result is neither true nor false OK:client token",
        ),
        (&["--query", "1 +"], "Crit:invalid query: 1 +: "),
    ];
    for (flags, expected) in rows {
        let line = nagios(&parse(flags), &token(|_| {}), MADE);
        assert!(line.starts_with(&format!("CRITICAL client.jwt {expected}")), "{flags:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn what_every_token_needs_is_checked_without_flags() {
    type Change = fn(&mut ClientClaims);
    let rows: [(Change, u64, &str); 5] = [
        (|claims| claims.standard.id.clear(), MADE, "Crit:no id OK:client token | expires=3600.0000s"),
        (|claims| claims.standard.expires = None, MADE, "Crit:no expiry OK:client token"),
        (|claims| claims.standard.not_before = None, MADE, "Crit:no not before OK:client token | expires=3600.0000s"),
        (|claims| claims.standard.public_key = None, MADE, "Crit:no public key OK:client token | expires=3600.0000s"),
        (|_| {}, MADE + 3601, "Crit:expired OK:client token | expires=-1.0000s"),
    ];
    for (change, now, expected) in rows {
        let line = nagios(&parse(&[]), &token(change), now);
        assert_eq!(line, format!("CRITICAL client.jwt {expected}\n"));
    }
    assert_eq!(nagios(&parse(&[]), "garbage", MADE), "CRITICAL client.jwt Crit:unknown token purpose\n");
}

#[test]
fn results_have_four_forms() {
    let mut report = Report::new("a\"b.jwt");
    report.expires(12.5);
    report.ok("client token");
    report.critical("no id");
    let json = "{\n  \"status\": \"CRITICAL\",\n  \"check_suite\": \"jwt\",\n  \"check_name\": \"a\\\"b.jwt\",\n  \"critical\": [\n    \"no id\"\n  ],\n  \"ok\": [\n    \"client token\"\n  ],\n  \"perf_data\": [\n    {\n      \"name\": \"expires\",\n      \"value\": 12.5,\n      \"warning\": 0,\n      \"critical\": 0,\n      \"unit\": \"s\"\n    }\n  ]\n}\n";
    assert_eq!(report.render(Format::Json).unwrap(), json);
    let metrics = "\
# HELP choria_jwt_expires Seconds until expiry
# TYPE choria_jwt_expires gauge
choria_jwt_expires{item=\"a.b.jwt\"} 12.5
# HELP choria_jwt_status_code Nagios compatible status code for jwt
# TYPE choria_jwt_status_code gauge
choria_jwt_status_code{item=\"a.b.jwt\",status=\"CRITICAL\"} 2
";
    assert_eq!(report.render(Format::Prometheus).unwrap(), metrics);
    let text = report.render(Format::Text).unwrap();
    assert!(text.starts_with("a\"b.jwt: CRITICAL\n\nStatus Detail\n\n╭"), "{text}");
    assert!(text.contains("│ Critical │ no id        │") && text.contains("│ expires │ 12.500 │ s "), "{text}");
    assert_eq!(report.exit_code(Format::Nagios), ExitCode::from(2));
    assert_eq!(report.exit_code(Format::Prometheus), ExitCode::SUCCESS);
}
