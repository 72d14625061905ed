//! The self-check: every mistake is listed, with the key that repairs it.

mod party;

use choria_security::{Parts, Provider, Role, SetupErrors, Trust, trust_roots};
use config::{Protection, Settings, SettingsBuilder};
use party::{ALICE, DAY, ISSUER, SERVER, alice, client_token, fleet, now, seed, server_token};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokens::{ClientClaims, write_private};

const TOKEN: &str = "plugin.security.choria.token_file";
const SEED: &str = "plugin.security.choria.seed_file";
const NAMES: &str = "plugin.security.issuer.names";
const KEY: &str = "plugin.security.issuer.choria.public";
const SIGNERS: &str = "plugin.security.choria.trusted_signers";

/// A folder with the files of a node and of a user.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| write_private(&folder.path().join(name), text.as_bytes()).expect("a file");
    write("server.jwt", &server_token(ISSUER, "n1", SERVER));
    write("alice.jwt", &format!("{}\n", alice(fleet())));
    let of_alice = |change: fn(&mut ClientClaims)| client_token(ISSUER, "up=alice", ALICE, change);
    write("expired.jwt", &of_alice(|claims| claims.standard.expires = Some(now() - DAY)));
    write("early.jwt", &of_alice(|claims| claims.standard.not_before = Some(now() + DAY)));
    write("eternal.jwt", &of_alice(|claims| claims.standard.expires = None));
    write("garbage.jwt", "garbage");
    seed(SERVER).write(&folder.path().join("server.seed")).expect("a file");
    seed(ALICE).write(&folder.path().join("alice.seed")).expect("a file");
    folder
}

/// Settings of the provider `choria`; values that end in `.jwt` or `.seed` are files of `folder`.
fn settings(folder: &Path, values: &[(&str, &str)]) -> SettingsBuilder {
    let builder = Settings::builder().set("identity", "n1").set("plugin.security.provider", "choria").user("alice");
    values.iter().fold(builder, |builder, (key, value)| {
        let is_file = value.ends_with(".jwt") || value.ends_with(".seed");
        let path = folder.join(value);
        builder.set(key, if is_file { path.to_str().expect("a path") } else { value })
    })
}

fn issuer() -> String {
    seed(ISSUER).public().to_string()
}

fn errors(result: Result<Parts, SetupErrors>) -> Vec<String> {
    result.err().map(|errors| errors.list().iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn complete_setups_make_providers() {
    let (folder, issuer) = (folder(), issuer());
    let server =
        settings(folder.path(), &[(TOKEN, "server.jwt"), (SEED, "server.seed"), (NAMES, "choria"), (KEY, &issuer)]);
    let provider = Provider::from_settings(&server.build().unwrap(), Role::Server, now()).unwrap();
    assert_eq!((provider.identity().as_str(), provider.caller().as_str()), ("n1", "n1"));
    assert!(matches!(provider.trust(), Trust::Tokens(_)));

    let alice = settings(folder.path(), &[(TOKEN, "alice.jwt"), (SEED, "alice.seed")]);
    let provider = Provider::from_settings(&alice.build().unwrap(), Role::Client, now()).unwrap();
    assert_eq!((provider.identity().as_str(), provider.caller().as_str()), ("alice", "up=alice"));
    assert!(matches!(provider.trust(), Trust::Nobody) && provider.roots().is_none());
    assert!(!provider.token().unwrap().ends_with('\n'));

    let signers = settings(folder.path(), &[(TOKEN, "server.jwt"), (SEED, "server.seed"), (SIGNERS, &issuer)]);
    let provider = Provider::from_settings(&signers.build().unwrap(), Role::Server, now()).unwrap();
    assert!(provider.roots().is_some());
}

#[test]
fn each_mistake_has_its_sentence() {
    let (folder, issuer) = (folder(), issuer());
    let trust = [(NAMES, "choria"), (KEY, issuer.as_str())];
    let server_files = [(TOKEN, "server.jwt"), (SEED, "server.seed")];
    let alice = [(TOKEN, "alice.jwt"), (SEED, "alice.seed")];
    let login = [("plugin.login.aaasvc.login.url", "https://aaa.example.net/choria/v1/login")];
    let with = |token: &'static str| vec![(TOKEN, token), (SEED, "alice.seed")];
    let server = |more: &[(&'static str, &'static str)]| [&trust[..], &server_files[..], more].concat();
    let rows = [
        (Role::Client, vec![(SEED, "alice.seed")], "path to the JWT token is not configured"),
        (Role::Client, vec![(TOKEN, "alice.jwt")], "path to the ed25519 seed is not configured"),
        (Role::Client, with("missing.jwt"), "plugin.security.choria.token_file: cannot read"),
        (Role::Client, with("garbage.jwt"), "malformed"),
        (Role::Client, vec![(TOKEN, "alice.jwt"), (SEED, "garbage.jwt")], "plugin.security.choria.seed_file"),
        (Role::Client, vec![(TOKEN, "alice.jwt"), (SEED, "server.seed")], "the seed does not belong to it"),
        (Role::Client, vec![(TOKEN, "alice.jwt"), (SEED, "server.seed")], "server.seed: the seed"),
        (Role::Client, with("expired.jwt"), "expired at 2023-11-13T22:13:20Z: obtain a new one"),
        (
            Role::Client,
            [&with("expired.jwt")[..], &login].concat(),
            "expired at 2023-11-13T22:13:20Z: run `choria login`",
        ),
        (Role::Client, [&with("missing.jwt")[..], &login].concat(), "missing.jwt: run `choria login`"),
        (
            Role::Client,
            [&[(TOKEN, "alice.jwt"), (SEED, "no.seed")][..], &login].concat(),
            "no.seed: run `choria login`",
        ),
        (Role::Client, with("early.jwt"), "is valid from 2023-11-15T22:13:20Z"),
        (Role::Client, with("eternal.jwt"), "never expires"),
        (Role::Server, [&trust[..], &alice[..]].concat(), "is a client token: a server needs a server token"),
        (Role::Server, server(&[("identity", "n2")]), "identity n2 does not match caller n1 in JWT token"),
        (Role::Server, server_files.to_vec(), "no trusted token signers or issuers configured"),
        (
            Role::Server,
            server(&[("plugin.security.issuer.names", "choria, other")]),
            "plugin.security.issuer.other.public",
        ),
        (
            Role::Server,
            server(&[(SIGNERS, "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")]),
            "only configure one of",
        ),
        (
            Role::Server,
            server(&[("plugin.choria.security.server.token_file", "x.jwt")]),
            "server.token_file can not be set",
        ),
        (
            Role::Server,
            server(&[("plugin.choria.security.server.seed_file", "x.seed")]),
            "server.seed_file can not be set",
        ),
        (
            Role::Client,
            [&alice[..], &[("plugin.choria.security.request_signer.token_file", "x.jwt")]].concat(),
            "request_signer.token_file can not be set",
        ),
        (
            Role::Client,
            [&alice[..], &[("plugin.choria.security.request_signer.seed_file", "x.seed")]].concat(),
            "request_signer.seed_file can not be set",
        ),
    ];
    for (role, values, expected) in rows {
        let settings = settings(folder.path(), &values).build().unwrap_or_else(|error| panic!("{expected}: {error}"));
        let errors = errors(Parts::from_settings(&settings, role, now()));
        assert!(errors.len() == 1 && errors[0].contains(expected), "{expected}: {errors:#?}");
    }
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let folder = folder();
    let settings = settings(folder.path(), &[("plugin.choria.security.server.token_file", "x.jwt")]).build().unwrap();
    let error = Provider::from_settings(&settings, Role::Server, now()).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.list().len(), 4, "{text}");
    assert!(text.starts_with("security setup is not valid, 4 errors encountered:\n  plugin.choria."), "{text}");
}

#[test]
fn anonymous_tls_and_other_providers_are_not_for_this_one() {
    let folder = folder();
    let values = [
        (TOKEN, "alice.jwt"),
        (SEED, "alice.seed"),
        ("plugin.security.client_anon_tls", "true"),
        ("plugin.choria.security.request_signer.service", "true"),
    ];
    let client = settings(folder.path(), &values).build().unwrap();
    assert_eq!(
        errors(Parts::from_settings(&client, Role::Client, now())),
        ["plugin.security.client_anon_tls can not be set when the choria security provider is used: remove it"]
    );
    let puppet = Settings::builder().build().unwrap();
    assert_eq!(
        errors(Parts::from_settings(&puppet, Role::Client, now())),
        [
            "this build has the security provider `choria` only so far, not \"puppet\": set plugin.security.provider = choria"
        ]
    );
}

#[test]
fn a_client_is_its_user() {
    let folder = folder();
    let files = [(TOKEN, "alice.jwt"), (SEED, "alice.seed")];
    for (user, expected) in [("", "ensure USER environment variable is set"), ("a b", "USER environment variable: ")] {
        let settings = settings(folder.path(), &files).user(user).build().unwrap();
        let errors = errors(Parts::from_settings(&settings, Role::Client, now()));
        assert!(errors.len() == 1 && errors[0].contains(expected), "{errors:?}");
    }
}

#[test]
fn clocks_may_differ_by_five_seconds() {
    let folder = folder();
    let settings = settings(folder.path(), &[(TOKEN, "alice.jwt"), (SEED, "alice.seed")]).build().unwrap();
    for (seconds, usable) in [(5, true), (6, false)] {
        let later = now() + DAY + Duration::from_secs(seconds);
        assert_eq!(Parts::from_settings(&settings, Role::Client, later).is_ok(), usable, "{seconds} s after its end");
    }
}

#[test]
fn without_protection_nothing_is_needed() {
    let folder = folder();
    let protection = Protection { signed_messages: false, validate_security: false, ..Protection::default() };
    let settings = settings(folder.path(), &[]).protection(protection).build().unwrap();
    let parts = Parts::from_settings(&settings, Role::Server, now()).unwrap();
    assert!(parts.credentials.is_none() && !parts.sign_replies && matches!(parts.trust, Trust::Insecure));
    assert!(trust_roots(&settings).unwrap().is_none());
}
