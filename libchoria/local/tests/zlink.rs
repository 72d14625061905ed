//! Another implementation of Varlink as the client of ours.

use choria_local as local;
use local::varlink::{About, Bounds, Call, Failure, Interface, Listener, Server, Service};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zlink::ReplyError;

struct Submissions;

impl Service for Submissions {
    fn about(&self) -> About {
        About { vendor: "Choria", product: "test", version: "1", url: "https://choria.io" }
    }

    fn interface(&self) -> Interface {
        local::submission::INTERFACE
    }

    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        let draft = call.parameters.parse::<local::submission::Submission<'_>>()?.into_draft()?;
        match draft.subject.as_str() {
            "local.x" => Ok(json!({ "id": String::from_utf8_lossy(&draft.payload) })),
            _ => Err(Failure::because("Refused", "not there")),
        }
    }
}

#[derive(Debug, serde::Deserialize)]
struct Submitted {
    id: String,
}

#[derive(Debug, PartialEq, ReplyError)]
#[zlink(interface = "io.choria.Submission")]
enum Error {
    Refused { reason: String },
}

#[zlink::proxy("io.choria.Submission")]
trait Client {
    async fn submit(&mut self, subject: &str, payload: &str) -> zlink::Result<Result<Submitted, Error>>;
}

#[test]
fn zlink_calls_and_reads_what_this_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.sock");
    let listener = Listener::bind(&path, 0o600).expect("a socket");
    let server = Server::new(listener, Arc::new(Submissions), Bounds::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone(), Duration::from_secs(5)));
        let mut connection = zlink::unix::connect(&path).await.expect("a connection");
        let submitted = connection.submit("local.x", "aGVsbG8=").await.expect("a reply").expect("taken");
        assert_eq!(submitted.id, "hello");
        let refused = connection.submit("other", "aGVsbG8=").await.expect("a reply").expect_err("not taken");
        assert_eq!(refused, Error::Refused { reason: "not there".to_owned() });
        drop(connection);
        stop.cancel();
        serving.await.expect("no panic").expect("it served");
    });
}

#[test]
fn zlink_understands_the_interfaces() {
    let interfaces = [local::submission::INTERFACE, local::server::INTERFACE];
    for Interface { name, text } in interfaces {
        let parsed = zlink::idl::Interface::try_from(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(parsed.name(), name);
        assert!(parsed.methods().count() >= 2 && parsed.errors().count() >= 4, "{name}");
    }
}
