//! Decisions and permissions compared with what a running Go broker decided, and callout messages with what real
//! nats-servers sent.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

use choria_broker_role::callout::{Answer, Curve, Keys, Question};
use choria_broker_role::decision::{
    Account, Decision, Grant, Kind, Networks, Policy, Provisioning, Request, Secret, System, Tls, Trust, decide,
};
use choria_broker_role::permissions::{self, Permissions, Side};
use nkeys::{KeyPair, XKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use tokens::{Purpose, Seed, TrustRoots};
use vectors::{Folder, Tally, root};

/// Every token that the running broker was shown, with what it registered.
#[test]
fn tokens_get_the_permissions_of_the_original() {
    let tokens = Folder::open("tokens");
    let permissions = json("connect/permissions.json");
    let issuer = tokens.text("issuer.public").trim().parse().unwrap();
    let policy = policy(TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer)])));
    let mut tally = Tally::new("connect/permissions.json by_token");
    for case in list(&permissions, "by_token") {
        let name = text(case, "/token");
        let Some(entry) = list(&tokens.index, "cases").iter().find(|entry| text(entry, "/name") == name) else {
            // Some tokens are only recorded as claims: enough for the lists, not for the decision.
            if !case["registered_as"].is_null() {
                tally.case(name, || compare_claims(case, ""));
            }
            continue;
        };
        let token = tokens.text(text(entry, "/file"));
        let seed = entry["holder_key"].as_str().and_then(|holder| seed_of(&tokens.index, holder));
        tally.case(name, || {
            let decision = decide(&request(&token, seed.as_ref()), &policy, recorded_at());
            compare(&decision, case.get("registered_as").filter(|expected| !expected.is_null()))
        });
    }
    tally.finish();
}

/// What real components of the demonstration network were given: their tokens are not recorded, so the lists are
/// derived from their claims.
#[test]
fn components_get_the_permissions_of_the_original() {
    let recorded = json("connect/permissions.json");
    let mut tally = Tally::new("connect/permissions.json seen_on_the_demonstration_network");
    for case in list(&recorded, "seen_on_the_demonstration_network") {
        let who = text(case, "/who");
        tally.case(who, || compare_claims(case, case["user"].as_str().unwrap_or_default()));
    }
    tally.finish();
}

/// Messages of real nats-servers: opened, verified, decided at their own time, answered, and the answer read back.
#[test]
fn callout_messages_are_read_and_answered() {
    let keys = recorded_keys();
    let policy = callout_policy();
    let mut tally = Tally::new("callout/raw-*");
    for name in ["client", "server", "denied"] {
        for version in ["2.10.27", "2.15.1"] {
            let file = format!("raw-{name}-{version}.json");
            tally.case(&file, || {
                let case = json(&format!("callout/{file}"));
                let wire = base64(text(&case, "/request_wire_b64"));
                let curve = text(&case, "/request_headers/Nats-Server-Xkey/0");
                let question = Question::open(&wire, Some(curve), &keys).map_err(|error| error.to_string())?;
                let plain = Question::parse(text(&case, "/request_jwt"), &keys.issuer.public_key());
                same(&plain.map_err(|error| error.to_string())?.user_key, &question.user_key)?;

                let decision = decide(&question.request, &policy, question.asked);
                let recorded = payload(text(&case, "/response_jwt"));
                check_answer(&decision, &question, &recorded)?;

                let server = XKey::new();
                let sealed = Answer::from(&decision)
                    .seal(&question, &server.public_key(), &keys, question.asked)
                    .map_err(|error| error.to_string())?;
                let ours = XKey::from_public_key(keys.curve.public_key()).unwrap();
                let opened = server.open(&sealed, &ours).map_err(|error| error.to_string())?;
                let ours = payload(std::str::from_utf8(&opened).unwrap());
                for path in ["/aud", "/sub", "/iss", "/nats/type", "/nats/version"] {
                    same(&ours.pointer(path), &recorded.pointer(path))?;
                }
                Ok(())
            });
        }
    }
    tally.finish();
}

/// Decoded requests of every kind of party, decided at their own time.
#[test]
fn callout_requests_get_the_decisions_of_the_original() {
    let with_issuers = callout_policy();
    let by_certificate = Policy {
        trust: Trust::Signers { clients: None, servers: None },
        provisioning: None,
        system: None,
        ..callout_policy()
    };
    let cases = [
        ("client-jwt-2.10.27", &with_issuers),
        ("client-jwt-2.15.1", &with_issuers),
        ("server-jwt-2.10.27", &with_issuers),
        ("system-orgadmin-2.10.27", &with_issuers),
        ("provisioner-2.10.27", &with_issuers),
        ("provisioning-server-2.10.27", &with_issuers),
        ("denied-2.10.27", &with_issuers),
        ("mtls-server-legacy-2.15.1", &by_certificate),
        ("leafnode-mtls-2.10.27", &by_certificate),
        ("websocket-mtls-2.10.27", &by_certificate),
    ];
    let mut tally = Tally::new("callout requests");
    for (name, policy) in cases {
        tally.case(name, || {
            let case = json(&format!("callout/{name}.json"));
            // The claims are recorded decoded: signed again, with a server key of this test in their places.
            let server = KeyPair::new_server();
            let mut claims = case["request_claims"].clone();
            claims["iss"] = server.public_key().into();
            claims["nats"]["server_id"]["id"] = server.public_key().into();
            let issuer = claims["sub"].as_str().unwrap().to_owned();
            let question = Question::parse(&signed(&claims, &server), &issuer).map_err(|error| error.to_string())?;
            let decision = decide(&question.request, policy, question.asked);
            compare_user(&decision, &case["user_claims"])
        });
    }
    tally.finish();
}

// Comparing

/// Compares a decision with what the original registered: `None` when it refused.
fn compare(decision: &Decision, registered: Option<&Value>) -> Result<(), String> {
    match (decision, registered) {
        (Decision::Deny(_), None) => Ok(()),
        (Decision::Deny(reason), Some(_)) => Err(format!("denied: {reason}")),
        (Decision::Allow(grant), None) => Err(format!("allowed as {}", grant.name)),
        (Decision::Allow(grant), Some(registered)) => {
            same(&grant.account.name(), &text(registered, "/account"))?;
            if grant.sole.is_none() {
                same(&grant.name.as_str(), &text(registered, "/username"))?;
            }
            same_limits(&grant.permissions, &limits(&registered["permissions"]))
        }
    }
}

/// Compares the lists that the claims of `case` give, when `user` logs in with them, with what the original registered.
fn compare_claims(case: &Value, user: &str) -> Result<(), String> {
    let token = unsigned(&case["claims"]);
    let derived = match (user, tokens::purpose_of(&token).map_err(|error| error.to_string())?) {
        ("provisioner" | "system", _) => Permissions::unlimited(),
        (_, Purpose::Client) => permissions::client(&tokens::read_client(&token).unwrap()).permissions,
        (_, Purpose::Server) => {
            let claims = tokens::read_server(&token).unwrap();
            permissions::server(&claims, &claims.identity.parse().unwrap()).permissions
        }
        _ => Permissions::provisioning_server(&"n1.example.net".parse().unwrap()),
    };
    same_limits(&derived, &limits(&case["registered_as"]["permissions"]))
}

fn check_answer(decision: &Decision, question: &Question, recorded: &Value) -> Result<(), String> {
    same(&question.user_key.as_str(), &text(recorded, "/sub"))?;
    same(&question.server.as_str(), &text(recorded, "/aud"))?;
    match recorded.pointer("/nats/jwt").and_then(Value::as_str) {
        Some(user) => compare_user(decision, &payload(user)),
        None => compare_user(decision, &Value::Null),
    }
}

/// Compares a decision with the claims of a user JWT, null when denied. Names that the original leaves empty are
/// filled here, so that monitoring never shows a token in their place.
fn compare_user(decision: &Decision, user: &Value) -> Result<(), String> {
    match (decision, user) {
        (Decision::Deny(_), Value::Null) => Ok(()),
        (Decision::Deny(reason), _) => Err(format!("denied: {reason}")),
        (Decision::Allow(grant), Value::Null) => Err(format!("allowed as {}", grant.name)),
        (Decision::Allow(Grant { account, name, permissions, .. }), user) => {
            same(&account.name(), &text(user, "/aud"))?;
            match user["name"].as_str() {
                Some(expected) => same(&name.as_str(), &expected)?,
                None => same(&name.is_empty(), &false)?,
            }
            let expected = Permissions { publish: side(&user["nats"]["pub"]), subscribe: side(&user["nats"]["sub"]) };
            same_limits(permissions, &expected)
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}

/// Compares lists. A node that waits to be provisioned gets less here than in the original, and nothing that the
/// original does not give it.
fn same_limits(ours: &Permissions, recorded: &Permissions) -> Result<(), String> {
    if recorded.subscribe.allow.iter().all(|subject| subject != "provisioning.node.>") {
        return same(&sorted(ours.clone()), &sorted(recorded.clone()));
    }
    let sides = [(&ours.publish, &recorded.publish), (&ours.subscribe, &recorded.subscribe)];
    for (ours, recorded) in sides {
        same(&ours.deny, &recorded.deny)?;
        let covered = |subject: &String| recorded.allow.iter().any(|wide| covers(wide, subject));
        match ours.allow.iter().find(|subject| !covered(subject)) {
            Some(subject) => return Err(format!("{subject} is not within {:?}", recorded.allow)),
            None if ours.allow.is_empty() => return Err("an empty list is no limit".to_owned()),
            None => {}
        }
    }
    Ok(())
}

/// Whether every subject that `narrow` matches is matched by `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(part)) if part != ">" => {}
            (Some(same), Some(part)) if same == part => {}
            _ => return false,
        }
    }
}

/// The recorded lists; `null` is no limit.
fn limits(value: &Value) -> Permissions {
    sorted(Permissions { publish: side(&value["publish"]), subscribe: side(&value["subscribe"]) })
}

fn side(value: &Value) -> Side {
    let subjects = |name: &str| -> Vec<String> {
        let listed = value[name].as_array().into_iter().flatten();
        listed.map(|subject| subject.as_str().unwrap().to_owned()).collect()
    };
    Side { allow: subjects("allow"), deny: subjects("deny") }
}

fn sorted(mut permissions: Permissions) -> Permissions {
    for side in [&mut permissions.publish, &mut permissions.subscribe] {
        side.allow.sort();
        side.deny.sort();
    }
    permissions
}

// Making requests and policies

fn policy(roots: TrustRoots) -> Policy {
    Policy {
        trust: Trust::Issuers(roots),
        provisioning: None,
        system: None,
        deny_servers: false,
        client_hosts: Networks::default(),
        read_only: false,
        enforce_expiry: false,
        certificates_on_issuer_network: false,
        renamed: None,
    }
}

/// The settings of the broker whose callout was recorded.
fn callout_policy() -> Policy {
    let issuer = "35402a4acf82c44fb5652f220df42178331230af4ef9a7faace422b8e1c452cd".parse().unwrap();
    Policy {
        provisioning: Some(Provisioning {
            password: Secret::new("s3cret".to_owned()),
            without_token: false,
            signer: None,
        }),
        system: Some(System { user: "system".to_owned(), password: Secret::new("system".to_owned()) }),
        ..policy(TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer)])))
    }
}

fn recorded_keys() -> Keys {
    Keys {
        issuer: KeyPair::from_seed("SAAPFF45BXBRYKMXX6HNEBY5JNN4MSPG7EOASDFDCJE4KXL2BSE4PKNKBI").unwrap(),
        curve: Curve::from_seed("SXADCKMAKX7R6MTEYWQBDILFX3FQS3NGR6E2ICGP6CMQK7TJPZCVZVLJ4M").unwrap(),
    }
}

fn request(token: &str, seed: Option<&Seed>) -> Request {
    let nonce = "9hD2kq0aZ1s_x7Y";
    Request {
        kind: Kind::Client,
        user: String::new(),
        password: None,
        token: Some(Secret::new(token.to_owned())),
        signature: seed.map(|seed| seed.sign(nonce.as_bytes()).to_base64()).unwrap_or_default(),
        nonce: nonce.to_owned(),
        tls: Tls::Unverified,
        address: None,
        name: "n1.example.net".to_owned(),
    }
}

/// The seed of the named key in `tokens/index.json`.
fn seed_of(index: &Value, name: &str) -> Option<Seed> {
    Seed::from_hex(index["keys"][name]["seed"].as_str()?).ok()
}

/// A token with `claims` and no signature: enough to read, never enough to verify.
fn unsigned(claims: &Value) -> String {
    format!(
        "{}.{}.c2ln",
        to_base64(r#"{"alg":"EdDSA","typ":"JWT"}"#.as_bytes()),
        to_base64(claims.to_string().as_bytes())
    )
}

fn signed(claims: &Value, key: &KeyPair) -> String {
    let header = to_base64(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#.as_bytes());
    let signed = format!("{header}.{}", to_base64(claims.to_string().as_bytes()));
    format!("{signed}.{}", to_base64(&key.sign(signed.as_bytes()).unwrap()))
}

// Reading recorded data

fn json(file: &str) -> Value {
    let path = root().join(file);
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no list {name}"))
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {path} in {value}"))
}

/// The claims of a JWT, not verified.
fn payload(jwt: &str) -> Value {
    use base64::Engine as _;
    let segment = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn to_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A moment while the tokens were recorded; they are valid for a hundred years from then.
fn recorded_at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_253_000)
}

/// Accounts by their recorded names, so that a renamed account is noticed.
#[test]
fn accounts_keep_their_names() {
    let names = [Account::Choria, Account::System, Account::Provisioning].map(Account::name);
    assert_eq!(names, ["choria", "system", "provisioning"]);
}
