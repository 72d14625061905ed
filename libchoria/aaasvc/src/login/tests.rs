//! Logins against the list of users: what is remembered, what is followed, what is counted.

use super::*;
use crate::testing::{CHAIN, ORGANIZATION, Site, USER, seed};
use serde_json::json;
use std::net::Ipv4Addr;
use tokens::{Seed, read_client};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn request(user: &str, password: &str, seed: &Seed, now: SystemTime) -> LoginRequest {
    let timestamp = now.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs().to_string();
    let signature = seed.sign(format!("{timestamp}:{user}:{password}").as_bytes()).to_hex();
    let public_key = seed.public().to_string();
    LoginRequest {
        username: user.to_owned(),
        password: zeroize::Zeroizing::new(password.to_owned()),
        public_key,
        signature,
        timestamp,
    }
}

async fn attempt(login: &Login, user: &str, password: &str) -> Result<String, Refusal> {
    let now = SystemTime::now();
    login.attempt(request(user, password, &Seed::generate(), now), HERE, now).await
}

#[tokio::test]
async fn nobody_can_tell_an_unknown_user_from_a_wrong_password() {
    let memory = Arc::new(Memory::new());
    let site = Site::new();
    let login = site.login(&memory);
    let rows = [("choria", "secret", true), ("choria", "wrong", false), ("nobody", "secret", false)];
    for (number, (user, password, allowed)) in rows.into_iter().enumerate() {
        let result = attempt(&login, user, password).await;
        assert_eq!(result.is_ok(), allowed, "{user} {password}");
        assert!(result.err().is_none_or(|refusal| refusal.text() == "Login failed" && refusal.label() == "password"));
        assert_eq!(memory.comparisons(), number as u64 + 1, "{user} {password}: not exactly one hash");
    }
}

#[tokio::test]
async fn what_proves_nothing_costs_no_hash() {
    let memory = Arc::new(Memory::new());
    let site = Site::new();
    let login = site.login(&memory);
    let now = SystemTime::now();
    let good = || request("choria", "secret", &seed(USER), now);
    let rows: [(&str, LoginRequest); 6] = [
        ("no key", LoginRequest { public_key: String::new(), ..good() }),
        ("a short key", LoginRequest { public_key: "00".repeat(31), ..good() }),
        ("a weak key", LoginRequest { public_key: "00".repeat(32), ..good() }),
        ("no number", LoginRequest { timestamp: "now".to_owned(), ..good() }),
        ("another password", LoginRequest { password: zeroize::Zeroizing::new("x".to_owned()), ..good() }),
        ("half a signature", LoginRequest { signature: "00".to_owned(), ..good() }),
    ];
    for (case, request) in rows {
        let refusal = login.attempt(request, HERE, now).await.expect_err(case);
        assert_eq!((refusal.text(), refusal.label()), ("Login failed", "request"), "{case}");
    }
    for (seconds, allowed) in [(60, true), (61, false)] {
        let later = SystemTime::UNIX_EPOCH
            + Duration::from_secs(now.duration_since(SystemTime::UNIX_EPOCH).expect("now").as_secs() + seconds);
        let result = login.attempt(request("choria", "secret", &Seed::generate(), now), HERE, later).await;
        assert_eq!(result.is_ok(), allowed, "{seconds} s old");
    }
    let early = now - Duration::from_secs(1);
    assert!(login.attempt(good(), HERE, early).await.is_err(), "from the future");
    assert_eq!(memory.comparisons(), 1);
}

#[tokio::test]
async fn two_of_the_same_at_once_are_one_login() {
    let memory = Arc::new(Memory::new());
    let site = Site::new();
    let login = site.login(&memory);
    let now = SystemTime::now();
    let same = || login.attempt(request("choria", "secret", &seed(USER), now), HERE, now);
    let (one, two, three) = tokio::join!(same(), same(), same());
    assert_eq!([one, two, three].iter().filter(|result| result.is_ok()).count(), 1);
    assert!(matches!(same().await, Err(Refusal::Replayed)));
}

#[tokio::test]
async fn the_users_file_and_policies_are_followed() {
    let mut site = Site::new();
    let hash = bcrypt::hash("hunter2", 4).expect("a hash");
    site.config["userlist_authenticator"]["users_file"] = json!(site.path("users.json"));
    let users = |names: &[&str]| {
        let user = |name: &&str| {
            json!({"username": name, "password": hash, "opa_policy_file": site.path("jo.rego"), "organization": "acme",
            "acls": ["rpcutil.*"], "properties": {"group": "ops"}})
        };
        json!(names.iter().map(user).collect::<Vec<_>>()).to_string()
    };
    site.write("users.json", &users(&["jo"]));
    site.write("jo.rego", "package io.choria.aaasvc\n");
    let login = site.login(&Arc::new(Memory::new()));
    let token = attempt(&login, "jo", "hunter2").await.expect("a token");
    let claims = read_client(&token).expect("claims");
    assert_eq!(
        (claims.organization_unit.as_str(), claims.allowed_agents.as_slice()),
        ("acme", ["rpcutil.*".to_owned()].as_slice())
    );
    assert_eq!(claims.opa_policy.as_deref(), Some("package io.choria.aaasvc\n"));
    assert_eq!(claims.user_properties.get("group").map(String::as_str), Some("ops"));
    assert!(
        attempt(&login, "choria", "secret").await.is_err(),
        "with a file the configuration's own users do not count"
    );

    site.write("jo.rego", "package io.choria.aaasvc\ndefault allow = true\n");
    let claims = read_client(&attempt(&login, "jo", "hunter2").await.expect("a token")).expect("claims");
    assert!(claims.opa_policy.expect("a policy").contains("default allow"), "the policy is read at each login");
    std::fs::remove_file(site.path("jo.rego")).expect("removed");
    let refusal = attempt(&login, "jo", "hunter2").await.expect_err("no policy");
    assert_eq!((refusal.text(), refusal.label()), ("Login failed", "issue"));

    site.write("jo.rego", "package io.choria.aaasvc\n");
    site.write("users.json", &users(&["ann"]));
    assert!(attempt(&login, "ann", "hunter2").await.is_ok() && attempt(&login, "jo", "hunter2").await.is_err());
    site.write("users.json", "[{]");
    let refusal = attempt(&login, "ann", "hunter2").await.expect_err("no users");
    assert_eq!((refusal.text(), refusal.label()), ("Login failed", "users"));
}

#[tokio::test]
async fn the_chain_issuer_comes_from_the_configuration_alone() {
    let site = Site::new();
    let login = site.login(&Arc::new(Memory::new()));
    let token = attempt(&login, "admin", "secret").await.expect("a token");
    let claims = read_client(&token).expect("claims");
    assert!(claims.standard.issuer.ends_with(&seed(CHAIN).public().to_string()), "{}", claims.standard.issuer);
    let roots = tokens::TrustRoots::signers(vec![seed(ORGANIZATION).public().into()]);
    assert!(roots.verify_client(&token, SystemTime::now()).is_ok());

    // Files that were replaced by some that do not fit: the password is right, and there is no token.
    let broken: [(&str, &str, String); 4] = [
        ("a token that is no issuer's", "chain-signer.jwt", site.read("request-signer.jwt")),
        ("no token", "chain-signer.jwt", "x".to_owned()),
        ("another seed", "chain-signer.seed", "07".repeat(32)),
        ("no seed", "chain-signer.seed", String::new()),
    ];
    for (case, file, content) in broken {
        let before = site.read(file);
        site.write(file, &content);
        let refusal = attempt(&login, "admin", "secret").await.expect_err(case);
        assert_eq!(refusal.text(), "Could not sign JWT token", "{case}: {refusal}");
        site.write(file, &before);
    }
    assert!(attempt(&login, "admin", "secret").await.is_ok());
}

#[tokio::test]
async fn plain_tokens_are_signed_with_ed25519_or_rsa() {
    let rsa = vectors::root().join("tokens");
    let rows = [
        (Site::new().path(""), "chain-signer.seed", None),
        (rsa.clone(), "rsa.key.pem", Some(rsa.join("rsa.pub.pem"))),
    ];
    for (folder, file, public) in rows {
        let mut site = Site::new();
        let section = &mut site.config["userlist_authenticator"];
        section["signing_token"] = json!("");
        if public.is_some() {
            section["signing_key"] = json!(folder.join(file));
        }
        let login = site.login(&Arc::new(Memory::new()));
        let token = attempt(&login, "choria", "secret").await.expect("a token");
        let public = match public {
            Some(path) => tokens::VerificationKey::read(&path).expect("a key"),
            None => seed(CHAIN).public().into(),
        };
        let claims = tokens::TrustRoots::signers(vec![public]).verify_client(&token, SystemTime::now()).expect(file);
        assert_eq!(claims.standard.issuer, "Choria Userlist Authenticator");
        assert_eq!(claims.caller_id, "up=choria");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_logins_than_can_wait_are_refused() {
    let memory = Arc::new(Memory::new());
    let site = Site::new();
    let login = site.login(&memory);
    memory.waiting.store(MOST_WAITING, Ordering::Relaxed);
    let refusal = attempt(&login, "choria", "secret").await.expect_err("full");
    assert_eq!((refusal.text(), refusal.label()), ("Login failed", "busy"));
    memory.waiting.store(0, Ordering::Relaxed);
    assert!(attempt(&login, "choria", "secret").await.is_ok());
    assert_eq!(memory.waiting.load(Ordering::Relaxed), 0);
}
