//! The manual: every page renders without a warning, and the daemons' pages know every flag the daemons know.

use choria_tests::{Lab, programs};
use std::process::Command;

#[test]
fn pages_render_without_warnings() {
    if Command::new("man").arg("--version").output().is_err() {
        assert!(std::env::var_os("CHORIA_ALL_SHELLS").is_none(), "man is not installed: install the package man-db");
        eprintln!("manual: SKIPPED, man is not installed: install the package man-db");
        return;
    }
    let lab = Lab::new();
    std::fs::create_dir(lab.path("man")).expect("a directory");
    lab.choria(&["man", "man"]).succeeded();
    let files = std::fs::read_dir(lab.path("man")).expect("pages").flatten().map(|entry| entry.path());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 20, "{files:?}");
    for file in files {
        let output = Command::new("man")
            .args(["--warnings", "-P", "cat", "-l"])
            .arg(&file)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80")
            .output()
            .expect("man runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{}: {errors}", file.display());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("NAME") && text.contains("SEE ALSO"), "{}: {text}", file.display());
    }
}

#[test]
fn the_pages_of_daemons_know_their_flags() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("man")).expect("a directory");
    lab.choria(&["man", "man"]).succeeded();
    for daemon in ["choria-broker", "choria-server", "choria-submit", "choria-provisioner", "choria-aaasvc"] {
        let page = lab.read(&format!("man/{daemon}.8")).replace("\\-", "-");
        let help = Command::new(programs().join(daemon))
            .args((daemon == "choria-aaasvc").then_some("run"))
            .arg("--help")
            .output()
            .expect("help");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let flags: Vec<&str> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
        assert!(flags.len() >= 3, "{help}");
        for flag in flags {
            assert!(page.contains(flag), "{daemon}(8) does not know {flag}: see cli/src/commands/man/daemons.rs");
        }
    }
}
