//! The RPC audit log as it is written for requests.

mod support;

use choria_agents::Node;
use protocol::{Filter, Request, Version};
use rpc::RequestBody;
use security::Trust;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use support::{at, message, reply_body};

const NOW: u64 = 1_795_254_300;
const IDENTITY: &str = "n1.example.net";

/// A node that audits to `file` in `folder` and allows everything or nothing.
fn node(folder: &Path, file: &str, authorization: &str) -> Arc<Node> {
    let file = folder.join(file).display().to_string();
    let extra = [
        ("rpcauthorization", authorization),
        ("rpcaudit", "1"),
        ("plugin.rpcaudit.logfile", file.as_str()),
        ("plugin.rpcaudit.logfile.mode", "0640"),
    ];
    support::node(IDENTITY, folder, Trust::Insecure, &extra)
}

/// Sends a request numbered `id` and gives the status of the reply.
async fn call(node: &Arc<Node>, id: u32, action: &str, data: Value) -> u8 {
    let body = RequestBody { agent: "rpcutil".to_owned(), action: action.to_owned(), data };
    let request = Request {
        version: Version::V2,
        id: format!("id{id}").parse().expect("an id"),
        sender: "client.example.net".parse().expect("a name"),
        caller: "up=alice".parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: "rpcutil".parse().expect("an agent"),
        ttl: 60,
        time: at(NOW),
        filter: Filter::default(),
        payload: body.encode(),
    };
    let response = node.respond(&message(&request, Some("choria.reply.x")), at(NOW)).await.expect("a reply");
    reply_body(&response, IDENTITY).status.number()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("an audit file").lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_carried_out_is_written_down_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let node_on = node(folder.path(), "audit.log", "0");
    assert_eq!(call(&node_on, 1, "get_fact", json!({"fact": "os.family\n"})).await, 0);
    assert_eq!(call(&node_on, 2, "no_such_action", json!({})).await, 2, "not audited");
    let denying = node(folder.path(), "audit.log", "1");
    assert_eq!(call(&denying, 3, "ping", json!({"secret": 1})).await, 1);
    let path = folder.path().join("audit.log");
    let lines = lines(&path);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let (_timestamp, denial) = lines[1].split_once(r#"","request_id""#).expect("keys in order");
    assert_eq!(
        denial,
        r#":"id3","request_time":1795254300,"caller":"up=alice","sender":"client.example.net","agent":"rpcutil","denied_action":"ping","reason":"action_policy reads files beside the configuration file, and there is none"}"#
    );
    let (timestamp, rest) = lines[0].split_once(r#"","request_id""#).expect("keys in the recorded order");
    assert!(timestamp.starts_with(r#"{"timestamp":"20"#) && timestamp.ends_with("+0000"), "{timestamp}");
    assert_eq!(
        rest,
        r#":"id1","request_time":1795254300,"caller":"up=alice","sender":"client.example.net","agent":"rpcutil","action":"get_fact","data":{"fact":"os.family\n"}}"#
    );
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
    assert_eq!((node_on.stats.counts().unaudited, denying.stats.counts().denied), (0, 1));
}

#[tokio::test]
async fn a_file_that_is_moved_or_cut_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(folder.path(), "audit.log", "0");
    let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    call(&node, 1, "ping", json!({})).await;
    call(&node, 2, "ping", json!({})).await;
    std::fs::rename(&path, &moved).expect("moved");
    call(&node, 3, "ping", json!({})).await;
    assert_eq!((lines(&moved).len(), lines(&path).len()), (2, 1));
    std::fs::File::options().write(true).open(&path).expect("there").set_len(0).expect("cut");
    call(&node, 4, "ping", json!({})).await;
    let rest = lines(&path);
    assert!(rest.len() == 1 && rest[0].contains(r#""request_id":"id4""#), "{rest:?}");
}

#[tokio::test]
async fn a_line_that_cannot_be_written_is_counted_and_the_request_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(folder.path(), "nosuch/audit.log", "0");
    assert_eq!(call(&node, 1, "ping", json!({})).await, 0);
    assert_eq!(call(&node, 2, "ping", json!({})).await, 0);
    assert_eq!(node.stats.counts().unaudited, 2);
    std::fs::create_dir(folder.path().join("nosuch")).expect("a folder");
    assert_eq!(call(&node, 3, "ping", json!({})).await, 0);
    assert_eq!((node.stats.counts().unaudited, lines(&folder.path().join("nosuch/audit.log")).len()), (2, 1));
}

#[tokio::test]
async fn a_group_that_is_not_there_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.log").display().to_string();
    let extra = [
        ("rpcauthorization", "0"),
        ("rpcaudit", "1"),
        ("plugin.rpcaudit.logfile", file.as_str()),
        ("plugin.rpcaudit.logfile.group", "no-such-group"),
    ];
    let node = support::node(IDENTITY, folder.path(), Trust::Insecure, &extra);
    assert_eq!(call(&node, 1, "ping", json!({})).await, 0);
    assert_eq!(node.stats.counts().unaudited, 1);
    let own = nix::unistd::Group::from_gid(nix::unistd::getegid()).expect("groups").expect("our own").name;
    let extra = [extra[0], extra[1], extra[2], ("plugin.rpcaudit.logfile.group", own.as_str())];
    let node = support::node(IDENTITY, folder.path(), Trust::Insecure, &extra);
    assert_eq!(call(&node, 1, "ping", json!({})).await, 0);
    assert_eq!((node.stats.counts().unaudited, lines(Path::new(&file)).len()), (0, 1));
}
