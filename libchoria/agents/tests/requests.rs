//! Each refusal with its counters, each status with its words, on a node whose requests nobody signs.

mod support;

use choria_agents::{Counts, Node};
use protocol::filter::{Compound, FactFilter};
use protocol::{Filter, Request, Version};
use rpc::RequestBody;
use security::Trust;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{at, message, payload, reply_body};

const NOW: u64 = 1_795_254_300;
const IDENTITY: &str = "n1.example.net";

fn node(folder: &Path, extra: &[(&str, &str)]) -> Arc<Node> {
    std::fs::write(folder.join("facts.json"), r#"{"os":{"family":"RedHat"},"cpus":4}"#).expect("written");
    std::fs::write(folder.join("classes.txt"), "apache\nRole::Web\n").expect("written");
    support::node(IDENTITY, folder, Trust::Insecure, extra)
}

fn request(agent: &str, payload: &[u8]) -> Request {
    Request {
        version: Version::V2,
        id: "2Q3".parse().expect("an id"),
        sender: "client".parse().expect("a name"),
        caller: "up=alice".parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: agent.parse().expect("an agent"),
        ttl: 60,
        time: at(NOW),
        filter: Filter::default(),
        payload: payload.to_vec(),
    }
}

/// An RPC request to `agent`.
fn rpc(agent: &str, action: &str, data: Value) -> Request {
    request(agent, &RequestBody { agent: agent.to_owned(), action: action.to_owned(), data }.encode())
}

#[tokio::test]
async fn each_refusal_is_counted_and_silent() {
    let ping = || request("discovery", b"cGluZw==");
    let filtered = |filter: Filter| Request { filter, ..ping() };
    let fact = |text: &str| Filter { facts: vec![text.parse::<FactFilter>().expect("a fact")], ..Filter::default() };
    let compound = |text: &str| Filter { compound: vec![Compound::Expression(text.to_owned())], ..Filter::default() };
    let send = |request: Request| message(&request, Some("choria.reply.x"));
    let old = Request { time: at(NOW) - Duration::from_secs(60), ..ping() };
    let early = Request { time: at(NOW) + Duration::from_secs(60), ..ping() };
    let rows: Vec<(&str, Vec<u8>, Counts)> = vec![
        ("not JSON", b"hello".to_vec(), Counts { invalid: 1, ..Counts::default() }),
        ("null headers are empty ones", send(ping()).replace_headers(), accepted(0)),
        ("empty message", send(request("discovery", b"")), Counts { invalid: 1, ..Counts::default() }),
        ("fact of others", send(filtered(fact("os.family=debian"))), Counts { filtered: 1, ..Counts::default() }),
        ("fact without order", send(filtered(fact("os<1"))), Counts { filtered: 1, ..Counts::default() }),
        (
            "expression of others",
            send(filtered(compound("with('cpus>4')"))),
            Counts { filtered: 1, ..Counts::default() },
        ),
        ("broken expression", send(filtered(compound("with("))), Counts { filtered: 1, ..Counts::default() }),
        (
            "another collective",
            send(Request { collective: "de".parse().expect("a collective"), ..ping() }),
            Counts { passed: 1, invalid: 1, ..Counts::default() },
        ),
        ("too old", send(old.clone()), Counts { passed: 1, ttl_expired: 1, ..Counts::default() }),
        ("too early", send(early), Counts { passed: 1, ttl_expired: 1, ..Counts::default() }),
        (
            "filter before age",
            send(Request { filter: fact("cpus=1"), ..old }),
            Counts { filtered: 1, ..Counts::default() },
        ),
        ("no such agent", send(request("nosuch", b"x")), accepted(0)),
        ("unknown to the agent", send(request("discovery", b"hello, world")), accepted(0)),
        ("nowhere to reply", message(&ping(), None), accepted(0)),
        ("answered", send(ping()), accepted(1)),
        ("second collective", send(Request { collective: "uk".parse().expect("a collective"), ..ping() }), accepted(1)),
        ("ping anywhere in it", send(request("discovery", b"a ping, please")), accepted(1)),
        (
            "class in other case",
            send(filtered(Filter { classes: vec!["role::web".into()], ..Filter::default() })),
            accepted(1),
        ),
        (
            "choria() in a filter",
            send(filtered(compound("choria().agents_count == 3 && scout('x').state == nil"))),
            accepted(1),
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    for (name, message, expected) in rows {
        let node = node(folder.path(), &[]);
        let response = node.respond(&message, at(NOW)).await;
        let mut counts = node.stats.counts();
        assert_eq!(counts.total, 1, "{name}");
        counts.total = 0;
        if expected.replies == 1 {
            assert_eq!(payload(&response.expect(name), IDENTITY), b"pong", "{name}");
            counts.replies = 1;
        } else {
            assert_eq!(response, None, "{name}");
        }
        assert_eq!(counts, expected, "{name}");
    }
}

#[tokio::test]
async fn a_request_is_served_once_however_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(folder.path(), &[]);
    let ping = request("discovery", b"cGluZw==");
    let bob = Request { caller: "up=bob".parse().expect("a caller"), ..ping.clone() };
    let for_others = Request {
        filter: Filter { identities: vec!["n2".into()], ..Filter::default() },
        id: "2Q4".parse().expect("an id"),
        ..ping.clone()
    };
    let rows = [
        ("broadcast", message(&ping, Some("choria.reply.x")), true),
        ("the same again", message(&ping, Some("choria.reply.x")), false),
        ("the same to another address, as a direct request", message(&ping, Some("choria.reply.y")), false),
        ("the same id of another caller", message(&bob, Some("choria.reply.x")), true),
        ("for others, which uses up nothing", message(&for_others, Some("choria.reply.x")), false),
        (
            "the id that was for others",
            message(&Request { filter: Filter::default(), ..for_others }, Some("choria.reply.x")),
            true,
        ),
    ];
    for (name, message, answered) in rows {
        assert_eq!(node.respond(&message, at(NOW) + Duration::from_secs(3)).await.is_some(), answered, "{name}");
    }
    let counts = node.stats.counts();
    assert_eq!((counts.total, counts.valid, counts.passed, counts.replayed, counts.filtered), (6, 3, 5, 2, 1));
    assert_eq!(node.replays.len(), 3);
}

#[tokio::test]
async fn the_counters_of_the_protocol_tell_broken_from_genuine() {
    use protocol::Counter::{Error, Invalid, JsonParseFailure, Valid};
    let folder = tempfile::tempdir().expect("a folder");
    let send = |request: Request| message(&request, Some("choria.reply.x"));
    let for_others = Filter { identities: vec!["n2".into()], ..Filter::default() };
    let rows: [(&str, Vec<u8>, [u64; 4]); 4] = [
        ("answered", send(request("discovery", b"cGluZw==")), [1, 0, 0, 0]),
        ("for others", send(Request { filter: for_others, ..request("discovery", b"ping") }), [1, 0, 0, 0]),
        ("not JSON", b"hello".to_vec(), [0, 0, 1, 0]),
        ("breaks the schema", send(request("discovery", b"")), [0, 1, 1, 0]),
    ];
    for (name, message, expected) in rows {
        let node = node(folder.path(), &[]);
        node.respond(&message, at(NOW)).await;
        let got = [Valid, Invalid, Error, JsonParseFailure].map(|counter| node.stats.protocol(Version::V2, counter));
        assert_eq!(got, expected, "{name}");
    }
}

/// Accepted, with this many answers.
fn accepted(replies: u64) -> Counts {
    Counts { passed: 1, valid: 1, replies, ..Counts::default() }
}

/// The same message without a header.
trait ReplaceHeaders {
    fn replace_headers(self) -> Self;
}

impl ReplaceHeaders for Vec<u8> {
    fn replace_headers(self) -> Self {
        let mut message: Value = serde_json::from_slice(&self).expect("JSON");
        message["headers"] = Value::Null;
        serde_json::to_vec(&message).expect("JSON")
    }
}

/// Case, settings, request, then the status, words and data of the reply.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Request, u8, &'a str, Value);

#[tokio::test]
async fn actions_answer_with_the_documented_status_and_words() {
    let on: &[(&str, &str)] = &[];
    let off: &[(&str, &str)] = &[("rpcauthorization", "0"), ("plugin.nats.pass", "geheim")];
    let denied = "You are not authorized to call this agent or action";
    let rows: Vec<Row<'_>> = vec![
        ("default deny", on, rpc("rpcutil", "ping", json!({})), 1, denied, json!({})),
        (
            "unknown action before denial",
            on,
            rpc("rpcutil", "no", json!({})),
            2,
            "Unknown action no for agent rpcutil",
            json!({}),
        ),
        (
            "another agent in the body",
            off,
            request("rpcutil", br#"{"agent":"scout","action":"ping","data":{}}"#),
            1,
            denied,
            json!({}),
        ),
        (
            "keys in any case",
            off,
            request("rpcutil", br#"{"Agent":"rpcutil","ACTION":"get_fact","data":{"FACT":"cpus"}}"#),
            0,
            "OK",
            json!({"fact": "cpus", "value": 4}),
        ),
        (
            "input of a wrong type",
            off,
            rpc("rpcutil", "get_fact", json!({"fact": 1})),
            4,
            "Could not parse request data for rpcutil#get_fact: invalid type: integer `1`, expected a string",
            json!({}),
        ),
        ("null data", off, rpc("rpcutil", "get_fact", Value::Null), 0, "OK", json!({"fact": "", "value": null})),
        (
            "facts",
            off,
            rpc("rpcutil", "get_facts", json!({"facts": "cpus, os.family,nope"})),
            0,
            "OK",
            json!({"values": {"cpus": 4, "os.family": "RedHat", "nope": null}}),
        ),
        (
            "collectives",
            off,
            rpc("rpcutil", "collective_info", json!({})),
            0,
            "OK",
            json!({"main_collective": "choria", "collectives": ["choria", "uk"]}),
        ),
        (
            "configuration item",
            off,
            rpc("rpcutil", "get_config_item", json!({"item": "ttl"})),
            0,
            "OK",
            json!({"item": "ttl", "value": 60}),
        ),
        ("unknown item", off, rpc("rpcutil", "get_config_item", json!({"item": "nope"})), 1, "Unknown key", json!({})),
        (
            "secret item",
            off,
            rpc("rpcutil", "get_config_item", json!({"item": "plugin.nats.pass"})),
            1,
            "plugin.nats.pass holds a secret, which is not shown over the network",
            json!({}),
        ),
        (
            "secret by data provider",
            off,
            rpc("rpcutil", "get_data", json!({"source": "config_item", "query": "plugin.nats.pass"})),
            0,
            "OK",
            json!({"present": true, "value": "*****"}),
        ),
        ("unknown data", off, rpc("rpcutil", "get_data", json!({"source": "no"})), 1, "Unknown data plugin", json!({})),
        (
            "failed data",
            off,
            rpc("rpcutil", "get_data", json!({"source": "machine_state", "query": "x"})),
            0,
            "OK",
            Value::Null,
        ),
        (
            "no machines",
            off,
            rpc("choria_util", "machine_states", json!({})),
            0,
            "OK",
            json!({"machine_ids": [], "machine_names": [], "states": {}}),
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    for (name, settings, request, status, words, data) in rows {
        let node = node(folder.path(), settings);
        let response = node.respond(&message(&request, Some("choria.reply.x")), at(NOW)).await.expect(name);
        assert_eq!(response.subject, "choria.reply.x", "{name}");
        let body = reply_body(&response, IDENTITY);
        assert_eq!((body.status.number(), body.message.as_str(), body.value()), (status, words, data), "{name}");
    }
}

#[tokio::test]
async fn machine_actions_say_that_there_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [
        ("machine_state", json!({}), "No search criteria given"),
        ("machine_state", json!({"name": "check"}), "No running machines"),
        (
            "machine_transition",
            json!({"name": "check", "transition": "STOP"}),
            "Could not perform STOP transition: could not find machine matching criteria name='check', version='', path='', id=''",
        ),
    ];
    for (action, inputs, words) in rows {
        let node = node(folder.path(), &[("rpcauthorization", "0")]);
        let message = message(&rpc("choria_util", action, inputs), Some("choria.reply.x"));
        let body = reply_body(&node.respond(&message, at(NOW)).await.expect(action), IDENTITY);
        assert_eq!((body.status.number(), body.message.as_str()), (1, words), "{action}");
    }
}
