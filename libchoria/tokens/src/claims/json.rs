//! Reads claims from JSON in one pass and by the rules of the Go implementation, which issues and reads the same
//! tokens: names match in any case, the last of several wins, `null` means absent, unknown claims are ignored.

use crate::invalid::Invalid;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Claims that are filled in one by one.
pub(crate) trait Claims: Default {
    /// Takes the value of the claim `name`, which is in lower case; `false` leaves it to be ignored.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error>;
}

/// Reads the payload of a token.
pub(crate) fn parse<T: Claims>(json: &[u8]) -> Result<T, Invalid> {
    // Said here because the parser's own message would repeat what it found instead.
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Invalid::Malformed("the payload is no JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let claims = Object(PhantomData::<T>).deserialize(&mut reader).and_then(|claims| reader.end().map(|()| claims));
    claims.map_err(|error| Invalid::Claims(error.to_string()))
}

/// The next value, or the default for `null`.
pub(crate) fn value<'de, T: Deserialize<'de> + Default, A: MapAccess<'de>>(values: &mut A) -> Result<T, A::Error> {
    Ok(values.next_value::<Option<T>>()?.unwrap_or_default())
}

/// The next text; `null` and the empty text both mean that there is none.
pub(crate) fn text<'de, A: MapAccess<'de>>(values: &mut A) -> Result<Option<String>, A::Error> {
    Ok(values.next_value::<Option<String>>()?.filter(|text| !text.is_empty()))
}

/// The next list of texts.
pub(crate) fn texts<'de, A: MapAccess<'de>>(values: &mut A) -> Result<Vec<String>, A::Error> {
    let list = values.next_value::<Option<Vec<Option<String>>>>()?.unwrap_or_default();
    Ok(list.into_iter().map(Option::unwrap_or_default).collect())
}

/// The next time.
pub(crate) fn time<'de, A: MapAccess<'de>>(values: &mut A) -> Result<Option<SystemTime>, A::Error> {
    Ok(values.next_value::<Option<UnixTime>>()?.map(|time| time.0))
}

/// The next object, as claims of its own.
pub(crate) fn object<'de, T: Claims, A: MapAccess<'de>>(values: &mut A) -> Result<Option<T>, A::Error> {
    Ok(values.next_value::<Option<Nested<T>>>()?.map(|nested| nested.0))
}

/// Whole seconds since 1970, rounded towards the past.
pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let seconds = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            i64::try_from(seconds).map_or(i64::MIN, |seconds| -seconds)
        }
    }
}

/// Writes a time as whole unix seconds; for `serialize_with`, beside which absent times are skipped.
pub(crate) fn write_time<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_i64(unix_seconds(*time)),
        None => serializer.serialize_none(),
    }
}

/// For `skip_serializing_if`.
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

/// A JSON object read as claims.
struct Object<T>(PhantomData<T>);

impl<'de, T: Claims> DeserializeSeed<'de> for Object<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Claims> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<T, A::Error> {
        let mut claims = T::default();
        while let Some(name) = values.next_key::<String>()? {
            let name = folded(name);
            // The parser's message would repeat the value, which may be secret.
            let wrong = |_| A::Error::custom(format_args!("{name:?} has the wrong type"));
            if !claims.take(&name, &mut values).map_err(wrong)? {
                values.next_value::<IgnoredAny>()?;
            }
        }
        Ok(claims)
    }
}

/// [`Object`] for use inside `Option`.
struct Nested<T>(T);

impl<'de, T: Claims> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object(PhantomData).deserialize(deserializer).map(Nested)
    }
}

/// The name in lower case. Two letters outside ASCII fold to ASCII ones, in Go too: long s and the Kelvin sign.
fn folded(mut name: String) -> String {
    if !name.is_ascii() {
        name = name.replace('\u{17f}', "s").replace('\u{212a}', "k");
    }
    name.make_ascii_lowercase();
    name
}

/// A time as a JSON number of unix seconds, fractions cut off; a number inside quotes is accepted too (spec 01 §2).
struct UnixTime(SystemTime);

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnixTimeVisitor)
    }
}

struct UnixTimeVisitor;

impl Visitor<'_> for UnixTimeVisitor {
    type Value = UnixTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of unix seconds")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<UnixTime, E> {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        time.map(UnixTime).ok_or_else(|| E::custom("a time outside the range of the clock"))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<UnixTime, E> {
        let seconds = i64::try_from(seconds).map_err(|_| E::custom("a time outside the range of the clock"))?;
        self.visit_i64(seconds)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<UnixTime, E> {
        // Beyond 2^53 neighbouring whole numbers are not told apart any more; no such time is meant.
        if seconds.abs() > 9.0e15 {
            return Err(E::custom("a time outside the range of the clock"));
        }
        self.visit_i64(seconds.floor() as i64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<UnixTime, E> {
        let number = serde_json::from_str::<serde_json::Number>(text).map_err(|_| E::custom("no number in quotes"))?;
        match (number.as_i64(), number.as_f64()) {
            (Some(seconds), _) => self.visit_i64(seconds),
            (None, Some(seconds)) => self.visit_f64(seconds),
            (None, None) => Err(E::custom("a time outside the range of the clock")),
        }
    }
}
