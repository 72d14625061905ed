//! Puts the build specification into the constants of `choria_config::build`, as `daemons/CUSTOM.md` explains.

#[path = "build/origin.rs"]
mod origin;
#[path = "build/section.rs"]
mod section;
#[path = "build/specification.rs"]
mod specification;

use specification::Specification;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            // Cargo shows what a build script that fails wrote, and `cargo::error` at once and without the rest.
            println!("cargo::error={sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let file = match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => root.join(USUAL),
    };
    if file.is_relative() {
        let file = file.display();
        return Err(format!(
            "{VARIABLE} is {file}, which is no absolute path: Cargo builds in other folders than yours"
        ));
    }
    println!("cargo::rerun-if-changed={}", file.display());
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("the build specification {} cannot be read: {error}", file.display()))?;
    let specification = Specification::parse(&text, &file.display().to_string())?;
    for (name, value) in specification.constants() {
        println!("cargo::rustc-env=CHORIA_SPEC_{name}={value}");
    }
    let origin = origin::find(&root);
    println!("cargo::rustc-env=CHORIA_SPEC_SHA={}", origin.commit);
    println!("cargo::rustc-env=CHORIA_SPEC_DATE={}", origin.date);
    Ok(())
}

/// Names the file.
const VARIABLE: &str = "CHORIA_BUILD_SPEC";
/// The file of this tree; a branded tree has the organisation's in its place.
const USUAL: &str = "daemons/choria.toml";
