//! A provisioning token as text; its secrets are not shown.

use super::{Fields, indented_json};
use std::time::SystemTime;
use tokens::ProvisioningClaims;

/// The width of this token's labels.
const LABELS: usize = 30;
/// Stands for a secret.
const HIDDEN: &str = "*****";

pub(super) fn render(claims: &ProvisioningClaims, now: SystemTime) -> anyhow::Result<String> {
    let mut fields = Fields::new(LABELS);
    fields.add_expiry(&claims.standard, now);
    fields.add("Token", if claims.token.is_empty() { "" } else { HIDDEN });
    fields.add("Secure", claims.secure);
    fields.add_text("SRV Domain", &claims.srv_domain);
    fields.add_text("URLS", &claims.urls);
    fields.add("Provisioning by default", claims.provision_by_default);
    fields.add_text("Provisioning Registration Data", &claims.registration_data);
    fields.add_text("Provisioning Facts", &claims.facts);
    fields.add_text("Broker Username", &claims.username);
    if !claims.password.is_empty() {
        fields.add("Broker Password", HIDDEN);
    }
    if claims.protocol_v2 {
        fields.add("Using version 2 Protocol", true);
    }
    fields.add("Server Version Upgrades", claims.allow_update);
    if let Some(extensions) = claims.extensions.as_ref().filter(|extensions| !extensions.is_empty()) {
        fields.add("Extensions", indented_json(extensions, LABELS + 2)?);
    }
    fields.add("Standard Claims", indented_json(&claims.standard, LABELS + 2)?);
    Ok(fields.text)
}
