//! Tests that this machine cannot run: said loudly, never passed over in silence.

use std::io::Write;
use std::path::Path;

/// Says on standard error that `test` does not run because of `why`, past the capture of the test harness, and in the
/// summary of `tests/run` (the file `CHORIA_SKIPPED`).
pub fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    let _nobody_reads = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("CHORIA_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file CHORIA_SKIPPED can be written");
    }
}

/// The library of libfaketime for programs with threads, where distributions put it.
#[must_use]
pub fn faketime() -> Option<&'static str> {
    [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib64/faketime/libfaketimeMT.so.1",
        "/usr/lib/faketime/libfaketimeMT.so.1",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
}
