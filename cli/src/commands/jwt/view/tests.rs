//! What is shown of each kind of token, compared with recordings.

use super::*;
use std::time::Duration;
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey};
use vectors::{Folder, Tally};

/// One recorded run: `$ choria jwt view FILE [ISSUER]`, its output, `exit code: N`.
struct Recorded<'a> {
    file: &'a str,
    validated: bool,
    output: &'a str,
    failed: bool,
}

fn recorded(text: &str) -> Vec<Recorded<'_>> {
    let runs = text.split("$ choria jwt view ").skip(1);
    let run = |run: &'_ str| -> Option<(usize, usize, usize, bool, bool)> {
        let (command, rest) = run.split_once('\n')?;
        let (output, code) = rest.rsplit_once("exit code: ")?;
        let file = command.split(' ').next()?;
        Some((file.len(), command.len() + 1, output.len(), command.contains(' '), code.trim() != "0"))
    };
    runs.map(|text| {
        let (file, start, length, validated, failed) = run(text).expect("a command, its output and its exit code");
        Recorded { file: &text[..file], validated, output: &text[start..start + length], failed }
    })
    .collect()
}

fn view(file: &str) -> View {
    View { file: file.into(), public: None, json: false }
}

/// The time of the recording, from the expiry and the time that was left or had passed.
fn now(output: &str, expiry: SystemTime) -> Option<SystemTime> {
    let (_, rest) = output.split_once(" UTC (")?;
    let (text, _) = rest.split_once(')')?;
    match text.strip_prefix("expired ") {
        Some(past) => Some(expiry + duration::parse(past.trim_end_matches(" ago")).ok()?),
        None => Some(expiry - duration::parse(text).ok()?),
    }
}

fn expiry(token: &str) -> Option<SystemTime> {
    let claims = claims_of(token).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(claims.get("exp")?.as_u64()?))
}

#[test]
fn recorded_tokens_are_shown_as_recorded() {
    let (commands, folder) = (Folder::open("cli"), Folder::open("tokens"));
    let issuer = folder.index["issuer_public_key"].as_str().expect("a key").to_owned();
    let text = commands.text("jwt-view.txt");
    let mut tally = Tally::new("cli: jwt view");
    for run in recorded(&text) {
        // Some of the tokens shown there were not kept.
        if !folder.path(run.file).exists() {
            println!("no token {}", run.file);
            continue;
        }
        let token = folder.text(run.file);
        let key = run.validated.then(|| VerificationKey::find(&issuer).expect("a key"));
        tally.case(run.file, || {
            let Some(now) = expiry(&token).and_then(|expiry| now(run.output, expiry)) else {
                let refused = view(run.file).page(&token, key, SystemTime::UNIX_EPOCH).is_err();
                return if refused && run.failed { Ok(()) } else { Err("not refused".to_owned()) };
            };
            let page = view(run.file).page(&token, key, now).map_err(|error| format!("{error:#}"))?;
            if page.expired != run.failed {
                return Err(format!("expired is {}", page.expired));
            }
            if page.text.trim_end() == run.output.trim_end() { Ok(()) } else { Err(page.text) }
        });
    }
    tally.finish();
}

fn at(unix: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix)
}

fn client() -> ClientClaims {
    ClientClaims::new("up=rip", Duration::from_secs(679), at(1_700_000_000), &mut rand::rngs::OsRng).unwrap()
}

fn sign(claims: &ClientClaims) -> String {
    claims.sign(&SigningKey::Ed25519(Seed::from_bytes([1; 32]))).unwrap()
}

#[test]
fn optional_lines_of_a_client_stand_in_their_order() {
    let mut claims = client();
    claims.allowed_agents = vec!["rpcutil.*".to_owned(), "puppet.status".to_owned()];
    claims.additional_publish_subjects = vec!["b.>".to_owned()];
    claims.additional_subscribe_subjects = vec!["a.>".to_owned(), "c".to_owned()];
    claims.permissions = Some(ClientPermissions::default());
    claims.user_properties.insert("group".to_owned(), "ops".to_owned());
    claims.opa_policy = Some("package io.choria.aaasvc\n\ndefault allow = true".to_owned());
    let page = view("client.jwt").page(&sign(&claims), None, at(1_700_000_000)).unwrap();
    let expected = "\
Unvalidated Client Identification Token client.jwt

          Caller ID: up=rip
  Organization Unit: choria
     Allowed Agents: rpcutil.*, puppet.status
         Public Key: 
 Private Network ID: 7419405695a186147a0de38f7e31a509
         Expires At: 2023-11-14 22:24:39 +0000 UTC (11m19s)
 Subscriptions Subjects: a.>, c
   Publish Subjects: b.>

 Client Permissions:

      No user specific permissions granted

    User Properties: {
                       \"group\": \"ops\"
                     }
         OPA Policy: package io.choria.aaasvc
                     
                     default allow = true
";
    assert_eq!(page.text, expected);
    assert!(!page.expired);
}

#[test]
fn the_place_in_a_chain_of_trust_is_told() {
    let organization = Seed::from_bytes([1; 32]);
    let mut claims = client().standard;
    assert_eq!(describe_trust_chain(&claims).unwrap(), None);
    claims.public_key = Some(Seed::from_bytes([2; 32]).public().to_string());
    claims.add_org_issuer(&organization).unwrap();
    let expected = format!("Can Issue Clients as part of a trust chain with Issuer {}", organization.public());
    assert_eq!(describe_trust_chain(&claims).unwrap(), Some(expected));
    claims.id.push('x');
    let expected = "Invalid signing data, issued users will be invalid".to_owned();
    assert_eq!(describe_trust_chain(&claims).unwrap(), Some(expected));
    claims.issuer = "C-broken".to_owned();
    assert!(describe_trust_chain(&claims).is_err());
}

#[test]
fn json_shows_every_claim_in_order() {
    let view = View { json: true, ..view("client.jwt") };
    let page = view.page(&sign(&client()), None, at(2_000_000_000)).unwrap();
    assert!(!page.expired, "claims can be printed of an expired token too");
    let keys: Vec<&str> = page.text.lines().filter_map(|line| line.trim().split('"').nth(1)).collect();
    assert_eq!(keys, ["callerid", "exp", "iat", "iss", "jti", "nbf", "ou", "purpose"]);
    assert!(page.text.starts_with("{\n  \"callerid\": \"up=rip\",\n"), "{}", page.text);
}

#[test]
fn a_server_without_permissions_has_no_block_of_them() {
    let public = Seed::from_bytes([2; 32]).public();
    let collectives = vec!["choria".to_owned()];
    let validity = Duration::from_secs(60);
    let random = &mut rand::rngs::OsRng;
    let mut claims = ServerClaims::new("n1", collectives, public, validity, at(1_700_000_000), random).unwrap();
    claims.additional_publish_subjects = vec!["acme.>".to_owned()];
    let text = server::render(&claims, at(1_700_000_120)).unwrap();
    assert!(text.contains("  Additional Subjects: acme.>\n"), "{text}");
    assert!(text.contains(" UTC (expired 1m0s ago)\n"), "{text}");
    assert!(!text.contains("Permissions"), "{text}");
}
