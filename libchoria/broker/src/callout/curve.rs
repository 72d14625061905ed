//! Sealed messages between nats-server and its callout: `xkv1`, 24 random bytes, and a NaCl box (spec 01 §14.4).
//!
//! The key that both sides share is computed once for a nats-server and kept: computing it costs as much as a
//! signature, twice for each connection.

use crypto_box::aead::{Aead as _, AeadCore as _, OsRng};
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use nkeys::{KeyPairType, XKey};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The callout's curve key.
pub struct Curve {
    secret: SecretKey,
    public: String,
    shared: Mutex<Option<Shared>>,
}

/// What is shared with one other side.
struct Shared {
    peer: String,
    cipher: Arc<SalsaBox>,
}

/// A message could not be opened or sealed, or a text is not a curve key. Says nothing about the content.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a message or key of the expected form")]
pub struct CurveError;

impl Curve {
    /// A new key from the operating system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(SecretKey::generate(&mut OsRng))
    }

    /// The key with this seed (`SX…`).
    ///
    /// # Errors
    /// [`CurveError`] when `seed` is not the seed of a curve key.
    pub fn from_seed(seed: &str) -> Result<Self, CurveError> {
        match nkeys::decode_seed(seed) {
            Ok((kind, bytes)) if is_curve(kind) => Ok(Self::new(SecretKey::from_bytes(bytes))),
            _ => Err(CurveError),
        }
    }

    /// The public key as text (`X…`).
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// Opens a message that `peer`, a public key as text, sealed to this key.
    ///
    /// # Errors
    /// [`CurveError`].
    pub fn open(&self, message: &[u8], peer: &str) -> Result<Vec<u8>, CurveError> {
        let sealed = message.strip_prefix(VERSION).ok_or(CurveError)?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LENGTH).ok_or(CurveError)?;
        let cipher = self.shared_with(peer)?;
        cipher.decrypt(nonce.into(), sealed).map_err(|_| CurveError)
    }

    /// Seals `content` to `peer`, a public key as text.
    ///
    /// # Errors
    /// [`CurveError`].
    pub fn seal(&self, content: &[u8], peer: &str) -> Result<Vec<u8>, CurveError> {
        let nonce = SalsaBox::generate_nonce(&mut OsRng);
        let sealed = self.shared_with(peer)?.encrypt(&nonce, content).map_err(|_| CurveError)?;
        Ok([VERSION, &nonce[..], &sealed].concat())
    }

    fn new(secret: SecretKey) -> Self {
        let public = XKey::new_from_raw(secret.to_bytes()).public_key();
        Self { secret, public, shared: Mutex::new(None) }
    }

    /// The cipher for `peer`, kept until another peer comes: a callout has one nats-server.
    fn shared_with(&self, peer: &str) -> Result<Arc<SalsaBox>, CurveError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.as_ref().filter(|known| known.peer == peer) {
            return Ok(Arc::clone(&known.cipher));
        }
        let public = match nkeys::from_public_key(peer) {
            Ok((kind, bytes)) if is_curve(kind) => PublicKey::from(bytes),
            _ => return Err(CurveError),
        };
        let cipher = Arc::new(SalsaBox::new(&public, &self.secret));
        *shared = Some(Shared { peer: peer.to_owned(), cipher: Arc::clone(&cipher) });
        Ok(cipher)
    }
}

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Curve").field(&self.public).finish()
    }
}

fn is_curve(kind: u8) -> bool {
    matches!(KeyPairType::from(kind), KeyPairType::Curve)
}

/// The version that stands before every sealed message.
const VERSION: &[u8] = b"xkv1";

const NONCE_LENGTH: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_library_of_nats() {
        let (ours, theirs, stranger) = (Curve::generate(), XKey::new(), XKey::new());
        let our_public = XKey::from_public_key(ours.public_key()).unwrap();
        for content in [&b""[..], b"x", &[7; 5000]] {
            let sealed = ours.seal(content, &theirs.public_key()).unwrap();
            if !content.is_empty() {
                assert_eq!(theirs.open(&sealed, &our_public).unwrap(), content);
            }
            let sealed = theirs.seal(content, &our_public).unwrap();
            assert_eq!(ours.open(&sealed, &theirs.public_key()).unwrap(), content);
            assert_eq!(ours.open(&sealed, &stranger.public_key()), Err(CurveError));
            for cut in [0, 3, 4, 27, 28, sealed.len() - 1] {
                assert_eq!(ours.open(&sealed[..cut], &theirs.public_key()), Err(CurveError), "{cut}");
            }
        }
        let user = nkeys::KeyPair::new_user();
        assert_eq!(ours.seal(b"x", &user.public_key()), Err(CurveError));
        assert!(Curve::from_seed(&user.seed().unwrap()).is_err());
        assert_eq!(Curve::from_seed(&theirs.seed().unwrap()).unwrap().public_key(), theirs.public_key());
    }
}
