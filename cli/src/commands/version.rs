//! `choria --version`, answered before the command line is described: monitoring and packaging ask for nothing else, and
//! often.

use config::build;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Whether the version is all that is asked for.
pub(crate) fn is_meant(mut words: impl Iterator<Item = OsString>) -> bool {
    let word = words.nth(1);
    word.is_some_and(|word| word == "--version" || word == "-V") && words.next().is_none()
}

/// Prints the version as the parser of the command line would.
pub(crate) fn print() -> ExitCode {
    let written = writeln!(io::stdout(), "{} {}", build::NAME, build::VERSION);
    super::finish(written.map(|()| ExitCode::SUCCESS).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_flag_asks_for_the_version() {
        let rows = [
            (&["choria", "--version"][..], true),
            (&["choria", "-V"], true),
            (&["choria"], false),
            (&["choria", "--version", "ping"], false),
            (&["choria", "ping", "--version"], false),
        ];
        for (words, expected) in rows {
            assert_eq!(is_meant(words.iter().map(OsString::from)), expected, "{words:?}");
        }
    }
}
