//! One value: its text read by its type.

use crate::duration::{parse_duration, shown_duration};
use crate::key::Type;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// A value read by its type. Texts are never empty: an unset key has no value at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// A text, a word in lower case, or a path.
    Text(Box<str>),
    /// A number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// The elements of a list.
    List(Box<[String]>),
    /// A length of time.
    Duration(Duration),
}

impl Value {
    /// Reads `lines`, the texts given for one key in order, as `value_type`; `home` stands for a leading `~`.
    /// Types that do not append use the last line (spec 04b §1.3).
    ///
    /// # Errors
    /// The rule that the text breaks, in words.
    pub(crate) fn parse(value_type: Type, lines: &[&str], home: Option<&Path>) -> Result<Self, String> {
        let last = lines.last().copied().unwrap_or_default().trim();
        match value_type {
            Type::Text => Ok(Self::Text(last.into())),
            Type::Title => Ok(Self::Text(last.to_lowercase().into())),
            Type::Integer => last.parse().map(Self::Integer).map_err(|_| "must be a whole number".to_owned()),
            Type::Boolean => parse_boolean(last).map(Self::Boolean),
            Type::CommaList => Ok(Self::List(split(&[last], ','))),
            Type::PathList => Ok(Self::List(split(lines, ':'))),
            Type::Lines => Ok(Self::List(lines.iter().map(|line| line.trim().to_owned()).collect())),
            Type::Path => expand_home(last, home).map(|path| Self::Text(path.into())),
            Type::Duration => parse_duration(last).map(Self::Duration).map_err(|error| error.rule.to_owned()),
        }
    }

    /// The value as JSON, as `rpcutil#get_config_item` answers it (spec 03b §2): lengths of time are integer
    /// nanoseconds, lists are arrays.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => serde_json::Value::from(&**text),
            Self::Integer(number) => (*number).into(),
            Self::Boolean(flag) => (*flag).into(),
            Self::List(elements) => elements.to_vec().into(),
            Self::Duration(time) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).into(),
        }
    }

    /// Whether this is the empty value of its type: nothing to show.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Integer(number) => *number == 0,
            Self::Boolean(flag) => !flag,
            Self::List(elements) => elements.is_empty(),
            Self::Duration(time) => time.is_zero(),
        }
    }

    /// The empty value of a type, for keys that have neither value nor default.
    pub(crate) fn zero(value_type: Type) -> Self {
        match value_type {
            Type::Text | Type::Title | Type::Path => Self::Text("".into()),
            Type::Integer => Self::Integer(0),
            Type::Boolean => Self::Boolean(false),
            Type::CommaList | Type::PathList | Type::Lines => Self::List(Box::default()),
            Type::Duration => Self::Duration(Duration::ZERO),
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> &[String] {
        if let Self::List(elements) = self { elements } else { &[] }
    }

    pub(crate) fn as_integer(&self) -> i64 {
        if let Self::Integer(number) = self { *number } else { 0 }
    }

    pub(crate) fn as_boolean(&self) -> bool {
        matches!(self, Self::Boolean(true))
    }

    pub(crate) fn as_duration(&self) -> Duration {
        if let Self::Duration(time) = self { *time } else { Duration::ZERO }
    }
}

/// The value as `choria tool config` shows it: lists as `[a b]`, lengths of time as `1m30s`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::List(elements) => write!(f, "[{}]", elements.join(" ")),
            Self::Duration(time) => f.write_str(&shown_duration(*time)),
        }
    }
}

/// Reads one of the ten words for yes and no. The original reads every other word, `on` included, as no; a typing
/// error that turns a protection off is refused here instead.
///
/// # Errors
/// The rule in words.
pub(crate) fn parse_boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "y" | "t" => Ok(true),
        "0" | "no" | "false" | "n" | "f" => Ok(false),
        _ => Err("must be one of 1, yes, true, y, t, 0, no, false, n, f".to_owned()),
    }
}

/// The trimmed elements of all lines. Empty elements are dropped: a trailing comma is not a collective named "".
fn split(lines: &[&str], separator: char) -> Box<[String]> {
    let elements = lines.iter().flat_map(|line| line.split(separator)).map(str::trim);
    elements.filter(|element| !element.is_empty()).map(str::to_owned).collect()
}

/// Fills in the home directory for `~` and `~/…`.
fn expand_home(text: &str, home: Option<&Path>) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(text.to_owned()) };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err("must be a path; ~NAME for the home of another user is not supported".to_owned());
    }
    let home = home.and_then(Path::to_str).ok_or("starts with ~ but no home directory is known: set HOME")?;
    Ok(format!("{}{rest}", home.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_reads_its_text() {
        let list = |elements: &[&str]| Value::List(elements.iter().map(|&element| element.to_owned()).collect());
        let text = |text: &str| Value::Text(text.into());
        let rows: &[(Type, &[&str], Result<Value, &str>)] = &[
            (Type::Text, &["a # b"], Ok(text("a # b"))),
            (Type::Text, &["a", "\"b\""], Ok(text("\"b\""))),
            (Type::Title, &["Action_Policy"], Ok(text("action_policy"))),
            (Type::Integer, &["-1"], Ok(Value::Integer(-1))),
            (Type::Integer, &["1", "2"], Ok(Value::Integer(2))),
            (Type::Integer, &["1k"], Err("must be a whole number")),
            (Type::Integer, &["1.5"], Err("must be a whole number")),
            (Type::Boolean, &["Yes"], Ok(Value::Boolean(true))),
            (Type::Boolean, &[" F "], Ok(Value::Boolean(false))),
            (Type::Boolean, &["on"], Err("must be one of 1, yes, true, y, t, 0, no, false, n, f")),
            (Type::CommaList, &["a", "b , c,"], Ok(list(&["b", "c"]))),
            (Type::PathList, &["/a:/b", " /c : "], Ok(list(&["/a", "/b", "/c"]))),
            (Type::Lines, &["a=1,2", "b=2"], Ok(list(&["a=1,2", "b=2"]))),
            (Type::Path, &["~/x:~"], Ok(text("/home/me/x:~"))),
            (Type::Path, &["~"], Ok(text("/home/me"))),
            (Type::Path, &["/a~"], Ok(text("/a~"))),
            (Type::Path, &["~bob/x"], Err("must be a path; ~NAME for the home of another user is not supported")),
            (Type::Duration, &["90"], Ok(Value::Duration(Duration::from_secs(90)))),
        ];
        for (value_type, lines, wanted) in rows {
            let got = Value::parse(*value_type, lines, Some(Path::new("/home/me/")));
            assert_eq!(got, wanted.clone().map_err(str::to_owned), "{value_type:?} {lines:?}");
        }
        assert!(Value::parse(Type::Path, &["~/x"], None).is_err(), "no home directory");
    }

    #[test]
    fn values_show_as_the_original_shows_them() {
        let rows = [
            (Type::CommaList, "a,b", "[a b]", serde_json::json!(["a", "b"])),
            (Type::Duration, "90s", "1m30s", serde_json::json!(90_000_000_000_u64)),
            (Type::Boolean, "1", "true", serde_json::json!(true)),
            (Type::Text, "a b", "a b", serde_json::json!("a b")),
        ];
        for (value_type, text, shown, json) in rows {
            let value = Value::parse(value_type, &[text], None).expect(text);
            assert_eq!((value.to_string(), value.to_json()), (shown.to_owned(), json), "{text}");
        }
    }
}
