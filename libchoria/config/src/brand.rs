//! The names of a custom build in texts that people read: messages, advice, manual pages.

use crate::build;
use std::borrow::Cow;

/// `text` with the programs and paths of this build in place of `choria`, `choria-server`, `/etc/choria` and so on. Words
/// of the protocol stay: agents, keys of the configuration, the security provider, interfaces. In the default build it is
/// the text itself.
#[must_use]
pub fn branded(text: &str) -> Cow<'_, str> {
    if THIS == PLAIN { Cow::Borrowed(text) } else { Cow::Owned(rename(text, &THIS, "-")) }
}

/// The same for a manual page, where a hyphen is written `\-`.
#[must_use]
pub fn branded_page(page: &str) -> Cow<'_, str> {
    if THIS == PLAIN { Cow::Borrowed(page) } else { Cow::Owned(rename(page, &THIS, "\\-")) }
}

/// What a build calls things.
#[derive(Clone, Copy, PartialEq)]
struct Names {
    name: &'static str,
    bindir: &'static str,
    sbindir: &'static str,
    etcdir: &'static str,
    statedir: &'static str,
    spooldir: &'static str,
    rundir: &'static str,
}

const THIS: Names = Names {
    name: build::NAME,
    bindir: build::BINDIR,
    sbindir: build::SBINDIR,
    etcdir: build::ETCDIR,
    statedir: build::STATEDIR,
    spooldir: build::SPOOLDIR,
    rundir: build::RUNDIR,
};

/// How texts are written in this tree.
const PLAIN: Names = Names {
    name: "choria",
    bindir: "/usr/bin",
    sbindir: "/usr/sbin",
    etcdir: "/etc/choria",
    statedir: "/var/lib/choria",
    spooldir: "/var/spool/choria",
    rundir: "/run/choria",
};

fn rename(text: &str, names: &Names, hyphen: &str) -> String {
    let name = names.name.replace('-', hyphen);
    let paths = [
        ("/usr/sbin/choria", format!("{}/{name}", names.sbindir)),
        ("/usr/bin/choria", format!("{}/{name}", names.bindir)),
        ("/etc/choria-provisioner/choria-provisioner", format!("/etc/{name}-provisioner/{name}-provisioner")),
        ("/etc/choria", names.etcdir.to_owned()),
        ("/var/lib/choria", names.statedir.to_owned()),
        ("/var/spool/choria", names.spooldir.to_owned()),
        ("/run/choria", names.rundir.to_owned()),
        ("~/.choriarc", format!("~/.{name}rc")),
    ];
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let path = paths.iter().find(|(path, _)| {
            rest.strip_prefix(path).is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
        });
        let (taken, put) = match path {
            Some((path, put)) => (path.len(), put.as_str()),
            None if is_program(&text[..at], rest) => (PLAIN.name.len(), name.as_str()),
            None => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                (length, &rest[..length])
            }
        };
        out.push_str(put);
        at += taken;
    }
    out
}

/// Whether `rest` begins with the name of a program, unit or manual page; `before` is what stands before it.
fn is_program(before: &str, rest: &str) -> bool {
    let Some(after) = rest.strip_prefix(PLAIN.name) else { return false };
    let in_word = |c: char| c.is_alphanumeric() || "._/=@-~$\\".contains(c);
    if before.ends_with(in_word) && !["\\fB", "\\fI", "\\fR"].iter().any(|font| before.ends_with(font)) {
        return false;
    }
    let ends = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    if let Some(page) = after.strip_prefix(".conf") {
        // The manual page, and not a project's file of that name.
        return ["(5)", "`(5)", "\\fR(5)", " 5 ", " \\- "].iter().any(|section| page.starts_with(section));
    }
    let command = |text: &str| COMMANDS.iter().any(|word| text.strip_prefix(word).is_some_and(ends));
    let hyphen = after.strip_prefix("\\-").or_else(|| after.strip_prefix('-'));
    hyphen.is_some_and(|part| DAEMONS.iter().any(|word| part.strip_prefix(word).is_some_and(ends)) || command(part))
        || after.strip_prefix(' ').is_some_and(command)
        || [".slice", "(1)", "`(1)", "\\fR(1)"].iter().any(|next| after.starts_with(next))
}

const DAEMONS: [&str; 5] = ["server", "submit", "broker", "provisioner", "aaasvc"];
const COMMANDS: [&str; 18] = [
    "broker",
    "buildinfo",
    "completion",
    "discover",
    "doctor",
    "election",
    "emulate",
    "facts",
    "find",
    "inventory",
    "jwt",
    "login",
    "man",
    "ping",
    "req",
    "rpc",
    "server",
    "tool",
];

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: Names = Names {
        name: "my-choria",
        bindir: "/opt/acme/bin",
        sbindir: "/opt/acme/sbin",
        etcdir: "/etc/my-choria",
        statedir: "/var/lib/my-choria",
        spooldir: "/var/spool/my-choria",
        rundir: "/run/my-choria",
    };

    #[test]
    fn programs_and_paths_are_renamed_and_words_of_the_protocol_are_not() {
        let rows = [
            (
                "systemctl status choria-server, choria doctor --server",
                "systemctl status my-choria-server, my-choria doctor --server",
            ),
            (
                "/usr/sbin/choria-server reads /etc/choria/server.conf",
                "/opt/acme/sbin/my-choria-server reads /etc/my-choria/server.conf",
            ),
            (
                "/etc/choria-provisioner/choria-provisioner.yaml",
                "/etc/my-choria-provisioner/my-choria-provisioner.yaml",
            ),
            ("/run/choria/submit.sock and ~/.choriarc", "/run/my-choria/submit.sock and ~/.my-choriarc"),
            ("choria.slice, `choria.conf`(5), choria(1)", "my-choria.slice, `my-choria.conf`(5), my-choria(1)"),
            ("plugin.choria.server.provision, io.choria.Server", "plugin.choria.server.provision, io.choria.Server"),
            ("the provider choria and choria_util of choria=bob", "the provider choria and choria_util of choria=bob"),
            ("every choria.conf down to here, https://choria.io", "every choria.conf down to here, https://choria.io"),
            ("choria toolbox, choria-serverless, chöria ping", "choria toolbox, choria-serverless, chöria ping"),
        ];
        for (text, wanted) in rows {
            assert_eq!(rename(text, &ACME, "-"), wanted);
        }
    }

    #[test]
    fn manual_pages_have_their_own_hyphens() {
        let page = "\\fBchoria\\-server\\fR(8), \\fBchoria.conf\\fR(5), /etc/choria/x, plugin.choria.x";
        let wanted = "\\fBmy\\-choria\\-server\\fR(8), \\fBmy\\-choria.conf\\fR(5), /etc/my-choria/x, plugin.choria.x";
        assert_eq!(rename(page, &ACME, "\\-"), wanted);
    }
}
