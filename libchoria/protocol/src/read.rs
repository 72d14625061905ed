//! Reading JSON under the rules of the existing receivers (spec 02 §1): unknown keys are ignored and the last of
//! equal keys counts. Layers with a schema want exact keys and refuse `null`; the others match keys in any case and
//! take `null` as absent.

use crate::{Invalid, Layer, MAX_SIZE, Version};
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use names::InvalidName;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// Padded standard base64 as the existing receivers read it: unused bits at the end are not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Longest piece of a refused value that an error repeats, in characters.
const QUOTED: usize = 64;

/// A JSON string, borrowed from the input when it holds no escape.
#[derive(Debug, Default)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text as an owned string.
    pub(crate) fn into_string(self) -> String {
        self.0.into_owned()
    }

    /// The text, unless it is empty.
    pub(crate) fn into_filled(self) -> Option<String> {
        if self.is_empty() { None } else { Some(self.into_string()) }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// One hop of a message. Missing parts are empty and parts beyond the third are dropped.
#[derive(Debug)]
pub(crate) struct Hop([String; 3]);

impl<'de> Deserialize<'de> for Hop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parts = Vec::<String>::deserialize(deserializer)?.into_iter();
        Ok(Self(std::array::from_fn(|_| parts.next().unwrap_or_default())))
    }
}

/// Defines a struct of optional fields and reads it from a JSON object. `exact` is for layers with a schema, `lenient`
/// for those without.
macro_rules! object {
    ($mode:ident $name:ident { $($field:ident: $kind:ty = $key:literal,)* }) => {
        #[derive(Default)]
        struct $name<'a> { $($field: Option<$kind>,)* marker: std::marker::PhantomData<&'a ()> }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields<'a>(std::marker::PhantomData<&'a ()>);

                impl<'de: 'a, 'a> serde::de::Visitor<'de> for Fields<'a> {
                    type Value = $name<'a>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name<'a>, A::Error> {
                        let mut object = $name::default();
                        while let Some(key) = map.next_key::<$crate::read::Text<'de>>()? {
                            match &*key {
                                $(key if $crate::read::object!(@matches $mode key, $key) => {
                                    $crate::read::object!(@value $mode map, object.$field);
                                })*
                                _ => { map.next_value::<serde::de::IgnoredAny>()?; }
                            }
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(Fields(std::marker::PhantomData))
            }
        }
    };
    (@matches exact $key:expr, $name:literal) => { $key == $name };
    (@matches lenient $key:expr, $name:literal) => { $key.eq_ignore_ascii_case($name) };
    (@value exact $map:ident, $object:ident.$field:ident) => { $object.$field = Some($map.next_value()?) };
    (@value lenient $map:ident, $object:ident.$field:ident) => {
        if let Some(value) = $map.next_value::<Option<_>>()? { $object.$field = Some(value); }
    };
}
pub(crate) use object;

/// Reads `bytes` as a JSON value of type `T`; trailing bytes are refused.
pub(crate) fn json<'a, T: Deserialize<'a>>(layer: Layer, bytes: &'a [u8]) -> Result<T, Invalid> {
    serde_json::from_slice(bytes).map_err(|error| {
        let reason = error.to_string();
        if error.is_data() { Invalid::Shape { layer, reason } } else { Invalid::NotJson { layer, reason } }
    })
}

/// The generation of the `layer` in `bytes`, from its field `protocol`.
pub(crate) fn version(layer: Layer, bytes: &[u8]) -> Result<Version, Invalid> {
    object!(lenient Outline { protocol: Text<'a> = "protocol", });

    if bytes.len() > MAX_SIZE {
        return Err(Invalid::TooLarge { layer, size: bytes.len() });
    }
    // Every known writer begins so; the rest is checked again when the whole layer is read.
    if let Some(rest) = bytes.strip_prefix(br#"{"protocol":""#) {
        for version in [Version::V2, Version::V1] {
            if rest.strip_prefix(layer.protocol(version).as_bytes()).is_some_and(|rest| rest.first() == Some(&b'"')) {
                return Ok(version);
            }
        }
    }

    let outline: Outline<'_> = json(layer, bytes)?;
    let found = outline.protocol.unwrap_or_default();
    let known = [Version::V2, Version::V1].into_iter().find(|version| *found == *layer.protocol(*version));
    known.ok_or_else(|| Invalid::Protocol { layer, found: found.chars().take(QUOTED).collect() })
}

/// Checks that the layer as read still says `version`: of several `protocol` keys the last one counts.
pub(crate) fn same_version(layer: Layer, version: Version, protocol: Option<&str>) -> Result<(), Invalid> {
    let found = protocol.unwrap_or_default();
    if found == layer.protocol(version) {
        return Ok(());
    }
    Err(Invalid::Protocol { layer, found: found.chars().take(QUOTED).collect() })
}

/// A field that must be there.
pub(crate) fn required<T>(layer: Layer, field: &'static str, value: Option<T>) -> Result<T, Invalid> {
    value.ok_or(Invalid::Field { layer, field, rule: "is missing" })
}

/// A string that must be there and hold at least one character.
pub(crate) fn filled<'a>(layer: Layer, field: &'static str, value: Option<Text<'a>>) -> Result<Text<'a>, Invalid> {
    let text = required(layer, field, value)?;
    if text.is_empty() { Err(Invalid::Field { layer, field, rule: "is empty" }) } else { Ok(text) }
}

/// A field that must be there and hold a valid name.
pub(crate) fn name<T>(layer: Layer, field: &'static str, value: Option<Text<'_>>) -> Result<T, Invalid>
where
    T: FromStr<Err = InvalidName>,
{
    required(layer, field, value)?.parse().map_err(|name| Invalid::Name { layer, field, name })
}

/// A name that may be absent or empty.
pub(crate) fn optional_name<T>(layer: Layer, field: &'static str, value: Option<Text<'_>>) -> Result<Option<T>, Invalid>
where
    T: FromStr<Err = InvalidName>,
{
    value.filter(|text| !text.is_empty()).map(|text| name(layer, field, Some(text))).transpose()
}

/// A time to live in seconds; what is below the minimum is left to [`crate::Request::check`].
pub(crate) fn ttl(field: &'static str, seconds: i64) -> Result<u32, Invalid> {
    let rule = "is above 4294967295 seconds";
    u32::try_from(seconds.max(0)).map_err(|_| Invalid::Field { layer: Layer::Request, field, rule })
}

/// The hops of a message, empty when there are none.
pub(crate) fn hops(hops: Option<Vec<Hop>>) -> Vec<[String; 3]> {
    hops.unwrap_or_default().into_iter().map(|hop| hop.0).collect()
}

/// A field of padded standard base64.
pub(crate) fn base64(layer: Layer, field: &'static str, text: &str) -> Result<Vec<u8>, Invalid> {
    decode_base64(text.as_bytes()).ok_or(Invalid::Field { layer, field, rule: "is not padded standard base64" })
}

/// Decodes padded standard base64; line breaks anywhere are passed over, as the existing receivers do.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    match BASE64.decode(text) {
        Ok(bytes) => Some(bytes),
        Err(_) if text.iter().any(is_break) => {
            let joined: Vec<u8> = text.iter().copied().filter(|byte| !is_break(byte)).collect();
            BASE64.decode(joined).ok()
        }
        Err(_) => None,
    }
}

/// The point `nanoseconds` after the start of 1970, UTC; negative is before.
pub(crate) fn time_from_nanoseconds(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
}

/// The point `seconds` after the start of 1970, UTC. Refused beyond what nanoseconds in 64 bits can say, the range of
/// version 2, so that nobody who calculates with it meets the end of the clock.
pub(crate) fn time_from_seconds(layer: Layer, field: &'static str, seconds: i64) -> Result<SystemTime, Invalid> {
    let rule = "is not a time between the years 1678 and 2262";
    let nanoseconds = seconds.checked_mul(1_000_000_000).ok_or(Invalid::Field { layer, field, rule })?;
    Ok(time_from_nanoseconds(nanoseconds))
}
