//! Completions in the real shells: each loads its own script and is asked what it would put behind some words.
//!
//! A shell that is not installed is skipped with a line on standard error; with `CHORIA_ALL_SHELLS` set, as in continuous
//! integration, it is a failure.

use choria_tests::{Lab, programs};
use std::process::Command;

/// An agent of this test alone, so that its document must have been read from the disk.
const DDL: &str = r#"{
    "metadata": {"name": "orchard", "description": "Trees", "version": "1.0.0", "timeout": 5},
    "actions": [{
        "action": "pick", "description": "Picks fruit", "output": {},
        "input": {
            "fruit": {"prompt": "Fruit", "description": "What to pick", "type": "list", "list": ["apple", "pear"]},
            "ripe": {"prompt": "Ripe", "description": "Only ripe ones", "type": "boolean", "optional": true}
        }
    }]
}"#;

/// Lines, and every word that may come next.
const ROWS: &[(&str, &[&str])] = &[
    ("choria inv", &["inventory"]),
    ("choria req orc", &["orchard"]),
    ("choria req orchard ", &["pick"]),
    ("choria req -v orchard pick ", &["fruit=", "ripe="]),
    ("choria req orchard pick fruit=pear r", &["ripe="]),
    ("choria tool st", &["status"]),
    ("choria req --limit-", &["--limit-seed"]),
];

/// A network whose client knows the agent, or nothing when the shell is not there.
fn lab(shell: &str) -> Option<Lab> {
    if Command::new(shell).arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CHORIA_ALL_SHELLS").is_none(),
            "{shell} is not installed: install the package {shell}"
        );
        eprintln!("completions: SKIPPED, {shell} is not installed: install the package {shell}");
        return None;
    }
    let lab = Lab::new();
    std::fs::create_dir_all(lab.path("lib/choria/agent")).expect("a directory");
    lab.write("lib/choria/agent/orchard.json", DDL);
    let libdir = format!("{}\nlibdir = {}\n", lab.read("client.conf"), lab.path("lib").display());
    lab.write("client.conf", &libdir);
    Some(lab)
}

/// What a script for the shell prints.
fn run(lab: &Lab, shell: &str, arguments: &[&str], script: &str) -> String {
    lab.write("script", script);
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new(shell)
        .args(arguments)
        .arg(lab.path("script"))
        .current_dir(lab.folder())
        .env("PATH", path)
        .env("HOME", lab.folder())
        .env("XDG_CONFIG_HOME", lab.folder())
        .env("XDG_DATA_HOME", lab.folder())
        .env("CHORIA_CONFIG", lab.path("client.conf"))
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{shell}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Compares the lines `LINE -> WORD WORD` that a script printed.
#[track_caller]
fn same(printed: &str) {
    for (line, words) in ROWS {
        let expected = format!("{line} -> {}", words.join(" "));
        assert!(printed.lines().any(|line| line == expected), "{expected:?} is not in\n{printed}");
    }
}

fn each_row(call: &str) -> String {
    ROWS.iter().map(|(line, _)| format!("{call} '{line}'\n")).collect()
}

#[test]
fn bash_completes() {
    let Some(lab) = lab("bash") else { return };
    let script = format!(
        "source <(choria completion bash)\n\
         complete -p choria >/dev/null || exit 1\n\
         compopt() {{ :; }}\n\
         try() {{\n\
             COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&(:' COMPREPLY=()\n\
             _choria choria\n\
             printf '%s -> %s\\n' \"$1\" \"${{COMPREPLY[*]}}\"\n\
         }}\n{}",
        each_row("try")
    );
    same(&run(&lab, "bash", &["--norc", "--noprofile"], &script));
    let values = "source <(choria completion bash); COMP_LINE='choria req orchard pick fruit=' COMP_WORDBREAKS='=:'\n\
                  COMP_POINT=${#COMP_LINE}; _choria choria; printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    assert_eq!(run(&lab, "bash", &["--norc", "--noprofile"], values), "apple\npear\n", "behind the =");
}

#[test]
fn fish_completes() {
    let Some(lab) = lab("fish") else { return };
    let script = format!(
        "choria completion fish | source\n\
         function try\n\
             set -l words (complete -C \"$argv[1]\" | string replace -r '\\t.*' '')\n\
             echo \"$argv[1] -> $words\"\n\
         end\n{}complete -C 'choria req orc'\n",
        each_row("try")
    );
    let printed = run(&lab, "fish", &["--no-config"], &script);
    same(&printed);
    assert!(printed.lines().any(|line| line == "orchard\tTrees"), "descriptions are shown:\n{printed}");
}

#[test]
fn zsh_completes() {
    let Some(lab) = lab("zsh") else { return };
    // `compadd` is what every completion of zsh ends in; here it tells what it is given.
    let script = format!(
        "zmodload zsh/zutil\n\
         autoload -Uz compinit && compinit -u -D\n\
         source <(choria completion zsh)\n\
         [[ $_comps[choria] == _choria ]] || exit 1\n\
         _describe() {{ local -a list; while [[ $1 == -* ]]; do shift; done; list=(\"${{(@P)2}}\"); offered+=(\"${{(@)list%%:*}}\") }}\n\
         try() {{\n\
             local -a words offered; local PREFIX CURRENT\n\
             words=(\"${{(@s: :)1}}\"); CURRENT=$#words; PREFIX=$words[-1]\n\
             _choria; print -r -- \"$1 -> $offered\"\n\
         }}\n{}",
        each_row("try")
    );
    let printed = run(&lab, "zsh", &["-f"], &script);
    same(&printed);
}
