//! Completions (spec 09 §15.6): scripts for bash, zsh and fish, and the words they ask for while a line is written.
//!
//! | module | holds |
//! |---|---|
//! | `engine` | from words to what may come next |
//! | `disk` | agents, actions, inputs and nodes, known from files alone |
//! | `line` | bash's view of a command line |
//! | `scripts/` | what a shell loads |
//!
//! A script asks `choria __complete SHELL …`. The first line of the answer says what the shell shall do besides (`files`,
//! `directories`, `open`: no space behind the word), each further line is a word, for zsh and fish with a tab and a
//! description.

mod disk;
mod engine;
mod line;

use crate::Global;
use anyhow::{Context, bail};
use clap::{CommandFactory, ValueEnum};
use disk::Disk;
use engine::{Answer, Paths, Sources, complete};
use line::Line;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// What to print.
#[derive(clap::Args, Debug)]
#[command(after_help = "For one session: source <(choria completion bash), source <(choria completion zsh),\n\
                        choria completion fish | source. Packages install the scripts for all.")]
pub(crate) struct CompletionArguments {
    /// The shell whose script is printed
    #[arg(value_enum)]
    shell: Option<Shell>,
    /// Print the script for bash, or words as bash takes them
    #[arg(long, hide = true, conflicts_with_all = ["shell", "zsh"])]
    bash: bool,
    /// Print the script for zsh, or words with descriptions
    #[arg(long, hide = true, conflicts_with = "shell")]
    zsh: bool,
    /// Print names that are known on this machine instead of a script
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "shell")]
    list: Option<List>,
    /// The agent whose actions or inputs are listed
    #[arg(long, requires = "list")]
    agent: Option<String>,
    /// The action whose inputs are listed
    #[arg(long, requires = "list")]
    action: Option<String>,
}

/// Shells with a script.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Shell {
    /// The Bourne-again shell
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

/// What `--list` lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum List {
    /// Agents with a DDL
    Agents,
    /// Actions of an agent
    Actions,
    /// Inputs of an action
    Inputs,
}

/// The first word of what scripts ask.
const QUESTION: &str = "__complete";

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("scripts/choria.bash"),
            Self::Zsh => include_str!("scripts/choria.zsh"),
            Self::Fish => include_str!("scripts/choria.fish"),
        }
    }
}

/// Prints a script or a list on standard output.
///
/// # Errors
/// When a list needs an agent or action that is not named, or standard output is gone.
pub(crate) fn run(arguments: &CompletionArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let text = match arguments.list {
        Some(list) => arguments.listed(list, global)?,
        None => {
            let shell = arguments.shell.unwrap_or(if arguments.zsh { Shell::Zsh } else { Shell::Bash });
            // Nothing in them is a word of the protocol.
            shell.script().replace("choria", config::build::NAME)
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

impl CompletionArguments {
    /// Names one a line, for zsh as `name:description`. What is not known prints nothing.
    fn listed(&self, list: List, global: &Global) -> anyhow::Result<String> {
        let mut disk = Disk::default();
        if let Some(config) = &global.config {
            disk.use_config(&config.display().to_string());
        }
        let names = match (list, &self.agent, &self.action) {
            (List::Agents, ..) => disk.agents(),
            (List::Actions, Some(agent), _) => disk.actions(agent),
            (List::Inputs, Some(agent), Some(action)) => disk.inputs(agent, action),
            (List::Actions, None, _) => bail!("please indicate an agent to list actions for"),
            (List::Inputs, None, _) => bail!("please indicate an agent to list inputs for"),
            (List::Inputs, Some(_), None) => bail!("please indicate an action to list inputs for"),
        };
        let line = |(name, help): &(String, String)| match self.zsh {
            true => format!("{name}:{}\n", first_line(help)),
            false => format!("{name}\n"),
        };
        Ok(names.iter().map(line).collect())
    }
}

/// Whether a script asks.
pub(crate) fn is_meant(mut words: impl Iterator<Item = OsString>) -> bool {
    words.nth(1).is_some_and(|word| word == QUESTION)
}

/// Answers a script.
pub(crate) fn answer<Arguments: CommandFactory>(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = words.skip(2).map(|word| word.to_string_lossy().into_owned()).collect();
    super::finish(reply(Arguments::command(), &words).map(|()| ExitCode::SUCCESS))
}

fn reply(root: clap::Command, words: &[String]) -> anyhow::Result<()> {
    let (shell, words) = words.split_first().context("a shell is missing: this is asked by completion scripts")?;
    let mut disk = Disk::default();
    if let Some(config) = std::env::var_os("CHORIA_CONFIG") {
        disk.use_config(&config.to_string_lossy());
    }
    let mut out = io::stdout().lock();
    match (shell.as_str(), words) {
        ("bash", [line, point, breaks]) => {
            let line = Line::parse(line, point.parse().context("the cursor is no number")?, breaks);
            let answer = complete(root, &line.words, &mut disk);
            out.write_all(for_bash(&answer, &line).as_bytes())?;
        }
        ("zsh" | "fish", words) => {
            let answer = complete(root, words, &mut disk);
            out.write_all(described(&answer).as_bytes())?;
        }
        _ => bail!("{shell} is not a shell with completions: use bash, zsh or fish"),
    }
    Ok(())
}

/// What the shell shall do besides offering words.
fn directions(answer: &Answer) -> String {
    let paths = match answer.paths {
        None => "",
        Some(Paths::Any) => "files ",
        Some(Paths::Directories) => "directories ",
    };
    // Where one word stays open, none is followed by a space: bash cannot tell them apart.
    let open = if answer.candidates.iter().any(|candidate| candidate.open) { "open" } else { "" };
    format!("{paths}{open}\n")
}

fn for_bash(answer: &Answer, line: &Line) -> String {
    let words = answer.candidates.iter().map(|candidate| line.replacement(&candidate.value) + "\n");
    std::iter::once(directions(answer)).chain(words).collect()
}

fn described(answer: &Answer) -> String {
    let words = answer.candidates.iter().map(|candidate| match first_line(&candidate.help) {
        "" => format!("{}\n", candidate.value),
        help => format!("{}\t{help}\n", candidate.value),
    });
    std::iter::once(directions(answer)).chain(words).collect()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Candidate;

    #[test]
    fn only_scripts_ask() {
        let rows = [(&["choria", "__complete", "bash"][..], true), (&["choria"], false), (&["choria", "req"], false)];
        for (words, expected) in rows {
            assert_eq!(is_meant(words.iter().map(OsString::from)), expected, "{words:?}");
        }
    }

    #[test]
    fn answers_say_what_to_do_besides() {
        let candidate = |value: &str, open| Candidate { value: value.to_owned(), help: "why\nmore".to_owned(), open };
        let rows = [
            (Answer::default(), "\n"),
            (Answer { candidates: vec![candidate("a", false)], paths: None }, "\na\twhy\n"),
            (Answer { candidates: vec![candidate("a=", true)], paths: None }, "open\na=\twhy\n"),
            (Answer { candidates: vec![], paths: Some(Paths::Any) }, "files \n"),
            (Answer { candidates: vec![], paths: Some(Paths::Directories) }, "directories \n"),
        ];
        for (answer, expected) in rows {
            assert_eq!(described(&answer), expected, "{answer:?}");
        }
    }
}
