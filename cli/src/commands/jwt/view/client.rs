//! A client token as text.

use super::{Fields, indented_json};
use std::time::SystemTime;
use tokens::{ClientClaims, ClientPermissions};

/// The width of this token's labels.
const LABELS: usize = 19;

pub(super) fn render(claims: &ClientClaims, now: SystemTime) -> anyhow::Result<String> {
    let mut fields = Fields::new(LABELS);
    fields.add("Caller ID", &claims.caller_id);
    fields.add_text("Organization Unit", &claims.organization_unit);
    fields.add_list("Allowed Agents", &claims.allowed_agents);
    fields.add("Public Key", claims.standard.public_key.as_deref().unwrap_or_default());
    fields.add("Private Network ID", claims.network_id());
    fields.add_expiry(&claims.standard, now);
    fields.add_list(" Subscriptions Subjects", &claims.additional_subscribe_subjects);
    fields.add_list("Publish Subjects", &claims.additional_publish_subjects);
    fields.add_trust_chain(&claims.standard)?;
    if let Some(permissions) = &claims.permissions {
        add_permissions(&mut fields, permissions);
    }
    if !claims.user_properties.is_empty() {
        fields.add("User Properties", indented_json(&claims.user_properties, LABELS + 2)?);
    }
    if let Some(policy) = &claims.opa_policy {
        fields.add("OPA Policy", policy.replace('\n', &format!("\n{:1$}", "", LABELS + 2)));
    }
    Ok(fields.text)
}

fn add_permissions(fields: &mut Fields, granted: &ClientPermissions) {
    let signed = granted.signed_fleet_management;
    let lines = [
        (signed, "Can manage Choria fleet nodes subject to authorizing signature"),
        (granted.fleet_management && !signed, "Can manage Choria fleet nodes"),
        (granted.election_user, "Can use Leader Elections"),
        (granted.events_viewer, "Can view Lifecycle and Autonomous Agent events"),
        (granted.streams_user, "Can use Choria Streams"),
        (granted.streams_admin, "Can administer Choria Streams"),
        (granted.governor, "Can access Choria Governors"),
        (granted.org_admin, "Can observe all traffic on all subjects and access the system account"),
        (granted.system_user, "Can access the Broker system account"),
        (granted.authentication_delegator, "Can sign requests on behalf of other users"),
        (granted.extended_service_lifetime, "Can have an extended token lifetime"),
        (granted.server_provisioner, "Can provision Choria Servers"),
    ];
    fields.add_permissions(" Client Permissions", 6, &lines, "No user specific permissions granted");
}
