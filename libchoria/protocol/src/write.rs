//! Writing JSON by hand: the fields of a message are fixed, so the text is put together in one pass and one buffer.
//!
//! Strings are escaped as the existing writers do, `<`, `>` and `&` included: the request text handed to a remote
//! signer passes its input check only in this form (spec 02 §13).

use crate::filter::{Compound, Filter};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::time::SystemTime;

/// A JSON text that grows from left to right.
#[derive(Debug)]
pub(crate) struct Writer(String);

impl Writer {
    /// An empty text with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(String::with_capacity(capacity))
    }

    /// Adds `json` as it is.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.0.push_str(json);
        self
    }

    /// Adds a quoted string.
    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.0.push('"');
        self.escaped(text);
        self.0.push('"');
        self
    }

    /// Adds a quoted string of padded standard base64.
    pub(crate) fn base64(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.push('"');
        STANDARD.encode_string(bytes, &mut self.0);
        self.0.push('"');
        self
    }

    /// Adds a number.
    pub(crate) fn integer(&mut self, number: i64) -> &mut Self {
        self.raw(&number.to_string())
    }

    /// Adds an array, each item by `write`.
    pub(crate) fn array<T>(&mut self, items: impl IntoIterator<Item = T>, write: impl Fn(&mut Self, T)) -> &mut Self {
        self.0.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            write(self, item);
        }
        self.0.push(']');
        self
    }

    /// Adds an array of strings.
    pub(crate) fn strings<T: AsRef<str>>(&mut self, texts: &[T]) -> &mut Self {
        self.array(texts, |writer, text| {
            writer.string(text.as_ref());
        })
    }

    /// Adds the next field of an object, unless the text is absent or empty.
    pub(crate) fn header(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.next_field().string(key).raw(":").string(text);
        }
    }

    /// Adds the next field of an object, an array, unless it is empty.
    pub(crate) fn header_list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&mut Self, &T)) {
        if !items.is_empty() {
            self.next_field().string(key).raw(":").array(items, write);
        }
    }

    /// Adds a filter with its five lists.
    pub(crate) fn filter(&mut self, filter: &Filter) -> &mut Self {
        self.raw(r#"{"fact":"#).array(&filter.facts, |out, fact| {
            out.raw(r#"{"fact":"#).string(&fact.fact);
            out.raw(r#","operator":"#).string(fact.operator.as_str());
            out.raw(r#","value":"#).string(&fact.value).raw("}");
        });
        self.raw(r#","cf_class":"#).strings(&filter.classes);
        self.raw(r#","agent":"#).strings(&filter.agents);
        self.raw(r#","identity":"#).strings(&filter.identities);
        self.raw(r#","compound":"#).array(&filter.compound, |out, entry| match entry {
            Compound::Expression(text) => {
                out.raw(r#"[{"expr":"#).string(text).raw("}]");
            }
            Compound::Unsupported(entry) => {
                out.array(entry, |out, statement| {
                    out.raw("{");
                    for (key, value) in statement {
                        out.next_field().string(key).raw(":").string(value);
                    }
                    out.raw("}");
                });
            }
        });
        self.raw("}")
    }

    /// Adds a comma unless the text ends with the brace that opens an object.
    pub(crate) fn next_field(&mut self) -> &mut Self {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self
    }

    /// The finished text.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).into_bytes()
    }

    /// Adds `text` with everything escaped that must be.
    fn escaped(&mut self, text: &str) {
        let mut written = 0;
        for (index, byte) in text.bytes().enumerate().filter(|(_, byte)| needs_look(*byte)) {
            let Some(escape) = escape(byte, &text.as_bytes()[index..]) else { continue };
            self.0.push_str(&text[written..index]);
            self.0.push_str(&escape);
            // Only the two separators of three bytes are not one byte long.
            written = index + if byte == SEPARATOR[0] { 3 } else { 1 };
        }
        self.0.push_str(&text[written..]);
    }
}

/// First two bytes of U+2028 and U+2029 in UTF-8; the third is 0xA8 or 0xA9.
const SEPARATOR: [u8; 2] = [0xE2, 0x80];

/// Whether `byte` may begin something to escape.
fn needs_look(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&') || byte == SEPARATOR[0]
}

/// The escape for `byte`, the first of `rest`; `None` when it stands for itself.
fn escape(byte: u8, rest: &[u8]) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match byte {
        b'"' => r#"\""#,
        b'\\' => r"\\",
        b'\n' => r"\n",
        b'\r' => r"\r",
        b'\t' => r"\t",
        0x08 => r"\b",
        0x0C => r"\f",
        0xE2 => match rest.strip_prefix(&SEPARATOR)?.first()? {
            0xA8 => r"\u2028",
            0xA9 => r"\u2029",
            _ => return None,
        },
        other => return Some(Cow::Owned(format!(r"\u{other:04x}"))),
    }))
}

/// Nanoseconds since the start of 1970, UTC; the nearest possible number when out of range.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |before| -before),
    }
}

/// Whole seconds since the start of 1970, UTC, rounded down.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            -whole - i64::from(before.subsec_nanos() > 0)
        }
    }
}
