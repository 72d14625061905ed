//! Ed25519 keys as Choria writes them: hexadecimal text of the 32 byte seed or public key, and 64 byte signatures.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer;
use rand::{CryptoRng, RngCore};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A private key: the 32 byte seed of RFC 8032. Wiped from memory when dropped; its `Debug` shows only the public key.
pub struct Seed(ed25519_dalek::SigningKey);

/// A public key, kept decompressed: verifying a second time with it costs no second decompression.
///
/// As text it is 64 hexadecimal digits, read in either case and written in lower case.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// An ed25519 signature, 64 bytes.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Signature([u8; 64]);

/// Why a text or bytes are not a key or signature. Never repeats them: they may be secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidKey {
    /// The text has the wrong number of characters.
    #[error("an ed25519 key is 64 hexadecimal digits, this has {found} characters")]
    Length {
        /// The number of bytes found.
        found: usize,
    },
    /// The text holds something other than `0-9`, `a-f`, `A-F`.
    #[error("an ed25519 key is 64 hexadecimal digits, this holds other characters")]
    NotHex,
    /// The bytes are no point of the curve, or one of the few points under which anybody can forge signatures.
    #[error("these 64 digits are not a usable ed25519 public key: check that they were copied whole")]
    NotAKey,
    /// The bytes are not a signature.
    #[error("an ed25519 signature is 64 bytes, written as 128 hexadecimal digits")]
    NotASignature,
}

// Seed

impl Seed {
    /// A new seed from the operating system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        Self::generate_with(&mut rand::rngs::OsRng)
    }

    /// A new seed from `random`.
    #[must_use]
    pub fn generate_with(random: &mut (impl RngCore + CryptoRng)) -> Self {
        Self(ed25519_dalek::SigningKey::generate(random))
    }

    /// The key with these seed bytes. Every 32 bytes are a valid seed.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(ed25519_dalek::SigningKey::from_bytes(&bytes))
    }

    /// Reads 64 hexadecimal digits, without anything around them.
    ///
    /// # Errors
    /// [`InvalidKey::Length`] or [`InvalidKey::NotHex`].
    pub fn from_hex(text: &str) -> Result<Self, InvalidKey> {
        let bytes = Zeroizing::new(key_bytes(text)?);
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&bytes)))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// The seed as 64 lower-case hexadecimal digits, the content of a seed file.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed(of public key {})", self.public())
    }
}

// PublicKey

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`InvalidKey::NotAKey`] when they are no point of the curve, or a point of small order, whose signatures can be
    /// forged.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| InvalidKey::NotAKey)?;
        if key.is_weak() { Err(InvalidKey::NotAKey) } else { Ok(Self(key)) }
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether `signature` over `message` was made by the holder of this key's seed.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        use ed25519_dalek::Verifier;
        self.0.verify(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::from_bytes(&key_bytes(text)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

// Signature

impl Signature {
    /// The signature with these bytes.
    ///
    /// # Errors
    /// [`InvalidKey::NotASignature`] when there are not exactly 64.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidKey> {
        bytes.try_into().map(Self).map_err(|_| InvalidKey::NotASignature)
    }

    /// Reads 128 hexadecimal digits of either case.
    ///
    /// # Errors
    /// [`InvalidKey::NotASignature`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, InvalidKey> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidKey::NotASignature)?;
        Ok(Self(bytes))
    }

    /// 128 lower-case hexadecimal digits: the form inside tokens, message headers and login requests.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Base64 of the URL alphabet without padding: the form of `sig` in a NATS CONNECT and of a JWT's last segment.
    #[must_use]
    pub fn to_base64(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_hex())
    }
}

/// Exactly 64 hexadecimal digits as bytes.
fn key_bytes(text: &str) -> Result<[u8; 32], InvalidKey> {
    if text.len() != 64 {
        return Err(InvalidKey::Length { found: text.len() });
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidKey::NotHex)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_signed_as_documented() {
        let signature = Seed::from_bytes([3; 32]).sign(b"9hD2kq0aZ1s_x7Y");
        assert_eq!(
            signature.to_base64(),
            "c4_cPPobZyXZfuDpTq6zMmphlLjW_4xzCf0cQgB5Zm8loX195UNqF5hRM4wzyAIgzKaNbYmdEzo6GqXSPeIyCQ"
        );
        assert_eq!(Signature::from_hex(&signature.to_hex()), Ok(signature));
    }

    #[test]
    fn only_what_the_holder_signed_verifies() {
        let (seed, other) = (Seed::generate(), Seed::generate());
        let signature = seed.sign(b"message");
        let mut changed = *signature.as_bytes();
        changed[0] ^= 1;
        let rows = [
            ("its own", seed.public(), &b"message"[..], signature, true),
            ("another key", other.public(), b"message", signature, false),
            ("another message", seed.public(), b"massage", signature, false),
            ("a changed signature", seed.public(), b"message", Signature(changed), false),
        ];
        for (what, key, message, signature, expected) in rows {
            assert_eq!(key.verify(message, &signature), expected, "{what}");
        }
    }

    #[test]
    fn keys_are_64_digits_of_a_usable_point() {
        let good = "8A88E3DD7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
        assert_eq!(good.parse::<PublicKey>().unwrap().to_string(), good.to_lowercase());
        let rows = [
            ("", InvalidKey::Length { found: 0 }),
            (&good[..62], InvalidKey::Length { found: 62 }),
            (&format!("{good}\n"), InvalidKey::Length { found: 65 }),
            (&"z".repeat(64), InvalidKey::NotHex),
            // Every signature with this point could be forged.
            (&"0".repeat(64), InvalidKey::NotAKey),
            (&format!("01{}", "0".repeat(62)), InvalidKey::NotAKey),
            // No point of the curve has this coordinate.
            (&format!("02{}", "0".repeat(62)), InvalidKey::NotAKey),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<PublicKey>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let seed = Seed::from_bytes([1; 32]);
        let shown = format!("{seed:?}");
        assert!(!shown.contains(seed.to_hex().as_str()), "{shown}");
        assert!(shown.contains(&seed.public().to_string()), "{shown}");
    }
}
