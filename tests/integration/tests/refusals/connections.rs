//! Connections: what keeps them from being made, and what the broker refuses. The broker's reasons are for its log: the
//! connection itself learns only that it is refused.

use super::Refusal;
use broker::decision::{
    Decision, Holder, Kind, Networks, Policy, Provisioning, Reason, Request, Secret, SignerUnavailable, System, Tls,
    Trust, decide,
};
use choria_tests::{Lab, free_port};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{
    ClientClaims, ClientPermissions, ProvisioningClaims, Purpose, Seed, ServerClaims, SigningKey, StandardClaims,
    TrustRoots,
};

pub(crate) fn refusals() -> Vec<Refusal> {
    let mut all = attempts();
    all.extend(decisions());
    all
}

fn attempts() -> Vec<Refusal> {
    const FROM: &str = "choria ping";
    let lab = Lab::new();
    let address = format!("127.0.0.1:{}", lab.port);
    let ping_to = |hosts: &str| {
        lab.write("elsewhere.conf", &lab.read("client.conf").replace(&address, hosts));
        lab.choria_as("elsewhere", &["ping", "--connect-timeout", "1s"]).stderr
    };
    let plain = speaker(b"INFO {\"server_id\":\"x\",\"server_name\":\"plain\",\"version\":\"2.10.0\",\"go\":\"\",\"host\":\"h\",\"port\":1,\"headers\":true,\"max_payload\":1,\"proto\":1,\"nonce\":\"x\"}\r\n");
    let mut all = vec![
        Refusal::new("connect-refused", FROM, ping_to(&format!("127.0.0.1:{}", free_port()))),
        Refusal::new("connect-name", FROM, ping_to("broker.invalid:4222")),
        Refusal::new("connect-plain-text", FROM, ping_to(&format!("127.0.0.1:{plain}"))),
        Refusal::new("connect-no-broker", FROM, ping_to(&format!("127.0.0.1:{}", speaker(b"")))),
    ];
    lab.write("federated.conf", &format!("{}plugin.choria.federation.collectives = other\n", lab.read("client.conf")));
    all.push(Refusal::new("connect-no-address", FROM, lab.choria_as("federated", &["ping"]).stderr));
    let _broker = lab.start_broker();
    lab.keys("stranger");
    lab.client("foreign", "stranger.seed");
    all.push(Refusal::new("connect-unauthorized", FROM, lab.choria_as("foreign", &["ping"]).stderr));
    lab.write("other.pem", OTHER_CA);
    lab.write("verifying.conf", &format!("{}plugin.security.choria.ca = other.pem\n", lab.read("client.conf")));
    all.push(Refusal::new("connect-certificate", FROM, lab.choria_as("verifying", &["ping"]).stderr));
    let insecure = lab.start_with("choria", &["ping"], &[("INSECURE_DISABLE_TLS", "true")]).output();
    all.push(Refusal::new("connect-without-tls", FROM, insecure.stderr));
    all
}

/// A listener that says `words` and closes, until the test ends.
fn speaker(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _gone_already = stream.write_all(words);
        }
    });
    port
}

const NONCE: &str = "9hD2kq0aZ1s_x7Y";

/// The parties of a decision.
struct World {
    issuer: SigningKey,
    stranger: SigningKey,
    holder: Seed,
    now: SystemTime,
}

impl World {
    fn new() -> Self {
        Self {
            issuer: SigningKey::Ed25519(Seed::from_bytes([1; 32])),
            stranger: SigningKey::Ed25519(Seed::from_bytes([2; 32])),
            holder: Seed::from_bytes([3; 32]),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        }
    }

    fn roots() -> TrustRoots {
        TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), Seed::from_bytes([1; 32]).public())]))
    }

    fn policy() -> Policy {
        Policy {
            trust: Trust::Issuers(Self::roots()),
            provisioning: Some(Provisioning { password: secret("provision"), without_token: false, signer: None }),
            system: Some(System { user: "system".to_owned(), password: secret("sys") }),
            deny_servers: false,
            client_hosts: Networks::default(),
            read_only: false,
            enforce_expiry: false,
            certificates_on_issuer_network: false,
            renamed: None,
        }
    }

    fn standard(&self, purpose: Purpose) -> StandardClaims {
        let public_key = Some(self.holder.public().to_string());
        let expires = Some(self.now + Duration::from_secs(3600));
        StandardClaims { purpose, public_key, expires, ..StandardClaims::default() }
    }

    fn client_claims(&self) -> ClientClaims {
        ClientClaims {
            caller_id: "up=alice".to_owned(),
            organization_unit: "choria".to_owned(),
            permissions: Some(ClientPermissions { fleet_management: true, ..ClientPermissions::default() }),
            standard: self.standard(Purpose::Client),
            ..ClientClaims::default()
        }
    }

    fn client(&self) -> String {
        self.client_claims().sign(&self.issuer).expect("a token")
    }

    fn server(&self, identity: &str) -> String {
        let claims = ServerClaims {
            identity: identity.to_owned(),
            collectives: vec!["choria".to_owned()],
            organization_unit: "choria".to_owned(),
            standard: self.standard(Purpose::Server),
            ..ServerClaims::default()
        };
        claims.sign(&self.issuer).expect("a token")
    }

    fn provisioning(&self, key: &SigningKey, organization: &str) -> String {
        let claims = ProvisioningClaims {
            urls: "nats://broker.example.net:4222".to_owned(),
            organization_unit: organization.to_owned(),
            standard: StandardClaims { public_key: None, ..self.standard(Purpose::Provisioning) },
            ..ProvisioningClaims::default()
        };
        claims.sign(key).expect("a token")
    }

    /// A connection over TLS that presents `token` and signs the nonce.
    fn request(&self, token: String) -> Request {
        Request {
            kind: Kind::Client,
            user: String::new(),
            password: None,
            token: Some(Secret::new(token)),
            signature: self.holder.sign(NONCE.as_bytes()).to_base64(),
            nonce: NONCE.to_owned(),
            tls: Tls::Unverified,
            address: None,
            name: "n1.example.net".to_owned(),
        }
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn as_user(request: Request, user: &str, password: &str) -> Request {
    Request { user: user.to_owned(), password: Some(secret(password)), ..request }
}

/// Every reason of a broker, in the order of its rules.
fn decisions() -> Vec<Refusal> {
    let world = World::new();
    let policy = World::policy;
    let client = || world.request(world.client());
    let changed = |change: fn(&mut ClientClaims)| {
        let mut claims = world.client_claims();
        change(&mut claims);
        world.request(claims.sign(&world.issuer).expect("a token"))
    };
    let waiting = |key: &SigningKey, organization: &str| Request {
        signature: String::new(),
        ..world.request(world.provisioning(key, organization))
    };
    let nobody = || Request { token: None, signature: String::new(), ..client() };
    let verified = || Request { tls: Tls::Verified { common_name: "c".to_owned() }, ..nobody() };
    let signers = |clients: bool| {
        let roots = Some(TrustRoots::signers(vec![Seed::from_bytes([1; 32]).public().into()]));
        let trust = if clients {
            Trust::Signers { clients: roots, servers: None }
        } else {
            Trust::Signers { clients: None, servers: roots }
        };
        Policy { trust, ..policy() }
    };
    let unreadable = || {
        let signer: Arc<dyn Fn() -> Result<TrustRoots, SignerUnavailable> + Send + Sync> =
            Arc::new(|| Err(SignerUnavailable("cannot read /etc/choria/provisioner.pem: No such file".to_owned())));
        let provisioning = Provisioning { password: secret("x"), without_token: false, signer: Some(signer) };
        Policy { trust: signers(true).trust, provisioning: Some(provisioning), ..policy() }
    };
    let hosts: Networks = ["10.0.0.0/8".parse().expect("a network")].into_iter().collect();
    let system_permission = |claims: &mut ClientClaims| {
        claims.permissions = Some(ClientPermissions { system_user: true, ..ClientPermissions::default() });
    };
    let rows: Vec<(&str, Request, Policy)> = vec![
        ("denied-no-tls", Request { tls: Tls::None, ..client() }, policy()),
        ("denied-no-token", nobody(), policy()),
        ("denied-certificate-only", verified(), policy()),
        ("denied-leafnode", Request { kind: Kind::Leafnode, ..client() }, policy()),
        (
            "denied-purpose",
            changed(|claims| claims.standard.purpose = Purpose::Unknown),
            Policy { provisioning: None, ..policy() },
        ),
        ("denied-issuer", world.request(world.client_claims().sign(&world.stranger).expect("a token")), policy()),
        ("denied-organization", changed(|claims| "acme".clone_into(&mut claims.organization_unit)), policy()),
        ("denied-expired", changed(|claims| claims.standard.expires = Some(SystemTime::UNIX_EPOCH)), policy()),
        ("denied-malformed", world.request("no token".to_owned()), policy()),
        ("denied-no-client-trust", client(), signers(false)),
        ("denied-no-server-trust", world.request(world.server("n1")), signers(true)),
        ("denied-no-caller", changed(|claims| claims.caller_id.clear()), policy()),
        (
            "denied-client-host",
            Request { address: Some([192, 0, 2, 1].into()), ..client() },
            Policy { client_hosts: hosts, ..policy() },
        ),
        ("denied-identity", world.request(world.server("a.*")), policy()),
        ("denied-public-key", changed(|claims| claims.standard.public_key = None), policy()),
        ("denied-nonce-not-signed", Request { signature: String::new(), ..client() }, policy()),
        (
            "denied-nonce-signature",
            Request { signature: world.holder.sign(b"another").to_base64(), ..client() },
            policy(),
        ),
        ("denied-provisioning-off", as_user(client(), "provisioner", "x"), Policy { provisioning: None, ..policy() }),
        ("denied-provisioner-password", as_user(client(), "provisioner", "x"), policy()),
        ("denied-provisioner-token", as_user(nobody(), "provisioner", "provision"), policy()),
        ("denied-provisioner-certificate", as_user(nobody(), "provisioner", "provision"), signers(true)),
        ("denied-not-provisioner", as_user(client(), "provisioner", "provision"), policy()),
        ("denied-system-token", as_user(nobody(), "system", "sys"), policy()),
        ("denied-not-system-user", as_user(client(), "system", "sys"), policy()),
        ("denied-system-password", as_user(changed(system_permission), "system", "x"), policy()),
        ("denied-no-provisioning-signer", waiting(&world.issuer, "choria"), signers(true)),
        ("denied-provisioning-signer", waiting(&world.issuer, "choria"), unreadable()),
        ("denied-provisioning-token", waiting(&world.stranger, "choria"), policy()),
        ("denied-node-name", Request { name: "*".to_owned(), ..waiting(&world.issuer, "choria") }, policy()),
    ];
    let refused = rows.into_iter().map(|(id, request, policy)| match decide(&request, &policy, world.now) {
        Decision::Deny(reason) => Refusal::new(id, "broker::decision::decide", reason),
        Decision::Allow(grant) => panic!("{id}: {grant:?}"),
    });
    let holder = Holder { address: "192.0.2.7".to_owned(), connection: 12 };
    let name_in_use = Reason::NameInUse { node: "n1.example.net".parse().expect("a name"), holder };
    refused.chain([Refusal::new("denied-name-in-use", "broker::decision::Reason", name_in_use)]).collect()
}

/// A certificate that signed nothing here.
const OTHER_CA: &str = include_str!("../../../../libchoria/tokens/tests/data/throwaway.cert.pem");
