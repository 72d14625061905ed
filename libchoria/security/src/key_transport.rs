//! How a private key travels from the provisioner to a node: X25519, then the classic encryption of PEM (spec 06 §3.5).
//!
//! Both sides make a key pair for one round, exchange the public halves and use the shared secret as the passphrase of a
//! PEM block. The format has no check against changes, which the signatures of the messages around it must give. The
//! ciphers for opening are AES in CBC mode; DES and 3DES, which nobody sends, are refused by name.

use crate::pem::{self, Block};
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use md5::{Digest, Md5};
use rand::{CryptoRng, RngCore};
use std::fmt;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

/// One side's key pair, for one round of provisioning. Never printed.
pub struct Exchange(StaticSecret);

/// What both sides know in the end. Never printed.
pub struct Shared(SharedSecret);

/// Why keys cannot be exchanged or a private key cannot be sealed or opened. Holds no secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TransportError {
    /// The other side's public key is none.
    #[error("the public key of the other side is not 64 hexadecimal digits")]
    PublicKey,
    /// The other side chose a public key that makes every shared secret the same.
    #[error("the public key of the other side makes a secret that everybody knows")]
    Contributory,
    /// There is no PEM block.
    #[error("bad key received: the text has no PEM block")]
    NotPem,
    /// The key lies open.
    #[error("key is not encrypted: it has no DEK-Info header")]
    NotEncrypted,
    /// A cipher that is not supported.
    #[error("the key is encrypted with {0}: AES-256-CBC, AES-192-CBC and AES-128-CBC are supported")]
    Cipher(String),
    /// The initialization vector is none.
    #[error("the DEK-Info header of the key has no 16 byte initialization vector")]
    Vector,
    /// Another secret was used, or the text was damaged.
    #[error("the key cannot be decrypted: it was encrypted for another key exchange, or it was damaged")]
    Undecryptable,
}

impl Exchange {
    /// A new key pair.
    #[must_use]
    pub fn generate(random: &mut (impl RngCore + CryptoRng)) -> Self {
        Self(StaticSecret::random_from_rng(random))
    }

    /// The public half for the other side: 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn public(&self) -> String {
        hex::encode(PublicKey::from(&self.0).as_bytes())
    }

    /// The secret shared with the side whose public half is `peer`, in hexadecimal digits.
    ///
    /// # Errors
    /// [`TransportError::PublicKey`], [`TransportError::Contributory`].
    pub fn agree(&self, peer: &str) -> Result<Shared, TransportError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(peer.trim(), &mut bytes).map_err(|_| TransportError::PublicKey)?;
        let shared = self.0.diffie_hellman(&PublicKey::from(bytes));
        if shared.was_contributory() { Ok(Shared(shared)) } else { Err(TransportError::Contributory) }
    }
}

/// The first PEM block of `pem` encrypted with `secret`, as PEM text. `vector` must be random for each key.
///
/// # Errors
/// [`TransportError::NotPem`].
pub fn seal(pem: &str, secret: &Shared, vector: [u8; 16]) -> Result<String, TransportError> {
    let block = pem::first(pem).ok_or(TransportError::NotPem)?;
    let key = secret.key(&vector);
    let cipher = cbc::Encryptor::<Aes256>::new((&*key).into(), &vector.into());
    let sealed = cipher.encrypt_padded_vec_mut::<Pkcs7>(&block.bytes);
    let headers = [
        ("Proc-Type".to_owned(), "4,ENCRYPTED".to_owned()),
        ("DEK-Info".to_owned(), format!("AES-256-CBC,{}", hex::encode(vector))),
    ];
    Ok(pem::encode(PKCS1, &headers, &sealed))
}

/// The private key in `text`, which [`seal`] or the original made, as PEM text with the label that its content has: the
/// original writes `RSA PRIVATE KEY` over every key.
///
/// # Errors
/// See [`TransportError`].
pub fn open(text: &str, secret: &Shared) -> Result<Zeroizing<String>, TransportError> {
    let block = pem::first(text).ok_or(TransportError::NotPem)?;
    let (cipher, vector) = encryption(&block)?;
    let key = secret.key(&vector);
    let (sealed, iv) = (&block.bytes, &vector.into());
    let opened = match cipher {
        Cipher::Aes128 => cbc::Decryptor::<Aes128>::new(key[..16].into(), iv).decrypt_padded_vec_mut::<Pkcs7>(sealed),
        Cipher::Aes192 => cbc::Decryptor::<Aes192>::new(key[..24].into(), iv).decrypt_padded_vec_mut::<Pkcs7>(sealed),
        Cipher::Aes256 => cbc::Decryptor::<Aes256>::new((&*key).into(), iv).decrypt_padded_vec_mut::<Pkcs7>(sealed),
    };
    let opened = Zeroizing::new(opened.map_err(|_| TransportError::Undecryptable)?);
    Ok(Zeroizing::new(pem::encode(label(&opened), &[], &opened)))
}

impl Shared {
    /// The cipher's key: two rounds of MD5 over the secret, salted with the first half of the vector. Shorter keys are its
    /// beginning.
    fn key(&self, vector: &[u8; 16]) -> Zeroizing<[u8; 32]> {
        let (secret, salt) = (self.0.as_bytes(), &vector[..8]);
        let first = Md5::new().chain_update(secret).chain_update(salt).finalize();
        let second = Md5::new().chain_update(first).chain_update(secret).chain_update(salt).finalize();
        let mut key = Zeroizing::new([0; 32]);
        key[..16].copy_from_slice(&first);
        key[16..].copy_from_slice(&second);
        key
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exchange").field(&self.public()).finish()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

enum Cipher {
    Aes128,
    Aes192,
    Aes256,
}

/// How the block says that it is encrypted.
fn encryption(block: &Block) -> Result<(Cipher, [u8; 16]), TransportError> {
    let information = block.header("DEK-Info").ok_or(TransportError::NotEncrypted)?;
    let (name, vector) = information.split_once(',').unwrap_or((information, ""));
    let cipher = match name.trim() {
        "AES-128-CBC" => Cipher::Aes128,
        "AES-192-CBC" => Cipher::Aes192,
        "AES-256-CBC" => Cipher::Aes256,
        other => return Err(TransportError::Cipher(other.chars().filter(char::is_ascii_graphic).take(32).collect())),
    };
    let mut bytes = [0; 16];
    hex::decode_to_slice(vector.trim(), &mut bytes).map_err(|_| TransportError::Vector)?;
    Ok((cipher, bytes))
}

const PKCS1: &str = "RSA PRIVATE KEY";

/// The label that fits a private key in DER. A PKCS#8 key is a version and then a sequence that names the algorithm; an
/// elliptic one of its own format is a version 1 and an octet string.
fn label(der: &[u8]) -> &'static str {
    let content = match der {
        [0x30, length, rest @ ..] if *length < 0x80 => rest,
        [0x30, length, rest @ ..] => rest.get(usize::from(length & 0x7f)..).unwrap_or_default(),
        _ => &[],
    };
    match content {
        [0x02, 0x01, 0x00 | 0x01, 0x30, ..] => "PRIVATE KEY",
        [0x02, 0x01, 0x01, 0x04, ..] => "EC PRIVATE KEY",
        _ => PKCS1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const SERVER: &str = "67e4a9b3934a3030470ed7a30f89eeaf7dab7b492aa9ee02fb864d690b7e6eeb";
    const SERVER_PUBLIC: &str = "88a9a0ed27dc93c29466ea2bef99e078342b27e7a1d789fc35a9131f86c3a022";
    const PROVISIONER: &str = "3e150feab1f2c709af9afa28e626f258dbf1b683d3bc35225a9b0489de485870";
    const PROVISIONER_PUBLIC: &str = "c25fab933b16b2a4589e2c2d297669b818c82881f2f9bfd08cb8fd298924a41b";
    const SHARED: &str = "53a4887b448755a3f0a0618b289eb2369ec4b2461d44890abdfa3084ef080c55";
    const VECTOR: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn exchange(private: &str) -> Exchange {
        let mut bytes = [0; 32];
        hex::decode_to_slice(private, &mut bytes).expect("hexadecimal");
        Exchange(StaticSecret::from(bytes))
    }

    fn shared() -> Shared {
        exchange(SERVER).agree(PROVISIONER_PUBLIC).expect("a secret")
    }

    fn sealed_choria() -> String {
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,000102030405060708090a0b0c0d0e0f\n\
         \njspbguBlW7l0CA4Jp5kOnA==\n-----END RSA PRIVATE KEY-----\n"
            .to_owned()
    }

    #[test]
    fn both_sides_find_the_recorded_secret_and_key() {
        let (server, provisioner) = (exchange(SERVER), exchange(PROVISIONER));
        assert_eq!((server.public(), provisioner.public()), (SERVER_PUBLIC.to_owned(), PROVISIONER_PUBLIC.to_owned()));
        for (side, peer) in [(server, PROVISIONER_PUBLIC), (provisioner, SERVER_PUBLIC)] {
            let shared = side.agree(peer).expect("a secret");
            assert_eq!(hex::encode(shared.0.as_bytes()), SHARED);
            let key = "e6d1fff9fab386aef3cf588b313e232e2feb8beae2354c26c1fff3621b199345";
            assert_eq!(hex::encode(*shared.key(&VECTOR)), key);
        }
    }

    #[test]
    fn seals_and_opens_as_recorded() {
        let open_text = pem::encode("RSA PRIVATE KEY", &[], b"choria");
        assert_eq!(seal(&open_text, &shared(), VECTOR).expect("sealed"), sealed_choria());
        assert_eq!(*open(&sealed_choria(), &shared()).expect("opened"), open_text);
    }

    #[test]
    fn refuses_what_is_no_key_or_is_for_others() {
        let sealed = sealed_choria();
        let rows = [
            ("nothing", String::new(), TransportError::NotPem),
            ("no PEM", "choria".to_owned(), TransportError::NotPem),
            ("open", pem::encode(PKCS1, &[], b"choria"), TransportError::NotEncrypted),
            ("DES", sealed.replace("AES-256-CBC", "DES-EDE3-CBC"), TransportError::Cipher("DES-EDE3-CBC".to_owned())),
            ("short vector", sealed.replace("0e0f\n", "0e\n"), TransportError::Vector),
            ("other vector", sealed.replace(",00", ",01"), TransportError::Undecryptable),
            ("half a block", sealed.replace("jspbguBlW7l0CA4Jp5kOnA==", "jspbguBlW7k="), TransportError::Undecryptable),
            ("no block", sealed.replace("jspbguBlW7l0CA4Jp5kOnA==\n", ""), TransportError::Undecryptable),
        ];
        for (name, text, error) in rows {
            assert_eq!(open(&text, &shared()).err(), Some(error), "{name}");
        }
        let stranger = Exchange::generate(&mut StdRng::seed_from_u64(1)).agree(SERVER_PUBLIC).expect("a secret");
        assert_eq!(open(&sealed, &stranger).err(), Some(TransportError::Undecryptable));
    }

    #[test]
    fn refuses_public_keys_that_are_none() {
        let server = exchange(SERVER);
        let zero = "00".repeat(32);
        let rows = [
            ("empty", "", TransportError::PublicKey),
            ("short", &zero[2..], TransportError::PublicKey),
            ("no digits", &SERVER_PUBLIC.replace('8', "x"), TransportError::PublicKey),
            ("all zero", &zero, TransportError::Contributory),
        ];
        for (name, peer, error) in rows {
            assert_eq!(server.agree(peer).err(), Some(error), "{name}");
        }
    }

    #[test]
    fn shorter_keys_open_too_and_labels_follow_the_content() {
        let secret = shared();
        let key = secret.key(&VECTOR);
        let pkcs8 = [&[0x30, 0x82, 1, 2, 2, 1, 0, 0x30][..], &[7; 40]].concat();
        let rows: [(&str, &[u8], &str); 4] = [
            ("PKCS#1", &[0x30, 0x82, 1, 2, 2, 1, 0, 2, 9, 9], "RSA PRIVATE KEY"),
            ("PKCS#8", &pkcs8, "PRIVATE KEY"),
            ("EC", &[0x30, 5, 2, 1, 1, 4, 0], "EC PRIVATE KEY"),
            ("anything", b"choria", "RSA PRIVATE KEY"),
        ];
        for (name, der, label) in rows {
            let short = cbc::Encryptor::<Aes128>::new(key[..16].into(), &VECTOR.into());
            let middle = cbc::Encryptor::<Aes192>::new(key[..24].into(), &VECTOR.into());
            let ciphers = [
                ("AES-128-CBC", short.encrypt_padded_vec_mut::<Pkcs7>(der)),
                ("AES-192-CBC", middle.encrypt_padded_vec_mut::<Pkcs7>(der)),
            ];
            for (cipher, sealed) in ciphers {
                let header = ("DEK-Info".to_owned(), format!("{cipher},{}", hex::encode(VECTOR)));
                let opened = open(&pem::encode(PKCS1, &[header], &sealed), &secret).expect("opened");
                assert_eq!(*opened, pem::encode(label, &[], der), "{name} {cipher}");
            }
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let text = format!("{:?} {:?}", exchange(SERVER), shared());
        assert!(!text.contains("67e4a9b3") && !text.contains("103, 228") && !text.contains("53a4887b"), "{text}");
    }
}
