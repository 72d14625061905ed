//! Who may connect, to which account and with which permissions: the evaluation order of spec 01 §7.
//!
//! Pure: the facts of one connection, the broker's policy and the time go in, a [`Decision`] comes out. Nothing here
//! asks a network, a clock or a file; the one value that may change between connections, the key of `signer_cert`, is
//! asked for through [`Provisioning::signer`].
//!
//! `policy.rs` holds what an administrator configured, `reason.rs` every way to be denied, `networks.rs` where clients
//! may come from, `presented.rs` what a record says about a connection, `secret.rs` passwords.

mod networks;
mod policy;
mod presented;
mod reason;
mod secret;

pub use networks::{InvalidNetwork, Network, Networks};
pub use policy::{Policy, Provisioning, SignerUnavailable, System, Trust};
pub use presented::Presented;
pub(crate) use presented::bounded;
pub use reason::{Holder, Reason};
pub use secret::Secret;

use crate::permissions::{self, Derived, Permissions};
use names::Identity;
use std::net::IpAddr;
use std::time::SystemTime;
use tokens::{ClientClaims, Purpose, Signature, StandardClaims, Verified};

/// What nats-server says about one connection that wants to be authenticated.
#[derive(Clone, Debug)]
pub struct Request {
    /// What sort of connection it is.
    pub kind: Kind,
    /// The user name presented, empty when none.
    pub user: String,
    /// The password presented.
    pub password: Option<Secret>,
    /// The Choria token presented in `auth_token`.
    pub token: Option<Secret>,
    /// Signature over the nonce: base64 for URLs without padding.
    pub signature: String,
    /// The nonce that nats-server sent to this connection; empty when the client did not sign one.
    pub nonce: String,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// Where it comes from; `None` when that is not known, which counts as nowhere allowed.
    pub address: Option<IpAddr>,
    /// The name that the client gave its connection; servers give their identity.
    pub name: String,
}

/// The sort of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A client or server of the fleet, over TCP or websocket.
    Client,
    /// Another NATS server that joins as a leaf.
    Leafnode,
    /// Anything else nats-server may know; never given access by token.
    Other,
}

/// How a connection is encrypted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tls {
    /// Not at all.
    None,
    /// Encrypted, without a client certificate that was verified.
    Unverified,
    /// Encrypted, with a client certificate that nats-server verified.
    Verified {
        /// The common name of the certificate's subject, empty when it has none.
        common_name: String,
    },
}

/// The account a connection is placed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Account {
    /// The fleet.
    Choria,
    /// nats-server's own services.
    System,
    /// Nodes that wait to be provisioned and their provisioner.
    Provisioning,
}

/// The answer to one connection.
#[derive(Debug)]
pub enum Decision {
    /// It may connect.
    Allow(Grant),
    /// It may not.
    Deny(Reason),
}

/// What an allowed connection gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Where it is placed.
    pub account: Account,
    /// The name shown by monitoring: caller id, identity, user name or certificate name. Never empty, because an
    /// empty name makes old nats-server versions show the token instead.
    pub name: String,
    /// Its limits.
    pub permissions: Permissions,
    /// What its token asked for and did not get, a sentence each.
    pub skipped: Vec<String>,
    /// When the connection ends although it is in use: when its token does, if the policy says so.
    pub expires: Option<SystemTime>,
    /// The node that this connection speaks for, which no other connection may do while it lives. Set for nodes that
    /// wait to be provisioned: nothing else tells one of them from another.
    pub sole: Option<Identity>,
}

/// Decides one connection at the time `now`.
#[must_use]
pub fn decide(request: &Request, policy: &Policy, now: SystemTime) -> Decision {
    match evaluate(request, policy, now) {
        Ok(grant) => Decision::Allow(grant),
        Err(reason) => Decision::Deny(reason),
    }
}

impl Account {
    /// The account's name in nats-server's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Choria => "choria",
            Self::System => "system",
            Self::Provisioning => "provisioning",
        }
    }
}

fn evaluate(request: &Request, policy: &Policy, now: SystemTime) -> Result<Grant, Reason> {
    if request.tls == Tls::None {
        return Err(Reason::NoTls);
    }
    if request.user == PROVISIONER {
        return provisioner(request, policy, now);
    }
    if let Some(system) = policy.system.as_ref().filter(|system| system.user == request.user) {
        return system_user(request, policy, system, now);
    }
    let reason = match fleet(request, policy, now) {
        Ok(grant) => return Ok(grant),
        Err(reason) => reason,
    };
    if matches!(request.tls, Tls::Verified { .. }) {
        return Err(reason);
    }
    // The token of a node that waits to be provisioned is only tried once it is known to be nothing else.
    let waits = |token: &Secret| tokens::purpose_of(token.expose()).ok() == Some(Purpose::Provisioning);
    let is_provisioning = request.token.as_ref().is_some_and(waits);
    provisioning_server(request, policy, now).map_err(|other| if is_provisioning { other } else { reason })
}

/// The provisioner: user name and password, and on a network of issuers a token that says so, with proof of its key: a
/// token that was copied is of no use. The original does not ask for that proof (spec 01 §7), yet its provisioner gives
/// it with every token.
fn provisioner(request: &Request, policy: &Policy, now: SystemTime) -> Result<Grant, Reason> {
    let provisioning = policy.provisioning.as_ref().ok_or(Reason::ProvisioningOff)?;
    let password = request.password.as_ref().ok_or(Reason::ProvisionerPassword)?;
    if !provisioning.password.matches(password) {
        return Err(Reason::ProvisionerPassword);
    }
    let mut expires = None;
    match (&policy.trust, &request.token) {
        (Trust::Issuers(_), Some(token)) => {
            let claims = verified_client(request, policy, token, now)?;
            if !claims.granted().server_provisioner {
                return Err(Reason::NotProvisioner { caller: claims.caller_id.clone() });
            }
            check_nonce(request, &claims.standard)?;
            expires = policy.end_of(&claims.standard);
        }
        (Trust::Issuers(_), None) if !provisioning.without_token => return Err(Reason::ProvisionerToken),
        (Trust::Signers { .. }, _) if !matches!(request.tls, Tls::Verified { .. }) => {
            return Err(Reason::ProvisionerCertificate);
        }
        _ => {}
    }
    Ok(Grant { expires, ..unlimited(Account::Provisioning, PROVISIONER) })
}

/// The user of the system account: user name and password, and without a verified certificate also a client token.
fn system_user(request: &Request, policy: &Policy, system: &System, now: SystemTime) -> Result<Grant, Reason> {
    let mut expires = None;
    if request.tls == Tls::Unverified {
        let token = request.token.as_ref().ok_or(Reason::SystemToken)?;
        if tokens::purpose_of(token.expose()).ok() != Some(Purpose::Client) {
            return Err(Reason::SystemToken);
        }
        if request.kind != Kind::Client {
            return Err(Reason::TokenOnOtherKind);
        }
        let claims = verified_client(request, policy, token, now)?;
        let granted = claims.granted();
        if !granted.system_user && !granted.org_admin {
            return Err(Reason::NotSystemUser { caller: claims.caller_id.clone() });
        }
        check_nonce(request, &claims.standard)?;
        expires = policy.end_of(&claims.standard);
    }
    match &request.password {
        Some(password) if system.password.matches(password) => {
            Ok(Grant { expires, ..unlimited(Account::System, &system.user) })
        }
        _ => Err(Reason::SystemPassword),
    }
}

/// Clients and servers of the fleet, by token or by certificate.
fn fleet(request: &Request, policy: &Policy, now: SystemTime) -> Result<Grant, Reason> {
    let Some(token) = &request.token else { return by_certificate(request, policy) };
    match tokens::purpose_of(token.expose()).map_err(Reason::Token)? {
        Purpose::Client => client(request, policy, token, now),
        Purpose::Server => server(request, policy, token, now),
        Purpose::Provisioning | Purpose::Unknown => Err(Reason::Purpose),
    }
}

fn client(request: &Request, policy: &Policy, token: &Secret, now: SystemTime) -> Result<Grant, Reason> {
    if request.kind != Kind::Client {
        return Err(Reason::TokenOnOtherKind);
    }
    let claims = verified_client(request, policy, token, now)?;
    check_nonce(request, &claims.standard)?;
    let derived = if policy.read_only { permissions::watching_client(&claims) } else { permissions::client(&claims) };
    let derived = policy.follow_renaming(derived);
    Ok(Grant { expires: policy.end_of(&claims.standard), ..granted(claims.caller_id.clone(), derived) })
}

fn server(request: &Request, policy: &Policy, token: &Secret, now: SystemTime) -> Result<Grant, Reason> {
    if request.kind != Kind::Client {
        return Err(Reason::TokenOnOtherKind);
    }
    let roots = policy.trust.servers().ok_or(Reason::NoServerTrust)?;
    let claims = roots.verify_server(token.expose(), now).map_err(Reason::Token)?;
    let identity: Identity = claims.identity.parse().map_err(Reason::Identity)?;
    check_nonce(request, &claims.standard)?;
    let derived = if policy.deny_servers {
        Derived { permissions: Permissions::nothing(), skipped: Vec::new() }
    } else {
        policy.follow_renaming(permissions::server(&claims, &identity))
    };
    Ok(Grant { expires: policy.end_of(&claims.standard), ..granted(identity.to_string(), derived) })
}

/// A connection without a token: only a verified certificate gives it anything.
fn by_certificate(request: &Request, policy: &Policy) -> Result<Grant, Reason> {
    let Tls::Verified { common_name } = &request.tls else { return Err(Reason::NoToken) };
    let permissions = if !policy.client_hosts.is_empty() {
        if policy.deny_servers { Permissions::nothing() } else { Permissions::default_server() }
    } else if matches!(policy.trust, Trust::Signers { .. }) {
        Permissions::unlimited()
    } else if policy.certificates_on_issuer_network {
        Permissions::messaging_only()
    } else {
        return Err(Reason::CertificateOnly);
    };
    let permissions = if policy.read_only { permissions.without_requests() } else { permissions };
    let name = [request.user.as_str(), common_name.as_str(), "certificate"].into_iter().find(|name| !name.is_empty());
    Ok(granted(name.unwrap_or_default().to_owned(), Derived { permissions, skipped: Vec::new() }))
}

/// A node that waits to be provisioned. Such a node holds no key, so there is no nonce to check, and it is who the name
/// of its connection says: what it may do is limited to that name, and the name to one connection at a time.
fn provisioning_server(request: &Request, policy: &Policy, now: SystemTime) -> Result<Grant, Reason> {
    let provisioning = policy.provisioning.as_ref().ok_or(Reason::ProvisioningOff)?;
    let token = request.token.as_ref().ok_or(Reason::NoToken)?.expose();
    let verified = match &policy.trust {
        Trust::Issuers(roots) if tokens::algorithm_of(token).is_ok_and(|name| name == "EdDSA") => {
            roots.verify_provisioning(token, now)
        }
        _ => {
            let signer = provisioning.signer.as_ref().ok_or(Reason::NoProvisioningSigner)?;
            signer().map_err(Reason::ProvisioningSigner)?.verify_provisioning(token, now)
        }
    };
    let claims = verified.map_err(Reason::ProvisioningToken)?;
    // A leafnode would bring a whole network under one name.
    if request.kind != Kind::Client {
        return Err(Reason::TokenOnOtherKind);
    }
    let identity: Identity = request.name.parse().map_err(Reason::NodeName)?;
    Ok(Grant {
        account: Account::Provisioning,
        name: format!("{NODE}{identity}"),
        permissions: Permissions::provisioning_server(&identity),
        skipped: Vec::new(),
        expires: policy.end_of(&claims.standard),
        sole: Some(identity),
    })
}

/// The claims of a client token that may be used from where the connection comes.
fn verified_client(
    request: &Request,
    policy: &Policy,
    token: &Secret,
    now: SystemTime,
) -> Result<Verified<ClientClaims>, Reason> {
    let roots = policy.trust.clients().ok_or(Reason::NoClientTrust)?;
    let claims = roots.verify_client(token.expose(), now).map_err(Reason::Token)?;
    if claims.caller_id.is_empty() {
        return Err(Reason::NoCaller);
    }
    let listed = |address| policy.client_hosts.contain(address);
    if !policy.client_hosts.is_empty() && !request.address.is_some_and(listed) {
        return Err(Reason::ClientHost { caller: bounded(&claims.caller_id), address: request.address });
    }
    Ok(claims)
}

/// Proof that the connection holds the key in its token: the signature over the nonce's ASCII characters.
fn check_nonce(request: &Request, claims: &StandardClaims) -> Result<(), Reason> {
    let key = claims.holder_key().map_err(Reason::PublicKey)?;
    if request.signature.is_empty() || request.nonce.is_empty() {
        return Err(Reason::NonceNotSigned);
    }
    let signature = decode_signature(&request.signature).ok_or(Reason::NonceSignature)?;
    if key.verify(request.nonce.as_bytes(), &signature) { Ok(()) } else { Err(Reason::NonceSignature) }
}

fn decode_signature(text: &str) -> Option<Signature> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()?;
    Signature::from_slice(&bytes).ok()
}

fn granted(name: String, derived: Derived) -> Grant {
    let Derived { permissions, skipped } = derived;
    Grant { account: Account::Choria, name, permissions, skipped, expires: None, sole: None }
}

fn unlimited(account: Account, name: &str) -> Grant {
    let permissions = Permissions::unlimited();
    Grant { account, name: name.to_owned(), permissions, skipped: Vec::new(), expires: None, sole: None }
}

/// The user name that leads into the provisioning account (spec 01 §7 row 1).
const PROVISIONER: &str = "provisioner";

/// What the name of a node that waits to be provisioned begins with, on nats-server: no token gives such a name, nor is
/// the provisioner called so, whatever a node says that it is.
pub(crate) const NODE: &str = "provisioning/";

#[cfg(test)]
mod tests;
