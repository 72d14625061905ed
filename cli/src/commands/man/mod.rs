//! `choria man`: manual pages for packages: `choria(1)`, one for each command below it, the daemons in section 8, and
//! `choria.conf(5)`.
//!
//! Names, synopses and options are made from the command line's own description, everything behind them from `more`.

mod daemons;
mod more;

use anyhow::Context;
use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use config::roff::{bold, escaped, sentence};
use config::{branded_page, build};
use more::More;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct ManArguments {
    /// An existing directory for the pages
    #[arg(value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
}

/// Writes `choria.1`, `choria-ping.1`, `choria-server.8`, `choria.conf.5` and so on.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn run<Arguments: CommandFactory>(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    for (name, page) in pages(Arguments::command())? {
        let path = arguments.directory.join(name);
        std::fs::write(&path, page)
            .with_context(|| format!("could not write {}: the directory must exist", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All pages with the names of their files.
fn pages(root: Command) -> io::Result<Vec<(String, String)>> {
    let mut root = root.disable_help_subcommand(true);
    root.build();
    let mut commands = Vec::new();
    collect(&root, &mut commands);
    let mut pages = Vec::new();
    for command in commands {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        // What stands behind is found by the name it has in this tree.
        let plain = name.replacen(build::NAME, "choria", 1);
        pages.push((format!("{name}.1"), page(command, "1", &more::of(&plain))?));
    }
    for (command, more) in daemons::all() {
        pages.push((format!("{}.8", command.get_name()), page(&command, "8", &more)?));
    }
    pages.push(("choria.conf.5".to_owned(), config::man_page()));
    for (name, page) in &mut pages {
        if let Some(rest) = name.strip_prefix("choria").filter(|_| !name.starts_with(build::NAME)) {
            *name = format!("{}{rest}", build::NAME);
        }
        *page = branded_page(page).into_owned();
    }
    Ok(pages)
}

/// `command` and every command below it that is shown.
fn collect<'a>(command: &'a Command, all: &mut Vec<&'a Command>) {
    all.push(command);
    command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(|command| collect(command, all));
}

/// One page.
fn page(command: &Command, section: &str, more: &More) -> io::Result<String> {
    let version = format!("{} {}", build::DISPLAY_NAME, build::VERSION);
    // Longer texts are laid out for terminals; the manual has its examples instead.
    let is_laid_out = |arg: &Arg| arg.get_long_help().is_some_and(|help| help.to_string().contains('\n'));
    let brief = |arg: Arg| if is_laid_out(&arg) { arg.long_help(None::<&str>) } else { arg };
    let man = Man::new(command.clone().mut_args(brief)).section(section).source(version).manual("Choria Manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    // Names of flags and paths are not taken apart at line ends.
    page.extend_from_slice(b".nh\n.ad l\n");
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    let mut page = String::from_utf8_lossy(&page).into_owned();
    let codes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    write_more(&mut page, &exit_codes(&codes), more);
    Ok(page)
}

/// What stands behind the options.
fn write_more(page: &mut String, codes: &[(String, String)], more: &More) {
    entries(page, "EXIT STATUS", codes.iter().map(|(code, text)| (code.as_str(), text.as_str())));
    entries(page, "ENVIRONMENT", more.environment.iter().copied());
    entries(page, "FILES", more.files.iter().copied());
    if !more.examples.is_empty() {
        page.push_str(".SH EXAMPLES\n");
    }
    for (text, lines) in more.examples {
        // Writing to a String cannot fail.
        let _ = write!(page, ".PP\n{}\n.PP\n.RS 4\n.nf\n", sentence(text));
        for line in lines.lines() {
            let _ = writeln!(page, "{}", escaped(line));
        }
        page.push_str(".fi\n.RE\n");
    }
    let pages: Vec<String> = more.see_also.iter().map(|page| reference(page)).collect();
    let _ = write!(page, ".SH \"SEE ALSO\"\n{}\n", pages.join(",\n"));
}

/// A heading with terms and what they mean, or nothing.
fn entries<'a>(page: &mut String, heading: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    let _ = writeln!(page, ".SH \"{heading}\"");
    for (term, text) in entries {
        let _ = write!(page, ".TP\n{}\n{}\n", bold(term), sentence(text));
    }
}

/// `choria(1)` with its name in bold.
fn reference(page: &str) -> String {
    let (name, section) = page.split_once('(').unwrap_or((page, "1)"));
    format!("{}({section}", bold(name))
}

/// The codes in the text below a command's help, else those that every command has.
fn exit_codes(help: &str) -> Vec<(String, String)> {
    let lines = help.lines().skip_while(|line| *line != "Exit codes:").skip(1);
    let codes = lines.filter_map(|line| line.trim().split_once("  "));
    let codes: Vec<_> = codes.map(|(code, text)| (code.to_owned(), format!("{}.", capital(text.trim())))).collect();
    if !codes.is_empty() {
        return codes;
    }
    let usual =
        [("0", "Success."), ("1", "The command could not be carried out; one sentence on standard error says why.")];
    usual.map(|(code, text)| (code.to_owned(), text.to_owned())).to_vec()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_an_example() {
        let pages = pages(crate::Arguments::command()).expect("pages");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for wanted in
            ["choria.1", "choria-req.1", "choria-tool-status.1", "choria-server.8", "choria-broker.8", "choria.conf.5"]
        {
            assert!(names.contains(&wanted), "{wanted} is not among {names:?}");
        }
        for (name, page) in &pages {
            assert!(page.contains(".SH \"SEE ALSO\""), "{name}");
            assert!(page.contains(".SH EXAMPLES") || name == "choria.conf.5", "{name} has no examples: see more.rs");
            assert!(page.contains("EXIT STATUS") || name == "choria.conf.5", "{name}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_help() {
        let codes = exit_codes(crate::fleet::EXIT_CODES);
        assert_eq!(codes.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
        assert_eq!(codes[2].1, "Some nodes failed.");
        assert_eq!(exit_codes("").len(), 2);
    }
}
