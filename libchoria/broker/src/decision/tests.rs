//! Every row of the evaluation order, with tokens made here; real ones are in `tests/vectors.rs`.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokens::{ClientPermissions, ProvisioningClaims, Seed, ServerClaims, SigningKey, TrustRoots};

const NONCE: &str = "9hD2kq0aZ1s_x7Y";

struct World {
    issuer: SigningKey,
    other_issuer: SigningKey,
    holder: Seed,
    now: SystemTime,
}

impl World {
    fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self {
            issuer: SigningKey::Ed25519(Seed::from_bytes([1; 32])),
            other_issuer: SigningKey::Ed25519(Seed::from_bytes([2; 32])),
            holder: Seed::from_bytes([3; 32]),
            now,
        }
    }

    fn roots() -> TrustRoots {
        let key = Seed::from_bytes([1; 32]).public();
        TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), key)]))
    }

    fn policy() -> Policy {
        Policy {
            trust: Trust::Issuers(Self::roots()),
            provisioning: Some(Provisioning {
                password: Secret::new("s3cret".to_owned()),
                without_token: false,
                signer: None,
            }),
            system: Some(System { user: "system".to_owned(), password: Secret::new("sysp".to_owned()) }),
            deny_servers: false,
            client_hosts: Networks::default(),
            read_only: false,
            enforce_expiry: false,
            certificates_on_issuer_network: false,
            renamed: None,
        }
    }

    fn standard(&self) -> StandardClaims {
        StandardClaims {
            public_key: Some(self.holder.public().to_string()),
            expires: Some(self.now + Duration::from_secs(3600)),
            ..StandardClaims::default()
        }
    }

    fn client(&self, permissions: ClientPermissions) -> String {
        let claims = ClientClaims {
            caller_id: "up=alice".to_owned(),
            organization_unit: "choria".to_owned(),
            permissions: Some(permissions),
            standard: StandardClaims { purpose: Purpose::Client, ..self.standard() },
            ..ClientClaims::default()
        };
        claims.sign(&self.issuer).unwrap()
    }

    fn server(&self, identity: &str, key: &SigningKey) -> String {
        let claims = ServerClaims {
            identity: identity.to_owned(),
            collectives: vec!["choria".to_owned()],
            organization_unit: "choria".to_owned(),
            standard: StandardClaims { purpose: Purpose::Server, ..self.standard() },
            ..ServerClaims::default()
        };
        claims.sign(key).unwrap()
    }

    fn provisioning(&self, key: &SigningKey) -> String {
        let claims = ProvisioningClaims {
            urls: "nats://broker.example.net:4222".to_owned(),
            organization_unit: "choria".to_owned(),
            standard: StandardClaims { purpose: Purpose::Provisioning, public_key: None, ..self.standard() },
            ..ProvisioningClaims::default()
        };
        claims.sign(key).unwrap()
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

fn login(request: Request, user: &str, password: &str) -> Request {
    Request { user: user.to_owned(), password: Some(Secret::new(password.to_owned())), ..request }
}

fn certified(common_name: &str) -> Request {
    let tls = Tls::Verified { common_name: common_name.to_owned() };
    Request { token: None, signature: String::new(), nonce: String::new(), tls, ..World::new().request(String::new()) }
}

fn listed(networks: &str) -> Networks {
    networks.split(',').map(|network| network.parse().unwrap()).collect()
}

/// `account/name` of a grant, or the label of a denial.
fn outcome(decision: &Decision) -> String {
    match decision {
        Decision::Allow(grant) => format!("{}/{}", grant.account.name(), grant.name),
        Decision::Deny(reason) => reason.label().to_owned(),
    }
}

#[test]
fn each_connection_gets_its_account_or_its_reason() {
    let world = World::new();
    let fleet = |flags| world.client(flags);
    let none = ClientPermissions::default();
    let provisioner = ClientPermissions { server_provisioner: true, ..none };
    let system = ClientPermissions { system_user: true, ..none };
    let admin = ClientPermissions { org_admin: true, ..none };
    let client = || world.request(fleet(none));
    let server = || world.request(world.server("n1.example.net", &world.issuer));
    let waiting = || {
        let request = world.request(world.provisioning(&world.issuer));
        Request { signature: String::new(), nonce: String::new(), ..request }
    };
    let named = |name: &str| Request { name: name.to_owned(), ..waiting() };
    let without_token = |request: Request| Request { token: None, ..request };

    let rows: Vec<(&str, Request, &str)> = vec![
        ("client", client(), "choria/up=alice"),
        ("server", server(), "choria/n1.example.net"),
        ("server of another issuer", world.request(world.server("n1", &world.other_issuer)), "token"),
        ("identity that reaches into others", world.request(world.server(">", &world.issuer)), "claims"),
        ("no TLS", Request { tls: Tls::None, ..client() }, "no_tls"),
        ("no token", without_token(client()), "no_token"),
        ("garbage for a token", world.request("a.b".to_owned()), "token"),
        ("leafnode", Request { kind: Kind::Leafnode, ..client() }, "token_on_other_kind"),
        ("server as leafnode", Request { kind: Kind::Leafnode, ..server() }, "token_on_other_kind"),
        ("unknown kind", Request { kind: Kind::Other, ..server() }, "token_on_other_kind"),
        ("nonce not signed", Request { signature: String::new(), ..client() }, "nonce"),
        ("no nonce", Request { nonce: String::new(), ..client() }, "nonce"),
        ("another nonce", Request { nonce: "x".to_owned(), ..client() }, "nonce"),
        ("padded signature", Request { signature: format!("{}==", client().signature), ..client() }, "nonce"),
        ("provisioner", login(world.request(fleet(provisioner)), "provisioner", "s3cret"), "provisioning/provisioner"),
        ("provisioner, wrong password", login(world.request(fleet(provisioner)), "provisioner", "s3cre"), "password"),
        ("provisioner without permission", login(client(), "provisioner", "s3cret"), "provisioner"),
        ("provisioner without token", login(without_token(client()), "provisioner", "s3cret"), "provisioner"),
        ("provisioner with a server token", login(server(), "provisioner", "s3cret"), "token"),
        ("system user", login(world.request(fleet(system)), "system", "sysp"), "system/system"),
        ("system user, admin", login(world.request(fleet(admin)), "system", "sysp"), "system/system"),
        ("system user, wrong password", login(world.request(fleet(system)), "system", "no"), "password"),
        ("system user without permission", login(client(), "system", "sysp"), "system_user"),
        ("system user without token", login(without_token(client()), "system", "sysp"), "system_user"),
        ("system user with a server token", login(server(), "system", "sysp"), "system_user"),
        ("system user by certificate", login(certified("cn"), "system", "sysp"), "system/system"),
        (
            "system user, nonce not signed",
            login(Request { signature: String::new(), ..world.request(fleet(system)) }, "system", "sysp"),
            "nonce",
        ),
        ("waiting to be provisioned", waiting(), "provisioning/provisioning/n1.example.net"),
        ("waiting, of another issuer", world.request(world.provisioning(&world.other_issuer)), "token"),
        ("waiting, as leafnode", Request { kind: Kind::Leafnode, ..waiting() }, "token_on_other_kind"),
        ("waiting, without a name", named(""), "node_name"),
        ("waiting, named after all nodes", named(">"), "node_name"),
        ("waiting, named after any node", named("n*.*.net"), "node_name"),
        ("waiting, with a queue in its name", named("n1 q"), "node_name"),
        ("waiting, named like the provisioner", named("provisioner"), "provisioning/provisioning/provisioner"),
        ("waiting, with a user", login(waiting(), "bob", "x"), "provisioning/provisioning/n1.example.net"),
        (
            "provisioner, nonce not signed",
            login(Request { signature: String::new(), ..world.request(fleet(provisioner)) }, "provisioner", "s3cret"),
            "nonce",
        ),
        (
            "provisioner, a copied token and another seed",
            login(
                Request {
                    signature: Seed::from_bytes([4; 32]).sign(NONCE.as_bytes()).to_base64(),
                    ..world.request(fleet(provisioner))
                },
                "provisioner",
                "s3cret",
            ),
            "nonce",
        ),
        (
            "provisioner, no password",
            Request { user: "provisioner".to_owned(), ..world.request(fleet(provisioner)) },
            "password",
        ),
        ("only a certificate", certified("n1"), "certificate_only"),
    ];
    for (name, request, expected) in rows {
        assert_eq!(outcome(&decide(&request, &World::policy(), world.now)), expected, "{name}");
    }
}

#[test]
fn only_a_node_that_waits_has_its_name_for_itself() {
    let world = World::new();
    let sole = |request: &Request| match decide(request, &World::policy(), world.now) {
        Decision::Allow(grant) => grant.sole,
        Decision::Deny(reason) => panic!("{reason}"),
    };
    let waiting = world.request(world.provisioning(&world.issuer));
    assert_eq!(sole(&waiting), Some("n1.example.net".parse().unwrap()));
    assert_eq!(sole(&world.request(world.server("n1", &world.issuer))), None);
}

#[test]
fn each_setting_changes_what_it_says() {
    let world = World::new();
    let server = || world.request(world.server("n1", &world.issuer));
    let waiting = || world.request(world.provisioning(&world.other_issuer));
    let signers = |clients: bool, servers: bool| Trust::Signers {
        clients: clients.then(World::roots),
        servers: servers.then(World::roots),
    };
    let other_roots = || TrustRoots::signers(vec![Seed::from_bytes([2; 32]).public().into()]);
    let provisioning =
        |signer| Some(Provisioning { password: Secret::new("s3cret".to_owned()), without_token: true, signer });
    let base = World::policy;
    let missing = || Err(SignerUnavailable("no file".to_owned()));

    let rows: Vec<(&str, Request, Policy, &str)> = vec![
        ("provisioning off", waiting(), Policy { provisioning: None, ..base() }, "provisioning_off"),
        (
            "provisioner while off",
            login(server(), "provisioner", "s3cret"),
            Policy { provisioning: None, ..base() },
            "provisioning_off",
        ),
        (
            "provisioner may come without token",
            login(Request { token: None, ..server() }, "provisioner", "s3cret"),
            Policy { provisioning: provisioning(None), ..base() },
            "provisioning/provisioner",
        ),
        (
            "provisioner without issuers needs a certificate",
            login(server(), "provisioner", "s3cret"),
            Policy { trust: signers(true, true), ..base() },
            "provisioner",
        ),
        (
            "signer of provisioning tokens",
            waiting(),
            Policy {
                trust: signers(true, true),
                provisioning: provisioning(Some(Arc::new(move || Ok(other_roots())))),
                ..base()
            },
            "provisioning/provisioning/n1.example.net",
        ),
        (
            "signer cannot be read",
            waiting(),
            Policy { trust: signers(true, true), provisioning: provisioning(Some(Arc::new(missing))), ..base() },
            "provisioning_signer",
        ),
        ("no signer", waiting(), Policy { trust: signers(true, true), ..base() }, "no_trust"),
        ("no server signer", server(), Policy { trust: signers(true, false), ..base() }, "no_trust"),
        ("server signer", server(), Policy { trust: signers(false, true), ..base() }, "choria/n1"),
        ("no system user", login(server(), "system", "sysp"), Policy { system: None, ..base() }, "choria/n1"),
        ("certificate without issuers", certified("n1"), Policy { trust: signers(true, true), ..base() }, "choria/n1"),
        (
            "certificate and CA",
            certified(""),
            Policy { certificates_on_issuer_network: true, ..base() },
            "choria/certificate",
        ),
        (
            "certificate and client_hosts",
            certified("n1"),
            Policy { client_hosts: listed("192.0.2.0/24"), ..base() },
            "choria/n1",
        ),
    ];
    for (name, request, policy, expected) in rows {
        assert_eq!(outcome(&decide(&request, &policy, world.now)), expected, "{name}");
    }
}

#[test]
fn certificates_and_denied_servers_get_the_fixed_lists() {
    let world = World::new();
    let granted = |request: &Request, policy: &Policy| match decide(request, policy, world.now) {
        Decision::Allow(grant) => grant.permissions,
        Decision::Deny(reason) => panic!("{reason}"),
    };
    let base = World::policy;
    let legacy = || Trust::Signers { clients: None, servers: None };
    let server = world.request(world.server("n1", &world.issuer));
    let rows = [
        ("denied server", &server, Policy { deny_servers: true, ..base() }, Permissions::nothing()),
        (
            "client_hosts",
            &certified("n"),
            Policy { client_hosts: listed("192.0.2.0/24"), ..base() },
            Permissions::default_server(),
        ),
        (
            "client_hosts, denied",
            &certified("n"),
            Policy { client_hosts: listed("192.0.2.0/24"), deny_servers: true, ..base() },
            Permissions::nothing(),
        ),
        ("legacy", &certified("n"), Policy { trust: legacy(), ..base() }, Permissions::unlimited()),
        (
            "certificate on an issuer network",
            &certified("n"),
            Policy { certificates_on_issuer_network: true, ..base() },
            Permissions::messaging_only(),
        ),
    ];
    for (name, request, policy, expected) in rows {
        assert_eq!(granted(request, &policy), expected, "{name}");
    }
}

#[test]
fn certificates_watch_only_on_a_read_only_broker() {
    let world = World::new();
    let base = || Policy { read_only: true, ..World::policy() };
    let legacy = || Policy { trust: Trust::Signers { clients: None, servers: None }, ..base() };
    let rows = [
        ("unlimited before", legacy()),
        ("a server before", Policy { client_hosts: listed("192.0.2.0/24"), ..base() }),
        ("free messaging before", Policy { certificates_on_issuer_network: true, ..base() }),
    ];
    for (name, policy) in rows {
        let Decision::Allow(grant) = decide(&certified("n"), &policy, world.now) else { panic!("{name} is denied") };
        let publish = grant.permissions.publish.allow;
        assert!(publish.contains(&"*.reply.>".to_owned()), "{name}: a server can answer");
        for subject in [">", "*.node.>", "*.broadcast.agent.>", "$JS.>", "$KV.>"] {
            assert!(!publish.contains(&subject.to_owned()), "{name}: {subject}");
        }
    }
    let denied = Policy { client_hosts: listed("192.0.2.0/24"), deny_servers: true, ..base() };
    let Decision::Allow(grant) = decide(&certified("n"), &denied, world.now) else { panic!("denied") };
    assert_eq!(grant.permissions, Permissions::nothing(), "and a denied server still cannot");
}

#[test]
fn a_grant_ends_with_its_token_only_when_that_is_wanted() {
    let world = World::new();
    let none = ClientPermissions::default();
    let end = world.now + Duration::from_secs(3600);
    let rows = [
        ("client", world.request(world.client(none))),
        ("server", world.request(world.server("n1", &world.issuer))),
        ("waiting", world.request(world.provisioning(&world.issuer))),
        (
            "provisioner",
            login(
                world.request(world.client(ClientPermissions { server_provisioner: true, ..none })),
                "provisioner",
                "s3cret",
            ),
        ),
        (
            "system user",
            login(world.request(world.client(ClientPermissions { system_user: true, ..none })), "system", "sysp"),
        ),
    ];
    for (name, request) in rows {
        for (enforce_expiry, expected) in [(true, Some(end)), (false, None)] {
            let policy = Policy { enforce_expiry, ..World::policy() };
            let Decision::Allow(grant) = decide(&request, &policy, world.now) else { panic!("{name} is denied") };
            assert_eq!(grant.expires, expected, "{name}");
        }
    }
}

/// Each reason is one sentence that names the rule's place: a key, or a claim of the token.
#[test]
fn each_reason_says_what_where_and_what_to_do() {
    use tokens::Invalid;
    let caller = || "up=alice".to_owned();
    let unavailable = || SignerUnavailable("cannot read /k".to_owned());
    let reasons = [
        (Reason::NoTls, "no setting of this broker"),
        (Reason::NoToken, "plugin.security.issuer.names"),
        (Reason::CertificateOnly, "plugin.security.choria.ca"),
        (Reason::TokenOnOtherKind, "no setting of this broker"),
        (Reason::Purpose, "claim `purpose`"),
        (Reason::Token(Invalid::Expired), "plugin.security.issuer"),
        (Reason::NoClientTrust, "plugin.choria.network.client_signer_cert"),
        (Reason::NoServerTrust, "plugin.choria.network.server_signer_cert"),
        (Reason::NoCaller, "claim `callerid`"),
        (
            Reason::ClientHost { caller: caller(), address: "192.0.2.7".parse().ok() },
            "\"up=alice\" connects from 192.0.2.7, which is not in plugin.choria.network.client_hosts",
        ),
        (Reason::ClientHost { caller: caller(), address: None }, "from an unknown address"),
        (Reason::Identity(">".parse::<Identity>().unwrap_err()), "claim `identity`"),
        (Reason::PublicKey(Invalid::NoTrust), "claim `public_key`"),
        (Reason::NonceNotSigned, "plugin.security.choria.seed_file"),
        (Reason::NonceSignature, "plugin.security.choria.seed_file"),
        (Reason::ProvisioningOff, "plugin.choria.network.provisioning.client_password"),
        (Reason::ProvisionerPassword, "plugin.choria.network.provisioning.client_password"),
        (Reason::ProvisionerToken, "plugin.choria.network.provisioning.provisioner_without_token"),
        (Reason::ProvisionerCertificate, "plugin.security.issuer.names"),
        (Reason::NotProvisioner { caller: caller() }, "permission `provisioner`"),
        (Reason::SystemToken, "plugin.choria.network.system.user"),
        (Reason::NotSystemUser { caller: caller() }, "permission `system_user`"),
        (Reason::SystemPassword, "plugin.choria.network.system.password"),
        (Reason::NoProvisioningSigner, "plugin.choria.network.provisioning.signer_cert"),
        (Reason::ProvisioningSigner(unavailable()), "plugin.choria.network.provisioning.signer_cert"),
        (Reason::ProvisioningToken(Invalid::Expired), "plugin.choria.network.provisioning.signer_cert"),
        (Reason::NodeName("*".parse::<Identity>().unwrap_err()), "an identity is 1 to 255 visible characters"),
        (
            Reason::NameInUse {
                node: "n1".parse().unwrap(),
                holder: Holder { address: "192.0.2.7".to_owned(), connection: 12 },
            },
            "waits to be provisioned on connection 12 from 192.0.2.7",
        ),
    ];
    let mut labels = Vec::new();
    for (reason, place) in reasons {
        labels.push(reason.label());
        let text = reason.to_string();
        assert!(text.contains(place), "{reason:?}: {text}");
        assert!(!text.contains(". ") && !text.contains('\n') && !text.ends_with('.'), "one sentence: {text}");
        assert!(!text.contains("  "), "{text}");
    }
    let counted = BTreeSet::from(Reason::LABELS);
    assert_eq!(BTreeSet::from_iter(labels), counted, "each label is counted from the start, and no other");
}

#[test]
fn a_strangers_token_cannot_forge_a_record() {
    let world = World::new();
    let mut claims = ClientClaims {
        caller_id: format!("up=x\nlevel=info {}", "y".repeat(500)),
        organization_unit: "choria".to_owned(),
        ..ClientClaims::default()
    };
    claims.standard.purpose = Purpose::Client;
    claims.standard.id = "an id".to_owned();
    let request = world.request(claims.sign(&world.other_issuer).unwrap());
    let presented = Presented::by(&request);
    assert_eq!((presented.purpose, presented.token_id.as_str()), ("client", "an id"));
    assert!(!presented.identity.contains('\n') && presented.identity.chars().count() == 128, "{presented:?}");
    let waiting = Request { name: "n1\n".to_owned(), ..world.request(world.provisioning(&world.issuer)) };
    assert_eq!(Presented::by(&waiting).identity, "n1\u{fffd}", "which node it claims to be");
    let nothing = Presented::by(&Request { token: None, user: "someone".to_owned(), ..request });
    assert_eq!((nothing.purpose, nothing.identity.as_str()), ("none", "someone"));
}

#[test]
fn time_is_what_it_is_told() {
    let world = World::new();
    let request = world.request(world.server("n1", &world.issuer));
    let policy = Arc::new(World::policy());
    let at = |seconds| outcome(&decide(&request, &policy, world.now + Duration::from_secs(seconds)));
    assert_eq!([at(0), at(3599), at(3600)], ["choria/n1", "choria/n1", "token"]);
}

#[test]
fn no_reason_repeats_a_secret() {
    let world = World::new();
    let token = world.server("n1", &world.other_issuer);
    let request = login(world.request(token.clone()), "provisioner", "hunter2");
    let shown = format!("{request:?} {:?}", decide(&request, &World::policy(), world.now));
    assert!(!shown.contains("hunter2") && !shown.contains(&token), "{shown}");
}
