//! Releases that are right, damaged, or lead elsewhere.

use super::*;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

const OLD: &[u8] = b"#!/bin/sh\necho old\n";
const NEW: &[u8] = b"#!/bin/sh\necho new\n";

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// A repository that holds these files; what is asked for is written down.
fn repository(files: Vec<(&str, Vec<u8>)>) -> (Box<Fetch>, Arc<Mutex<Vec<String>>>) {
    let base = format!("http://repo.example.net/choria/1.2.3/linux/{}/", architecture());
    let files: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|(name, bytes)| (format!("{base}{name}"), bytes)).collect();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&asked);
    let fetch = move |url: String, _limit: usize| {
        let found = files.get(&url).cloned().map(Bytes::from).ok_or_else(|| "status 404".to_owned());
        list.lock().expect("no panic").push(url);
        async move { found }.boxed()
    };
    (Box::new(fetch), asked)
}

fn release(repository: &str, version: &str) -> Release {
    Release { token: String::new(), repository: repository.to_owned(), version: version.to_owned() }
}

#[tokio::test]
async fn the_program_is_replaced_whole_or_not_at_all() {
    let json = |binary: &str, hash: &str, uri: &str| {
        format!(r#"{{"binary":"{binary}","hash":"{hash}","uri":"{uri}"}}"#).into_bytes()
    };
    let good = "http://repo.example.net/choria/";
    let rows = [
        ("compressed", good, "1.2.3", json("c.bz2", &hash(NEW), ""), compressed(NEW), Ok(())),
        ("plain", good, "1.2.3", json("c", &hash(NEW), ""), NEW.to_vec(), Ok(())),
        ("wrong hash", good, "1.2.3", json("c", &hash(OLD), ""), NEW.to_vec(), Err("invalid checksum")),
        ("damaged", good, "1.2.3", json("c.bz2", &hash(NEW), ""), NEW.to_vec(), Err("rolled back")),
        ("other version", good, "1.2.4", json("c", &hash(NEW), ""), NEW.to_vec(), Err("release 1.2.4 not found")),
        ("traversal", good, "1.2.3", json("../c", &hash(NEW), ""), NEW.to_vec(), Err("is no file name")),
        ("query", good, "1.2.3", json("c?x", &hash(NEW), ""), NEW.to_vec(), Err("is no file name")),
        ("elsewhere", good, "1.2.3", json("c", &hash(NEW), "http://evil.example.net/c"), NEW.to_vec(), Err("uri")),
        ("no hash", good, "1.2.3", json("c", "", ""), NEW.to_vec(), Err("hash is not 64")),
        ("no JSON", good, "1.2.3", b"<html>".to_vec(), NEW.to_vec(), Err("release.json")),
        ("version traversal", good, "../1.2.3", json("c", &hash(NEW), ""), NEW.to_vec(), Err("version must be")),
        ("file URL", "file:///etc", "1.2.3", json("c", &hash(NEW), ""), NEW.to_vec(), Err("repository must be")),
    ];
    for (name, repo, version, specification, binary, wanted) in rows {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("choria");
        fs::write(&program, OLD).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our own");
        let binary_name = if specification.windows(5).any(|part| part == b"c.bz2") { "c.bz2" } else { "c" };
        let (fetch, asked) = repository(vec![("release.json", specification), (binary_name, binary)]);
        let got = install(&release(repo, version), Some(&program), &*fetch).await;
        let asked = asked.lock().expect("no panic").clone();
        assert!(asked.iter().all(|url| url.starts_with(good) && !url.contains("..")), "{name}: {asked:?}");
        let text = fs::read(&program).expect("there");
        match wanted {
            Ok(()) => {
                assert_eq!(got, Ok(()), "{name}");
                assert_eq!(text, NEW, "{name}");
                assert_eq!(fs::metadata(&program).expect("there").permissions().mode() & 0o777, 0o755);
                assert_eq!(fs::read(folder.path().join("choria.backup")).expect("kept"), OLD);
            }
            Err(words) => {
                let error = got.expect_err(name);
                assert!(
                    error.starts_with(&format!("Update to version {version} failed, release rolled back: ")),
                    "{error}"
                );
                assert!(error.contains(words), "{name}: {error}");
                assert_eq!(text, OLD, "{name}");
            }
        }
        assert!(!folder.path().join("choria.new").exists(), "{name}");
    }
}
