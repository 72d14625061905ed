//! Every way to be denied.

use super::SignerUnavailable;
use names::{Identity, InvalidName};
use std::fmt;
use std::net::IpAddr;
use tokens::Invalid;

/// Why a connection is denied. The connection itself only learns `Authorization Violation`; this goes to the log.
/// No text holds a token, a password or a signature.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The connection is not encrypted.
    #[error("the connection does not use TLS, which no setting of this broker allows; connect with TLS")]
    NoTls,
    /// Neither a token nor a verified certificate.
    #[error(
        "neither a token nor a verified certificate was presented; a token signed by one of \
         plugin.security.issuer.names \
         or plugin.choria.network.client_signer_cert and server_signer_cert is needed"
    )]
    NoToken,
    /// A certificate where only tokens count.
    #[error(
        "only a certificate was presented; on a network with plugin.security.issuer.names certificates alone are \
         accepted when plugin.security.choria.ca is set"
    )]
    CertificateOnly,
    /// A fleet token on something that is not a client.
    #[error(
        "a token was presented by a connection that is not a client, such as a leafnode, which no setting of this \
         broker allows; let it present a certificate, or connect it as a client"
    )]
    TokenOnOtherKind,
    /// The token is for something else.
    #[error(
        "the token's claim `purpose` is neither `choria_client_id` nor `choria_server`, and only those two reach the \
         fleet's account; have the right kind of token issued"
    )]
    Purpose,
    /// The token does not verify.
    #[error(
        "the token is refused: {0}; trusted keys are set by plugin.security.issuer.*, client_signer_cert and \
         server_signer_cert"
    )]
    Token(#[source] Invalid),
    /// Client tokens are not trusted at all.
    #[error(
        "a client token was presented and plugin.choria.network.client_signer_cert is not set, so no client token is \
         trusted"
    )]
    NoClientTrust,
    /// Server tokens are not trusted at all.
    #[error(
        "a server token was presented and plugin.choria.network.server_signer_cert is not set, so no server token is \
         trusted"
    )]
    NoServerTrust,
    /// The client token names nobody.
    #[error("the client token has no caller id; its issuer must set the claim `callerid`")]
    NoCaller,
    /// A client comes from an address that clients may not come from.
    #[error(
        "client {caller:?} connects from {}, which is not in plugin.choria.network.client_hosts of this broker",
        shown(*address)
    )]
    ClientHost {
        /// Caller id of the token.
        caller: String,
        /// Where it comes from.
        address: Option<IpAddr>,
    },
    /// The server token's identity cannot be a subject.
    #[error("the server token's claim `identity` is refused: {0}")]
    Identity(#[source] InvalidName),
    /// The token binds no key.
    #[error("the holder of the token cannot prove itself, for want of a good claim `public_key`: {0}")]
    PublicKey(#[source] Invalid),
    /// No proof of the key.
    #[error(
        "the server's nonce was not signed, and a token counts only with a signature by its seed; is \
         plugin.security.choria.seed_file of this client or server set?"
    )]
    NonceNotSigned,
    /// A wrong proof of the key.
    #[error(
        "the signature over the server's nonce does not belong to the token's claim `public_key`; is \
         plugin.security.choria.seed_file of this client or server another token's?"
    )]
    NonceSignature,
    /// There is no provisioning account.
    #[error("provisioning is off; plugin.choria.network.provisioning.client_password is not set")]
    ProvisioningOff,
    /// Wrong or no password for the provisioner.
    #[error(
        "the password of user provisioner is missing or differs from \
         plugin.choria.network.provisioning.client_password"
    )]
    ProvisionerPassword,
    /// The provisioner came without a token.
    #[error(
        "user provisioner came without a token; set plugin.choria.network.provisioning.provisioner_without_token to \
         allow that"
    )]
    ProvisionerToken,
    /// The provisioner came without a certificate.
    #[error("user provisioner needs a verified certificate on a network without plugin.security.issuer.names")]
    ProvisionerCertificate,
    /// The provisioner's token does not say that it is one.
    #[error("the token of {caller:?} lacks the permission `provisioner`, which user provisioner needs")]
    NotProvisioner {
        /// Caller id of the token.
        caller: String,
    },
    /// The system user came without a client token.
    #[error(
        "the user of plugin.choria.network.system.user came without a client token, which it needs beside its password"
    )]
    SystemToken,
    /// The system user's token does not allow it.
    #[error(
        "the token of {caller:?} lacks the permission `system_user` or `org_admin`, which the system account needs"
    )]
    NotSystemUser {
        /// Caller id of the token.
        caller: String,
    },
    /// Wrong or no password for the system user.
    #[error("the password of the system user is missing or differs from plugin.choria.network.system.password")]
    SystemPassword,
    /// No key to judge a provisioning token with.
    #[error(
        "a provisioning token that no issuer can have signed was presented and \
         plugin.choria.network.provisioning.signer_cert is not set"
    )]
    NoProvisioningSigner,
    /// The key for provisioning tokens cannot be read.
    #[error("plugin.choria.network.provisioning.signer_cert cannot be used: {0}")]
    ProvisioningSigner(#[source] SignerUnavailable),
    /// The provisioning token does not verify.
    #[error(
        "the provisioning token is refused: {0}; trusted keys are set by plugin.security.issuer.* and \
         plugin.choria.network.provisioning.signer_cert"
    )]
    ProvisioningToken(#[source] Invalid),
    /// A node in provisioning mode does not say which node it is.
    #[error(
        "a node that waits to be provisioned gives its identity as the name of its connection, and this one is refused: \
         {0}"
    )]
    NodeName(#[source] InvalidName),
    /// Another connection speaks for that node.
    #[error(
        "the node {node} waits to be provisioned on {holder}, and one node has one connection; if that is not the same \
         node, two machines share an identity or one of them is an impostor"
    )]
    NameInUse {
        /// The identity that both give.
        node: Identity,
        /// Who came first.
        holder: Holder,
    },
}

/// The connection that has a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Where it comes from.
    pub address: String,
    /// Its number on the nats-server that has it.
    pub connection: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} from {}", self.connection, self.address)
    }
}

/// An address for a sentence.
fn shown(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_canonical().to_string())
}

impl Reason {
    /// The connection that has the name which this one gives, where that is why.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Self::NameInUse { holder, .. } => Some(holder),
            _ => None,
        }
    }

    /// Every name that [`Reason::label`] gives, so that counters are there before the first denial.
    pub const LABELS: [&str; 17] = [
        "no_tls",
        "no_token",
        "certificate_only",
        "token_on_other_kind",
        "purpose",
        "token",
        "no_trust",
        "client_host",
        "claims",
        "nonce",
        "provisioning_off",
        "password",
        "provisioner",
        "system_user",
        "provisioning_signer",
        "node_name",
        "name_in_use",
    ];

    /// A short name for counters, one of [`Reason::LABELS`].
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoTls => "no_tls",
            Self::NoToken => "no_token",
            Self::CertificateOnly => "certificate_only",
            Self::TokenOnOtherKind => "token_on_other_kind",
            Self::Purpose => "purpose",
            Self::Token(_) | Self::ProvisioningToken(_) => "token",
            Self::NoClientTrust | Self::NoServerTrust | Self::NoProvisioningSigner => "no_trust",
            Self::ClientHost { .. } => "client_host",
            Self::NoCaller | Self::Identity(_) | Self::PublicKey(_) => "claims",
            Self::NonceNotSigned | Self::NonceSignature => "nonce",
            Self::ProvisioningOff => "provisioning_off",
            Self::ProvisionerPassword | Self::SystemPassword => "password",
            Self::ProvisionerToken | Self::ProvisionerCertificate | Self::NotProvisioner { .. } => "provisioner",
            Self::SystemToken | Self::NotSystemUser { .. } => "system_user",
            Self::ProvisioningSigner(_) => "provisioning_signer",
            Self::NodeName(_) => "node_name",
            Self::NameInUse { .. } => "name_in_use",
        }
    }
}
