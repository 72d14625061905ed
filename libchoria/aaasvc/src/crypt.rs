//! `choria-aaasvc crypt`: bcrypt hashes for the user list. Passwords come from standard input, never from the arguments.

use anyhow::Context as _;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Reads passwords line by line and prints a hash for each; on a terminal what is typed is not shown.
#[must_use]
pub fn crypt() -> ExitCode {
    let stdin = std::io::stdin();
    let silent = stdin.is_terminal().then(Silence::keep);
    let done = match silent {
        Some(Err(error)) => Err(error.context("the terminal cannot be told not to show the password")),
        Some(Ok(_silence)) => {
            // The prompt belongs to the person, the hash to whoever takes standard output.
            eprint!("Password: ");
            let done = hash_lines(&mut stdin.lock().take_lines(1), &mut std::io::stdout());
            eprintln!();
            done
        }
        None => hash_lines(&mut stdin.lock().take_lines(usize::MAX), &mut std::io::stdout()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => daemon::fail(config::build::AAASVC, &error),
    }
}

/// Lines that are wiped after use.
struct Lines<R> {
    source: R,
    left: usize,
}

trait TakeLines: Sized {
    fn take_lines(self, most: usize) -> Lines<Self>;
}

impl<R: BufRead> TakeLines for R {
    fn take_lines(self, most: usize) -> Lines<Self> {
        Lines { source: self, left: most }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = std::io::Result<Zeroizing<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut line = Zeroizing::new(String::with_capacity(LONGEST_LINE));
        match self.source.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                let length = line.trim_end_matches(['\n', '\r']).len();
                line.truncate(length);
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

fn hash_lines(
    lines: &mut dyn Iterator<Item = std::io::Result<Zeroizing<String>>>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    for line in lines {
        let password = line.context("reading a password from standard input")?;
        let hash = bcrypt::non_truncating_hash(password.as_bytes(), COST);
        let hash = hash.context("bcrypt takes at most 71 bytes and no zero byte: choose a shorter password")?;
        // As the original writes it; `2b` and `2a` mean the same for passwords of this length.
        let hash = hash.replacen("$2b$", "$2a$", 1);
        writeln!(out, "{hash}").context("writing the hash")?;
    }
    Ok(())
}

/// The terminal does not show what is typed as long as this lives.
struct Silence(Termios);

impl Silence {
    fn keep() -> anyhow::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &self.0) {
            eprintln!("{}: the terminal stays silent, type 'stty echo': {error}", config::build::AAASVC);
        }
    }
}

/// As the original has it.
const COST: u32 = 5;

/// Room for any password, so that no copy is left behind by growing.
const LONGEST_LINE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_becomes_a_hash_of_cost_five() {
        let mut out = Vec::new();
        hash_lines(&mut b"secret\r\nother".as_slice().take_lines(usize::MAX), &mut out).expect("hashes");
        let text = String::from_utf8(out).expect("text");
        let hashes: Vec<&str> = text.lines().collect();
        assert_eq!(hashes.len(), 2);
        for (hash, password) in hashes.iter().zip(["secret", "other"]) {
            assert!(hash.starts_with("$2a$05$"), "{hash}");
            assert!(bcrypt::verify(password, hash).expect("a hash"), "{hash}");
        }
        let long = "x".repeat(80);
        assert!(hash_lines(&mut long.as_bytes().take_lines(1), &mut Vec::new()).is_err(), "cut without a word");
    }
}
