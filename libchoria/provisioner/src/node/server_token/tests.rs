use super::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::PathBuf;
use tempfile::TempDir;
use tokens::{Seed, ServerPermissions, TrustRoots, read_server, write_private};

/// An organization, a chain issuer of it and what is configured.
struct Site {
    folder: TempDir,
    organization: Seed,
    signer: Seed,
    now: SystemTime,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
            organization: Seed::from_bytes([1; 32]),
            signer: Seed::from_bytes([2; 32]),
            now: UNIX_EPOCH + Duration::from_secs(1_795_251_907),
        };
        site.signer.write(&site.path("signer.seed")).expect("written");
        site.signing_token(&site.organization, site.signer.public(), 2 * 365);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the token of a chain issuer that `organization` appointed.
    fn signing_token(&self, organization: &Seed, key: PublicKey, days: u64) {
        let mut random = StdRng::seed_from_u64(1);
        let made = self.now - Duration::from_secs(3600);
        let validity = Duration::from_secs(days * 24 * 3600 + 1);
        let mut claims = ClientClaims::new("provisioner_signer", validity, made, &mut random).expect("claims");
        claims.standard.public_key = Some(key.to_string());
        claims.standard.add_org_issuer(organization).expect("an issuer");
        self.write_token(&claims.sign(&SigningKey::Ed25519(copy(organization))).expect("signed"));
    }

    fn write_token(&self, token: &str) {
        write_private(&self.path("signer.jwt"), token.as_bytes()).expect("written");
    }

    fn signing(&self, chain: bool) -> Signing {
        let token = chain.then(|| self.path("signer.jwt"));
        Signing { key: self.path("signer.seed"), token, validity: YEAR }
    }

    fn issue(&self, chain: bool, wishes: &ServerWishes, configuration: &[(&str, &str)]) -> Result<String, TokenError> {
        let identity = "n1.example.net".parse().expect("an identity");
        let holder = Holder { identity: &identity, public_key: Seed::from_bytes([3; 32]).public() };
        let configuration = configuration.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let mut random = StdRng::seed_from_u64(2);
        Signer::read(&self.signing(chain))?.issue(holder, wishes, &configuration, self.now, &mut random)
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn copy(seed: &Seed) -> Seed {
    // Seeds cannot be cloned; the tests' own are made of one repeated byte.
    let byte = (0..=255).find(|byte| Seed::from_bytes([*byte; 32]).public() == seed.public()).expect("a test seed");
    Seed::from_bytes([byte; 32])
}

#[test]
fn a_chained_token_verifies_with_the_organizations_key_alone() {
    let site = Site::new();
    let permissions = ServerPermissions { streams: true, submission: true, service_host: true, governor: false };
    let wishes = ServerWishes { permissions: Some(permissions), expires: Some(157_680_000), ..ServerWishes::default() };
    let token = site.issue(true, &wishes, &[("plugin.security.provider", "choria")]).expect("a token");
    let roots = TrustRoots::signers(vec![site.organization.public().into()]);
    let claims = roots.verify_server(&token, site.now).expect("a valid token").into_claims();
    assert_eq!((claims.identity.as_str(), claims.organization_unit.as_str()), ("n1.example.net", "choria"));
    assert_eq!(claims.collectives, ["choria"]);
    assert_eq!(claims.permissions, Some(permissions));
    assert_eq!(claims.standard.public_key, Some(Seed::from_bytes([3; 32]).public().to_string()));
    assert!(claims.standard.issuer.starts_with("C-") && claims.standard.subject.is_empty());
    assert_eq!(claims.standard.issued_at, claims.standard.not_before);
    assert_eq!(claims.standard.expires, Some(site.now + YEAR), "a length of time is not taken for a date");
    let other = TrustRoots::signers(vec![Seed::from_bytes([9; 32]).public().into()]);
    assert!(other.verify_server(&token, site.now).is_err(), "anybody's key verifies the token");
}

#[test]
fn a_token_does_not_outlive_its_issuer() {
    let site = Site::new();
    site.signing_token(&site.organization, site.signer.public(), 30);
    let claims = read_server(&site.issue(true, &ServerWishes::default(), &[]).expect("a token")).expect("claims");
    assert!(claims.standard.expires < Some(site.now + Duration::from_secs(31 * 24 * 3600)), "{claims:?}");
    assert_eq!(claims.standard.issuer_expires, claims.standard.expires);
}

#[test]
fn the_key_alone_signs_directly() {
    let site = Site::new();
    let token = site.issue(false, &ServerWishes::default(), &[]).expect("a token");
    let roots = TrustRoots::signers(vec![site.signer.public().into()]);
    let claims = roots.verify_server(&token, site.now).expect("a valid token").into_claims();
    assert_eq!(claims.standard.issuer, "Choria Provisioner");
    assert_eq!(claims.collectives, ["mcollective"]);
    assert_eq!(claims.permissions, None);
}

#[test]
fn the_helper_chooses_what_it_may() {
    let site = Site::new();
    let wishes = |change: fn(&mut ServerWishes)| {
        let mut wishes = ServerWishes::default();
        change(&mut wishes);
        wishes
    };
    let (hour, day) = (3600, 24 * 3600);
    let at = |seconds: u64| Some(site.now + Duration::from_secs(seconds));
    let rows = [
        ("nothing", wishes(|_| {}), &[][..], "choria", &["mcollective"][..], at(365 * day)),
        (
            "its organization",
            wishes(|w| w.organization = Some("acme".into())),
            &[],
            "acme",
            &["mcollective"],
            at(365 * day),
        ),
        (
            "its collectives",
            wishes(|w| w.collectives = vec!["a".into()]),
            &[("collectives", "b")],
            "choria",
            &["a"],
            at(365 * day),
        ),
        (
            "those of the configuration",
            wishes(|_| {}),
            &[("collectives", "b, c")],
            "choria",
            &["b", "c"],
            at(365 * day),
        ),
        (
            "a week",
            wishes(|w| w.expires = Some(1_795_251_907 + 7 * 24 * 3600)),
            &[],
            "choria",
            &["mcollective"],
            at(7 * day),
        ),
        ("an hour", wishes(|w| w.expires = Some(1_795_251_907 + 3600)), &[], "choria", &["mcollective"], at(365 * day)),
        (
            "a little more",
            wishes(|w| w.expires = Some(1_795_251_907 + 3601)),
            &[],
            "choria",
            &["mcollective"],
            at(hour + 1),
        ),
        ("never", wishes(|w| w.expires = Some(u64::MAX)), &[], "choria", &["mcollective"], at(365 * day)),
    ];
    for (name, wishes, configuration, organization, collectives, expires) in rows {
        let token = site.issue(false, &wishes, configuration).expect(name);
        let claims = read_server(&token).expect(name);
        assert_eq!(claims.organization_unit, organization, "{name}");
        assert_eq!(claims.collectives, collectives, "{name}");
        assert_eq!(claims.standard.expires, expires, "{name}");
    }
}

#[test]
fn issuers_that_no_node_would_accept_are_refused() {
    let site = Site::new();
    let refused = |expected: &str| {
        let error = site.issue(true, &ServerWishes::default(), &[]).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    site.signing_token(&site.organization, Seed::from_bytes([5; 32]).public(), 30);
    refused("the seed is not that of the chain issuer");

    let mut forged = ClientClaims::new("mallory", YEAR, site.now, &mut StdRng::seed_from_u64(3)).expect("claims");
    forged.standard.public_key = Some(site.signer.public().to_string());
    forged.standard.add_org_issuer(&Seed::from_bytes([6; 32])).expect("an issuer");
    forged.standard.issuer = format!("I-{}", site.organization.public());
    site.write_token(&forged.sign(&SigningKey::Ed25519(copy(&site.signer))).expect("signed"));
    refused("the organization issuer did not appoint this chain issuer");

    forged.standard.trust_chain_signature = None;
    site.write_token(&forged.sign(&SigningKey::Ed25519(copy(&site.signer))).expect("signed"));
    refused("tcs is missing");

    site.signing_token(&site.organization, site.signer.public(), 0);
    refused("is expired");

    site.write_token("nonsense");
    refused("jwt_signing_token cannot be read");

    std::fs::remove_file(site.path("signer.seed")).expect("removed");
    refused("signer.seed");
}

#[test]
fn the_recorded_token_has_the_same_claims() {
    let index = std::fs::read_to_string(vectors::root().join("provisioning/index.json")).expect("the recordings");
    let index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
    let cases = index["cases"].as_array().expect("cases");
    let configure = cases.iter().find(|case| case["body"]["action"] == "configure").expect("a configure request");
    let recorded = read_server(configure["body"]["data"]["server_jwt"].as_str().expect("a token")).expect("claims");
    let site = Site::new();
    let wishes =
        ServerWishes { permissions: recorded.permissions, expires: Some(157_680_000), ..ServerWishes::default() };
    let made = site.issue(true, &wishes, &[("plugin.security.provider", "choria")]).expect("a token");
    let shape = |token: &str| {
        let claims = tokens::claims_of(token).expect("claims");
        let keys: Vec<String> = claims.keys().cloned().collect();
        keys
    };
    assert_eq!(shape(&made), shape(configure["body"]["data"]["server_jwt"].as_str().expect("a token")));
    let made = read_server(&made).expect("claims");
    assert_eq!((made.collectives, made.organization_unit), (recorded.collectives, recorded.organization_unit));
}
