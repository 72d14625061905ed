//! Provisioning tokens: how an unprovisioned server finds its provisioner (spec 01 §3.3).

use super::json::{self, Claims};
use super::{Kind, Purpose, StandardClaims};
use crate::issue::DEFAULT_ORGANIZATION;
use serde::Serialize;
use serde::de::MapAccess;
use serde_json::{Map, Value};

/// The claims of a provisioning token, purpose `choria_provisioning`.
#[derive(Clone, Default, Eq, PartialEq, Serialize)]
pub struct ProvisioningClaims {
    /// `cht`: the secret that the provisioner sends to the provisioning agent.
    #[serde(rename = "cht")]
    pub token: String,
    /// `chs`: whether TLS and protocol security are used during provisioning.
    #[serde(rename = "chs")]
    pub secure: bool,
    /// `chu`: broker URLs, comma joined. Empty when absent.
    #[serde(rename = "chu", skip_serializing_if = "String::is_empty")]
    pub urls: String,
    /// `chsrv`: the domain whose SRV records name the brokers. Empty when absent.
    #[serde(rename = "chsrv", skip_serializing_if = "String::is_empty")]
    pub srv_domain: String,
    /// `chpd`: whether a server without configuration provisions by default.
    #[serde(rename = "chpd")]
    pub provision_by_default: bool,
    /// `chrd`: the registration data file. Empty when absent.
    #[serde(rename = "chrd", skip_serializing_if = "String::is_empty")]
    pub registration_data: String,
    /// `chf`: the facts file. Empty when absent.
    #[serde(rename = "chf", skip_serializing_if = "String::is_empty")]
    pub facts: String,
    /// `chusr`: the NATS user name to connect with. Empty when absent.
    #[serde(rename = "chusr", skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// `chpwd`: the NATS password to connect with. Empty when absent.
    #[serde(rename = "chpwd", skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// `extensions`: data of the site; written as `null` when absent.
    pub extensions: Option<Map<String, Value>>,
    /// `ou`: the organization. An absent claim is read as `choria`.
    #[serde(rename = "ou", skip_serializing_if = "String::is_empty")]
    pub organization_unit: String,
    /// `v2`: whether version 2 of the protocol is used.
    #[serde(rename = "v2", skip_serializing_if = "json::is_false")]
    pub protocol_v2: bool,
    /// `update`: whether the provisioner may upgrade the server.
    #[serde(rename = "update", skip_serializing_if = "json::is_false")]
    pub allow_update: bool,
    /// The claims that all tokens carry.
    #[serde(flatten)]
    pub standard: StandardClaims,
}

impl ProvisioningClaims {
    /// The broker URLs one by one.
    pub fn url_list(&self) -> impl Iterator<Item = &str> {
        self.urls.split(',').map(str::trim).filter(|url| !url.is_empty())
    }
}

impl std::fmt::Debug for ProvisioningClaims {
    /// Leaves out the claims that hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvisioningClaims")
            .field("secure", &self.secure)
            .field("urls", &self.urls)
            .field("srv_domain", &self.srv_domain)
            .field("organization_unit", &self.organization_unit)
            .field("standard", &self.standard)
            .finish_non_exhaustive()
    }
}

impl Kind for ProvisioningClaims {
    const PURPOSE: Purpose = Purpose::Provisioning;
    const CHAINED: bool = false;

    fn standard(&self) -> &StandardClaims {
        &self.standard
    }

    fn organization(&self) -> &str {
        &self.organization_unit
    }

    fn is_kind(&self) -> bool {
        self.standard.is_provisioning()
    }

    fn complete(mut self) -> Self {
        if self.organization_unit.is_empty() {
            DEFAULT_ORGANIZATION.clone_into(&mut self.organization_unit);
        }
        self
    }
}

impl Claims for ProvisioningClaims {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error> {
        match name {
            "cht" => self.token = json::value(values)?,
            "chs" => self.secure = json::value(values)?,
            "chu" => self.urls = json::value(values)?,
            "chsrv" => self.srv_domain = json::value(values)?,
            "chpd" => self.provision_by_default = json::value(values)?,
            "chrd" => self.registration_data = json::value(values)?,
            "chf" => self.facts = json::value(values)?,
            "chusr" => self.username = json::value(values)?,
            "chpwd" => self.password = json::value(values)?,
            "extensions" => self.extensions = values.next_value()?,
            "ou" => self.organization_unit = json::value(values)?,
            "v2" => self.protocol_v2 = json::value(values)?,
            "update" => self.allow_update = json::value(values)?,
            _ => return self.standard.take(name, values),
        }
        Ok(true)
    }
}
