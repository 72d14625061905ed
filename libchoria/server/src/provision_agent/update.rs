//! Replacing the program by another version from a repository (spec 06 §3.9, §3.10).
//!
//! Nothing is changed before the whole new program lies beside the old one with the right checksum; then one rename does
//! it. The old program stays as `<program>.backup`.

use super::bundle::or_empty;
use bytes::Bytes;
use bzip2::read::BzDecoder;
use futures_util::future::BoxFuture;
use network::http::{self, Limits, Url};
use network::{Tls, TlsFiles, Trust};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The inputs of `release_update`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Release {
    #[serde(deserialize_with = "or_empty")]
    pub(super) token: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) repository: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) version: String,
}

/// How a file of the repository is had: its URL and the most bytes it may have.
pub(super) type Fetch = dyn Fn(String, usize) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync;

/// Puts the release in the place of `program`; the error is the text of the reply.
pub(super) async fn install(release: &Release, program: Option<&Path>, fetch: &Fetch) -> Result<(), String> {
    let version = &release.version;
    let failed = |why: String| format!("Update to version {version} failed, release rolled back: {why}");
    let program = program.ok_or_else(|| failed("the program file of this server is not known".to_owned()))?.to_owned();
    let directory = directory(release).map_err(failed)?;
    let text = fetch(format!("{directory}release.json"), LARGEST_SPECIFICATION).await;
    let text = text.map_err(|why| failed(format!("release {version} not found: {why}")))?;
    let specification = Specification::parse(&text, &directory).map_err(failed)?;
    let binary = fetch(format!("{directory}{}", specification.binary), LARGEST_DOWNLOAD).await.map_err(failed)?;
    let replaced = super::blocking(move || replace(&program, &specification, &binary)).await;
    replaced.and_then(|replaced| replaced.map_err(|error| error.to_string())).map_err(failed)
}

/// A file of a repository on the network.
pub(super) fn fetch(url: String, limit: usize) -> BoxFuture<'static, Result<Bytes, String>> {
    Box::pin(async move {
        let url: Url = url.parse().map_err(|error: http::InvalidUrl| error.to_string())?;
        let trust = match AUTHORITIES.iter().map(Path::new).find(|file| file.is_file()) {
            Some(file) => Trust::Authorities { file: file.to_owned(), common_names: false },
            None if url.is_encrypted() => {
                return Err(format!("no list of certificate authorities is installed: {AUTHORITIES:?}"));
            }
            None => Trust::Anyone,
        };
        let tls = Tls::new(&TlsFiles { trust, ..TlsFiles::default() }).map_err(|error| error.to_string())?;
        let limits = Limits { time: DOWNLOAD_TIME, body: limit };
        let request = http::Request { body: None, authorization: None };
        let answer = http::send(&url, request, &tls, limits).await.map_err(|error| error.to_string())?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(format!("{url} answered with status {}", answer.status))
        }
    })
}

/// What `release.json` says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Specification {
    binary: String,
    hash: String,
    uri: String,
}

impl Specification {
    fn parse(text: &[u8], directory: &str) -> Result<Self, String> {
        let found: Self = serde_json::from_slice(text).map_err(|error| format!("release.json: {error}"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
        if found.binary.is_empty() || found.binary.starts_with('.') || !found.binary.chars().all(plain) {
            return Err(format!("release.json: binary {:?} is no file name", cut(&found.binary)));
        }
        let inside = |uri: &str| {
            uri.strip_prefix(directory).is_some_and(|rest| rest.chars().all(plain) && !rest.starts_with('.'))
        };
        if !found.uri.is_empty() && !inside(&found.uri) {
            return Err(format!("release.json: uri {:?} leaves the directory of the release", cut(&found.uri)));
        }
        if found.hash.len() != 64 || !found.hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("release.json: hash is not 64 hexadecimal digits".to_owned());
        }
        Ok(found)
    }
}

/// The directory of the release, with the last slash.
fn directory(release: &Release) -> Result<String, String> {
    let (repository, version) = (release.repository.trim_end_matches('/'), &release.version);
    let web = repository.starts_with("https://") || repository.starts_with("http://");
    if !web
        || repository.len() > 512
        || repository.contains(|c: char| c.is_whitespace() || c.is_control() || "?#".contains(c))
    {
        return Err("repository must be an http or https URL without a query".to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+~:".contains(c);
    if version.is_empty() || version.len() > 32 || version.starts_with('.') || !version.chars().all(plain) {
        return Err("version must be 1 to 32 letters, digits and `-_.+~:`".to_owned());
    }
    Ok(format!("{repository}/{version}/linux/{}/", architecture()))
}

/// As the existing system names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}

fn replace(program: &Path, specification: &Specification, binary: &[u8]) -> io::Result<()> {
    let (new, backup) = (beside(program, ".new"), beside(program, ".backup"));
    let done = write_new(&new, program, specification, binary).and_then(|()| {
        remove(&backup)?;
        fs::hard_link(program, &backup)?;
        fs::rename(&new, program)
    });
    if done.is_err() {
        // What remains is of no use; the error that matters is the first.
        drop(remove(&new));
        return done;
    }
    File::open(program.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// The uncompressed program beside the old one, with its mode, on the disk and checked.
fn write_new(new: &Path, program: &Path, specification: &Specification, binary: &[u8]) -> io::Result<()> {
    remove(new)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    let mut source: Box<dyn Read> = match specification.binary.ends_with(".bz2") {
        true => Box::new(BzDecoder::new(binary)),
        false => Box::new(binary),
    };
    let (mut hash, mut buffer, mut size) = (Sha256::new(), vec![0; 64 * 1024], 0);
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        size += count;
        if size > LARGEST_PROGRAM {
            return Err(io::Error::other(format!("the program is larger than {LARGEST_PROGRAM} bytes")));
        }
        hash.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if !found.eq_ignore_ascii_case(&specification.hash) {
        return Err(io::Error::other("downloaded file had an invalid checksum"));
    }
    file.set_permissions(fs::metadata(program)?.permissions())?;
    file.sync_all()
}

fn beside(program: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = program.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    program.with_file_name(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The certificates that the system trusts: Debian and its kin, Enterprise Linux and its kin, SUSE.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
const DOWNLOAD_TIME: Duration = Duration::from_secs(600);
const LARGEST_SPECIFICATION: usize = 64 * 1024;
/// Compressed; the program's own size is a tenth of it.
const LARGEST_DOWNLOAD: usize = 256 * 1024 * 1024;
const LARGEST_PROGRAM: usize = 1024 * 1024 * 1024;

#[cfg(test)]
mod tests;
