//! Rows 8, 9, 10, 16 and 17: messages, tokens and filters, one thread, five windows of 0.7 CPU seconds each.

use agents::policy::AaaInput;
use agents::policy::action_policy::{ActionPolicy, Groups, Question};
use agents::policy::rego::{Package, Policy};
use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use protocol::facts::{FactFile, Facts};
use protocol::filter::{Compound, DataAnswers, Filter, NodeView};
use protocol::{Headers, Reply, Request, SecureReply, Transport, Version};
use security::{Credentials, LocalSigner, Parts, Provider, Trust, TrustedTokens};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey, TrustRoots};

const WINDOWS: usize = 5;
const WINDOW_SECONDS: f64 = 0.7;
const FACTS: &str =
    r#"{"country":"mt","os":{"family":"Debian","release":{"major":"13"}},"cpu":{"count":8},"site":"a"}"#;

pub(crate) fn run() -> anyhow::Result<()> {
    let parties = Parties::new()?;
    let now = SystemTime::now();
    let request = parties.request(now)?;
    let request_wire = parties.seal_request(&request)?;
    let reply = request.reply(
        parties.server.identity().clone(),
        br#"{"action":"ping","statuscode":0,"statusmsg":"OK","data":{"pong":1795252651}}"#.to_vec(),
        now,
    );
    let reply_wire = parties.seal_reply(&reply);

    measure("request_verify_decode", || {
        // Nothing is known yet: both signatures are verified.
        verify_request(&parties.fresh_verifier(), &request_wire, now)
    })?;
    measure("request_verify_decode_cached", || verify_request(&parties.server, &request_wire, now))?;
    measure("reply_create_sign", || {
        let reply = request.reply(parties.server.identity().clone(), reply.payload.clone(), now);
        Ok(parties.seal_reply(&reply).len())
    })?;
    measure("request_create_sign", || Ok(parties.seal_request(&parties.request(now)?)?.len()))?;
    measure("reply_decode", || verify_reply(&parties.client, &reply_wire, now))?;
    measure("reply_decode_signature", || verify_reply(&parties.fresh_verifier(), &reply_wire, now))?;
    let roots = parties.roots.clone();
    let token = parties.client.token().context("the client has a token")?.to_owned();
    measure("client_token_verify", || Ok(roots.verify_client(&token, now)?.caller_id.len()))?;
    filters()?;
    policies()
}

/// One decision by a Rego policy of a token, and one by an action policy of ten rules of which the last one fits.
fn policies() -> anyhow::Result<()> {
    let text =
        "package io.choria.aaasvc\n\ndefault allow = false\n\nallow {\n  input.agent != \"choria_provision\"\n}\n";
    let policy = Policy::parse("bench", text, Package::Aaasvc)?;
    let data = serde_json::json!({"fact": "os.family"});
    let claims = serde_json::json!({"callerid": "up=bob", "permissions": {"signed_fleet_management": true}});
    let now = SystemTime::now();
    measure("opa_policy_decision", || {
        let input = AaaInput {
            agent: "rpcutil",
            action: "get_fact",
            data: &data,
            sender: "bob",
            collective: "choria",
            ttl: 60,
            time: now,
            site: "compose",
            claims: claims.clone(),
        };
        Ok(usize::from(policy.allows(&input.to_value(), &Filter::default())?))
    })?;
    measure("opa_policy_parse", || Ok(Policy::parse("bench", text, Package::Aaasvc)?.name().len()))?;
    let rules: String =
        (0..9).map(|number| format!("allow\t/^up=team{number}-/\tstatus restart\tcountry=mt\t*\n")).collect();
    let (policy, _faults) = ActionPolicy::parse(&format!("{rules}allow\tup=bob\t*\tcountry=mt os.family=Debian\t*\n"));
    let (facts, _refused) = Facts::merge(&[FactFile { name: "facts.json", text: FACTS }]);
    let question = Question { caller: "up=bob", action: "get_fact", facts: &facts, classes: None };
    measure("action_policy_decision", || Ok(usize::from(policy.decide(false, &Groups::default(), question)?.allowed)))
}

/// An issuer, a server and a client whose tokens it signed.
struct Parties {
    roots: TrustRoots,
    server: Provider,
    client: Provider,
    signer: LocalSigner,
}

impl Parties {
    fn new() -> anyhow::Result<Self> {
        let issuer = Seed::generate();
        let roots = TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer.public())]));
        let key = SigningKey::Ed25519(issuer);
        let (now, validity) = (SystemTime::now(), Duration::from_secs(3600));
        let mut random = rand::rngs::OsRng;
        let server_seed = Seed::generate();
        let public = server_seed.public();
        let server_token =
            ServerClaims::new("n1.example.net", vec!["choria".to_owned()], public, validity, now, &mut random)?
                .sign(&key)?;
        let client_seed = Seed::generate();
        let mut claims = ClientClaims::new("up=bob", validity, now, &mut random)?;
        claims.standard.public_key = Some(client_seed.public().to_string());
        claims.permissions = Some(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
        let client_token = claims.sign(&key)?;
        let server = Provider::new(Parts {
            identity: "n1.example.net".parse()?,
            credentials: Some(Credentials::new(&server_token, server_seed)?),
            trust: Trust::Tokens(Arc::new(TrustedTokens::new(roots.clone()))),
            sign_replies: true,
        });
        let client = Provider::new(Parts {
            identity: "bob".parse()?,
            credentials: Some(Credentials::new(&client_token, client_seed)?),
            trust: Trust::Nobody,
            sign_replies: true,
        });
        let signer = LocalSigner::new(client.clone());
        Ok(Self { roots, server, client, signer })
    }

    /// A verifier that has seen no token yet. It needs no credentials of its own.
    fn fresh_verifier(&self) -> Provider {
        Provider::new(Parts {
            identity: self.server.identity().clone(),
            credentials: None,
            trust: Trust::Tokens(Arc::new(TrustedTokens::new(self.roots.clone()))),
            sign_replies: false,
        })
    }

    fn request(&self, now: SystemTime) -> anyhow::Result<Request> {
        let id = protocol::new_request_id(Version::V2, now, &mut rand::thread_rng());
        Ok(Request {
            version: Version::V2,
            id,
            sender: "bob".parse()?,
            caller: self.client.caller().clone(),
            collective: "choria".parse()?,
            agent: "rpcutil".parse()?,
            ttl: 60,
            time: now,
            filter: Filter { agents: vec!["rpcutil".to_owned()], ..Filter::default() },
            payload: br#"{"agent":"rpcutil","action":"ping","data":{}}"#.to_vec(),
        })
    }

    fn seal_request(&self, request: &Request) -> anyhow::Result<Vec<u8>> {
        let sealed = self.signer.seal_now(request)?;
        let reply_to = protocol::subjects::reply(&request.collective, &request.caller, &request.id);
        Ok(sealed.transport(&Headers {
            reply_to: Some(reply_to),
            sender: Some(self.client.identity().clone()),
            ..Headers::default()
        }))
    }

    fn seal_reply(&self, reply: &Reply) -> Vec<u8> {
        let headers = Headers { sender: Some(self.server.identity().clone()), ..Headers::default() };
        protocol::transport::encode(Version::V2, &self.server.seal_reply(reply), &headers)
    }
}

/// From the bytes on the wire to a verified request, as a server does it.
fn verify_request(provider: &Provider, wire: &[u8], now: SystemTime) -> anyhow::Result<usize> {
    let secure = Transport::parse(wire)?.secure_request()?;
    let request = provider.verify_request(&secure, now)?;
    Ok(request.body().len())
}

/// From the bytes on the wire to a reply, as a client does it.
fn verify_reply(provider: &Provider, wire: &[u8], now: SystemTime) -> anyhow::Result<usize> {
    let secure: SecureReply = Transport::parse(wire)?.secure_reply()?;
    Ok(provider.verify_reply(&secure, now)?.payload.len())
}

fn filters() -> anyhow::Result<()> {
    let facts = Facts::merge(&[FactFile { name: "facts.json", text: FACTS }]).0;
    let agents = ["choria_util".parse()?, "discovery".parse()?, "rpcutil".parse()?];
    let classes = ["roles::base".to_owned(), "roles::web".to_owned(), "roles::db".to_owned()];
    let answers = DataAnswers::default();
    let identity = "n1.example.net";
    let view = NodeView { identity, agents: &agents, classes: &classes, facts: &facts, data: &answers };
    let plain = Filter {
        agents: vec!["rpcutil".to_owned()],
        classes: vec!["roles::web".to_owned()],
        facts: vec!["country=mt".parse()?],
        ..Filter::default()
    };
    let expression = "with('roles::web') && fact('os.release.major') == '13' && with('country=mt')";
    let compound = Filter { compound: vec![Compound::Expression(expression.to_owned())], ..Filter::default() };
    for (name, filter) in [("filter_match", plain), ("compound_match", compound)] {
        let compiled = filter.compile();
        anyhow::ensure!(compiled.matches(&view)?, "{name} should match");
        measure(name, || Ok(usize::from(compiled.matches(&view)?)))?;
    }
    Ok(())
}

/// Prints the median over the windows of operations a CPU second.
fn measure(name: &str, mut operation: impl FnMut() -> anyhow::Result<usize>) -> anyhow::Result<()> {
    operation().with_context(|| name.to_owned())?;
    let mut rates = Vec::with_capacity(WINDOWS);
    for _ in 0..WINDOWS {
        let began = cpu_seconds()?;
        let mut done = 0_u32;
        let used = loop {
            for _ in 0..100 {
                black_box(operation()?);
            }
            done += 100;
            let used = cpu_seconds()? - began;
            if used >= WINDOW_SECONDS {
                break used;
            }
        };
        rates.push(f64::from(done) / used);
    }
    rates.sort_by(f64::total_cmp);
    println!("{}", serde_json::json!({"name": name, "ops_per_cpu_s": rates[WINDOWS / 2].round()}));
    Ok(())
}

/// User and system CPU seconds of this process.
fn cpu_seconds() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
