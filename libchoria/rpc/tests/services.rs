//! The services a client may need itself: the registry of documents and the signer of requests.

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use choria_rpc::body::ReplyBody;
use choria_rpc::client::{Client, PingOptions};
use choria_rpc::ddl::{Library, embedded};
use protocol::Filter;
use security::{Provider, Trust};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use support::broker::Broker;
use support::{body, client, client_provider, request, signing_client, transport, unsigned_node, within};

/// The answer of a service's host: this body.
fn host_answer(payload: &[u8], body: &ReplyBody) -> Vec<u8> {
    let host = unsigned_node("host");
    transport(&host, &request(payload).0.reply(host.identity().clone(), body.encode(), SystemTime::now()))
}

#[tokio::test]
async fn the_registry_is_asked_once_for_each_document() {
    let asked = Arc::new(AtomicUsize::new(0));
    let broker = Broker::start({
        let asked = Arc::clone(&asked);
        move |_, payload| {
            asked.fetch_add(1, Ordering::Relaxed);
            let name = body(payload).data["name"].as_str().expect("a name").to_owned();
            let other = if name == "false" { "other" } else { &name };
            let ddl = embedded::text("scout")
                .expect("a document")
                .replace("\"name\": \"scout\"", &format!("\"name\": \"{other}\""));
            let body = match name.as_str() {
                "unknown" => ReplyBody::failure("ddl", 1.into(), "there is none"),
                "empty" => ReplyBody::ok("ddl", &json!({})).expect("a body"),
                _ => ReplyBody::ok("ddl", &json!({"name": name, "ddl": ddl})).expect("a body"),
            };
            vec![host_answer(payload, &body)]
        }
    })
    .await;
    let client = client(&broker, Trust::Nobody, &[]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let library = Library::default().with_registry(directory.path().join("cache"));
    assert!(library.uses_registry());
    for _ in 0..2 {
        let ddl = within("the document", library.agent_or_registry("package", &client)).await.expect("a document");
        assert_eq!(ddl.metadata.name, "package");
    }
    library.agent_or_registry("rpcutil", &client).await.expect("an embedded document");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(library.agent("package").expect("it is stored").metadata.name, "package");

    let rows = [
        (
            "unknown",
            "the registry gave no document: invalid response: choria_registry#ddl of host answered: there is none",
        ),
        ("empty", "the registry gave no document: invalid response: the answer of choria_registry has no ddl"),
        ("false", "the registry gave something that is not the DDL of the false agent: it names itself \"other\""),
        ("../x", "\"../x\" is not a valid agent name"),
    ];
    for (name, start) in rows {
        let error = within(name, library.agent_or_registry(name, &client)).await.expect_err(name).to_string();
        assert!(error.starts_with(start), "{error}");
    }
    let error = Library::default().agent_or_registry("nosuch", &client).await.expect_err("no registry").to_string();
    assert!(error.starts_with("could not resolve nosuch DDL in any resolver"), "{error}");
}

#[tokio::test]
async fn requests_are_signed_by_the_service_when_it_is_configured() {
    // A service that signs what it is asked to, with the delegate's own token.
    let delegate = client_provider("up=delegate");
    let broker = Broker::start({
        let delegate = delegate.clone();
        move |subject, payload| {
            if !subject.ends_with(".aaa_signer") {
                return vec![];
            }
            let inputs = body(payload).data;
            let signed = sign(&delegate, inputs["request"].as_str().expect("a request"));
            vec![host_answer(payload, &ReplyBody::ok("sign", &json!({"secure_request": signed})).expect("a body"))]
        }
    })
    .await;
    let client =
        signing_client(&broker, &[("plugin.choria.security.request_signer.service", "1")]).await.expect("a client");
    let _pings = within("a ping", ping(&client)).await;
    client.connection().flush().await.expect("it is flushed");
    let published = within("two messages", async {
        while broker.published().len() < 2 {
            tokio::task::yield_now().await;
        }
        broker.published()
    })
    .await;

    assert_eq!(
        broker.subjects(),
        ["mcollective.broadcast.service.aaa_signer", "mcollective.broadcast.agent.discovery"]
    );
    let (asked, answered) = (body(&published[0].1).data, request(&published[1].1).0);
    let secure =
        |payload: &[u8]| protocol::Transport::parse(payload).expect("a message").secure_request().expect("a request");
    assert_eq!(secure(&published[0].1).signature, protocol::INSECURE, "who asks for a signature has none yet");
    let wanted = asked["request"].as_str().expect("a request");
    assert_eq!(answered, protocol::Request::parse(wanted.as_bytes()).expect("a request"));
    let own = client_provider("up=tester");
    let signature = own.sign(wanted.as_bytes()).expect("a signature").to_hex();
    assert_eq!(asked["signature"], Value::from(signature));
    let sent = secure(&published[1].1);
    assert_eq!(sent.signer.as_deref(), delegate.token());
    assert_eq!(Some(sent.caller.as_str()), asked["token"].as_str());
}

#[tokio::test]
async fn a_signer_that_refuses_is_named() {
    let broker = Broker::start(|_, payload| {
        let refusal = ReplyBody::failure("sign", 1.into(), "Request Denied");
        vec![host_answer(payload, &refusal)]
    })
    .await;
    let client =
        signing_client(&broker, &[("plugin.choria.security.request_signer.service", "1")]).await.expect("a client");
    let error =
        within("a refusal", client.ping(&Filter::default(), &client.ping_options())).await.expect_err("refused");
    assert!(error.to_string() == "signing failed: Request Denied", "{error}");

    let broker = Broker::start(|_, _| vec![]).await;
    let url = [("plugin.choria.security.request_signer.url", "signer.example.net/choria/v1/sign")];
    let error = signing_client(&broker, &url).await.expect_err("no URL").to_string();
    assert!(error.contains("plugin.choria.security.request_signer.url"), "{error}");
}

async fn ping(client: &Client) {
    let options = PingOptions { timeout: Duration::from_millis(1), ..client.ping_options() };
    client.ping(&Filter::default(), &options).await.expect("it is sent");
}

/// A secure request as a delegate makes it.
fn sign(delegate: &Provider, request: &str) -> String {
    let secure = protocol::SecureRequest {
        version: protocol::Version::V2,
        request: request.as_bytes().to_vec(),
        signature: delegate.sign(request.as_bytes()).expect("a signature").as_bytes().to_vec(),
        caller: "to be filled in".to_owned(),
        signer: delegate.token().map(str::to_owned),
    };
    String::from_utf8(secure.encode()).expect("text")
}

#[tokio::test]
async fn a_service_that_was_restarted_is_asked_again() {
    let delegate = client_provider("up=delegate");
    let asked = Arc::new(AtomicUsize::new(0));
    let broker = Broker::start({
        let asked = Arc::clone(&asked);
        move |subject, payload| {
            // The first question is lost.
            if !subject.ends_with(".aaa_signer") || asked.fetch_add(1, Ordering::Relaxed) == 0 {
                return vec![];
            }
            let signed = sign(&delegate, body(payload).data["request"].as_str().expect("a request"));
            vec![host_answer(payload, &ReplyBody::ok("sign", &json!({"secure_request": signed})).expect("a body"))]
        }
    })
    .await;
    let client =
        signing_client(&broker, &[("plugin.choria.security.request_signer.service", "1")]).await.expect("a client");
    within("a ping", ping(&client)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn requests_are_signed_over_http_or_refused_in_the_known_words() {
    let delegate = client_provider("up=delegate");
    let signed = move |question: &Value| {
        let bytes = BASE64_STANDARD.decode(question["request"].as_str().expect("a request")).expect("base64");
        let request = String::from_utf8(bytes).expect("text");
        let own = client_provider("up=tester");
        assert!(question["token"].is_string());
        assert_eq!(question["signature"], Value::from(own.sign(request.as_bytes()).expect("a signature").to_hex()));
        json!({"secure_request": BASE64_STANDARD.encode(sign(&delegate, &request))}).to_string()
    };
    type Answer = Box<dyn FnMut(&Value) -> Option<(u16, String)> + Send>;
    let (good, mut first) = (signed.clone(), true);
    let other = client_provider("up=delegate");
    let rows: Vec<(&str, Answer, &str)> = vec![
        ("signed", Box::new(move |question| Some((200, good(question)))), ""),
        (
            "restarted meanwhile",
            Box::new(move |question| if std::mem::take(&mut first) { None } else { Some((200, signed(question))) }),
            "",
        ),
        (
            "refused",
            Box::new(|_| Some((200, "{\"error\":\"Request denied\"}".to_owned()))),
            "error from remote signer: Request denied",
        ),
        ("not found", Box::new(|_| Some((404, String::new()))), "could not perform remote signing request"),
        ("empty", Box::new(|_| Some((200, "{}".to_owned()))), "it holds no secure_request"),
        ("garbage", Box::new(|_| Some((200, "<html>".to_owned()))), "is none of an AAA service"),
        ("no base64", Box::new(|_| Some((200, "{\"secure_request\":\"?\"}".to_owned()))), "is none of an AAA service"),
        (
            "another request",
            Box::new(move |question| {
                let bytes = BASE64_STANDARD.decode(question["request"].as_str().expect("a request")).expect("base64");
                let mut request = protocol::Request::parse(&bytes).expect("a request");
                request.payload = b"something else".to_vec();
                let text = String::from_utf8(request.encode()).expect("text");
                Some((200, json!({"secure_request": BASE64_STANDARD.encode(sign(&other, &text))}).to_string()))
            }),
            "changed the message of the request",
        ),
    ];
    for (name, answer, expected) in rows {
        let broker = Broker::start(|_, _| vec![]).await;
        let url = support::http::serve(answer).await;
        let lines = [
            ("plugin.security.provider", "choria"),
            ("plugin.choria.security.request_signer.url", &format!("{url}/choria/v1/sign")),
        ];
        let client = signing_client(&broker, &lines).await.expect("a client");
        let options = PingOptions { timeout: Duration::from_millis(1), ..client.ping_options() };
        let result = within(name, client.ping(&Filter::default(), &options)).await;
        match (result, expected) {
            (Ok(_), "") => {}
            (Err(error), expected) if !expected.is_empty() => {
                assert!(error.to_string().contains(expected), "{name}: {error}");
                assert_eq!(broker.subjects(), Vec::<String>::new(), "{name}: nothing is sent");
            }
            (result, _) => panic!("{name}: {:?}", result.map(drop)),
        }
    }
}
