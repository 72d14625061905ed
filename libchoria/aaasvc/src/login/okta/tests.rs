//! Against a stand-in that speaks HTTPS and answers as Okta does.

use super::*;
use crate::testing::Site;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// An Okta organization with one user, `jo@ex.net`, id `00u1`, password `s&cret=`, in the groups `ops` and `dev`.
struct StandIn {
    endpoint: String,
    /// Request lines, authorizations and bodies as they came.
    asked: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl StandIn {
    async fn start(site: &Site) -> Self {
        let files = crate::settings::TlsFiles {
            certificate: site.path("public.crt"),
            key: site.path("private.key"),
            authorities: None,
        };
        let encryption = crate::http::Encryption::new(&files).expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = encryption.acceptor().accept(stream).await else { continue };
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !is_whole(&request) {
                    match stream.read(&mut buffer).await {
                        Ok(length) if length > 0 => request.extend_from_slice(&buffer[..length]),
                        _ => break,
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let (status, body) = answer(&request);
                log.lock().expect("a log").push(request);
                let body = body.to_string();
                let text = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _sent = stream.write_all(text.as_bytes()).await;
                let _ended = stream.shutdown().await;
            }
        });
        Self { endpoint, asked, _task: AbortOnDropHandle::new(task) }
    }

    fn organization(&self, site: &Site, secret: &str) -> Organization {
        let settings = settings::Okta {
            endpoint: self.endpoint.clone(),
            client_id: "client".to_owned(),
            client_secret: Zeroizing::new(secret.to_owned()),
            api_token: Zeroizing::new("api".to_owned()),
            acls: BTreeMap::from([
                ("ops".to_owned(), vec!["puppet.*".to_owned(), "rpcutil.ping".to_owned()]),
                ("dev".to_owned(), vec!["rpcutil.ping".to_owned(), "app.status".to_owned()]),
                ("boss".to_owned(), vec!["*".to_owned()]),
            ]),
            permissions: None,
            organization: String::new(),
            authorities: Some(site.path("public.crt")),
        };
        Organization::new(&settings).expect("an organization")
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().expect("a number"))
}

/// As Okta answers: 401 for a bad client, 400 `invalid_grant` for a bad password, 404 for what is not there.
fn answer(request: &str) -> (u16, Value) {
    let has = |text: &str| request.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
    let path = request.split(' ').nth(1).unwrap_or_default();
    match path {
        "/oauth2/default/v1/token" if !has("authorization: Basic Y2xpZW50OnNlY3JldA==") => (
            401,
            json!({"error": "invalid_client", "error_description": "The client secret supplied for a confidential client is invalid."}),
        ),
        "/oauth2/default/v1/token"
            if has("grant_type=password&scope=openid&username=jo%40ex%2Enet&password=s%26cret%3D") =>
        {
            (
                200,
                json!({"token_type": "Bearer", "expires_in": 3600, "access_token": "eyJ", "scope": "openid", "id_token": "eyJ"}),
            )
        }
        "/oauth2/default/v1/token" => {
            (400, json!({"error": "invalid_grant", "error_description": "The credentials provided were invalid."}))
        }
        _ if !has("authorization: SSWS api") => {
            (401, json!({"errorCode": "E0000011", "errorSummary": "Invalid token provided"}))
        }
        "/api/v1/users/jo%40ex%2Enet" => {
            (200, json!({"id": "00u1", "status": "ACTIVE", "profile": {"login": "jo@ex.net"}}))
        }
        "/api/v1/users/00u1/groups?limit=200" => (
            200,
            json!([
                {"id": "00g1", "type": "BUILT_IN", "profile": {"name": "Everyone"}},
                {"id": "00g2", "type": "OKTA_GROUP", "profile": {"name": "ops"}},
                {"id": "00g3", "type": "OKTA_GROUP", "profile": {"name": "dev"}},
            ]),
        ),
        _ => (404, json!({"errorCode": "E0000007", "errorSummary": "Not found"})),
    }
}

#[tokio::test]
async fn a_person_gets_what_the_groups_may() {
    let site = Site::new();
    let okta = StandIn::start(&site).await;
    let person = okta.organization(&site, "secret").person("jo@ex.net", "s&cret=").await.expect("a person");
    assert_eq!((person.caller.as_str(), person.issuer), ("okta=jo@ex.net", "Choria Okta Authenticator"));
    assert_eq!(person.acls, ["puppet.*", "rpcutil.ping", "app.status"]);
    let asked = okta.asked.lock().expect("a log").clone();
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[tokio::test]
async fn refusals_and_troubles_are_told_apart() {
    let site = Site::new();
    let okta = StandIn::start(&site).await;
    let rows = [
        ("a wrong password", "secret", "jo@ex.net", "wrong", true),
        ("nobody", "secret", "ann", "s&cret=", true),
        ("a name that is a path", "secret", "../../../groups", "s&cret=", true),
        ("a bad client secret", "other", "jo@ex.net", "s&cret=", false),
    ];
    for (case, secret, name, password, refused) in rows {
        let error = okta.organization(&site, secret).person(name, password).await.expect_err(case);
        assert_eq!(matches!(error, OktaError::Refused(_)), refused, "{case}: {error}");
        let text = error.to_string();
        assert!(!text.contains(password) && !text.contains(secret), "{case}: {text}");
    }
    let paths: Vec<String> = okta
        .asked
        .lock()
        .expect("a log")
        .iter()
        .map(|request| request.split(' ').nth(1).unwrap_or_default().to_owned())
        .collect();
    assert!(paths.iter().all(|path| path == "/oauth2/default/v1/token"), "{paths:?}");
}

#[tokio::test]
async fn an_endpoint_with_another_certificate_is_not_told_a_password() {
    let (site, other) = (Site::new(), Site::new());
    let okta = StandIn::start(&site).await;
    let error = okta.organization(&other, "secret").person("jo@ex.net", "s&cret=").await.expect_err("no trust");
    assert!(matches!(error, OktaError::Trouble { .. }), "{error}");
    assert!(okta.asked.lock().expect("a log").is_empty());
}

#[test]
fn names_stay_one_part_of_a_path() {
    let rows = [
        ("jo", "jo"),
        ("jo.e@ex.net", "jo%2Ee%40ex%2Enet"),
        ("../a?b#c", "%2E%2E%2Fa%3Fb%23c"),
        ("ä b", "%C3%A4%20b"),
        (".", "%2E"),
    ];
    for (text, expected) in rows {
        assert_eq!(escaped(text), expected, "{text:?}");
    }
}
