//! The manual page choria.conf(5), made from the table of keys.

use crate::key::{KeyInfo, Type};
use crate::keys::{patterns, sections, table};
use crate::roff::{bold, escaped, sentence};

/// The manual page choria.conf(5) in roff: the format, every key with type, default and rule, the raw options and the
/// environment variables.
#[must_use]
pub fn man_page() -> String {
    let mut page = Page::default();
    page.line(".TH CHORIA.CONF 5 \"\" \"Choria\" \"File formats\"");
    // Names of keys and paths are not taken apart at line ends.
    page.line(".nh");
    page.line(".ad l");
    page.heading("NAME");
    page.line("choria.conf \\- configuration of Choria servers, brokers, services and clients");
    page.introduction();
    for section in sections() {
        page.heading(&section.title.to_uppercase());
        section.keys.iter().for_each(|key| page.key(key));
    }
    page.heading("RAW OPTIONS");
    page.text(
        "These keys hold a name in the middle, or belong to a plugin. Any other key that is not listed here is kept \
         for plugins: `plugin.<agent>.…` is for the agent of that name.",
    );
    patterns().iter().for_each(|key| page.key(key));
    page.environment();
    page.heading("SEE ALSO");
    page.line("\\fBchoria\\fR(1), \\fBchoria tool config\\fR for the values in force");
    page.0
}

/// The page as far as it is written.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, roff: &str) {
        self.0.push_str(roff);
        self.0.push('\n');
    }

    fn heading(&mut self, title: &str) {
        self.line(&format!(".SH \"{}\"", escaped(title)));
    }

    /// A paragraph, in which words in backquotes are bold.
    fn text(&mut self, text: &str) {
        self.line(".PP");
        self.line(&sentence(text));
    }

    /// A term and what it means.
    fn entry(&mut self, term: &str, text: &str) {
        self.line(".TP");
        self.line(&bold(term));
        self.line(&sentence(text));
    }

    fn introduction(&mut self) {
        self.heading("FILES");
        self.text(
            "Servers and brokers read the file they are given, then every `plugin.d/X.cfg` beside it in the order of \
             their names. Clients read the first of `~/.choriarc`, `~/.mcollective`, `/etc/choria/client.conf`, \
             `/usr/local/etc/choria/client.conf` and `/etc/puppetlabs/mcollective/client.cfg`, then `plugin.d` beside \
             it unless it lies in the home directory, then every `choria.conf` from `/` down to the working \
             directory. Later files win.",
        );
        self.text(
            "In `plugin.d` each key of `X.cfg` has `plugin.X.` put before it. Project files that another user owns or \
             may write are skipped with a warning.",
        );
        self.heading("FORMAT");
        self.text(
            "One `key = value` per line. Empty lines and lines that start with `#` are skipped. There are no quotes, \
             escapes, continued lines or comments after a value. A key without a value is ignored with a warning. A \
             later line replaces an earlier one, or adds to it where the type says so. A value that cannot be used \
             stops the program, which names every such value with its file and line.",
        );
        for value_type in TYPES {
            self.entry(value_type.name(), meaning(*value_type));
        }
    }

    fn key(&mut self, key: &KeyInfo) {
        self.entry(key.name, key.description);
        self.line(".RS");
        self.line(&format!("Type: {}.", escaped(key.value_type.name())));
        if let Some(default) = key.default {
            self.line(&format!("Default: {}.", bold(default)));
        }
        if !key.rule.in_words().is_empty() {
            let subject = if key.value_type.is_list() { "Each" } else { "It" };
            self.line(&sentence(&format!("{subject} {}.", key.rule.in_words())));
        }
        if let Some(variable) = key.environment {
            self.line(&format!("Environment: {}.", bold(variable)));
        }
        if let Some(url) = key.url {
            self.line(&format!("See {}.", escaped(url)));
        }
        self.line(".RE");
    }

    fn environment(&mut self) {
        self.heading("ENVIRONMENT");
        for (key, variable) in table().filter_map(|key| Some((key, key.environment?))) {
            self.entry(variable, &format!("Replaces `{}`.", key.name));
        }
        for (variable, text) in VARIABLES {
            self.entry(variable, text);
        }
    }
}

const TYPES: &[Type] = &[
    Type::Text,
    Type::Title,
    Type::Integer,
    Type::Boolean,
    Type::CommaList,
    Type::PathList,
    Type::Lines,
    Type::Path,
    Type::Duration,
];

/// What a type's values look like.
fn meaning(value_type: Type) -> &'static str {
    match value_type {
        Type::Text => "Text as it stands.",
        Type::Title => "A word whose case does not matter.",
        Type::Integer => "A whole number.",
        Type::Boolean => {
            "One of `1`, `yes`, `true`, `y` and `t`, or one of `0`, `no`, `false`, `n` and `f`, in any case."
        }
        Type::CommaList => "Elements between commas. A later line replaces an earlier one.",
        Type::PathList => "Paths between colons. A later line adds to earlier ones.",
        Type::Lines => "One element per line. A later line adds to earlier ones.",
        Type::Path => "A path, in which a leading `~` is the home directory.",
        Type::Duration => {
            "Seconds, or numbers with the units `ns`, `us`, `ms`, `s`, `m`, `h`, `d`, `w`, `M` (30 days) and `y` (365 \
             days), for example `90`, `1h30m`, `1.5d`."
        }
    }
}

/// Variables that replace no key.
const VARIABLES: &[(&str, &str)] = &[
    ("MCOLLECTIVE_CERTNAME", "The name on certificates, in place of the one found by the security provider."),
    ("USER", "Who a client is."),
    ("INSECURE_ANON_TLS", "When `true`, client commands do not verify brokers."),
    ("INSECURE_DISABLE_TLS", "When `true`, client commands do not use TLS."),
    ("INSECURE_YES_REALLY", "When `true`, client commands neither use TLS nor sign requests."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_every_key_and_only_roff() {
        let page = man_page();
        for key in table().chain(patterns()) {
            assert!(page.contains(&format!(".TP\n{}\n", bold(key.name))), "{} is missing", key.name);
        }
        let commands = [".TH ", ".SH ", ".PP", ".TP", ".RS", ".RE", ".nh", ".ad l"];
        for line in page.lines() {
            let is_command = line.starts_with(['.', '\'']);
            assert!(!is_command || commands.iter().any(|command| line.starts_with(command)), "{line}");
            assert!(line.is_ascii() && !line.is_empty(), "{line:?}");
        }
    }

    #[test]
    fn a_key_is_described_with_type_default_rule_and_variable() {
        let page = man_page();
        let loglevel = ".TP\n\\fBloglevel\\fR\nLeast severe messages to log.\n.RS\nType: string.\n\
                        Default: \\fBinfo\\fR.\nIt must be one of debug, info, warn, error, fatal.\n.RE\n";
        assert!(page.contains(loglevel));
        assert!(page.contains("Environment: \\fBCHORIA_SRV_DOMAIN\\fR.\n"));
        assert!(page.contains("Default: \\fB\\(rs.mcollective$,\\(rs.choria$\\fR.\n"));
    }
}
