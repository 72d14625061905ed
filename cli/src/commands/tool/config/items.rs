//! The description of one key.

use crate::output::colour::{Colour, Palette};
use config::{KeyInfo, Settings, shown};
use std::io::{self, Write};

/// Writes what `key` is and, when `settings` are known and hold one, its value.
pub(super) fn write(
    out: &mut impl Write,
    key: &KeyInfo,
    settings: Option<&Settings>,
    palette: Palette,
    width: usize,
) -> io::Result<()> {
    writeln!(out, "Configuration item: {}\n", palette.paint(Colour::White, key.name))?;
    let value = settings.and_then(|settings| settings.value(key.name)).filter(|value| !value.is_zero());
    let deprecated = key.deprecated.then(|| palette.paint(Colour::Red, "yes").to_string());
    let lines = [
        ("Value", value.map(|value| shown(key.name, &value.to_string()))),
        ("Deprecated", deprecated),
        ("URL", key.url.map(str::to_owned)),
        ("Data Type", Some(key.value_type.name().to_owned())),
        ("Validation", key.rule.label().map(Into::into)),
        ("Default", key.default.map(str::to_owned)),
        ("Environment", key.environment.map(str::to_owned)),
    ];
    for (label, text) in lines {
        if let Some(text) = text {
            writeln!(out, "║ {label:>12}: {text}")?;
        }
    }
    writeln!(out, "║")?;
    for line in wrapped(key.description, width.saturating_sub(2)) {
        writeln!(out, "║ {line}")?;
    }
    writeln!(out, "╙─\n")
}

/// The width to wrap at: `COLUMNS` up to 100, else 70.
pub(super) fn width(columns: Option<&str>) -> usize {
    columns.and_then(|text| text.parse::<usize>().ok()).map_or(70, |columns| columns.clamp(20, 100))
}

/// The words of `text` in lines of at most `width` characters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, settings: Option<&Settings>) -> String {
        let mut out = Vec::new();
        let key = config::find_key(name).expect(name);
        write(&mut out, key, settings, Palette::PLAIN, 60).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_key_shows_every_line_it_has() {
        let settings = Settings::builder().set("plugin.choria.srv_domain", "example.net").build().expect("valid");
        let wanted = "Configuration item: plugin.choria.srv_domain\n\n\
                      ║        Value: example.net\n\
                      ║          URL: https://choria.io/docs/deployment/dns/\n\
                      ║    Data Type: string\n\
                      ║  Environment: CHORIA_SRV_DOMAIN\n\
                      ║\n\
                      ║ Domain in which SRV records are looked up. When unset\n\
                      ║ facter's `networking.domain`.\n\
                      ╙─\n\n";
        assert_eq!(written("plugin.choria.srv_domain", Some(&settings)), wanted);
    }

    #[test]
    fn values_are_left_out_when_empty_unknown_or_secret() {
        let settings = Settings::builder().set("plugin.nats.pass", "s3cret").build().expect("valid");
        let rows = [
            ("loglevel", Some(&settings), "║        Value: info\n"),
            ("loglevel", None, ""),
            ("plugin.choria.stats_port", Some(&settings), ""),
            ("plugin.nats.pass", Some(&settings), "║        Value: *****\n"),
        ];
        for (name, settings, line) in rows {
            let text = written(name, settings);
            let value: String = text.split_inclusive('\n').filter(|line| line.contains("Value:")).collect();
            assert_eq!(value, line, "{name}");
        }
        let validation = "║   Validation: enum=debug,info,warn,error,fatal\n║      Default: info\n";
        assert!(written("loglevel", None).contains(validation));
    }

    #[test]
    fn the_width_follows_the_terminal_within_bounds() {
        let rows = [(None, 70), (Some("80"), 80), (Some("200"), 100), (Some("wide"), 70), (Some("0"), 20)];
        for (columns, wanted) in rows {
            assert_eq!(width(columns), wanted, "{columns:?}");
        }
        assert_eq!(wrapped("aa bb cccccc d", 5), ["aa bb", "cccccc", "d"]);
        assert!(wrapped(" ", 5).is_empty());
    }
}
