//! What local tools ask a server on its own socket, `io.choria.Server`.

use crate::until;
use choria_tests::submission::{reliable, store};
use choria_tests::{Lab, PATIENCE};
use local::server::{Client, Mode};
use std::path::Path;

#[test]
fn local_tools_ask_the_server() {
    let lab = Lab::new();
    lab.submitting_server("n1", "n1.lab.example.net");
    store(&lab.spool("n1"), reliable("local.test", "1"));
    let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    let socket = lab.path("n1.sock");
    let ask = || Client::connect(&socket, PATIENCE).expect("the server listens");

    // Before there is a broker, too.
    let status = ask().status().expect("a status");
    assert_eq!((status.identity.as_str(), status.mode, status.broker), ("n1.lab.example.net", Mode::Fleet, None));
    let _broker = lab.start_broker();
    until("it is connected and delivers", &server, || {
        let status = ask().status().expect("a status");
        status.broker.is_some() && status.details["submission"]["waiting"] == 1
    });
    let status = ask().status().expect("a status");
    assert_eq!(status.details["submission"]["delivering"], true, "{status:?}");
    assert!(status.line.starts_with("Connected to ") && status.uptime > 0.0, "{status:?}");

    assert_eq!(ask().ping().expect("a pong").identity, "n1.lab.example.net");
    assert_eq!(ask().facts().expect("root may see them")["os"]["family"], "Debian");

    let token = tokens::read_token(&lab.path("n1.jwt")).expect("a token");
    let verified = ask().verify_token(&token).expect("it counts");
    assert_eq!((verified.kind.as_str(), verified.subject.as_str()), ("choria_server", "n1.lab.example.net"));
    assert_eq!(verified.claims["permissions"]["submission"], true);
    lab.keys("rogue");
    lab.client("mallory", "rogue.seed");
    lab.expire("client", "issuer.seed");
    for (file, why) in [("mallory.jwt", "signature"), ("client.jwt", "expired")] {
        let token = tokens::read_token(&lab.path(file)).expect("a token");
        let refused = ask().verify_token(&token).expect_err(file).to_string();
        assert!(refused.contains("TokenRefused") || refused.contains(why), "{file}: {refused}");
        assert!(!refused.contains(&token), "{file}: {refused}");
    }
    assert_eq!(server.stop().code, 0);
    assert!(!Path::new(&socket).exists(), "the socket is removed at the end");
}
