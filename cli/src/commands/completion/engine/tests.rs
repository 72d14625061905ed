//! The whole command line against a small network that exists in this file only.

use super::*;
use clap::CommandFactory;

#[derive(Default)]
struct Known {
    config: Option<String>,
}

fn named(names: &[&str]) -> Vec<Named> {
    names.iter().map(|name| ((*name).to_owned(), format!("about {name}"))).collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Sources for Known {
    fn use_config(&mut self, path: &str) {
        self.config = Some(path.to_owned());
    }
    fn agents(&self) -> Vec<Named> {
        named(if self.config.is_some() { &["package", "rpcutil", "scout"] } else { &["rpcutil", "scout"] })
    }
    fn actions(&self, agent: &str) -> Vec<Named> {
        named(if agent == "rpcutil" { &["get_fact", "ping"] } else { &[] })
    }
    fn inputs(&self, agent: &str, action: &str) -> Vec<Named> {
        named(if (agent, action) == ("rpcutil", "get_fact") { &["fact", "force"] } else { &[] })
    }
    fn input_values(&self, _agent: &str, _action: &str, input: &str) -> Vec<String> {
        owned(if input == "force" { &["true", "false"] } else { &[] })
    }
    fn collectives(&self) -> Vec<String> {
        owned(&["choria", "de"])
    }
    fn federations(&self) -> Vec<String> {
        Vec::new()
    }
    fn nodes(&self) -> Vec<String> {
        owned(&["n1.example.net", "n2.example.net"])
    }
    fn config_keys(&self) -> Vec<Named> {
        named(&["identity", "libdir"])
    }
}

fn answer(words: &[&str]) -> Answer {
    complete(crate::Arguments::command(), &owned(words), &mut Known::default())
}

#[test]
fn words_follow_from_what_stands_before_them() {
    let rows: [(&[&str], &[&str]); 32] = [
        (&["re"], &["req"]),
        (&["i"], &["inventory"]),
        (&["man"], &[]),
        (&["req", ""], &["rpcutil", "scout"]),
        (&["rpc", "rp"], &["rpcutil"]),
        (&["request", "rpcutil", ""], &["get_fact", "ping"]),
        (&["req", "rpcutil", "get_fact", ""], &["fact=", "force="]),
        (&["req", "rpcutil", "get_fact", "fact=x", ""], &["force="]),
        (&["req", "rpcutil", "get_fact", "force="], &["force=true", "force=false"]),
        (&["req", "rpcutil", "get_fact", "force:f"], &["force:false"]),
        (&["req", "rpcutil", "ping", ""], &[]),
        (&["req", "nosuch", ""], &[]),
        (&["req", "-I", "n1", "rpcutil", "p"], &["ping"]),
        (&["req", "-vj", "rpcutil", "p"], &["ping"]),
        (&["req", "-In1", "rpcutil", "p"], &["ping"]),
        (&["req", "--display", ""], &["ok", "failed", "all", "none"]),
        (&["req", "--display=f"], &["--display=failed"]),
        (&["req", "--dm", "fl"], &["flatfile"]),
        (&["req", "-I", "n2"], &["n2.example.net"]),
        (&["req", "-A", "s"], &["scout"]),
        (&["req", "-T", ""], &["choria", "de"]),
        (&["ping", "-T=", "--target", "d"], &["de"]),
        (&["req", "--filter-r"], &["--filter-replies"]),
        (&["req", "--batch", "3", "--bat"], &["--batch-sleep"]),
        (&["req", "--wf", "a=b", "--wf"], &["--wf"]),
        (&["req", "--", "--dis"], &[]),
        (&["--config", "x", "req", "pa"], &["package"]),
        (&["req", "--config=x", "pa"], &["package"]),
        (&["tool", ""], &["config", "event", "provisioner", "status", "submission", "submit"]),
        (&["tool", "config", "lib"], &["libdir"]),
        (&["tool", "event", "--type", "s"], &["shutdown", "startup"]),
        (&["inventory", "n1"], &["n1.example.net"]),
    ];
    for (words, expected) in rows {
        let got = answer(words);
        let values: Vec<&str> = got.candidates.iter().map(|candidate| candidate.value.as_str()).collect();
        assert_eq!(values, expected, "{words:?}");
    }
}

#[test]
fn paths_are_left_to_the_shell() {
    let rows: [(&[&str], Option<Paths>); 6] = [
        (&["req", "--nodes", ""], Some(Paths::Any)),
        (&["req", "--nodes=x"], Some(Paths::Any)),
        (&["--config", ""], Some(Paths::Any)),
        (&["jwt", "view", ""], Some(Paths::Any)),
        (&["req", "--display", ""], None),
        (&["req", ""], None),
    ];
    for (words, expected) in rows {
        assert_eq!(answer(words).paths, expected, "{words:?}");
    }
}

#[test]
fn inputs_stay_open_and_everything_is_described() {
    let inputs = answer(&["req", "rpcutil", "get_fact", ""]).candidates;
    assert!(inputs.iter().all(|input| input.open), "{inputs:?}");
    let agents = answer(&["req", ""]).candidates;
    assert_eq!(agents[0].help, "about rpcutil");
    let flags = answer(&["req", "--"]).candidates;
    assert!(flags.iter().all(|flag| !flag.help.is_empty() && !flag.open), "{flags:?}");
    let last = &flags[flags.len() - COMMON.len()..];
    assert!(last.iter().all(|flag| COMMON.contains(&flag.value.as_str())), "{flags:?}");
    assert!(!flags.iter().any(|flag| flag.value == "--workers"), "hidden");
}
