//! What a key is: its name, type, default, rule and documentation, and the typed handle to ask for its value.

use crate::rule::Rule;
use crate::value::Value;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

/// One configuration key as declared in [`crate::keys`]; static data, nothing is computed at start.
#[derive(Clone, Copy, Debug)]
pub struct KeyInfo {
    /// The name as written in files, or a pattern with `<name>` parts for raw options (see [`crate::patterns`]).
    pub name: &'static str,
    /// How the text is read.
    pub value_type: Type,
    /// The text that stands for a missing key; `None` is the type's empty value (`""`, 0, false, no elements).
    pub default: Option<&'static str>,
    /// What the key does, one or more sentences; names and values stand in backquotes.
    pub description: &'static str,
    /// What values are allowed.
    pub rule: Rule,
    /// The variable that replaces the value when it is set and not empty.
    pub environment: Option<&'static str>,
    /// Whether the value is a secret that is never shown.
    pub secret: bool,
    /// A page that says more.
    pub url: Option<&'static str>,
    /// Whether the key will go away.
    pub deprecated: bool,
    /// Whether only this implementation knows the key; the existing one ignores it.
    pub own: bool,
}

/// A group of keys, one part of spec 04b and of the manual page.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The keys in reading order.
    pub keys: &'static [KeyInfo],
}

/// A typed handle: `settings.get(keys::TTL)` is an integer because `TTL` is a `Key<Integer>`.
#[derive(Debug)]
pub struct Key<T> {
    name: &'static str,
    value_type: PhantomData<fn() -> T>,
}

/// How the text of a value is read (spec 04b §1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Type {
    /// The text as it stands.
    Text,
    /// A word whose case does not matter.
    Title,
    /// A decimal number, 64 bits, signed.
    Integer,
    /// `1 yes true y t` or `0 no false n f`, any case.
    Boolean,
    /// Split at `,`, replaced by a later line.
    CommaList,
    /// Split at `:`, a later line appends.
    PathList,
    /// One element per line, a later line appends.
    Lines,
    /// A path (or `:` separated paths) whose leading `~` is the home directory.
    Path,
    /// A length of time.
    Duration,
}

/// The Rust type behind each [`Type`]; implemented by [`Text`], [`Title`], [`Integer`], [`Boolean`], [`CommaList`],
/// [`PathList`], [`Lines`], [`PathText`] and [`Time`].
pub trait TypedKey {
    /// What [`crate::Settings::get`] returns.
    type Output<'a>;
    /// The type in the table.
    const TYPE: Type;
    /// Reads a stored value; `None` is a key without value and default.
    fn read(value: Option<&Value>) -> Self::Output<'_>;
}

/// Marks keys whose value is a text: `Option<&str>`, never empty.
#[derive(Clone, Copy, Debug)]
pub enum Text {}
/// Marks keys whose value is a word: `Option<&str>`, in lower case.
#[derive(Clone, Copy, Debug)]
pub enum Title {}
/// Marks keys whose value is a number: `i64`.
#[derive(Clone, Copy, Debug)]
pub enum Integer {}
/// Marks keys whose value is `bool`.
#[derive(Clone, Copy, Debug)]
pub enum Boolean {}
/// Marks keys whose value is a list split at commas: `&[String]`, no element is empty.
#[derive(Clone, Copy, Debug)]
pub enum CommaList {}
/// Marks keys whose value is a list of paths split at `:`: `&[String]`, no element is empty.
#[derive(Clone, Copy, Debug)]
pub enum PathList {}
/// Marks keys whose value is a list with one element per line: `&[String]`.
#[derive(Clone, Copy, Debug)]
pub enum Lines {}
/// Marks keys whose value is a path: `Option<PathBuf>`, home directory already filled in.
#[derive(Clone, Copy, Debug)]
pub enum PathText {}
/// Marks keys whose value is a length of time: `Duration`, zero when unset.
#[derive(Clone, Copy, Debug)]
pub enum Time {}

impl<T> Key<T> {
    /// The name as written in files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A handle for a declared key; only [`crate::keys`] makes them, so that every handle is in the table.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, value_type: PhantomData }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

/// Declaring a key: the builder steps used by the table.
impl KeyInfo {
    /// A key with no default and no rule.
    pub(crate) const fn new(name: &'static str, value_type: Type, description: &'static str) -> Self {
        Self {
            name,
            value_type,
            default: None,
            description,
            rule: Rule::Any,
            environment: None,
            secret: false,
            url: None,
            deprecated: false,
            own: false,
        }
    }

    /// The text used when the key is missing.
    pub(crate) const fn default(self, text: &'static str) -> Self {
        Self { default: Some(text), ..self }
    }

    /// What values are allowed.
    pub(crate) const fn rule(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// The only allowed words.
    pub(crate) const fn one_of(self, words: &'static [&'static str]) -> Self {
        self.rule(Rule::OneOf(words))
    }

    /// The variable that replaces the value.
    pub(crate) const fn environment(self, variable: &'static str) -> Self {
        Self { environment: Some(variable), ..self }
    }

    /// Never show the value.
    pub(crate) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// A key of this implementation alone.
    pub(crate) const fn own(self) -> Self {
        Self { own: true, ..self }
    }

    /// A page that says more.
    pub(crate) const fn url(self, url: &'static str) -> Self {
        Self { url: Some(url), ..self }
    }
}

impl Type {
    /// The name that `choria tool config` shows (spec 04b §1.6).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Title => "title_string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::CommaList => "comma_split",
            Self::PathList => "path_split",
            Self::Lines => "strings",
            Self::Path => "path_string",
            Self::Duration => "duration",
        }
    }

    /// Whether a value has elements.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::CommaList | Self::PathList | Self::Lines)
    }
}

/// Implements [`TypedKey`] for a marker: its output, its [`Type`] and how to read it from a value.
macro_rules! typed {
    ($marker:ident, $output:ty, $table:ident, $read:expr) => {
        impl TypedKey for $marker {
            type Output<'a> = $output;
            const TYPE: Type = Type::$table;
            fn read(value: Option<&Value>) -> $output {
                let read: fn(Option<&Value>) -> $output = $read;
                read(value)
            }
        }
    };
}

typed!(Integer, i64, Integer, |value| value.map_or(0, Value::as_integer));
typed!(Boolean, bool, Boolean, |value| value.is_some_and(Value::as_boolean));
typed!(Time, Duration, Duration, |value| value.map_or(Duration::ZERO, Value::as_duration));
typed!(PathText, Option<PathBuf>, Path, |value| value.and_then(Value::as_text).map(PathBuf::from));

/// Implements [`TypedKey`] for a marker whose output borrows from the settings.
macro_rules! typed_reference {
    ($marker:ident, $output:ty, $table:ident, $read:ident) => {
        impl TypedKey for $marker {
            type Output<'a> = $output;
            const TYPE: Type = Type::$table;
            fn read(value: Option<&Value>) -> Self::Output<'_> {
                value.map_or_else(Default::default, Value::$read)
            }
        }
    };
}

typed_reference!(Text, Option<&'a str>, Text, as_text);
typed_reference!(Title, Option<&'a str>, Title, as_text);
typed_reference!(CommaList, &'a [String], CommaList, as_list);
typed_reference!(PathList, &'a [String], PathList, as_list);
typed_reference!(Lines, &'a [String], Lines, as_list);
