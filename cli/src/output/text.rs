//! Answers as people read them: a header line for each node and its outputs below (spec 09 §2.8).

use super::colour::{Colour, Palette};
use super::value::{self, Layout};
use super::{Answer, printable};
use rpc::StatusCode;
use rpc::ddl::{Action, Display};
use rpc::json_text::indented;
use std::io::{self, Write};

/// Width up to which an array stays on one line.
const ARRAY_WIDTH: usize = 80;

/// Which answers are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Show {
    /// Those the action's author wants shown.
    Ddl,
    /// Successful ones.
    Ok,
    /// Failed ones.
    Failed,
    /// Every one.
    All,
    /// None.
    None,
}

/// How answers are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Which of them.
    pub(crate) show: Show,
    /// The data as JSON, as the node sent it.
    pub(crate) verbose: bool,
    /// Colours.
    pub(crate) palette: Palette,
}

/// Writes one answer, or nothing when it is not to be shown. Outputs that the node left out show their default.
pub(crate) fn answer(out: &mut impl Write, action: &Action, answer: Answer<'_>, style: Style) -> io::Result<()> {
    let status = answer.body.status;
    if !style.show.takes(action.display, status.is_ok()) {
        return Ok(());
    }
    let word = style.palette.paint(status_colour(status), status.console_text());
    if status.is_ok() {
        writeln!(out, "{:<40} \n", answer.sender.as_str())?;
    } else {
        writeln!(out, "{:<40} {word}\n", answer.sender.as_str())?;
    }
    let data = answer.body.data.get();
    if style.verbose {
        writeln!(out, "   {}", printable(&indented(data, "   ", "   ")))
    } else if status.is_ok() {
        outputs(out, action, data)
    } else {
        writeln!(out, "    {}\n", style.palette.paint(Colour::Yellow, printable(&answer.body.message)))
    }
}

impl Show {
    fn takes(self, wished: Display, succeeded: bool) -> bool {
        match (self, wished) {
            (Self::All, _) | (Self::Ddl, Display::Always) => true,
            (Self::Ok, _) | (Self::Ddl, Display::Ok) => succeeded,
            (Self::Failed, _) | (Self::Ddl, Display::Failed) => !succeeded,
            (Self::None, _) => false,
        }
    }
}

/// `label: value` lines in the order of the outputs' names, labels to the right.
fn outputs(out: &mut impl Write, action: &Action, data: &str) -> io::Result<()> {
    let sent = value::members(data);
    let mut values: Vec<(&str, String)> =
        sent.iter().map(|(name, value)| (name.as_str(), value.get().to_owned())).collect();
    let absent = action.outputs.iter().filter(|(name, _)| !sent.contains_key(*name));
    values.extend(absent.filter_map(|(name, output)| Some((name.as_str(), output.default.as_ref()?.to_string()))));
    values.sort_unstable();

    let label = |name: &'_ str| action.outputs.get(name).map_or(name, |output| output.label(name)).to_owned();
    let labelled: Vec<(String, String)> = values.into_iter().map(|(name, value)| (label(name), value)).collect();
    let width = labelled.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default() + 3;
    for (label, value) in &labelled {
        writeln!(out, "{:>width$}: {}", printable(label), printable(&shown(value, width + 2)))?;
    }
    writeln!(out)
}

fn shown(text: &str, prefix: usize) -> String {
    if value::is_nested(text) {
        value::sorted(text, Layout { prefix, width: ARRAY_WIDTH })
    } else {
        value::plain(text).trim().to_owned()
    }
}

fn status_colour(status: StatusCode) -> Colour {
    match status {
        StatusCode::UnknownAction | StatusCode::MissingData | StatusCode::InvalidData => Colour::Yellow,
        _ => Colour::Red,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::ReplyBody;
    use rpc::ddl::Output;
    use serde_json::{Value, json};
    use std::time::SystemTime;

    fn written(action: &Action, body: &ReplyBody, style: Style) -> String {
        let mut out = Vec::new();
        let sender = "n1.example.net".parse().expect("an identity");
        let one = Answer { sender: &sender, body, time: SystemTime::UNIX_EPOCH };
        answer(&mut out, action, one, style).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    fn output(label: &str, default: Option<Value>) -> Output {
        Output { display_as: label.to_owned(), default, ..Output::default() }
    }

    const ALL: Style = Style { show: Show::All, verbose: false, palette: Palette::PLAIN };

    #[test]
    fn outputs_are_labelled_sorted_and_completed() {
        let action = Action {
            outputs: [
                ("status".to_owned(), output("Status", Some(json!("unknown")))),
                ("pids".to_owned(), output("Pids", None)),
                ("missing".to_owned(), output("", None)),
            ]
            .into(),
            ..Action::default()
        };
        let body = ReplyBody::ok("status", &json!({"pids": [101, 102], "extra.key": 1.50})).expect("a body");
        let expected = "\
n1.example.net                           \n
   extra.key: 1.5
        Pids: [101, 102]
      Status: unknown

";
        assert_eq!(written(&action, &body, ALL), expected);
    }

    #[test]
    fn failures_show_their_message() {
        let body = ReplyBody::failure("x", StatusCode::UnknownAction, "Unknown action 'x'\u{1b}[2J");
        let expected =
            "n1.example.net                           Unknown Action\n\n    Unknown action 'x'\\u{1b}[2J\n\n";
        assert_eq!(written(&Action::default(), &body, ALL), expected);
    }

    #[test]
    fn verbose_shows_the_data_as_it_came() {
        let body = ReplyBody::ok("x", &json!({"a": [1]})).expect("a body");
        let expected = "n1.example.net                           \n\n   {\n      \"a\": [\n         1\n      ]\n   }\n";
        assert_eq!(written(&Action::default(), &body, Style { verbose: true, ..ALL }), expected);
    }

    #[test]
    fn what_is_shown() {
        use Display::{Always, Failed};
        let cases = [
            (Show::Ddl, Always, [true, true]),
            (Show::Ddl, Display::Ok, [true, false]),
            (Show::Ddl, Failed, [false, true]),
            (Show::Ok, Failed, [true, false]),
            (Show::Failed, Always, [false, true]),
            (Show::All, Failed, [true, true]),
            (Show::None, Always, [false, false]),
        ];
        for (show, wished, expected) in cases {
            assert_eq!([show.takes(wished, true), show.takes(wished, false)], expected, "{show:?} {wished:?}");
        }
    }
}
