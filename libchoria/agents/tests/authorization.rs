//! Who may call what on a node: each provider with its files and tokens, and what must not get past it.

mod support;

use choria_agents::Node;
use protocol::{Filter, Headers, Request, SecureRequest, Version};
use rpc::RequestBody;
use security::{Credentials, LocalSigner, Parts, Provider, Trust, TrustedTokens};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use support::reply_body;
use tempfile::TempDir;
use tokens::{ClientClaims, ClientPermissions, Seed, SigningKey, TrustRoots};

const IDENTITY: &str = "n1.example.net";
const REPLY_TO: &str = "choria.reply.x";

/// A node with a configuration folder and an issuer it trusts.
struct Site {
    folder: TempDir,
    issuer: SigningKey,
    node: Arc<Node>,
    requests: AtomicUsize,
}

impl Site {
    /// With `provider`, further keys, and nothing in its folder but `files`.
    fn new(provider: &str, keys: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("policies/rego")).expect("folders");
        let issuer = Seed::generate();
        let roots = TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer.public())]));
        let trust = Trust::Tokens(Arc::new(TrustedTokens::new(roots)));
        let audit = folder.path().join("audit.log").display().to_string();
        let classes = folder.path().join("classes.txt").display().to_string();
        std::fs::write(&classes, "role::web\n").expect("written");
        std::fs::write(folder.path().join("facts.json"), r#"{"env":"prod"}"#).expect("written");
        let mut all = vec![
            ("rpcauthprovider", provider),
            ("rpcaudit", "1"),
            ("plugin.rpcaudit.logfile", audit.as_str()),
            ("classesfile", classes.as_str()),
        ];
        all.extend(keys);
        let config_file = folder.path().join("server.conf");
        let node = support::node_at(IDENTITY, folder.path(), trust, &all, Some(&config_file));
        let site = Self { folder, issuer: SigningKey::Ed25519(issuer), node, requests: AtomicUsize::new(0) };
        files.iter().for_each(|(name, text)| site.write(name, text));
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("policies").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect(name);
    }

    /// A client whose token carries `agents` and `policy`.
    fn client(&self, caller: &str, agents: &[&str], policy: Option<&str>) -> Client {
        let (seed, now) = (Seed::generate(), SystemTime::now());
        let mut claims =
            ClientClaims::new(caller, Duration::from_secs(3600), now, &mut rand::rngs::OsRng).expect("claims");
        claims.standard.public_key = Some(seed.public().to_string());
        claims.permissions = Some(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
        claims.allowed_agents = agents.iter().map(|agent| (*agent).to_owned()).collect();
        claims.opa_policy = policy.map(str::to_owned);
        claims.user_properties = BTreeMap::from([("group".to_owned(), "ops".to_owned())]);
        self.holder(&claims, seed)
    }

    fn holder(&self, claims: &ClientClaims, seed: Seed) -> Client {
        let token = claims.sign(&self.issuer).expect("a token");
        let credentials = Credentials::new(&token, seed).expect("credentials");
        let identity = "client.example.net".parse().expect("a name");
        let parts = Parts { identity, credentials: Some(credentials), trust: Trust::Nobody, sign_replies: false };
        Client { provider: Provider::new(parts), token }
    }

    fn request(&self, caller: &str, action: &str, data: Value, filter: Filter) -> Request {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let body = RequestBody { agent: "rpcutil".to_owned(), action: action.to_owned(), data };
        Request {
            version: Version::V2,
            id: format!("{number:032}").parse().expect("an id"),
            sender: "client.example.net".parse().expect("a name"),
            caller: caller.parse().expect("a caller"),
            collective: "choria".parse().expect("a collective"),
            agent: "rpcutil".parse().expect("an agent"),
            ttl: 60,
            time: SystemTime::now(),
            filter,
            payload: body.encode(),
        }
    }

    /// Whether `client` may call `action`: status 0 or 1 of the reply.
    async fn allows(&self, client: &Client, action: &str, data: Value, filter: Filter) -> bool {
        let request = self.request(client.provider.caller().as_str(), action, data, filter);
        let sealed = LocalSigner::new(client.provider.clone()).seal_now(&request).expect("sealed");
        let headers = Headers { reply_to: Some(REPLY_TO.to_owned()), ..Headers::default() };
        self.status(&sealed.transport(&headers)).await
    }

    async fn status(&self, message: &[u8]) -> bool {
        let response = self.node.respond(message, SystemTime::now()).await.expect("a reply");
        let body = reply_body(&response, IDENTITY);
        match body.status.number() {
            0 => true,
            1 => {
                assert_eq!(body.message, "You are not authorized to call this agent or action");
                false
            }
            status => panic!("status {status}: {}", body.message),
        }
    }

    /// The reason of the last denial, from the audit.
    fn reason(&self) -> String {
        let audit = std::fs::read_to_string(self.folder.path().join("audit.log")).expect("an audit");
        let line: Value = serde_json::from_str(audit.lines().last().expect("a line")).expect("JSON");
        assert!(line.get("action").is_none() && line.get("data").is_none(), "{line}");
        line["reason"].as_str().expect("a reason").to_owned()
    }

    async fn ping(&self, caller: &str) -> bool {
        self.allows(&self.client(caller, &[], None), "ping", json!({}), Filter::default()).await
    }
}

struct Client {
    provider: Provider,
    token: String,
}

#[tokio::test]
async fn action_policies_are_found_by_agent_and_followed_when_they_change() {
    let keys = [("plugin.actionpolicy.enable_default", "Yes")];
    let site = Site::new("ACTION_policy", &keys, &[]);
    assert!(!site.ping("up=ann").await);
    assert!(site.reason().starts_with("there is no policy "), "{}", site.reason());
    site.write("default.policy", "allow\tup=ann\tping\t*\t*\n");
    assert!(site.ping("up=ann").await);
    assert!(!site.ping("up=bob").await);
    assert!(site.reason().starts_with("denied by default: no rule of "), "{}", site.reason());
    // Its own file counts alone, also when it says nothing.
    site.write("rpcutil.policy", "policy default deny\n");
    assert!(!site.ping("up=ann").await);
    site.write("rpcutil.policy", "deny\tops\t*\t*\t*\nallow\t*\tping\tenv=prod\t/^ROLE::/\n");
    assert!(site.ping("up=ann").await);
    site.write("groups", "ops up=ann up=bob\n");
    assert!(!site.ping("up=ann").await);
    assert!(site.reason().starts_with("denied by line 1 of ") && site.reason().ends_with("rpcutil.policy"));
    assert!(site.ping("up=eve").await);
    site.write("groups", "ops up=bob\n");
    assert!(site.ping("up=ann").await, "the new groups count");
    let counts = site.node.stats.counts();
    assert_eq!((counts.denied, counts.policy_faults), (4, 0));
}

#[tokio::test]
async fn allow_unconfigured_is_not_for_agents_without_a_file() {
    let site = Site::new("action_policy", &[("plugin.actionpolicy.allow_unconfigured", "1")], &[]);
    assert!(!site.ping("up=ann").await);
    site.write("rpcutil.policy", "deny\tup=bob\t*\t*\t*\n");
    assert!(site.ping("up=ann").await);
    assert!(!site.ping("up=bob").await);
}

#[tokio::test]
async fn policy_files_that_are_none_deny() {
    for (provider, file, good) in [
        ("action_policy", "rpcutil.policy", "allow\t*\t*\t*\t*\n"),
        ("rego_policy", "rego/rpcutil.rego", "package io.choria.mcorpc.authpolicy\ndefault allow = true\n"),
    ] {
        let keys = [("plugin.actionpolicy.enable_default", "1")];
        let site = Site::new(provider, &keys, &[("default.policy", good), ("rego/default.rego", good)]);
        let path = site.path(file);
        let clear = || {
            if path.is_dir() { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) }.expect("removed");
        };
        assert!(site.ping("up=ann").await, "{provider}: the default file");
        type Make<'a> = &'a dyn Fn(&Path);
        let rows: [(&str, Make<'_>, &str); 6] = [
            (
                "a pipe",
                &|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe"),
                "no regular file",
            ),
            ("a loop", &|path| symlink(path, path).expect("linked"), "symbolic link"),
            ("a link to nowhere", &|path| symlink("/nonexistent/x", path).expect("linked"), "No such file"),
            ("a folder", &|path| std::fs::create_dir(path).expect("made"), "no regular file"),
            ("megabytes", &|path| std::fs::write(path, "#".repeat(3 << 20)).expect("written"), "larger than 256 KiB"),
            ("a device", &|path| symlink("/dev/zero", path).expect("linked"), "no regular file"),
        ];
        for (name, make, words) in rows {
            make(&path);
            let asked = tokio::time::timeout(Duration::from_secs(20), site.ping("up=ann")).await;
            assert!(!asked.expect("an answer in time"), "{provider}: {name}");
            assert!(site.reason().contains(words), "{provider}: {name}: {}", site.reason());
            clear();
        }
        // Root reads everything, others do not.
        if !nix::unistd::geteuid().is_root() {
            std::fs::write(&path, good).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("set");
            assert!(!site.ping("up=ann").await, "{provider}: unreadable");
            clear();
        }
        assert!(site.ping("up=ann").await, "{provider}: the default file again");
        assert_eq!(site.node.stats.counts().policy_faults, site.node.stats.counts().denied, "{provider}");
    }
}

#[tokio::test]
async fn a_default_name_stays_in_its_folder() {
    let keys = [("plugin.actionpolicy.enable_default", "1"), ("plugin.actionpolicy.default_name", "../outside")];
    let site = Site::new("action_policy", &keys, &[]);
    std::fs::write(site.folder.path().join("outside.policy"), "allow\t*\t*\t*\t*\n").expect("written");
    assert!(!site.ping("up=ann").await);
    for name in ["..", "../x", "a/b", "a\0b", ".hidden"] {
        name.parse::<names::AgentName>().expect_err("no agent can be called so, and no file is looked for");
    }
}

#[tokio::test]
async fn rego_policies_see_the_documented_input() {
    let policy = "package io.choria.mcorpc.authpolicy\ndefault allow = false\nallow {\n  input.agent == \"rpcutil\"\n  \
        input.action == \"get_fact\"\n  input.callerid == \"up=ann\"\n  input.collective == \"choria\"\n  \
        input.data.fact == \"env\"\n  input.ttl == 60\n  time.parse_rfc3339_ns(input.time) > 0\n  \
        input.facts.env == \"prod\"\n  input.classes == [\"role::web\"]\n  \
        input.agents == [\"choria_util\", \"discovery\", \"rpcutil\"]\n  input.provision_mode == false\n}\n";
    let site = Site::new("Rego_policy", &[("plugin.regopolicy.tracing", "y")], &[("rego/default.rego", policy)]);
    let ask = async |caller: &str, fact: &str| {
        let client = site.client(caller, &[], None);
        site.allows(&client, "get_fact", json!({"fact": fact}), Filter::default()).await
    };
    assert!(ask("up=ann", "env").await);
    assert!(!ask("up=bob", "env").await);
    assert!(!ask("up=ann", "other").await);
    assert!(site.reason().starts_with("denied by ") && site.reason().ends_with("rego/default.rego"));
    // A file of the agent's own counts alone; newer Rego is as good.
    let newer = "package io.choria.mcorpc.authpolicy\nimport rego.v1\ndefault allow := false\nallow if input.callerid == \"up=bob\"\n";
    site.write("rego/rpcutil.rego", newer);
    assert!(ask("up=bob", "env").await && !ask("up=ann", "env").await);
    let faults = [
        ("package io.choria.mcorpc.authpolicy\nallow { false }\n", "allow is undefined"),
        ("package io.choria.mcorpc.authpolicy\nallow = 1\n", "neither true nor false"),
        ("package io.choria.mcorpc.authpolicy\nallow {\n", "rego/rpcutil.rego in line"),
        ("package io.choria.aaasvc\ndefault allow = true\n", "its package is io.choria.aaasvc"),
        ("package io.choria.mcorpc.authpolicy\nallow { b }\nb { allow }\n", "rules build on themselves"),
        ("package io.choria.mcorpc.authpolicy\nallow { http.send({}) }\n", "could not find function http.send"),
    ];
    for (number, (text, words)) in faults.into_iter().enumerate() {
        site.write("rego/rpcutil.rego", text);
        assert!(!ask("up=bob", "env").await, "{text}");
        assert!(site.reason().contains(words), "{text}: {}", site.reason());
        assert_eq!(site.node.stats.counts().policy_faults, number as u64 + 1);
    }
    site.write("rego/rpcutil.rego", newer);
    assert!(ask("up=bob", "env").await);
}

#[tokio::test]
async fn tokens_say_what_their_caller_may_do() {
    let site = Site::new("aaasvc_policy", &[], &[]);
    let owner = "package io.choria.aaasvc\ndefault allow = false\nallow {\n  input.agent == \"rpcutil\"\n  \
        input.claims.callerid == \"up=ann\"\n  input.claims.user_properties.group == \"ops\"\n  input.site == \"server\"\n  \
        input.sender == \"client.example.net\"\n  input.collective == \"choria\"\n  input.ttl == 60\n  \
        time.parse_rfc3339_ns(input.time) > 0\n  input.data == {}\n  requires_identity_filter(\"n1.example.net\")\n}\n";
    let demonstration = vectors::root().join("config/choria.rego");
    let demonstration = std::fs::read_to_string(demonstration).expect("the demonstration's policy");
    let here = || Filter { identities: vec![IDENTITY.to_owned()], ..Filter::default() };
    // Name, agents, policy, filter, reason of the denial.
    type Row<'a> = (&'a str, &'a [&'a str], Option<&'a str>, Filter, Result<(), &'a str>);
    let rows: Vec<Row<'_>> = vec![
        ("all agents", &["*"], None, Filter::default(), Ok(())),
        ("the agent", &["puppet.*", "rpcutil.*"], None, Filter::default(), Ok(())),
        ("the action", &["rpcutil.ping"], None, Filter::default(), Ok(())),
        ("another action", &["rpcutil.inventory"], None, Filter::default(), Err("denied by the agents")),
        ("no entry", &["rpcutil"], None, Filter::default(), Err("invalid agent policy: rpcutil")),
        ("neither", &[], None, Filter::default(), Err("no policy received in token")),
        ("an empty policy", &[], Some(""), Filter::default(), Err("no policy received in token")),
        ("both", &["*"], Some(owner), Filter::default(), Err("received agent list and rego policy")),
        ("a policy", &[], Some(owner), here(), Ok(())),
        ("a policy that wants a filter", &[], Some(owner), Filter::default(), Err("denied by the opa_policy")),
        ("the demonstration's", &[], Some(&demonstration), Filter::default(), Ok(())),
        ("no policy", &[], Some("allow = true"), Filter::default(), Err("policy opa_policy in line 1 is not valid")),
        (
            "of a node",
            &[],
            Some("package io.choria.mcorpc.authpolicy\nallow = true"),
            Filter::default(),
            Err("its package is"),
        ),
    ];
    for (name, agents, policy, filter, expected) in rows {
        let client = site.client("up=ann", agents, policy);
        let got = site.allows(&client, "ping", json!({}), filter).await;
        assert_eq!(got, expected.is_ok(), "{name}");
        if let Err(words) = expected {
            assert!(site.reason().contains(words), "{name}: {}", site.reason());
        }
    }
    let tired = "package io.choria.aaasvc\ndefault allow = false\nn = numbers.range(1, 3000)\nallow { count([1 | n[_] == n[_]; n[_] == n[_]]) > 0 }\n";
    let client = site.client("up=ann", &[], Some(tired));
    assert!(!site.allows(&client, "ping", json!({}), Filter::default()).await, "a policy that does not end");
    assert!(site.reason().contains("was not evaluated within 1 s"), "{}", site.reason());
    let client = site.client("up=ann", &["*"], None);
    assert!(site.allows(&client, "ping", json!({}), Filter::default()).await, "others are served meanwhile");
}

/// The signature of a delegate covers the request and not the caller's token beside it.
#[tokio::test]
async fn another_s_token_in_a_delegated_request_is_of_no_use() {
    let site = Site::new("aaasvc", &[], &[]);
    let seed = Seed::generate();
    let now = SystemTime::now();
    let mut delegate =
        ClientClaims::new("up=signer", Duration::from_secs(3600), now, &mut rand::rngs::OsRng).expect("claims");
    delegate.standard.public_key = Some(seed.public().to_string());
    delegate.permissions = Some(ClientPermissions { authentication_delegator: true, ..ClientPermissions::default() });
    let delegate_token = delegate.sign(&site.issuer).expect("a token");
    let (eve, admin) = (site.client("up=eve@ex.net", &["puppet.*"], None), site.client("up=admin", &["*"], None));
    for (caller, token, expected) in [
        ("up=admin", &admin.token, None),
        ("up=eve_ex_net", &admin.token, Some("but the token with the policy is of up=admin")),
        ("up=eve_ex_net", &eve.token, Some("denied by the agents")),
    ] {
        let request = site.request(caller, "ping", json!({}), Filter::default()).encode();
        let secure = SecureRequest {
            version: Version::V2,
            signature: seed.sign(&request).as_bytes().to_vec(),
            request,
            caller: token.clone(),
            signer: Some(delegate_token.clone()),
        };
        let headers = Headers { reply_to: Some(REPLY_TO.to_owned()), ..Headers::default() };
        let message = protocol::Transport { version: Version::V2, data: secure.encode(), headers }.encode();
        assert_eq!(site.status(&message).await, expected.is_none(), "{caller}");
        if let Some(words) = expected {
            assert!(site.reason().contains(words), "{caller}: {}", site.reason());
        }
    }
}

#[tokio::test]
async fn an_unknown_provider_denies_and_says_so_at_the_start() {
    let site = Site::new("rego", &[], &[("rpcutil.policy", "allow\t*\t*\t*\t*\n")]);
    assert!(!site.ping("up=ann").await);
    assert!(site.reason().contains("rpcauthprovider is \"rego\", which is none of"), "{}", site.reason());
    let warning = site.node.authorization.warning().expect("a warning");
    assert!(warning.starts_with("every RPC request will be denied: rpcauthprovider is \"rego\""), "{warning}");
    for provider in ["action_policy", "Rego_Policy", "AAASVC", "aaasvc_policy"] {
        assert_eq!(Site::new(provider, &[], &[]).node.authorization.warning(), None, "{provider}");
    }
}

#[tokio::test]
async fn denials_are_audited_unless_that_is_off() {
    let site = Site::new(
        "action_policy",
        &[("plugin.rpcaudit.log_denied", "0")],
        &[("rpcutil.policy", "allow\tup=ann\t*\t*\t*\n")],
    );
    assert!(site.ping("up=ann").await && !site.ping("up=bob").await);
    let audit = std::fs::read_to_string(site.folder.path().join("audit.log")).expect("an audit");
    assert!(audit.lines().count() == 1 && audit.contains("up=ann"), "{audit}");
}
