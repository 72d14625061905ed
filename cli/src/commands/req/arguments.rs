//! The flags and arguments of `choria req`.

use crate::filters::{Reach, Selection, option};
use crate::session::Connect;
use anyhow::Context;
use clap::{ArgGroup, Args, ValueEnum};
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(after_help = crate::fleet::EXIT_CODES)]
#[command(group = ArgGroup::new("form").args(["json", "jsonl", "table"]))]
pub(crate) struct ReqArguments {
    /// The agent to invoke
    pub(super) agent: String,
    /// The action to invoke
    pub(super) action: String,
    /// Inputs of the action; @FILE stands for the lines of a file
    #[arg(value_name = "KEY=VALUE")]
    pub(super) inputs: Vec<String>,
    #[command(flatten)]
    pub(super) reach: Reach,
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) form: Form,
    #[command(flatten)]
    pub(super) pace: Pace,
    #[command(flatten)]
    pub(super) connect: Connect,
}

/// What is written, and where.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Form {
    /// Write one JSON document
    #[arg(short, long)]
    pub(super) json: bool,
    /// Write JSON lines as things happen
    #[arg(long)]
    pub(super) jsonl: bool,
    /// Write a table of the successful answers
    #[arg(long)]
    pub(super) table: bool,
    /// Write the names of the nodes that answered successfully; with --json as an array
    #[arg(long, conflicts_with_all = ["jsonl", "table"])]
    pub(super) senders: bool,
    /// Show some answers only
    #[arg(long, value_enum)]
    pub(super) display: Option<Display>,
    /// Keep the answers for which an expression is true
    ///
    /// ok()                                successful ones
    /// ok() && !data("idling")             those whose output "idling" is not true
    /// include(data("packages"), "curl")   those whose list "packages" has that item
    #[arg(long, value_name = "EXPR", verbatim_doc_comment)]
    pub(super) filter_replies: Option<String>,
    /// Sort the answers by node
    #[arg(long)]
    pub(super) sort: bool,
    /// Show the answers as JSON and all statistics
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Show no progress bar
    #[arg(long = "np")]
    pub(super) no_progress: bool,
    /// Write the results to a file
    #[arg(short, long, value_name = "FILENAME")]
    pub(super) output_file: Option<PathBuf>,
}

/// How many nodes are asked, and how fast.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(super) struct Pace {
    /// Ask at most so many of the nodes found, as in 10 or 10%
    #[arg(long, value_name = "LIMIT")]
    pub(super) limit: Option<String>,
    /// Make the random choice of --limit repeatable
    #[arg(long, value_name = "SEED")]
    pub(super) limit_seed: Option<i64>,
    /// Ask so many nodes at a time
    #[arg(long, value_name = "SIZE")]
    pub(super) batch: Option<usize>,
    /// Wait so long between batches (default: 1 second)
    #[arg(long, value_name = "SECONDS")]
    pub(super) batch_sleep: Option<u64>,
    /// Accepted for scripts: one connection receives every answer
    #[arg(long, value_name = "N", hide = true)]
    pub(super) workers: Option<u32>,
    /// Have the answers sent to another subject: print the request's id and do not wait
    #[arg(short, long, value_name = "SUBJECT", conflicts_with_all = ["json", "jsonl", "table", "senders"])]
    pub(super) reply_to: Option<String>,
}

/// The words of `--display`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Display {
    /// Successful answers
    Ok,
    /// Failed answers
    Failed,
    /// All answers
    All,
    /// No answers
    None,
}

/// The inputs as name and text. An argument that starts with `@` stands for the lines of a file, blank ones and those that
/// start with `#` left out.
///
/// # Errors
/// When a file cannot be read or an argument has neither `=` nor `:`.
pub(super) fn inputs(arguments: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let mut pairs = Vec::with_capacity(arguments.len());
    for argument in arguments {
        match argument.strip_prefix('@') {
            Some(file) => {
                let text =
                    std::fs::read_to_string(Path::new(file)).with_context(|| format!("could not read {file}"))?;
                for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
                    pairs.push(pair(line).with_context(|| format!("in {file}"))?);
                }
            }
            None => pairs.push(pair(argument)?),
        }
    }
    Ok(pairs)
}

fn pair(text: &str) -> anyhow::Result<(String, String)> {
    option(text).map_err(anyhow::Error::msg)
}

/// What `choria req --help` says first.
pub(crate) const LONG_ABOUT: &str = "\
Invokes an action of an agent on nodes and shows what they answer

Answers are shown as the action's author wishes, or as --display says. The document written by --json may be piped into \
another request, which then asks the nodes that answered.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_inputs_are_read_line_by_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("inputs");
        std::fs::write(&file, "# the package\npackage=zsh\n\nversion:1=2\n").expect("written");
        let given = [format!("@{}", file.display()), "force=true".to_owned()];
        let pairs = inputs(&given).expect("inputs");
        let expected = [("package", "zsh"), ("version", "1=2"), ("force", "true")];
        assert_eq!(pairs, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn wrong_inputs_say_where() {
        let error = |given: &str| format!("{:#}", inputs(&[given.to_owned()]).expect_err("refused"));
        assert_eq!(error("force"), "expected KEY=VALUE got 'force'");
        assert!(error("@/nonexistent/inputs").starts_with("could not read /nonexistent/inputs"));
    }
}
