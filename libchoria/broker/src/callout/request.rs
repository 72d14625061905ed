//! A question of nats-server: opened, verified, and turned into the facts a decision needs (spec 01 §14.2).

use super::Keys;
use super::nkey_jwt::{self, InvalidJwt};
use crate::decision::{Kind, Request, Secret, Tls};
use crate::front::Peer;
use serde::Deserialize;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// One question, verified to come from the nats-server it names and to be meant for this callout.
#[derive(Clone, Debug)]
pub struct Question {
    /// One-time key of the connection; the answer is about it.
    pub user_key: String,
    /// Public key of the nats-server that asks; the answer is for it.
    pub server: String,
    /// Number of the connection on that server, as its own log lines name it.
    pub connection: u64,
    /// The IP address of the other end.
    pub host: String,
    /// When nats-server asked, in whole seconds.
    pub asked: SystemTime,
    /// What there is to decide.
    pub request: Request,
}

/// Why a message is not a question that can be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRequest {
    /// The message is not sealed, or not to this callout's key.
    #[error("the request is not sealed to this broker's key by the key in its Nats-Server-Xkey header")]
    Sealed,
    /// The content is not text.
    #[error("the request is not text")]
    Text,
    /// The content is not a JWT.
    #[error("the request is refused: {0}")]
    Jwt(#[from] InvalidJwt),
    /// The claims are of something else.
    #[error("the request is not an authorization request of version 2")]
    Type,
    /// The request is for another callout.
    #[error("the request names another issuer or audience than this broker's")]
    Audience,
    /// The signer is not the server that the request names.
    #[error("the request was not signed by the server that it names")]
    Server,
    /// The key to answer about is not a user key.
    #[error("the request's user_nkey is not the public key of a user")]
    UserKey,
}

impl Question {
    /// Opens and verifies one message. `server_curve` is the value of the header `Nats-Server-Xkey`.
    ///
    /// # Errors
    /// [`InvalidRequest`]; nothing can be answered then, as the connection it is about is not known.
    pub fn open(body: &[u8], server_curve: Option<&str>, keys: &Keys) -> Result<Self, InvalidRequest> {
        let sender = server_curve.ok_or(InvalidRequest::Sealed)?;
        let opened = keys.curve.open(body, sender).map_err(|_| InvalidRequest::Sealed)?;
        let text = String::from_utf8(opened).map_err(|_| InvalidRequest::Text)?;
        Self::parse(&text, &keys.issuer.public_key())
    }

    /// Verifies an opened request; `issuer` is the public account key that nats-server is configured with.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn parse(text: &str, issuer: &str) -> Result<Self, InvalidRequest> {
        let claims: Claims = nkey_jwt::decode(text)?;
        if claims.nats.kind != "authorization_request" || claims.nats.version != 2 {
            return Err(InvalidRequest::Type);
        }
        if claims.aud != "nats-authorization-request" || claims.sub != issuer {
            return Err(InvalidRequest::Audience);
        }
        if !claims.iss.starts_with('N') || claims.nats.server_id.id != claims.iss {
            return Err(InvalidRequest::Server);
        }
        if !claims.nats.user_nkey.starts_with('U') || nkeys::from_public_key(&claims.nats.user_nkey).is_err() {
            return Err(InvalidRequest::UserKey);
        }
        Ok(claims.into_question())
    }
}

impl Question {
    /// Replaces what nats-server sees of a connection, which is the TLS front, by who is behind the front.
    pub(crate) fn came_through_front(&mut self, peer: &Peer) {
        self.host = peer.address.ip().to_string();
        self.request.address = Some(peer.address.ip());
        self.request.tls = match peer.certificates.first() {
            Some(own) => Tls::Verified { common_name: common_name_of(own).unwrap_or_default() },
            None => Tls::Unverified,
        };
    }
}

impl Claims {
    fn into_question(self) -> Question {
        let Content { client_info, connect_opts, client_tls, .. } = self.nats;
        let request = Request {
            kind: match client_info.kind.as_str() {
                "Client" => Kind::Client,
                "Leafnode" => Kind::Leafnode,
                _ => Kind::Other,
            },
            user: connect_opts.user,
            password: secret(connect_opts.pass),
            token: secret(connect_opts.auth_token),
            signature: connect_opts.sig,
            nonce: client_info.nonce,
            tls: client_tls.map_or(Tls::None, |tls| tls.state()),
            address: address_of(&client_info.host),
            name: client_info.name,
        };
        Question {
            user_key: self.nats.user_nkey,
            server: self.iss,
            connection: client_info.id,
            host: client_info.host,
            asked: SystemTime::UNIX_EPOCH + Duration::from_secs(self.iat),
            request,
        }
    }
}

impl ClientTls {
    fn state(&self) -> Tls {
        match self.verified_chains.first().and_then(|chain| chain.first()) {
            Some(leaf) => Tls::Verified { common_name: common_name(leaf).unwrap_or_default() },
            None => Tls::Unverified,
        }
    }
}

/// The common name of a certificate that nats-server has verified; it is shown, not judged.
fn common_name(pem: &str) -> Option<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    common_name_of(&pem.contents)
}

/// The same of a certificate in DER.
fn common_name_of(der: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

/// The IP address in nats-server's name of a host; a zone (`fe80::1%eth0`) says nothing about who it is.
fn address_of(host: &str) -> Option<IpAddr> {
    host.split('%').next().and_then(|address| address.parse().ok())
}

/// An empty text and an absent one say the same.
fn secret(text: String) -> Option<Secret> {
    Some(text).filter(|text| !text.is_empty()).map(Secret::new)
}

/// The parts of the request that count. `client_info.user` is left out on purpose: it repeats the whole token on some
/// versions of nats-server.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    nats: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    user_nkey: String,
    server_id: ServerId,
    #[serde(default)]
    client_info: ClientInfo,
    #[serde(default)]
    connect_opts: ConnectOptions,
    client_tls: Option<ClientTls>,
}

#[derive(Deserialize)]
struct ServerId {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClientInfo {
    host: String,
    id: u64,
    name: String,
    kind: String,
    nonce: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConnectOptions {
    sig: String,
    auth_token: String,
    user: String,
    pass: String,
}

#[derive(Deserialize)]
struct ClientTls {
    #[serde(default)]
    verified_chains: Vec<Vec<String>>,
}
