//! The compact form of a token: `header.payload.signature`, each base64 of the URL alphabet without padding.

use crate::claims::{self, Claims, Purpose, StandardClaims};
use crate::invalid::Invalid;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// The purpose a token states. Nothing is verified, not even that the token is signed at all.
///
/// Tokens made before purposes existed are recognised as provisioning tokens by their subject (spec 01 §2).
///
/// # Errors
/// [`Invalid::Malformed`] or [`Invalid::Claims`] when the claims cannot be read.
pub fn purpose_of(token: &str) -> Result<Purpose, Invalid> {
    let [_, payload, _] = segments(token)?;
    Ok(claims::parse::<StandardClaims>(&decode(payload, "payload")?)?.stated_purpose())
}

/// The algorithm a token's header names, for example `EdDSA`. Nothing is verified.
///
/// # Errors
/// [`Invalid::Malformed`] when the token cannot be read, [`Invalid::Algorithm`] when the name is no registered one.
pub fn algorithm_of(token: &str) -> Result<String, Invalid> {
    Ok(Encoded::<StandardClaims>::parse(token)?.algorithm)
}

/// All claims of a token as they stand in it. Nothing is verified.
///
/// # Errors
/// [`Invalid::Malformed`] when the token cannot be read, [`Invalid::Algorithm`] when its algorithm is no registered one.
pub fn claims_of(token: &str) -> Result<Map<String, Value>, Invalid> {
    let [_, payload, _] = segments(token)?;
    let claims = serde_json::from_slice(&decode(payload, "payload")?);
    let claims = claims.map_err(|_| Invalid::Malformed("the payload is no JSON object"))?;
    algorithm_of(token)?;
    Ok(claims)
}

/// A token taken apart, before any judgement.
pub(crate) struct Encoded<'t, T> {
    /// What the header's `alg` says; one of [`REGISTERED`].
    pub(crate) algorithm: String,
    /// The text that was signed: the first two segments with their dot.
    pub(crate) signed: &'t str,
    /// The decoded signature, of any length.
    pub(crate) signature: Vec<u8>,
    pub(crate) claims: T,
}

impl<'t, T: Claims> Encoded<'t, T> {
    pub(crate) fn parse(token: &'t str) -> Result<Self, Invalid> {
        let [header, payload, signature] = segments(token)?;
        let header = serde_json::from_slice::<Map<String, Value>>(&decode(header, "header")?);
        let header = header.map_err(|_| Invalid::Malformed("the header is no JSON object"))?;
        let claims = claims::parse(&decode(payload, "payload")?)?;
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) if REGISTERED.contains(&name.as_str()) => name.clone(),
            Some(Value::String(name)) => return Err(Invalid::Algorithm(name.chars().take(16).collect())),
            _ => return Err(Invalid::Algorithm(String::new())),
        };
        let signature_bytes = decode(signature, "signature")?;
        let signed = &token[..token.len() - signature.len() - 1];
        Ok(Self { algorithm, signed, signature: signature_bytes, claims })
    }
}

/// The three segments of a token.
fn segments(token: &str) -> Result<[&str; 3], Invalid> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok([header, payload, signature]),
        _ => Err(Invalid::Malformed("a token has exactly three parts joined by dots")),
    }
}

/// Decodes one segment. CR and LF are skipped, as the Go implementation does: token files often end in a newline.
fn decode(segment: &str, name: &'static str) -> Result<Vec<u8>, Invalid> {
    let wrong = |_| match name {
        "header" => Invalid::Malformed("the header is not base64 of the URL alphabet without padding"),
        "payload" => Invalid::Malformed("the payload is not base64 of the URL alphabet without padding"),
        _ => Invalid::Malformed("the signature is not base64 of the URL alphabet without padding"),
    };
    if segment.contains(['\r', '\n']) {
        return BASE64.decode(segment.replace(['\r', '\n'], "")).map_err(wrong);
    }
    BASE64.decode(segment).map_err(wrong)
}

/// Accepts what other implementations accept: unused bits of the last character may have any value.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Algorithm names of the JWT standard. A token with another one is not even read; only four of these verify.
const REGISTERED: [&str; 14] = [
    "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384",
    "HS512", "none",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Category, TrustRoots, read_client};
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    const EDDSA: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;

    #[test]
    fn what_cannot_be_read_is_refused_without_repeating_it() {
        let rows = [
            (String::new(), Category::Malformed),
            ("a.b".to_owned(), Category::Malformed),
            ("a.b.c.d".to_owned(), Category::Malformed),
            ("!.e30.".to_owned(), Category::Malformed),
            (token("[]", "{}"), Category::Malformed),
            (token("{}", "{}"), Category::Unverifiable),
            (token(r#"{"alg":7}"#, "{}"), Category::Unverifiable),
            (token(r#"{"alg":"eddsa"}"#, "{}"), Category::Unverifiable),
            (token(EDDSA, r#""s3cret""#), Category::Malformed),
            (token(EDDSA, "null"), Category::Malformed),
            (token(EDDSA, "{} {}"), Category::Malformed),
            (token(EDDSA, r#"{"callerid":["s3cret"]}"#), Category::Malformed),
            (token(EDDSA, r#"{"purpose":"choria_client_id","exp":"s3cret"}"#), Category::Malformed),
            (token(EDDSA, r#"{"exp":1e300}"#), Category::Malformed),
            (token(EDDSA, r#"{"permissions":{"org_admin":"s3cret"}}"#), Category::Malformed),
            (token(EDDSA, "{}"), Category::Purpose),
            (token(EDDSA, r#"{"purpose":"choria_server"}"#), Category::Purpose),
        ];
        for (number, (token, expected)) in rows.into_iter().enumerate() {
            let invalid = read_client(&token).unwrap_err();
            assert_eq!(invalid.category(), expected, "row {number}: {invalid}");
            assert!(!invalid.to_string().contains("s3cret"), "row {number}: {invalid}");
        }
    }

    #[test]
    fn claims_are_read_by_the_rules_of_the_other_implementation() {
        let claims = |json: &str| read_client(&token(EDDSA, json)).unwrap();
        let named =
            r#"{"PURPOSE":"choria_client_id","CallerID":"up=a","callerID":"up=b","TC\u017f":"00","x":{"y":[1]}}"#;
        assert_eq!(claims(named).caller_id, "up=b", "any case, the last one wins");
        assert_eq!(claims(named).standard.trust_chain_signature.as_deref(), Some("00"));
        let empty =
            r#"{"purpose":"choria_client_id","callerid":null,"agents":null,"permissions":null,"exp":null,"tcs":""}"#;
        assert_eq!(claims(empty).caller_id, "");
        assert_eq!(claims(empty).permissions, None);
        assert_eq!(claims(empty).standard.trust_chain_signature, None);
        let rows = [
            ("1700000000", 1_700_000_000),
            ("1700000000.9", 1_700_000_000),
            ("1.7e9", 1_700_000_000),
            (r#""1700000000""#, 1_700_000_000),
            (r#""1700000000.9""#, 1_700_000_000),
            ("0", 0),
            ("-1", -1),
            ("-0.5", -1),
        ];
        for (text, unix) in rows {
            let read = claims(&format!(r#"{{"purpose":"choria_client_id","exp":{text}}}"#)).standard.expires;
            let distance = Duration::from_secs(i64::unsigned_abs(unix));
            let expected = if unix < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
            assert_eq!(read, Some(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,200}") {
            let _ = read_client(&text);
            let _ = TrustRoots::signers(Vec::new()).verify_provisioning(&text, SystemTime::UNIX_EPOCH);
        }

        #[test]
        fn no_claims_make_the_reader_panic(name in "exp|issexp|aud|permissions|extensions|iss|tcs", value in r#"[-0-9.eE]{1,20}|"[IC]-[0-9a-f.]{0,80}"|\{"a":\[null\]\}|\[\]"#) {
            let token = token(EDDSA, &format!(r#"{{"purpose":"choria_client_id","{name}":{value}}}"#));
            if let Ok(claims) = read_client(&token) {
                let _ = claims.standard.chain_link();
                prop_assert!(serde_json::to_string(&claims).is_ok());
            }
        }
    }
}
