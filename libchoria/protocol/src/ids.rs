//! Ids of new requests (spec 02 §4).

use crate::Version;
use names::RequestId;
use rand::RngCore;
use std::time::{Duration, SystemTime};

/// Seconds between the start of 1970 and the first second a KSUID can name.
const KSUID_EPOCH: u64 = 1_400_000_000;

/// The digits of a KSUID.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fresh request id: a KSUID of 27 characters in version 2, a version 4 UUID without dashes in version 1.
///
/// # Panics
/// Never: letters and digits are a valid id.
#[must_use]
pub fn new_request_id(version: Version, now: SystemTime, rng: &mut impl RngCore) -> RequestId {
    let text = match version {
        Version::V1 => {
            let mut bytes = [0; 16];
            rng.fill_bytes(&mut bytes);
            uuid::Builder::from_random_bytes(bytes).into_uuid().simple().to_string()
        }
        Version::V2 => {
            let mut random = [0; 16];
            rng.fill_bytes(&mut random);
            ksuid(now, random)
        }
    };
    text.parse().expect("letters and digits are a valid request id")
}

/// The KSUID of the second `now` and 16 random bytes, in base 62.
fn ksuid(now: SystemTime, random: [u8; 16]) -> String {
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(KSUID_EPOCH);
    let seconds = now.duration_since(epoch).map_or(0, |since| since.as_secs());
    // A 160-bit number in five digits of base 2^32, the second first.
    let mut digits = [0_u32; 5];
    digits[0] = u32::try_from(seconds).unwrap_or(u32::MAX);
    for (digit, bytes) in digits[1..].iter_mut().zip(random.chunks_exact(4)) {
        *digit = bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    }
    let mut letters = ['0'; 27];
    for letter in letters.iter_mut().rev() {
        *letter = char::from(BASE62[divide(&mut digits, 62)]);
    }
    letters.iter().collect()
}

/// Divides the number in `digits` by `divisor` and returns the remainder.
fn divide(digits: &mut [u32; 5], divisor: u32) -> usize {
    let mut rest = 0_u64;
    for digit in digits {
        let part = rest << 32 | u64::from(*digit);
        let quotient = part / u64::from(divisor);
        rest = part % u64::from(divisor);
        // A rest below the divisor keeps the quotient below 2^32.
        *digit = u32::try_from(quotient).unwrap_or(u32::MAX);
    }
    usize::try_from(rest).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn ksuids_are_those_of_the_reference_implementation() {
        // Payload and text from the examples of the KSUID specification's tool.
        let payload: [u8; 16] = hex::decode("b5a1cd34b5f99d1154fb6853345c9735").unwrap().try_into().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(KSUID_EPOCH + 107_608_047);
        assert_eq!(ksuid(now, payload), "0ujtsYcgvSTl8PAuAdqWYSMnLOv");
        assert_eq!(ksuid(SystemTime::UNIX_EPOCH, [0; 16]), "000000000000000000000000000");
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(KSUID_EPOCH + u64::from(u32::MAX));
        assert_eq!(ksuid(end, [0xff; 16]), "aWgEPTl1tmebfsQzFP4bxwgy80V");
    }

    #[test]
    fn each_version_has_its_own_form() {
        let mut rng = StdRng::seed_from_u64(1);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let v1 = new_request_id(Version::V1, now, &mut rng);
        assert!(v1.as_str().len() == 32 && v1.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()), "{v1}");
        assert_eq!(&v1.as_str()[12..13], "4", "{v1} is not of UUID version 4");
        let v2 = new_request_id(Version::V2, now, &mut rng);
        assert!(v2.as_str().len() == 27 && v2.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{v2}");
        assert_ne!(v2, new_request_id(Version::V2, now, &mut rng));
    }
}
