//! The JWTs of NATS: header `ed25519-nkey`, signed by the key that the claim `iss` names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a text is not a NATS JWT. Never repeats it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidJwt {
    /// Not three base64 segments that hold JSON.
    #[error("not a JWT: three base64 segments of JSON were expected")]
    Malformed,
    /// The header is not that of a NATS JWT.
    #[error("the JWT's header does not say typ JWT and alg ed25519-nkey")]
    Header,
    /// The issuer is not a key.
    #[error("the JWT's issuer is not an nkey")]
    Issuer,
    /// The signature is not the issuer's.
    #[error("the JWT's signature is not its issuer's")]
    Signature,
    /// The claims are not of the expected form.
    #[error("the JWT's claims do not have the expected form")]
    Claims,
}

/// Signs `claims` with `key`, whose public half must stand in the claim `iss`.
///
/// # Errors
/// [`InvalidJwt::Claims`] when the claims cannot be written as JSON, [`InvalidJwt::Signature`] when `key` has no seed.
pub(super) fn encode(claims: &impl Serialize, key: &KeyPair) -> Result<String, InvalidJwt> {
    let payload = serde_json::to_vec(claims).map_err(|_| InvalidJwt::Claims)?;
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(signed.as_bytes()).map_err(|_| InvalidJwt::Signature)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of `text` after checking that the key in `iss` signed them. Whether that key may is for the caller.
///
/// # Errors
/// [`InvalidJwt`].
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, InvalidJwt> {
    let (signed, signature) = text.rsplit_once('.').ok_or(InvalidJwt::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(InvalidJwt::Malformed)?;
    let segment = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidJwt::Malformed);

    let header: Header = serde_json::from_slice(&segment(header)?).map_err(|_| InvalidJwt::Malformed)?;
    if header.typ != "JWT" || header.alg != "ed25519-nkey" {
        return Err(InvalidJwt::Header);
    }
    let payload = segment(payload)?;
    let Issuer { iss } = serde_json::from_slice(&payload).map_err(|_| InvalidJwt::Malformed)?;
    let key = KeyPair::from_public_key(&iss).map_err(|_| InvalidJwt::Issuer)?;
    key.verify(signed.as_bytes(), &segment(signature)?).map_err(|_| InvalidJwt::Signature)?;
    serde_json::from_slice(&payload).map_err(|_| InvalidJwt::Claims)
}

#[derive(serde::Deserialize)]
struct Header {
    typ: String,
    alg: String,
}

#[derive(serde::Deserialize)]
struct Issuer {
    iss: String,
}

const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn reads_back_what_it_signed_and_nothing_else() {
        let key = KeyPair::new_account();
        let other = KeyPair::new_account();
        let claims = json!({"iss": key.public_key(), "sub": "x"});
        let text = encode(&claims, &key).unwrap();
        let by_other = encode(&claims, &other).unwrap();
        let not_a_key = encode(&json!({"iss": "nobody"}), &key).unwrap();
        let (head, rest) = text.split_once('.').unwrap();
        let other_header = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#));
        let rows: &[(&str, String, Result<Value, InvalidJwt>)] = &[
            ("whole", text.clone(), Ok(claims)),
            ("signed by another key", by_other, Err(InvalidJwt::Signature)),
            ("issuer is no key", not_a_key, Err(InvalidJwt::Issuer)),
            ("other algorithm", other_header, Err(InvalidJwt::Header)),
            ("empty", String::new(), Err(InvalidJwt::Malformed)),
            ("one segment", head.to_owned(), Err(InvalidJwt::Malformed)),
        ];
        for (name, text, expected) in rows {
            assert_eq!(&decode::<Value>(text), expected, "{name}");
        }
    }
}
