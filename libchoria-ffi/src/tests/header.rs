//! `include/choria.h` and the list of exported symbols follow the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Set to anything, this has the tests write the files that they compare.
const REWRITE: &str = "CHORIA_HEADER_REWRITE";

/// The sources in the order in which the header shows them.
const SOURCES: [&str; 14] = [
    "result.rs",
    "library.rs",
    "draft.rs",
    "submitter.rs",
    "server_status.rs",
    "trust.rs",
    "token.rs",
    "seed.rs",
    "received.rs",
    "client.rs",
    "request.rs",
    "replies.rs",
    "event.rs",
    "consumer.rs",
];

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The header that the sources call for.
fn generated() -> String {
    let config = cbindgen::Config::from_file(crate_folder().join("cbindgen.toml")).expect("cbindgen.toml");
    let builder = SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, source| {
        builder.with_src(crate_folder().join("src").join(source))
    });
    let mut header = Vec::new();
    builder.generate().expect("cbindgen").write(&mut header);
    String::from_utf8(header).expect("UTF-8")
}

/// Compares `expected` with the file at `path`, or writes it.
fn same(path: &Path, expected: &str) {
    if std::env::var_os(REWRITE).is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(path, expected).expect("written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let difference = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{} is not what the sources call for, from line {} on: run {REWRITE}=1 cargo test -p choria-ffi header, look at \
         the difference, and commit it",
        path.display(),
        difference.unwrap_or_else(|| found.lines().count().min(expected.lines().count())) + 1,
    );
}

fn header_path() -> PathBuf {
    crate_folder().join("../include/choria.h")
}

/// The functions of the library: everything that is not mangled.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(crate_folder().join("src")).expect("the sources") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".rs")) else {
            continue;
        };
        let text = std::fs::read_to_string(&path).expect("a source");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("pub unsafe extern \"C\" fn ") || line.starts_with("pub extern \"C\" fn "));
        let found: Vec<_> = lines
            .map(|line| line.split("fn ").nth(1).expect("a name").split('(').next().expect("a name").to_owned())
            .collect();
        assert!(found.is_empty() || SOURCES.contains(&name), "{name} has functions for C and is not in SOURCES");
        names.extend(found);
    }
    names
}

#[test]
fn the_header_follows_the_sources() {
    same(&header_path(), &generated());
}

#[test]
fn the_version_script_names_every_function() {
    let functions: String = functions().iter().map(|name| format!("    {name};\n")).collect();
    let script = format!("CHORIA_1 {{\n  global:\n{functions}  local:\n    *;\n}};\n");
    same(&crate_folder().join("libchoria.map"), &script);
}

#[test]
fn every_function_is_in_the_header_and_documented() {
    let header = generated();
    let lines: Vec<&str> = header.lines().collect();
    for function in functions() {
        let line =
            lines.iter().position(|line| line.contains(&format!("{function}(")) && !line.starts_with([' ', '/', '*']));
        let line = line.unwrap_or_else(|| panic!("{function} is not in the header"));
        assert!(lines[line - 1].trim_end().ends_with("*/"), "{function} has no documentation");
    }
}
