//! Request bodies: JSON objects of texts, read by the rules of the original.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Reads the texts of the fields called `names`, which match in any case; the last of several counts, `null` and what
/// is left out are empty, and other fields are ignored. What follows the object is not looked at.
#[derive(Debug)]
pub(crate) struct Fields;

impl Fields {
    /// # Errors
    /// What is no JSON object, and a field of another type.
    pub(crate) fn read<const N: usize>(
        json: &[u8],
        names: [&'static str; N],
    ) -> Result<[String; N], serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        Names(names).deserialize(&mut reader)
    }
}

struct Names<const N: usize>([&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Names<N> {
    type Value = [String; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Names<N> {
    type Value = [String; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok([const { String::new() }; N])
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [const { String::new() }; N];
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match self.0.iter().position(|name| name.eq_ignore_ascii_case(&key)) {
                // The parser's own message would repeat the value, which may be a password.
                Some(at) => match map.next_value::<serde_json::Value>()? {
                    serde_json::Value::String(text) => values[at] = text,
                    serde_json::Value::Null => {}
                    _ => return Err(A::Error::custom(format!("{} must be text", self.0[at]))),
                },
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_as_the_original_does() {
        let rows = [
            (r#"{"a":"1","b":"2"}"#, Some(["1", "2"])),
            (r#"{"A":"1","B":null,"c":[1,{}]}"#, Some(["1", ""])),
            (r#"{"a":"1","a":"2"}"#, Some(["2", ""])),
            (r#" {"a":"\u00e4"} trailing"#, Some(["ä", ""])),
            ("null", Some(["", ""])),
            ("{}", Some(["", ""])),
            (r#"{"a":1}"#, None),
            (r#"{"a":{}}"#, None),
            ("[]", None),
            (r#""text""#, None),
            (r#"{"a":"1""#, None),
            ("", None),
        ];
        for (json, expected) in rows {
            let read = Fields::read(json.as_bytes(), ["a", "b"]).ok();
            assert_eq!(read, expected.map(|values| values.map(str::to_owned)), "{json}");
        }
        let error = Fields::read(br#"{"a":["secret"]}"#, ["a"]).expect_err("no text").to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
