//! What the agents of a node answer, judged: a node may be broken or hostile, and whatever it says is data.

use serde::Serialize;
use serde_json::{Map, Value};
use tokens::{PublicKey, Signature};

/// An answer that is not one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// The data are no JSON object.
    #[error("the answer holds no data")]
    NoData,
    /// A value is missing or of another type.
    #[error("the answer lacks {key}, or it is no {kind}")]
    Value {
        /// The value's name.
        key: &'static str,
        /// What it should be.
        kind: &'static str,
    },
    /// A value is larger than any real one.
    #[error("{key} in the answer has {size} bytes, more than the {most} that are accepted")]
    TooLarge {
        /// The value's name.
        key: &'static str,
        /// Its size.
        size: usize,
        /// The largest accepted.
        most: usize,
    },
    /// A text with characters that do not belong there.
    #[error("{key} in the answer holds control characters")]
    Control {
        /// The value's name.
        key: &'static str,
    },
    /// A key that is none.
    #[error("{key} in the answer: {rule}")]
    Key {
        /// The value's name.
        key: &'static str,
        /// The rule it breaks.
        rule: tokens::InvalidKey,
    },
    /// The node did not prove that it holds the seed of its key.
    #[error("the node did not sign the nonce with the key it answered: it does not hold that key's seed")]
    Proof,
}

/// The answer to `jwt`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NodeToken {
    /// The node's provisioning token, unverified.
    pub(crate) jwt: String,
    /// The node's half of the key exchange, hexadecimal; not every node has one.
    pub(crate) ecdh_public: String,
}

/// The answer to `gen25519`, as the helper is told of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct NodeKey {
    /// The node's new public key.
    pub(crate) public_key: PublicKey,
    /// Where the node keeps seed and token.
    pub(crate) directory: String,
    /// The node's signature over the nonce, hexadecimal.
    pub(crate) signature: String,
}

/// The answer to `inventory`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Inventory {
    /// Everything, as JSON text with sorted keys.
    pub(crate) text: String,
    /// The version of the node's software, if it tells.
    pub(crate) version: Option<String>,
    /// Whether the node can replace its software.
    pub(crate) upgradable: bool,
}

/// The answer to `gencsr`, as the helper is told of it; the request itself is judged by `csr`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct SigningRequest {
    /// The request, PEM.
    pub(crate) csr: String,
    /// The public key, PEM.
    pub(crate) public_key: String,
    /// Where the node keeps its certificates.
    pub(crate) ssldir: String,
}

impl NodeToken {
    pub(crate) fn read(data: &Value) -> Result<Self, Malformed> {
        let data = object(data)?;
        let jwt = text(data, "jwt", LARGEST_TOKEN)?.trim().to_owned();
        let ecdh_public = match data.get("ecdh_public") {
            None | Some(Value::Null) => String::new(),
            Some(_) => word(data, "ecdh_public", 64)?,
        };
        Ok(Self { jwt, ecdh_public })
    }
}

impl NodeKey {
    /// Reads the answer, which must hold a signature over `nonce` with the key in it.
    pub(crate) fn read(data: &Value, nonce: &str) -> Result<Self, Malformed> {
        let data = object(data)?;
        let rule = |rule| Malformed::Key { key: "public_key", rule };
        let public_key: PublicKey = text(data, "public_key", 64)?.parse().map_err(rule)?;
        let hex = text(data, "signature", 128)?;
        let signature = Signature::from_hex(hex).map_err(|rule| Malformed::Key { key: "signature", rule })?;
        if !public_key.verify(nonce.as_bytes(), &signature) {
            return Err(Malformed::Proof);
        }
        Ok(Self { public_key, directory: word(data, "directory", LARGEST_PATH)?, signature: signature.to_hex() })
    }
}

impl Inventory {
    pub(crate) fn read(data: &Value) -> Result<Self, Malformed> {
        let fields = object(data)?;
        // The original writes keys in order, and helpers may compare.
        let mut sorted = data.clone();
        sorted.sort_all_objects();
        let text = sorted.to_string();
        if text.len() > LARGEST_INVENTORY {
            return Err(Malformed::TooLarge { key: "the inventory", size: text.len(), most: LARGEST_INVENTORY });
        }
        let version = fields.get("version").and_then(Value::as_str).map(str::to_owned);
        let upgradable = fields.get("upgradable").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self { text, version, upgradable })
    }
}

impl SigningRequest {
    pub(crate) fn read(data: &Value) -> Result<Self, Malformed> {
        let data = object(data)?;
        Ok(Self {
            csr: text(data, "csr", LARGEST_PEM)?.to_owned(),
            public_key: text(data, "public_key", LARGEST_PEM)?.to_owned(),
            ssldir: word(data, "ssldir", LARGEST_PATH)?,
        })
    }
}

fn object(data: &Value) -> Result<&Map<String, Value>, Malformed> {
    data.as_object().ok_or(Malformed::NoData)
}

fn text<'a>(data: &'a Map<String, Value>, key: &'static str, most: usize) -> Result<&'a str, Malformed> {
    let text = data.get(key).and_then(Value::as_str).ok_or(Malformed::Value { key, kind: "text" })?;
    if text.len() > most {
        return Err(Malformed::TooLarge { key, size: text.len(), most });
    }
    Ok(text)
}

/// A text on one line.
fn word(data: &Map<String, Value>, key: &'static str, most: usize) -> Result<String, Malformed> {
    let text = text(data, key, most)?;
    if text.chars().any(char::is_control) { Err(Malformed::Control { key }) } else { Ok(text.to_owned()) }
}

/// Bytes; real tokens have about 1000.
const LARGEST_TOKEN: usize = 16 * 1024;
/// Bytes; what Linux accepts.
const LARGEST_PATH: usize = 4096;
/// Bytes; signing requests and keys have some thousand.
const LARGEST_PEM: usize = 32 * 1024;
/// Bytes; facts of a large machine have some hundred thousand.
const LARGEST_INVENTORY: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokens::Seed;

    #[test]
    fn what_nodes_answer_is_read_or_refused() {
        let long = "x".repeat(40_000);
        let value = |key, kind| Malformed::Value { key, kind };
        let rows = [
            (NodeToken::read(&json!({"jwt": "a.b.c\n", "ecdh_public": "ff"})).err(), None),
            (NodeToken::read(&json!({"jwt": "a.b.c"})).err(), None),
            (NodeToken::read(&json!({"jwt": "a.b.c", "ecdh_public": 1})).err(), Some(value("ecdh_public", "text"))),
            (NodeToken::read(&json!({"ecdh_public": "ff"})).err(), Some(value("jwt", "text"))),
            (NodeToken::read(&json!({"jwt": null})).err(), Some(value("jwt", "text"))),
            (NodeToken::read(&json!({"jwt": ["a"]})).err(), Some(value("jwt", "text"))),
            (NodeToken::read(&json!("jwt")).err(), Some(Malformed::NoData)),
            (NodeToken::read(&Value::Null).err(), Some(Malformed::NoData)),
            (
                NodeToken::read(&json!({"jwt": long})).err(),
                Some(Malformed::TooLarge { key: "jwt", size: 40_000, most: LARGEST_TOKEN }),
            ),
            (Inventory::read(&json!({"version": 1, "upgradable": "yes"})).err(), None),
            (Inventory::read(&json!([])).err(), Some(Malformed::NoData)),
            (SigningRequest::read(&json!({"csr": "a", "public_key": "b", "ssldir": "/s"})).err(), None),
            (SigningRequest::read(&json!({"csr": "a", "public_key": "b"})).err(), Some(value("ssldir", "text"))),
            (
                SigningRequest::read(&json!({"csr": "a", "public_key": "b", "ssldir": "/s\nx"})).err(),
                Some(Malformed::Control { key: "ssldir" }),
            ),
            (
                SigningRequest::read(&json!({"csr": long, "public_key": "b", "ssldir": "/s"})).err(),
                Some(Malformed::TooLarge { key: "csr", size: 40_000, most: LARGEST_PEM }),
            ),
        ];
        for (number, (got, expected)) in rows.into_iter().enumerate() {
            assert_eq!(got, expected, "row {number}");
        }
    }

    #[test]
    fn a_key_counts_only_with_proof_of_its_seed() {
        let seed = Seed::from_bytes([7; 32]);
        let key = seed.public().to_string();
        let sign = |seed: &Seed, text: &str| seed.sign(text.as_bytes()).to_hex();
        let answer = |signature: String| json!({"public_key": key, "directory": "/etc/choria", "signature": signature});
        let rows = [
            ("the nonce", answer(sign(&seed, "n1")), None),
            ("another nonce", answer(sign(&seed, "n2")), Some(Malformed::Proof)),
            ("another seed", answer(sign(&Seed::from_bytes([8; 32]), "n1")), Some(Malformed::Proof)),
            (
                "no signature",
                answer("00".to_owned()),
                Some(Malformed::Key { key: "signature", rule: tokens::InvalidKey::NotASignature }),
            ),
            (
                "no key",
                json!({"public_key": "00", "directory": "/", "signature": sign(&seed, "n1")}),
                Some(Malformed::Key { key: "public_key", rule: tokens::InvalidKey::Length { found: 2 } }),
            ),
            ("nothing", json!({}), Some(Malformed::Value { key: "public_key", kind: "text" })),
        ];
        for (name, data, expected) in rows {
            assert_eq!(NodeKey::read(&data, "n1").err(), expected, "{name}");
        }
    }

    #[test]
    fn an_inventory_is_text_with_sorted_keys() {
        let data =
            json!({"version": "0.29.4", "agents": ["b", "a"], "upgradable": true, "facts": {"z": 1, "a": "<é>"}});
        let inventory = Inventory::read(&data).expect("an inventory");
        assert_eq!(
            inventory.text,
            r#"{"agents":["b","a"],"facts":{"a":"<é>","z":1},"upgradable":true,"version":"0.29.4"}"#
        );
        assert_eq!((inventory.version.as_deref(), inventory.upgradable), (Some("0.29.4"), true));
    }
}
