//! Whom a connection trusts: any broker, a CA, a certificate that is itself trusted; and who is refused in which words.

mod support;

use choria_network::{ConnectError, Connection, Options, Tls, TlsFiles, Trust, connect};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use support::fake::{FakeBroker, Manner};
use support::{options, token_login, within};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A certificate authority, and what it or itself signed.
struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

/// What a broker presents.
struct Presented {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = parameters(name, &[], Validity::Now);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: parameters.self_signed(&key).expect("a certificate"), key }
    }

    fn issue(&self, common_name: &str, names: &[&str], validity: Validity) -> Presented {
        let key = KeyPair::generate().expect("a key");
        let parameters = parameters(common_name, names, validity);
        let certificate = parameters.signed_by(&key, &self.certificate, &self.key).expect("a certificate");
        Presented { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Validity {
    Now,
    Past,
}

fn parameters(common_name: &str, names: &[&str], validity: Validity) -> CertificateParams {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    if validity == Validity::Past {
        parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
    }
    parameters
}

/// What `openssl req -x509` makes: self-signed, marked as CA, and used as a server's certificate.
fn self_signed_authority(names: &[&str], validity: Validity) -> Presented {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = parameters("broker", names, validity);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).expect("a certificate");
    Presented { certificate: certificate.der().clone(), pem: certificate.pem(), key }
}

/// A broker with the certificate `presented`, which demands one from clients that `clients` signed, if given.
async fn broker(presented: &Presented, clients: Option<&Authority>) -> FakeBroker {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("protocol versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.certificate.der().clone()).expect("a root");
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::try_from(presented.key.serialize_der()).expect("a key");
    let config = builder.with_single_cert(vec![presented.certificate.clone()], key).expect("a server");
    FakeBroker::start_tls(Manner::Accept, config).await
}

fn write(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn authorities(file: &Path, common_names: bool) -> TlsFiles {
    TlsFiles { trust: Trust::Authorities { file: file.to_owned(), common_names }, ..TlsFiles::default() }
}

async fn attempt(broker: &FakeBroker, tls: Tls) -> Result<Connection, ConnectError> {
    let options =
        Options { tls, patience: Some(Duration::ZERO), ..options(&broker.address, token_login("up=alice", [3; 32])) };
    within("an answer", connect(options, CancellationToken::new())).await
}

#[tokio::test]
async fn certificates_are_judged_by_the_configured_authorities() {
    let directory = tempfile::tempdir().expect("a directory");
    let ours = Authority::new("ours");
    let others = Authority::new("others");
    let namesake = Authority::new("ours");
    let ca = write(&directory, "ca.pem", &ours.certificate.pem());

    // Brokers are reached as localhost.
    let self_signed = self_signed_authority(&["localhost"], Validity::Now);
    let expired = self_signed_authority(&["localhost"], Validity::Past);
    let misnamed = self_signed_authority(&["elsewhere"], Validity::Now);
    let file = |name: &str, presented: &Presented| write(&directory, name, &presented.pem);
    let (itself, itself_expired, itself_misnamed) =
        (file("self.pem", &self_signed), file("expired.pem", &expired), file("misnamed.pem", &misnamed));

    let rows: &[(&str, Presented, TlsFiles, Result<(), &str>)] = &[
        ("signed", ours.issue("b", &["localhost"], Validity::Now), authorities(&ca, false), Ok(())),
        (
            "by another",
            others.issue("b", &["localhost"], Validity::Now),
            authorities(&ca, false),
            Err("UnknownIssuer; no certificate in the configured CA file"),
        ),
        (
            "by a namesake",
            namesake.issue("b", &["localhost"], Validity::Now),
            authorities(&ca, false),
            Err("BadSignature; no certificate in the configured CA file"),
        ),
        (
            "other name",
            ours.issue("b", &["elsewhere"], Validity::Now),
            authorities(&ca, false),
            Err("does not carry the name it was reached by"),
        ),
        (
            "expired",
            ours.issue("b", &["localhost"], Validity::Past),
            authorities(&ca, false),
            Err("must be renewed, or this clock is wrong"),
        ),
        ("old style", ours.issue("LocalHost", &[], Validity::Now), authorities(&ca, true), Ok(())),
        (
            "old style, not allowed",
            ours.issue("localhost", &[], Validity::Now),
            authorities(&ca, false),
            Err("does not carry the name"),
        ),
        (
            "old style, other name",
            ours.issue("elsewhere", &[], Validity::Now),
            authorities(&ca, true),
            Err("does not carry the name"),
        ),
        (
            "names win over old style",
            ours.issue("localhost", &["elsewhere"], Validity::Now),
            authorities(&ca, true),
            Err("does not carry the name"),
        ),
        ("itself trusted", self_signed, authorities(&itself, false), Ok(())),
        ("itself trusted, expired", expired, authorities(&itself_expired, false), Err("must be renewed")),
        ("itself trusted, other name", misnamed, authorities(&itself_misnamed, false), Err("does not carry the name")),
        (
            "a CA of its own",
            self_signed_authority(&["localhost"], Validity::Now),
            authorities(&ca, false),
            Err("TLS failed"),
        ),
        ("anyone", self_signed_authority(&["elsewhere"], Validity::Past), TlsFiles::default(), Ok(())),
    ];
    for (name, presented, files, expected) in rows {
        let mut broker = broker(presented, None).await;
        let result = attempt(&broker, Tls::new(files).expect("TLS")).await;
        match expected {
            Ok(()) => {
                assert!(result.is_ok(), "{name}: {result:?}");
                assert_eq!(broker.next_connect().await["tls_required"], true, "{name}");
            }
            Err(part) => {
                let text = result.expect_err(name).to_string();
                assert!(text.contains("TLS failed: ") && text.contains(part), "{name}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_broker_may_demand_a_certificate() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new("ca");
    let broker = broker(&authority.issue("b", &["localhost"], Validity::Now), Some(&authority)).await;
    let client = authority.issue("client", &["client"], Validity::Now);
    let certificate = write(&directory, "client.pem", &client.pem);
    let key = write(&directory, "client.key", &client.key.serialize_pem());

    let with = TlsFiles { identity: Some((certificate, key)), ..TlsFiles::default() };
    assert!(attempt(&broker, Tls::new(&with).expect("TLS")).await.is_ok());
    let text = attempt(&broker, Tls::unverified().expect("TLS")).await.expect_err("it must fail").to_string();
    assert!(text.contains("the broker may demand a client certificate"), "{text}");
}

#[tokio::test]
async fn tls_is_neither_forced_nor_dropped_silently() {
    let authority = Authority::new("ca");
    let encrypted = broker(&authority.issue("b", &["localhost"], Validity::Now), None).await;
    let text = attempt(&encrypted, Tls::disabled().expect("no TLS")).await.expect_err("it must fail").to_string();
    assert!(text.contains("the broker demands TLS but TLS is disabled here"), "{text}");

    let mut plain = FakeBroker::start(Manner::Accept).await;
    let text = attempt(&plain, Tls::unverified().expect("TLS")).await.expect_err("it must fail").to_string();
    assert!(text.contains("TLS failed") || text.contains("closed the connection"), "{text}");
    assert!(attempt(&plain, Tls::disabled().expect("no TLS")).await.is_ok());
    assert_eq!(plain.next_connect().await["tls_required"], false);
}

#[test]
fn unusable_files_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = write(&directory, "empty.pem", "");
    let garbage = write(&directory, "garbage.pem", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n");
    let authority = Authority::new("ca");
    let certificate = write(&directory, "certificate.pem", &authority.certificate.pem());
    let key = write(&directory, "other.key", &KeyPair::generate().expect("a key").serialize_pem());
    let missing = directory.path().join("missing.pem");
    let identity = |certificate: &PathBuf, key: &PathBuf| TlsFiles {
        identity: Some((certificate.clone(), key.clone())),
        ..TlsFiles::default()
    };
    let rows = [
        (authorities(&missing, false), "cannot read CA certificates from", "missing.pem"),
        (authorities(&empty, false), "holds no certificate", "empty.pem"),
        (authorities(&garbage, false), "cannot read CA certificates from", "garbage.pem"),
        (identity(&certificate, &missing), "cannot read private key from", "missing.pem"),
        (identity(&certificate, &key), "cannot be used", "other.key"),
    ];
    for (files, part, name) in rows {
        let text = Tls::new(&files).expect_err(name).to_string();
        assert!(text.contains(part) && text.contains(name), "{name}: {text}");
    }
}

#[test]
fn suites_and_curves_are_those_that_are_named() {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = Tls::new(&TlsFiles::default()).expect("TLS");
    let rows: &[(&[&str], &[&str], usize, usize)] = &[
        // suites, curves, TLS 1.2 suites left, curves left; a list in which nothing is known leaves everything
        (&[], &[], 6, 3),
        (&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], &["CurveP256"], 1, 1),
        (&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_UNKNOWN"], &["CurveP256", "X25519", "CurveP521"], 1, 2),
        (&["TLS_UNKNOWN"], &["CurveP521"], 6, 3),
    ];
    for (suites, curves, expected_suites, expected_curves) in rows {
        let files = TlsFiles { cipher_suites: strings(suites), curves: strings(curves), ..TlsFiles::default() };
        let tls = Tls::new(&files).expect("TLS");
        let provider = tls.config().crypto_provider();
        let old = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none()).count();
        assert_eq!((old, provider.kx_groups.len()), (*expected_suites, *expected_curves), "{suites:?} {curves:?}");
        let modern =
            |tls: &Tls| tls.config().crypto_provider().cipher_suites.iter().filter(|s| s.tls13().is_some()).count();
        assert_eq!(modern(&tls), modern(&all), "{suites:?}");
    }
}

/// The stand-in that knows no certificates must not reach anybody who wants the platform's.
#[test]
fn only_the_client_library_gets_no_platform_certificates() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--workspace",
            "--prefix",
            "none",
            "--depth",
            "1",
            "--invert",
            "rustls-native-certs",
        ])
        .current_dir(workspace)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let users: Vec<&str> = text.lines().skip(1).filter(|line| !line.is_empty()).collect();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(users.iter().all(|user| user.starts_with("async-nats ")), "{users:?}");
}
