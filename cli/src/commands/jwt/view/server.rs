//! A server token as text.

use super::Fields;
use std::time::SystemTime;
use tokens::{Invalid, ServerClaims};

pub(super) fn render(claims: &ServerClaims, now: SystemTime) -> Result<String, Invalid> {
    let mut fields = Fields::new(21);
    fields.add("Identity", &claims.identity);
    fields.add_expiry(&claims.standard, now);
    fields.add("Collectives", claims.collectives.join(", "));
    fields.add("Public Key", claims.standard.public_key.as_deref().unwrap_or_default());
    fields.add("Organization Unit", &claims.organization_unit);
    fields.add_list("Additional Subjects", &claims.additional_publish_subjects);
    fields.add("Private Network ID", claims.network_id());
    fields.add_trust_chain(&claims.standard)?;
    if let Some(granted) = claims.permissions {
        let lines = [
            (granted.service_host, "Can host services"),
            (granted.submission, "Can publish Choria Submission messages"),
            (granted.streams, "Can access Choria Streams"),
            (granted.governor, "Can access Choria Governor"),
        ];
        fields.add_permissions("   Broker Permissions", 10, &lines, "No server specific permissions granted");
    }
    Ok(fields.text)
}
