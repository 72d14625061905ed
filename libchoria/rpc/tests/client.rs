//! The client against a broker with a fleet behind it, over a real connection.

mod support;

use choria_rpc::client::{Call, Client, Event, InvalidReply, NodeReply, Recipients, RequestError};
use choria_rpc::ddl::{Inputs, embedded};
use choria_rpc::discovery;
use choria_rpc::plan::{Batching, Plan};
use choria_rpc::stats::Stats;
use names::Identity;
use protocol::Filter;
use security::{Trust, Verification};
use serde_json::json;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};
use support::broker::Broker;
use support::{answer, body, client, name, request, signing_node, transport, trust, unsigned_node, within};

/// What a request came to.
#[derive(Default)]
struct Outcome {
    replies: Vec<NodeReply>,
    unexpected: Vec<NodeReply>,
    invalid: Vec<InvalidReply>,
    stats: Option<Stats>,
}

impl Outcome {
    fn senders(&self) -> Vec<String> {
        let mut senders: Vec<_> = self.replies.iter().map(|reply| reply.sender().to_string()).collect();
        senders.sort();
        senders
    }

    fn stats(&self) -> &Stats {
        self.stats.as_ref().expect("the last event")
    }
}

async fn outcome(client: &Client, call: Call) -> Outcome {
    let mut outcome = Outcome::default();
    let mut replies = client.request(call).await.expect("it starts");
    while let Some(event) = within("an event", replies.next()).await {
        match event.expect("an event") {
            Event::Reply(reply) => outcome.replies.push(reply),
            Event::Unexpected(reply) => outcome.unexpected.push(reply),
            Event::Invalid(invalid) => outcome.invalid.push(invalid),
            Event::Done(stats) => outcome.stats = Some(stats),
        }
    }
    outcome
}

/// `rpcutil#ping`, for which nodes have `millis` milliseconds.
fn ping(recipients: Recipients, millis: u64) -> Call {
    let ddl = embedded::find("rpcutil").expect("a document");
    let action = ddl.action("ping").expect("an action");
    let call = Call::new(&ddl, action, Inputs::default().values, recipients).expect("a call");
    Call { timeout: Duration::from_millis(millis), ..call }
}

fn nodes(names: &[&str], batch: Option<usize>) -> Recipients {
    let size = batch.map(|size| NonZeroUsize::new(size).expect("a size"));
    let batching = size.map(|size| Batching { size, pause: Duration::ZERO });
    Recipients::Nodes(Plan::new(names.iter().map(|text| name(text)).collect(), None, batching).expect("a plan"))
}

/// The node a subject is for.
fn node_of(subject: &str) -> String {
    subject.rsplit_once(".node.").expect("a node subject").1.to_owned()
}

#[tokio::test]
async fn nodes_answer_once_each_and_the_rest_is_told_apart() {
    let broker = Broker::start(|subject, payload| match node_of(subject).as_str() {
        "failing" => vec![answer(&unsigned_node("failing"), payload, 1)],
        "twice" => vec![answer(&unsigned_node("twice"), payload, 0); 2],
        "silent" => vec![],
        "stranger" => vec![answer(&unsigned_node("unknown"), payload, 0)],
        "damaged" => vec![b"{}".to_vec(), answer(&unsigned_node("damaged"), payload, 0)],
        "late" => {
            let node = unsigned_node("late");
            let mut reply = request(payload).0.reply(node.identity().clone(), b"{}".to_vec(), SystemTime::now());
            reply.request = "2Q3".parse().expect("an id");
            vec![transport(&node, &reply)]
        }
        "nonsense" => {
            let node = unsigned_node("nonsense");
            vec![transport(
                &node,
                &request(payload).0.reply(node.identity().clone(), b"[]".to_vec(), SystemTime::now()),
            )]
        }
        good => vec![answer(&unsigned_node(good), payload, 0)],
    })
    .await;
    let client = client(&broker, Trust::Nobody, &[]).await;
    let targets = ["n1", "failing", "twice", "silent", "stranger", "damaged", "late", "nonsense", "n2"];
    let outcome = outcome(&client, ping(nodes(&targets, None), 300)).await;

    assert_eq!(outcome.senders(), ["damaged", "failing", "n1", "n2", "twice"]);
    let unexpected: Vec<_> = outcome.unexpected.iter().map(|reply| reply.sender().as_str()).collect();
    assert_eq!(unexpected, ["twice", "unknown"]);
    let invalid: Vec<_> = outcome.invalid.iter().map(ToString::to_string).collect();
    assert!(invalid[0].starts_with("a reply cannot be read: "), "{invalid:?}");
    assert!(invalid[1].starts_with("a reply of late answers the request 2Q3"), "{invalid:?}");
    assert!(invalid[2].starts_with("the reply of nonsense is no RPC reply: "), "{invalid:?}");
    let stats = outcome.stats();
    assert_eq!((stats.discovered, stats.responses, stats.ok, stats.failed), (9, 6, 4, 4));
    assert_eq!(stats.silent, [name("late"), name("silent"), name("stranger")]);
    assert_eq!(stats.unexpected, [name("twice"), name("unknown")]);
    assert_eq!((stats.signed, stats.lost, stats.is_complete()), (0, 0, false));
    assert!(stats.request_time >= Duration::from_millis(300), "{:?}", stats.request_time);
    let replied = outcome.replies.iter().find(|reply| reply.sender() == "n1").expect("a reply");
    assert_eq!(replied.body.value(), json!({"name": "n1"}));
    assert_eq!(replied.verification, Verification::Hash);
}

#[tokio::test]
async fn requests_are_made_as_existing_nodes_expect_them() {
    let broker = Broker::start(|subject, payload| vec![answer(&unsigned_node(&node_of(subject)), payload, 0)]).await;
    let client = client(&broker, Trust::Nobody, &[("ttl", "30")]).await;
    let call = ping(nodes(&["n1", "n2"], None), 2000);
    let outcome = outcome(&client, Call { collective: Some("uk".parse().expect("a collective")), ..call }).await;
    assert!(outcome.stats().is_complete());

    let published = broker.published();
    assert_eq!(broker.subjects(), ["uk.node.n1", "uk.node.n2"]);
    assert_eq!(published[0].1, published[1].1, "all nodes get the same signed bytes");
    let (request, reply_to) = request(&published[0].1);
    assert_eq!((request.collective.as_str(), request.agent.as_str(), request.ttl), ("uk", "rpcutil", 30));
    assert_eq!((request.caller.as_str(), request.sender.as_str()), ("up=tester", "tester"));
    assert_eq!(request.filter, Filter { agents: vec!["rpcutil".into()], ..Filter::default() });
    // md5 of `up=tester`; replies come back on the main collective whatever collective is asked.
    let expected = format!("mcollective.reply.{}.{}", names::NetworkId::of("up=tester"), outcome.stats().request);
    assert_eq!(reply_to, expected);
    let body = body(&published[0].1);
    assert_eq!((body.agent.as_str(), body.action.as_str(), body.data), ("rpcutil", "ping", json!({})));
}

#[tokio::test]
async fn signatures_are_verified_when_an_issuer_is_known() {
    let broker = Broker::start(|subject, payload| match node_of(subject).as_str() {
        "unsigned" => vec![answer(&unsigned_node("unsigned"), payload, 0)],
        "forged" => vec![answer(&signing_node("forged", "other"), payload, 0)],
        good => vec![answer(&signing_node(good, good), payload, 0)],
    })
    .await;
    let client = client(&broker, trust(), &[]).await;
    let outcome = outcome(&client, ping(nodes(&["signed", "unsigned", "forged"], None), 300)).await;
    assert_eq!(outcome.senders(), ["signed", "unsigned"]);
    assert_eq!(outcome.stats().signed, 1);
    assert_eq!(outcome.stats().silent, [name("forged")]);
    assert!(outcome.invalid[0].to_string().contains("its token that \"other\" does"), "{}", outcome.invalid[0]);
}

#[tokio::test]
async fn a_batch_begins_when_the_one_before_is_answered() {
    let broker = Broker::start(|subject, payload| vec![answer(&unsigned_node(&node_of(subject)), payload, 0)]).await;
    let client = client(&broker, Trust::Nobody, &[]).await;
    let mut replies = client.request(ping(nodes(&["a", "b", "c", "d", "e"], Some(2)), 5000)).await.expect("it starts");
    for expected in [2, 2, 4, 4, 5] {
        let event = within("a reply", replies.next()).await.expect("an event").expect("no error");
        assert!(matches!(event, Event::Reply(_)), "{event:?}");
        assert_eq!(broker.published().len(), expected);
    }
    let event = within("the end", replies.next()).await.expect("an event").expect("no error");
    assert!(matches!(&event, Event::Done(stats) if stats.is_complete()), "{event:?}");
    assert!(replies.next().await.is_none());
    let requests: Vec<_> = broker.published().iter().map(|(_, payload)| request(payload).0).collect();
    assert!(requests.iter().all(|request| request.id == *replies.id()));
    assert!(requests[4].time > requests[0].time, "each batch is signed anew");
}

#[tokio::test]
async fn a_service_answers_once() {
    let broker = Broker::start(|_, payload| vec![answer(&unsigned_node("host"), payload, 0)]).await;
    let client = client(&broker, Trust::Nobody, &[("plugin.choria.require_client_filter", "1")]).await;
    let ddl = embedded::find("choria_registry").expect("a document");
    let inputs = ddl.action("names").expect("an action").inputs_from([("plugin_type", "agent")]).expect("inputs");
    let call = Call::new(&ddl, ddl.action("names").expect("an action"), inputs.values, nodes(&["n1"], None));
    let outcome = outcome(&client, call.expect("a call")).await;
    assert_eq!(outcome.senders(), ["host"]);
    assert_eq!((outcome.stats().discovered, outcome.stats().is_complete()), (1, true));
    assert_eq!(broker.subjects(), ["mcollective.broadcast.service.choria_registry"]);
    assert_eq!(request(&broker.published()[0].1).0.filter, Filter::default());
}

#[tokio::test]
async fn one_broadcast_reaches_everyone_who_is_expected() {
    let broker =
        Broker::start(|_, payload| ["n1", "n2"].iter().map(|node| answer(&unsigned_node(node), payload, 0)).collect())
            .await;
    let client = client(&broker, Trust::Nobody, &[]).await;
    let expected = Plan::new(vec![name("n1"), name("n2")], None, None).expect("a plan");
    let filter = Filter { classes: vec!["web".into()], ..Filter::default() };
    let outcome = outcome(&client, ping(Recipients::Broadcast { filter: filter.clone(), expected }, 5000)).await;
    assert!(outcome.stats().is_complete());
    assert_eq!(broker.subjects(), ["mcollective.broadcast.agent.rpcutil"]);
    assert_eq!(request(&broker.published()[0].1).0.filter, filter);
}

#[tokio::test]
async fn discovery_finds_each_node_once() {
    let broker = Broker::start(|_, payload| {
        ["n1", "n2", "n1"].iter().map(|node| answer(&unsigned_node(node), payload, 0)).chain([b"x".to_vec()]).collect()
    })
    .await;
    let client = client(&broker, Trust::Nobody, &[]).await;
    let filter = Filter { agents: vec!["rpcutil".into()], ..Filter::default() };
    let mut options = client.ping_options();
    options.timeout = Duration::from_secs(30);
    options.windowed = true;
    options.collective = Some("uk".parse().expect("a collective"));
    let found = within("discovery", discovery::broadcast(&client, &filter, &options)).await.expect("nodes");
    assert_eq!(found, [name("n1"), name("n2")]);
    let (request, reply_to) = request(&broker.published()[0].1);
    assert_eq!(broker.subjects(), ["uk.broadcast.agent.discovery"]);
    assert_eq!((request.payload.as_slice(), &request.filter), (&b"cGluZw=="[..], &filter));
    assert!(reply_to.starts_with("uk.reply."), "{reply_to}");
}

#[tokio::test]
async fn requests_can_be_answered_elsewhere() {
    let broker = Broker::start(|_, _| vec![]).await;
    let client = client(&broker, Trust::Nobody, &[]).await;
    let id = within("sending", client.send(&ping(nodes(&["a", "b", "c"], Some(2)), 1), "elsewhere"))
        .await
        .expect("it sends");
    let published = within("all messages", async {
        while broker.published().len() < 3 {
            tokio::task::yield_now().await;
        }
        broker.published()
    })
    .await;
    for (_, payload) in &published {
        let (request, reply_to) = request(payload);
        assert_eq!((&request.id, reply_to.as_str()), (&id, "elsewhere"));
    }
}

#[tokio::test]
async fn federated_requests_name_their_targets() {
    let broker = Broker::start(|_, _| vec![]).await;
    let client = client(&broker, Trust::Nobody, &[("plugin.choria.federation.collectives", "malta, london")]).await;
    let names: Vec<String> = (0..201).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let outcome = outcome(&client, ping(nodes(&names, None), 300)).await;
    assert_eq!(outcome.stats().silent.len(), 201);

    let published = broker.published();
    let (malta, london) = ("choria.federation.malta.federation", "choria.federation.london.federation");
    assert_eq!(broker.subjects(), [malta, london, malta, london]);
    let mut targets = Vec::new();
    for (subject, payload) in &published {
        let headers = protocol::Transport::parse(payload).expect("a message").headers;
        let federation = headers.federation.expect("a federation header");
        assert_eq!(federation.request.as_deref(), Some(outcome.stats().request.as_str()));
        assert!(headers.reply_to.expect("a reply subject").starts_with("mcollective.reply."));
        if subject == malta {
            targets.push(federation.targets);
        }
    }
    assert_eq!(targets.iter().map(Vec::len).collect::<Vec<_>>(), [200, 1]);
    assert_eq!((targets[0][0].as_str(), targets[1][0].as_str()), ("mcollective.node.n0", "mcollective.node.n200"));
}

#[tokio::test]
async fn what_the_configuration_forbids_is_refused_before_it_is_sent() {
    let broker = Broker::start(|_, _| vec![]).await;
    let client = client(&broker, Trust::Nobody, &[("plugin.choria.require_client_filter", "1")]).await;
    let expected = Plan::new(vec![name("n1")], None, None).expect("a plan");
    let unfiltered = ping(Recipients::Broadcast { filter: Filter::default(), expected }, 1);
    assert!(matches!(client.request(unfiltered).await, Err(RequestError::FilterRequired)));
    let by_agent = Filter { agents: vec!["rpcutil".into()], ..Filter::default() };
    assert!(matches!(client.ping(&by_agent, &client.ping_options()).await, Err(RequestError::FilterRequired)));
    let elsewhere = Call { collective: Some("de".parse().expect("a collective")), ..ping(nodes(&["n1"], None), 1) };
    let error = client.request(elsewhere).await.expect_err("an unknown collective").to_string();
    assert_eq!(
        error,
        "cannot set collective to 'de', it is not on the list of known collectives: mcollective, uk (collectives)"
    );
    assert_eq!(broker.subjects(), Vec::<String>::new());
}

#[tokio::test]
async fn ten_thousand_nodes_answer_whole() {
    let broker = Broker::start(|subject, payload| vec![answer(&unsigned_node(&node_of(subject)), payload, 0)]).await;
    let client = client(&broker, Trust::Nobody, &[]).await;
    let targets: Vec<Identity> = (0..10_000).map(|number| name(&format!("n{number}.example.net"))).collect();
    let plan = Plan::new(targets, None, None).expect("a plan");
    let outcome = outcome(&client, ping(Recipients::Nodes(plan), 10_000)).await;
    assert_eq!((outcome.stats().responses, outcome.stats().ok, outcome.stats().lost), (10_000, 10_000, 0));
    assert!(outcome.stats().is_complete());
}
