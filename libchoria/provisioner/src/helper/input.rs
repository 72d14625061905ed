//! What the helper is told about a node.

use crate::node::{NodeKey, SigningRequest};
use names::Identity;
use serde::Serialize;
use tokens::ProvisioningClaims;

/// One JSON object; every key is always present, in this order. `inventory` is JSON text inside of a text, and `jwt` holds
/// the secrets of the provisioning token, as existing helpers expect.
#[derive(Debug, Serialize)]
pub(crate) struct Input<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) csr: Option<&'a SigningRequest>,
    pub(crate) ed25519_pubkey: Option<&'a NodeKey>,
    pub(crate) inventory: &'a str,
    pub(crate) jwt: Option<&'a ProvisioningClaims>,
}

impl Input<'_> {
    /// The bytes for standard input.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Texts and claims always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_helper_is_told_what_was_recorded_byte_for_byte() {
        for number in [0, 1, 2, 4] {
            let path = vectors::root().join(format!("provisioning/helper-{number}.stdin.json"));
            let recorded = std::fs::read_to_string(&path).expect("a recording");
            let told: Value = serde_json::from_str(&recorded).expect("JSON");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let identity = text(&told["identity"]).parse().expect("an identity");
            let key = &told["ed25519_pubkey"];
            let key = NodeKey {
                public_key: text(&key["public_key"]).parse().expect("a key"),
                directory: text(&key["directory"]),
                signature: text(&key["signature"]),
            };
            let claims = claims(&told["jwt"]);
            let inventory = text(&told["inventory"]);
            let input = Input {
                identity: &identity,
                csr: None,
                ed25519_pubkey: Some(&key),
                inventory: &inventory,
                jwt: Some(&claims),
            };
            assert_eq!(String::from_utf8(input.encode()).expect("UTF-8"), recorded.trim_end(), "{}", path.display());
        }
    }

    /// The claims as they come out of a token.
    fn claims(value: &Value) -> ProvisioningClaims {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", encode(r#"{"alg":"EdDSA"}"#), encode(&value.to_string()), encode("-"));
        tokens::read_provisioning(&token).expect("claims")
    }

    #[test]
    fn what_is_not_known_is_null() {
        let identity = "n1".parse().expect("an identity");
        let request = SigningRequest { csr: "c".into(), public_key: "p".into(), ssldir: "/s".into() };
        let input =
            Input { identity: &identity, csr: Some(&request), ed25519_pubkey: None, inventory: "{}", jwt: None };
        let expected = concat!(
            r#"{"identity":"n1","csr":{"csr":"c","public_key":"p","ssldir":"/s"},"#,
            r#""ed25519_pubkey":null,"inventory":"{}","jwt":null}"#
        );
        assert_eq!(String::from_utf8(input.encode()).expect("UTF-8"), expected);
    }
}
