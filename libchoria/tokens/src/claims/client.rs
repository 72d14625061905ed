//! Client tokens: who a client is and what it may do (spec 01 §3.1).

use super::json::{self, Claims};
use super::{Kind, Purpose, StandardClaims};
use names::NetworkId;
use serde::Serialize;
use serde::de::MapAccess;
use std::collections::BTreeMap;

/// The claims of a client token, purpose `choria_client_id`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ClientClaims {
    /// `callerid`, for example `up=alice`.
    #[serde(rename = "callerid")]
    pub caller_id: String,
    /// `agents`: what an AAA service lets the client do: `*`, `agent.*` or `agent.action`.
    #[serde(rename = "agents", skip_serializing_if = "Vec::is_empty")]
    pub allowed_agents: Vec<String>,
    /// `ou`: the organization. Empty when absent.
    #[serde(rename = "ou", skip_serializing_if = "String::is_empty")]
    pub organization_unit: String,
    /// `user_properties`: free properties that policies may read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user_properties: BTreeMap<String, String>,
    /// `opa_policy`: Rego text by which an AAA service decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opa_policy: Option<String>,
    /// `permissions`; `None` when the claim is absent, which grants the same as an empty object: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<ClientPermissions>,
    /// `pub_subjects`: NATS subjects the client may publish to besides those of its permissions.
    #[serde(rename = "pub_subjects", skip_serializing_if = "Vec::is_empty")]
    pub additional_publish_subjects: Vec<String>,
    /// `sub_subjects`: NATS subjects the client may subscribe to besides those of its permissions.
    #[serde(rename = "sub_subjects", skip_serializing_if = "Vec::is_empty")]
    pub additional_subscribe_subjects: Vec<String>,
    /// The claims that all tokens carry.
    #[serde(flatten)]
    pub standard: StandardClaims,
}

/// What a client may do; each flag is left out of the token when false.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ClientPermissions {
    /// Full access to Choria Streams.
    #[serde(skip_serializing_if = "json::is_false")]
    pub streams_admin: bool,
    /// User access to Choria Streams.
    #[serde(skip_serializing_if = "json::is_false")]
    pub streams_user: bool,
    /// May see lifecycle and Autonomous Agent events.
    #[serde(skip_serializing_if = "json::is_false")]
    pub events_viewer: bool,
    /// May use leader elections.
    #[serde(skip_serializing_if = "json::is_false")]
    pub election_user: bool,
    /// May enter the broker's system account.
    #[serde(skip_serializing_if = "json::is_false")]
    pub system_user: bool,
    /// May use Governors; needs a streams permission too.
    #[serde(skip_serializing_if = "json::is_false")]
    pub governor: bool,
    /// May use every subject and the system account.
    #[serde(skip_serializing_if = "json::is_false")]
    pub org_admin: bool,
    /// May make RPC requests to the fleet.
    #[serde(skip_serializing_if = "json::is_false")]
    pub fleet_management: bool,
    /// May make RPC requests that a delegator has signed too.
    #[serde(skip_serializing_if = "json::is_false")]
    pub signed_fleet_management: bool,
    /// `service`: AAA services accept a long validity.
    #[serde(rename = "service", skip_serializing_if = "json::is_false")]
    pub extended_service_lifetime: bool,
    /// May sign requests on behalf of others.
    #[serde(skip_serializing_if = "json::is_false")]
    pub authentication_delegator: bool,
    /// `provisioner`: may enter the account of unprovisioned servers.
    #[serde(rename = "provisioner", skip_serializing_if = "json::is_false")]
    pub server_provisioner: bool,
}

impl ClientClaims {
    /// The permissions, none of them when the claim is absent.
    #[must_use]
    pub fn granted(&self) -> ClientPermissions {
        self.permissions.unwrap_or_default()
    }

    /// The private part of the client's reply subjects and inbox (spec 01 §6).
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        NetworkId::of(&self.caller_id)
    }
}

impl Kind for ClientClaims {
    const PURPOSE: Purpose = Purpose::Client;
    const CHAINED: bool = true;

    fn standard(&self) -> &StandardClaims {
        &self.standard
    }

    fn organization(&self) -> &str {
        &self.organization_unit
    }
}

impl Claims for ClientClaims {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error> {
        match name {
            "callerid" => self.caller_id = json::value(values)?,
            "agents" => self.allowed_agents = json::texts(values)?,
            "ou" => self.organization_unit = json::value(values)?,
            "user_properties" => {
                let properties = json::value::<BTreeMap<String, Option<String>>, _>(values)?;
                let filled = properties.into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
                self.user_properties = filled.collect();
            }
            "opa_policy" => self.opa_policy = json::text(values)?,
            "permissions" => self.permissions = json::object(values)?,
            "pub_subjects" => self.additional_publish_subjects = json::texts(values)?,
            "sub_subjects" => self.additional_subscribe_subjects = json::texts(values)?,
            _ => return self.standard.take(name, values),
        }
        Ok(true)
    }
}

impl Claims for ClientPermissions {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error> {
        let flag = match name {
            "streams_admin" => &mut self.streams_admin,
            "streams_user" => &mut self.streams_user,
            "events_viewer" => &mut self.events_viewer,
            "election_user" => &mut self.election_user,
            "system_user" => &mut self.system_user,
            "governor" => &mut self.governor,
            "org_admin" => &mut self.org_admin,
            "fleet_management" => &mut self.fleet_management,
            "signed_fleet_management" => &mut self.signed_fleet_management,
            "service" => &mut self.extended_service_lifetime,
            "authentication_delegator" => &mut self.authentication_delegator,
            "provisioner" => &mut self.server_provisioner,
            _ => return Ok(false),
        };
        *flag = json::value(values)?;
        Ok(true)
    }
}
