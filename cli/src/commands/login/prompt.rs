//! Who logs in.

use anyhow::{Context, bail};
use inquire::validator::Validation;
use inquire::{Password, PasswordDisplayMode, Text};
use std::io::{self, BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// A name and what proves it.
pub(super) struct Person {
    pub(super) name: String,
    pub(super) password: Zeroizing<String>,
}

/// Asks on the terminal, with `user` as the suggested name; else reads two lines from standard input.
///
/// # Errors
/// When a name or a password is missing, or the user gives up.
pub(super) fn ask(user: &str) -> anyhow::Result<Person> {
    let input = io::stdin();
    if !input.is_terminal() {
        return read(input.lock(), user);
    }
    let needed = |text: &str| {
        Ok(if text.is_empty() { Validation::Invalid("a value is required".into()) } else { Validation::Valid })
    };
    let question = Text::new("Username: ").with_validator(needed);
    let question = if user.is_empty() { question } else { question.with_default(user) };
    let name = question.prompt().context("the user name was not given")?;
    let password = Password::new("Password: ")
        .with_display_mode(PasswordDisplayMode::Hidden)
        .without_confirmation()
        .with_validator(needed)
        .prompt()
        .context("the password was not given")?;
    Ok(Person { name, password: Zeroizing::new(password) })
}

/// Two lines: the user name, empty for `user`, and the password.
fn read(input: impl BufRead, user: &str) -> anyhow::Result<Person> {
    // Space for all of it at once: growing would leave copies of the password behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    input.take(LONGEST as u64).read_to_string(&mut text).context("could not read standard input")?;
    let mut lines = text.lines();
    let name = lines.next().filter(|name| !name.is_empty()).unwrap_or(user).to_owned();
    let password = Zeroizing::new(lines.next().unwrap_or_default().to_owned());
    if name.is_empty() {
        bail!("no user name: the first line of standard input is empty and USER is not set");
    }
    if password.is_empty() {
        bail!("no password: the second line of standard input is the password when that is not a terminal");
    }
    Ok(Person { name, password })
}

/// Bytes of name and password together.
const LONGEST: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_are_a_login() {
        let rows = [
            ("jo\nsecret\n", Some(("jo", "secret"))),
            ("jo\r\nse cret ", Some(("jo", "se cret "))),
            ("\nsecret\n", Some(("rip", "secret"))),
            ("jo\n\n", None),
            ("jo", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let got = read(text.as_bytes(), "rip").ok();
            let got = got.as_ref().map(|person| (person.name.as_str(), person.password.as_str()));
            assert_eq!(got, expected, "{text:?}");
        }
        let error = read("\nsecret\n".as_bytes(), "").err().expect("nobody");
        assert!(!format!("{error:#}").contains("secret"));
    }
}
