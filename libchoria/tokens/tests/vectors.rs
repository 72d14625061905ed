//! Every recorded token gets the verdict, the claims and the signature that the Go implementation gave it.

use choria_tokens::{
    Category, ClientClaims, Invalid, Purpose, Seed, ServerClaims, SigningKey, StandardClaims, TrustRoots,
    VerificationKey, algorithm_of, claims_of, purpose_of, read_client, read_server,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vectors::{Folder, Tally};

/// What the tests of every case need.
struct Recorded {
    folder: Folder,
    now: SystemTime,
}

struct Case<'r> {
    token: String,
    recorded: &'r Value,
}

impl Recorded {
    fn open() -> Self {
        let folder = Folder::open("tokens");
        // All accepted tokens were valid when recorded: the latest beginning of validity is a time at which that was so.
        let cases = folder.index["cases"].as_array().expect("a list of cases");
        let accepted =
            cases.iter().flat_map(|case| ["client", "server", "provisioning"].map(|kind| &case["verify_as"][kind]));
        let latest = accepted.filter_map(|verdict| verdict["claims"]["nbf"].as_u64()).max().expect("an accepted token");
        Self { now: UNIX_EPOCH + Duration::from_secs(latest + 60), folder }
    }

    fn each(&self, what: &str, check: impl Fn(&Case<'_>) -> Result<(), String>) {
        let mut tally = Tally::new(what);
        for recorded in self.folder.index["cases"].as_array().expect("a list of cases") {
            let name = recorded["name"].as_str().expect("a name");
            let token = self.folder.text(recorded["file"].as_str().expect("a file"));
            let case = Case { token, recorded };
            tally.case(name, || check(&case));
        }
        tally.finish();
    }

    fn key(&self, case: &Case<'_>) -> VerificationKey {
        match case.recorded["verify_with"].as_str().expect("a key") {
            "issuer" => VerificationKey::read(&self.folder.path("issuer.public")).expect("the issuer's public key"),
            file => VerificationKey::read(&self.folder.path(file)).expect("a public key"),
        }
    }

    /// The seed whose public key is `public`.
    fn seed(&self, public: &str) -> Option<Seed> {
        let keys = self.folder.index["keys"].as_object().expect("keys by name");
        let found = keys.values().find(|key| key["public"] == public)?;
        Some(Seed::from_hex(found["seed"].as_str()?).expect("a seed"))
    }
}

#[test]
fn verdicts_and_claims_are_those_of_the_go_library() {
    let recorded = Recorded::open();
    recorded.each("tokens: verdicts", |case| {
        let roots = TrustRoots::signers(vec![recorded.key(case)]);
        let verdicts = &case.recorded["verify_as"];
        let client = roots.verify_client(&case.token, recorded.now).map(|verified| verified.into_claims());
        compare(&verdicts["client"], client).map_err(|why| format!("as client: {why}"))?;
        let server = roots.verify_server(&case.token, recorded.now).map(|verified| verified.into_claims());
        compare(&verdicts["server"], server).map_err(|why| format!("as server: {why}"))?;
        let provisioning = roots.verify_provisioning(&case.token, recorded.now).map(|verified| verified.into_claims());
        compare(&verdicts["provisioning"], provisioning).map_err(|why| format!("as provisioning: {why}"))
    });
}

#[test]
fn what_is_read_without_verifying_agrees_too() {
    let recorded = Recorded::open();
    recorded.each("tokens: unverified reading", |case| {
        let expect = |name: &str| case.recorded[name].clone();
        let purpose = purpose_of(&case.token).unwrap_or(Purpose::Unknown);
        same("purpose", &expect("purpose_unverified"), &Value::from(purpose.claim()))?;
        if case.recorded.get("algorithm").is_some() {
            same("algorithm", &expect("algorithm"), &Value::from(algorithm_of(&case.token).unwrap_or_default()))?;
        }
        let read = match purpose {
            Purpose::Client => read_client(&case.token).map(|claims| (claims.network_id(), claims.standard)),
            Purpose::Server => read_server(&case.token).map(|claims| (claims.network_id(), claims.standard)),
            Purpose::Provisioning | Purpose::Unknown => return Ok(()),
        };
        let Ok((network_id, standard)) = read else {
            return same("readable", &expect("is_expired"), &Value::Null);
        };
        same("is_expired", &expect("is_expired"), &Value::from(standard.is_expired(recorded.now)))?;
        same("unique_id", &expect("unique_id"), &Value::from(network_id.as_str()))?;
        let issuer = standard.is_chain_issuer();
        same("is_chain_issuer_verified", &expect("is_chain_issuer_verified"), &Value::from(issuer))?;
        let expiry = standard.effective_expiry().map(rfc3339);
        same("effective_expiry", &expect("effective_expiry"), &Value::from(expiry))
    });
}

#[test]
fn the_broker_accepts_the_same_connections() {
    let recorded = Recorded::open();
    let issuer = recorded.folder.index["issuer_public_key"].as_str().expect("a key").parse().expect("a key");
    let roots = TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer)]));
    recorded.each("tokens: broker", |case| {
        let Some(expected) = case.recorded["broker"]["accepted"].as_bool() else { return Ok(()) };
        let client = roots.verify_client(&case.token, recorded.now).ok();
        let client = client.filter(|claims| !claims.caller_id.is_empty()).map(|claims| claims.into_claims().standard);
        let server = roots.verify_server(&case.token, recorded.now).ok();
        let server = server.filter(|claims| !claims.identity.is_empty()).map(|claims| claims.into_claims().standard);
        let holder = client.or(server).and_then(|standard| standard.holder_key().ok());
        let public =
            recorded.folder.index["keys"][case.recorded["holder_key"].as_str().unwrap_or_default()]["public"].clone();
        let proven = holder.is_some_and(|key| public == key.to_string());
        same("accepted", &Value::from(expected), &Value::from(proven))
    });
}

#[test]
fn signing_again_gives_the_same_bytes() {
    let recorded = Recorded::open();
    let issuer = Seed::read(&recorded.folder.path("issuer.seed")).expect("the issuer's seed");
    recorded.each("tokens: signing again", |case| {
        let accepted = |kind: &str| case.recorded["verify_as"][kind]["ok"] == true;
        if case.recorded["algorithm"] != "EdDSA" || !["client", "server", "provisioning"].into_iter().any(accepted) {
            return Ok(());
        }
        let claims = claims_of(&case.token).map_err(|error| error.to_string())?;
        let chain_issuer = claims.get("iss").and_then(Value::as_str).and_then(|iss| iss.strip_prefix("C-"));
        let chain_issuer = chain_issuer.and_then(|iss| recorded.seed(iss.split_once('.')?.1));
        let seed = chain_issuer.as_ref().unwrap_or(&issuer);
        let (signed, signature) = case.token.rsplit_once('.').expect("three parts");
        same("signature", &Value::from(signature), &Value::from(seed.sign(signed.as_bytes()).to_base64()))
    });
}

#[test]
fn reissued_claims_are_read_back_unchanged() {
    let recorded = Recorded::open();
    let issuer = Seed::read(&recorded.folder.path("issuer.seed")).expect("the issuer's seed");
    let rsa = SigningKey::read(&recorded.folder.path("rsa.key.pem")).expect("the RSA key");
    let (issuer_key, issuer) = (issuer.public(), SigningKey::Ed25519(issuer));
    recorded.each("tokens: issuing again", |case| {
        let ed25519 = TrustRoots::signers(vec![issuer_key.into()]);
        let pem = VerificationKey::read(&recorded.folder.path("rsa.pub.pem")).map_err(|error| error.to_string())?;
        for (key, roots) in [(&issuer, ed25519), (&rsa, TrustRoots::signers(vec![pem]))] {
            if let Ok(claims) = read_client(&case.token) {
                if unverifiable_once_more(&claims.standard, recorded.now) {
                    continue;
                }
                let token = claims.sign(key).map_err(|error| error.to_string())?;
                let again = roots.verify_client(&token, recorded.now).map_err(|error| error.to_string())?;
                same_claims::<ClientClaims>(&claims, &again)?;
            }
            if let Ok(claims) = read_server(&case.token) {
                if unverifiable_once_more(&claims.standard, recorded.now) {
                    continue;
                }
                let token = claims.sign(key).map_err(|error| error.to_string())?;
                let again = roots.verify_server(&token, recorded.now).map_err(|error| error.to_string())?;
                same_claims::<ServerClaims>(&claims, &again)?;
            }
        }
        Ok(())
    });
}

/// Whether signing the claims directly gives a token that is refused for what it says.
fn unverifiable_once_more(standard: &StandardClaims, now: SystemTime) -> bool {
    standard.issuer.starts_with("C-") || standard.expires.is_some_and(|expires| expires <= now)
}

fn same_claims<T: PartialEq + std::fmt::Debug>(before: &T, after: &T) -> Result<(), String> {
    if before == after { Ok(()) } else { Err(format!("{before:?} became {after:?}")) }
}

fn compare(expected: &Value, verdict: Result<impl Serialize, Invalid>) -> Result<(), String> {
    match (expected["ok"].as_bool(), verdict) {
        (Some(true), Ok(claims)) => {
            let claims = serde_json::to_value(claims).map_err(|error| error.to_string())?;
            same("claims", &expected["claims"], &claims)
        }
        (Some(true), Err(invalid)) => Err(format!("refused: {invalid}")),
        (Some(false), Ok(_)) => Err(format!("accepted, but Go says {}", expected["error"])),
        (Some(false), Err(invalid)) => {
            let category = category_of(expected["error"].as_str().unwrap_or_default());
            if category == Some(invalid.category()) {
                return Ok(());
            }
            Err(format!("refused as {:?} ({invalid}), but Go says {}", invalid.category(), expected["error"]))
        }
        (None, _) => Err("the index holds no verdict".to_owned()),
    }
}

/// The kind of refusal that Go's text means. The order is that of the texts' nesting.
fn category_of(text: &str) -> Option<Category> {
    let table = [
        ("not signed by issuer", Category::Chain),
        ("token is malformed", Category::Malformed),
        ("token is unverifiable", Category::Unverifiable),
        ("signing method", Category::Unverifiable),
        ("token signature is invalid", Category::Signature),
        ("token is expired", Category::Expired),
        ("token is not valid yet", Category::NotYetValid),
        ("not a ", Category::Purpose),
    ];
    table.into_iter().find(|(part, _)| text.contains(part)).map(|(_, category)| category)
}

fn same(what: &str, expected: &Value, got: &Value) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{what} is {got} instead of {expected}")) }
}

fn rfc3339(time: SystemTime) -> String {
    use time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::from(time).format(&Rfc3339).expect("a time that can be written")
}
