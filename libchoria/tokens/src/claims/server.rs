//! Server tokens: which node this is and what it may do (spec 01 §3.2).

use super::json::{self, Claims};
use super::{Kind, Purpose, StandardClaims};
use names::NetworkId;
use serde::de::MapAccess;
use serde::{Serialize, Serializer};

/// The claims of a server token, purpose `choria_server`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ServerClaims {
    /// `identity`: the name of the node.
    pub identity: String,
    /// `collectives`: the collectives the node may join.
    #[serde(serialize_with = "list_or_null")]
    pub collectives: Vec<String>,
    /// `permissions`; `None` when the claim is absent, which grants the same as an empty object: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<ServerPermissions>,
    /// `ou`: the organization. Empty when absent.
    #[serde(rename = "ou", skip_serializing_if = "String::is_empty")]
    pub organization_unit: String,
    /// `pub_subjects`: NATS subjects the server may publish to besides those of its permissions.
    #[serde(rename = "pub_subjects", skip_serializing_if = "Vec::is_empty")]
    pub additional_publish_subjects: Vec<String>,
    /// The claims that all tokens carry.
    #[serde(flatten)]
    pub standard: StandardClaims,
}

/// What a server may do; each flag is left out of the token when false.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ServerPermissions {
    /// May publish submitted messages.
    #[serde(skip_serializing_if = "json::is_false")]
    pub submission: bool,
    /// May use Choria Streams.
    #[serde(skip_serializing_if = "json::is_false")]
    pub streams: bool,
    /// May use Governors; needs `streams` too.
    #[serde(skip_serializing_if = "json::is_false")]
    pub governor: bool,
    /// May host service agents.
    #[serde(skip_serializing_if = "json::is_false")]
    pub service_host: bool,
}

impl ServerClaims {
    /// The permissions, none of them when the claim is absent.
    #[must_use]
    pub fn granted(&self) -> ServerPermissions {
        self.permissions.unwrap_or_default()
    }

    /// The private part of the server's inbox (spec 01 §6).
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        NetworkId::of(&self.identity)
    }
}

impl Kind for ServerClaims {
    const PURPOSE: Purpose = Purpose::Server;
    const CHAINED: bool = true;

    fn standard(&self) -> &StandardClaims {
        &self.standard
    }

    fn organization(&self) -> &str {
        &self.organization_unit
    }
}

impl Claims for ServerClaims {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error> {
        match name {
            "identity" => self.identity = json::value(values)?,
            "collectives" => self.collectives = json::texts(values)?,
            "permissions" => self.permissions = json::object(values)?,
            "ou" => self.organization_unit = json::value(values)?,
            "pub_subjects" => self.additional_publish_subjects = json::texts(values)?,
            _ => return self.standard.take(name, values),
        }
        Ok(true)
    }
}

impl Claims for ServerPermissions {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error> {
        let flag = match name {
            "submission" => &mut self.submission,
            "streams" => &mut self.streams,
            "governor" => &mut self.governor,
            "service_host" => &mut self.service_host,
            _ => return Ok(false),
        };
        *flag = json::value(values)?;
        Ok(true)
    }
}

/// The claim is always present; other implementations write an absent list as `null`.
fn list_or_null<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { serializer.serialize_none() } else { serializer.collect_seq(list) }
}
