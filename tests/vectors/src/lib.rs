//! Finds the data recorded from a running Choria system and counts the cases that ran.
//!
//! Every crate's `tests/vectors.rs` reads its cases through here, from each folder's `index.json`, so that another
//! set of the same layout can be put in place with the environment variable `CHORIA_VECTORS`.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder of all recorded data: `CHORIA_VECTORS`, else `../shared/vectors` beside the checkout.
///
/// # Panics
/// When the folder does not exist: a vector test that finds no vectors has failed, not passed.
#[must_use]
pub fn root() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let root = std::env::var_os("CHORIA_VECTORS").map_or(beside, PathBuf::from);
    assert!(root.is_dir(), "no recorded data in {}: set CHORIA_VECTORS to the folder that holds it", root.display());
    root
}

/// One folder of recorded data with its index.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The parsed `index.json`.
    pub index: Value,
}

impl Folder {
    /// Opens the folder `name`, for example `tokens`, and its `index.json`.
    ///
    /// # Panics
    /// When the folder or its index cannot be read.
    #[must_use]
    pub fn open(name: &str) -> Self {
        let path = root().join(name);
        let folder = Self { path, index: Value::Null };
        let index = folder.json("index.json");
        Self { index, ..folder }
    }

    /// The bytes of one file of the folder.
    ///
    /// # Panics
    /// When the file cannot be read; the message names it.
    #[must_use]
    pub fn read(&self, file: &str) -> Vec<u8> {
        let path = self.path.join(file);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// One file of the folder as text.
    ///
    /// # Panics
    /// When the file cannot be read or is not UTF-8; the message names it.
    #[must_use]
    pub fn text(&self, file: &str) -> String {
        String::from_utf8(self.read(file)).unwrap_or_else(|_| panic!("{file}: not UTF-8"))
    }

    /// One file of the folder as JSON.
    ///
    /// # Panics
    /// When the file cannot be read or is not JSON; the message names it.
    #[must_use]
    pub fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&self.read(file))
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.join(file).display()))
    }

    /// The path of one file of the folder.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }
}

/// Collects what every case said, so that one run shows all failures, each with the name of its file.
#[derive(Debug)]
pub struct Tally {
    what: String,
    ran: usize,
    failures: Vec<String>,
}

impl Tally {
    /// A tally for the tests called `what`.
    #[must_use]
    pub fn new(what: &str) -> Self {
        Self { what: what.to_owned(), ran: 0, failures: Vec::new() }
    }

    /// Runs one case; an `Err` is kept with the case's name.
    pub fn case(&mut self, name: &str, check: impl FnOnce() -> Result<(), String>) {
        self.ran += 1;
        if let Err(why) = check() {
            self.failures.push(format!("{name}: {why}"));
        }
    }

    /// Prints how many cases ran.
    ///
    /// # Panics
    /// When a case failed or none ran.
    pub fn finish(self) {
        println!("vectors: {}: {} cases, {} failed", self.what, self.ran, self.failures.len());
        assert!(self.ran > 0, "{}: the index holds no case", self.what);
        assert!(self.failures.is_empty(), "{}:\n  {}", self.what, self.failures.join("\n  "));
    }
}
