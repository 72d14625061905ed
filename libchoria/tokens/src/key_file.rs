//! Key and token files: what may stand in them, and how they are written.

use crate::key::{InvalidKey, PublicKey, Seed};
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a key or token file could not be used. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file could not be written.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is far larger than any key or token.
    #[error("{path} is larger than {LARGEST_FILE} bytes: it is no key or token", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file holds neither an ed25519 key as hexadecimal text nor, where that is allowed, an RSA key as PEM.
    #[error("{path} holds no ed25519 key", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The rule it breaks.
        source: InvalidKey,
    },
    /// The file is PEM, but holds no RSA key of the needed kind.
    #[error("{path} is PEM but holds no RSA {half} key: ed25519 keys are written as 64 hexadecimal digits instead", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// `private` or `public`.
        half: &'static str,
    },
    /// The file is not text.
    #[error("{path} is not text: it is no key or token", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// A key that signs tokens.
#[derive(Debug)]
pub enum SigningKey {
    /// Signs with `EdDSA`; the usual kind.
    Ed25519(Seed),
    /// Signs with `RS256`. The RSA library does not wipe this key from memory.
    Rsa(RsaPrivateKey),
}

/// A key that tokens are verified with.
#[derive(Clone, Debug)]
pub enum VerificationKey {
    /// Verifies `EdDSA` tokens, and those issued through a chain of trust.
    Ed25519(PublicKey),
    /// Verifies `RS256`, `RS384` and `RS512` tokens.
    Rsa(RsaPublicKey),
}

/// An RSA private key read from PEM.
pub struct RsaPrivateKey(pub(crate) jsonwebtoken::EncodingKey);

/// An RSA public key read from PEM.
#[derive(Clone)]
pub struct RsaPublicKey(pub(crate) jsonwebtoken::DecodingKey);

impl Seed {
    /// Reads a seed file: 64 hexadecimal digits. Whitespace around them, such as the newline an editor adds, is
    /// accepted, although other implementations refuse it.
    ///
    /// # Errors
    /// [`KeyError`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path)?;
        Self::from_hex(text.trim()).map_err(|source| KeyError::Key { path: path.to_owned(), source })
    }

    /// Writes a seed file: exactly 64 lower-case hexadecimal digits without a newline, mode 0600, replacing any file
    /// at `path` in one step.
    ///
    /// # Errors
    /// [`KeyError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        write_private(path, self.to_hex().as_bytes())
    }
}

impl SigningKey {
    /// Reads an RSA private key as PEM (PKCS#1 or PKCS#8) or an ed25519 seed as 64 hexadecimal digits, around which
    /// whitespace is accepted.
    ///
    /// # Errors
    /// [`KeyError`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path)?;
        let path = path.to_owned();
        if starts_with_any(&text, &["-----BEGIN RSA PRIVATE KEY", "-----BEGIN PRIVATE KEY"]) {
            let key = jsonwebtoken::EncodingKey::from_rsa_pem(text.as_bytes());
            return key.map(|key| Self::Rsa(RsaPrivateKey(key))).map_err(|_| KeyError::Pem { path, half: "private" });
        }
        Seed::from_hex(text.trim()).map(Self::Ed25519).map_err(|source| KeyError::Key { path, source })
    }
}

impl VerificationKey {
    /// The key that `text` names: 64 hexadecimal digits are the key itself, all else is a file for
    /// [`VerificationKey::read`] (spec 01 §5.3).
    ///
    /// # Errors
    /// [`KeyError`]; 64 digits that are no key are reported under their own text, which is public.
    pub fn find(text: &str) -> Result<Self, KeyError> {
        match text.parse::<PublicKey>() {
            Ok(key) => Ok(Self::Ed25519(key)),
            Err(source @ InvalidKey::NotAKey) => Err(KeyError::Key { path: PathBuf::from(text), source }),
            Err(_) => Self::read(Path::new(text)),
        }
    }

    /// Reads an RSA public key or certificate as PEM, or an ed25519 public key as 64 hexadecimal digits, around which
    /// whitespace is accepted.
    ///
    /// # Errors
    /// [`KeyError`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path)?;
        let path = path.to_owned();
        if starts_with_any(&text, &["-----BEGIN CERTIFICATE", "-----BEGIN PUBLIC KEY"]) {
            let key = jsonwebtoken::DecodingKey::from_rsa_pem(text.as_bytes());
            return key.map(|key| Self::Rsa(RsaPublicKey(key))).map_err(|_| KeyError::Pem { path, half: "public" });
        }
        text.trim().parse().map(Self::Ed25519).map_err(|source| KeyError::Key { path, source })
    }
}

impl From<PublicKey> for VerificationKey {
    fn from(key: PublicKey) -> Self {
        Self::Ed25519(key)
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaPrivateKey")
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaPublicKey")
    }
}

/// Reads a token file, without the whitespace around the token. What it holds is not judged.
///
/// # Errors
/// [`KeyError`] names the file and what is wrong with it.
pub fn read_token(path: &Path) -> Result<String, KeyError> {
    Ok(read_text(path)?.trim().to_owned())
}

/// Writes a secret file: mode 0600, complete on disk before it replaces any file at `path`, so that a reader finds the
/// old content or the new, never a part.
///
/// # Errors
/// [`KeyError::Write`]; the old file is then untouched and no other is left behind.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), KeyError> {
    replace(path, content).map_err(|source| KeyError::Write { path: path.to_owned(), source })
}

/// [`write_private`] for two files that belong together, as a key and its token: both are complete on disk before either
/// replaces anything, and when the second cannot be replaced the first gets its old content back. Only a crash between two
/// renames leaves one of each.
///
/// # Errors
/// [`KeyError::Write`] names the file that failed; both are then as they were.
pub fn write_private_pair(first: (&Path, &[u8]), second: (&Path, &[u8])) -> Result<(), KeyError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| KeyError::Write { path, source }
    };
    let old = match std::fs::read(first.0) {
        Ok(content) => Some(Zeroizing::new(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(failed(first.0)(source)),
    };
    let staged = stage(first.0, first.1).map_err(failed(first.0))?;
    let other = stage(second.0, second.1).map_err(failed(second.0))?;
    commit(staged, first.0).map_err(failed(first.0))?;
    commit(other, second.0)
        .map_err(|source| {
            let restored = match &old {
                Some(content) => replace(first.0, content),
                None => std::fs::remove_file(first.0),
            };
            // The reason that matters is the first one.
            restored.map_or_else(
                |undone| {
                    std::io::Error::new(
                        source.kind(),
                        format!("{source}; {} could not be restored: {undone}", first.0.display()),
                    )
                },
                |()| std::io::Error::new(source.kind(), source.to_string()),
            )
        })
        .map_err(failed(second.0))
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    commit(stage(path, content)?, path)
}

/// A file beside `path` with `content`, on disk; mode 0600, removed again when dropped.
fn stage(path: &Path, content: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".choria-").tempfile_in(directory(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Puts a staged file into its place.
fn commit(staged: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    staged.persist(path)?;
    std::fs::File::open(directory(path))?.sync_all()
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// The text of a file of at most [`LARGEST_FILE`] bytes, wiped when dropped.
fn read_text(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let unreadable = |source| KeyError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Space for the whole file at once: growing would leave copies of a secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(KeyError::TooLarge { path: path.to_owned() });
    }
    let text = std::str::from_utf8(&content).map_err(|_| KeyError::NotText { path: path.to_owned() })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn starts_with_any(text: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| text.starts_with(beginning))
}

/// No key and no token comes near this; a wrong path such as a device is cut off here.
const LARGEST_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const SEED: &str = "0101010101010101010101010101010101010101010101010101010101010101";
    const PUBLIC: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

    #[test]
    fn a_seed_is_written_for_every_implementation_and_read_leniently() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.seed");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        Seed::from_bytes([1; 32]).write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), SEED);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
        for content in [SEED.to_owned(), format!("{SEED}\n"), format!(" {SEED}\r\n")] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(Seed::read(&path).unwrap().public().to_string(), PUBLIC, "{content:?}");
            assert!(matches!(SigningKey::read(&path), Ok(SigningKey::Ed25519(_))), "{content:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_file_and_not_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let rows: [(&[u8], &str); 5] = [
            (b"s3cret", "holds no ed25519 key"),
            (&[0xff, 0xfe], "is not text"),
            (b"-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n", "holds no RSA private key"),
            (b"-----BEGIN RSA PRIVATE KEY-----\ns3cret", "holds no RSA private key"),
            (&vec![b'a'; 2_000_000], "is larger than"),
        ];
        for (content, expected) in rows {
            std::fs::write(&path, content).unwrap();
            let error = SigningKey::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("key") && !error.contains("s3cret"), "{error}");
        }
        let error = Seed::read(&directory.path().join("absent")).unwrap_err().to_string();
        assert!(error.contains("absent"), "{error}");
    }

    #[test]
    fn a_verification_key_is_digits_or_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("issuer.public");
        std::fs::write(&path, format!("{PUBLIC}\n")).unwrap();
        for text in [PUBLIC, path.to_str().unwrap()] {
            let key = VerificationKey::find(text).unwrap();
            assert!(matches!(key, VerificationKey::Ed25519(key) if key.to_string() == PUBLIC), "{text}");
        }
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(VerificationKey::read(&path), Err(KeyError::Pem { half: "public", .. })));
    }
}
