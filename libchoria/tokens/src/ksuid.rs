//! K-sortable ids: 27 base62 characters that begin with a time, used for token ids and version 2 request ids.

use rand::{CryptoRng, RngCore};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 20 bytes, big-endian: seconds since 2014-05-13 16:53:20 UTC in 4 bytes, then 16 random ones (spec 01 §2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ksuid([u8; 20]);

/// A text that is not a KSUID.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a KSUID is 27 base62 characters (0-9, A-Z, a-z) that do not exceed aWgEPTl1tmebfsQzFP4bxwgy80V")]
pub struct InvalidKsuid;

impl Ksuid {
    /// An id for `time`, cut to whole seconds and held between 2014-05-13 and 2150-06-19, with 16 bytes of `random`.
    #[must_use]
    pub fn new(time: SystemTime, random: &mut (impl RngCore + CryptoRng)) -> Self {
        let unix = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let seconds = u32::try_from(unix.saturating_sub(EPOCH)).unwrap_or(u32::MAX);
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        random.fill_bytes(&mut bytes[4..]);
        Self(bytes)
    }

    /// The time inside, whole seconds.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        let [a, b, c, d, ..] = self.0;
        UNIX_EPOCH + Duration::from_secs(EPOCH + u64::from(u32::from_be_bytes([a, b, c, d])))
    }
}

impl FromStr for Ksuid {
    type Err = InvalidKsuid;

    fn from_str(text: &str) -> Result<Self, InvalidKsuid> {
        if text.len() != LENGTH {
            return Err(InvalidKsuid);
        }
        let mut bytes = [0u8; 20];
        for character in text.bytes() {
            let mut carry = digit(character).ok_or(InvalidKsuid)?;
            for byte in bytes.iter_mut().rev() {
                let value = u32::from(*byte) * 62 + carry;
                *byte = (value & 0xff) as u8;
                carry = value >> 8;
            }
            if carry != 0 {
                return Err(InvalidKsuid);
            }
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut text = [b'0'; LENGTH];
        for character in text.iter_mut().rev() {
            let mut remainder = 0;
            for byte in &mut rest {
                let value = (remainder << 8) + usize::from(*byte);
                *byte = (value / 62) as u8;
                remainder = value % 62;
            }
            *character = DIGITS[remainder];
        }
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The value of one base62 digit.
fn digit(character: u8) -> Option<u32> {
    let value = match character {
        b'0'..=b'9' => character - b'0',
        b'A'..=b'Z' => character - b'A' + 10,
        b'a'..=b'z' => character - b'a' + 36,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Unix time at which the seconds of a KSUID begin.
const EPOCH: u64 = 1_400_000_000;
/// 20 bytes need 27 base62 digits.
const LENGTH: usize = 27;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_documented_ids() {
        let rows = [
            ("2YBXZN2Ey2oglTXj87eEzpGHWSA", 1_700_000_000, [0xaa; 16]),
            ("2YBXlwgxCv10PIl7QatYhaEcurL", 1_700_000_100, [0xbb; 16]),
            ("000000000000000000000000000", 1_400_000_000, [0; 16]),
            ("aWgEPTl1tmebfsQzFP4bxwgy80V", 5_694_967_295, [0xff; 16]),
        ];
        for (text, unix, payload) in rows {
            let id: Ksuid = text.parse().unwrap();
            assert_eq!(id.time(), UNIX_EPOCH + Duration::from_secs(unix), "{text}");
            assert_eq!(id.0[4..], payload, "{text}");
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_ksuid() {
        let rows = [
            ("", "empty"),
            ("2YBXZN2Ey2oglTXj87eEzpGHWS", "26 characters"),
            ("2YBXZN2Ey2oglTXj87eEzpGHWSAA", "28 characters"),
            ("2YBXZN2Ey2oglTXj87eEzpGHWS-", "a dash"),
            ("aWgEPTl1tmebfsQzFP4bxwgy80W", "one more than 20 bytes hold"),
            ("0123456789abcdef0123456789abcdef", "a UUID"),
        ];
        for (text, what) in rows {
            assert_eq!(text.parse::<Ksuid>(), Err(InvalidKsuid), "{what}");
        }
    }

    #[test]
    fn a_new_id_carries_its_time() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_900);
        let id = Ksuid::new(time, &mut rand::rngs::OsRng);
        assert_eq!(id.time(), UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
