//! Ids of new requests (spec 02 §4).

use crate::Version;
use names::RequestId;
use rand::{CryptoRng, RngCore};
use std::time::SystemTime;
use tokens::Ksuid;

/// A fresh request id: a KSUID of 27 characters in version 2, a version 4 UUID without dashes in version 1.
///
/// # Panics
/// Never: letters and digits are a valid id.
#[must_use]
pub fn new_request_id(version: Version, now: SystemTime, random: &mut (impl RngCore + CryptoRng)) -> RequestId {
    let text = match version {
        Version::V1 => {
            let mut bytes = [0; 16];
            random.fill_bytes(&mut bytes);
            uuid::Builder::from_random_bytes(bytes).into_uuid().simple().to_string()
        }
        Version::V2 => Ksuid::new(now, random).to_string(),
    };
    text.parse().expect("letters and digits are a valid request id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::time::Duration;

    #[test]
    fn each_version_has_its_own_form() {
        let mut random = StdRng::seed_from_u64(1);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let v1 = new_request_id(Version::V1, now, &mut random);
        assert!(v1.as_str().len() == 32 && v1.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()), "{v1}");
        assert_eq!(&v1.as_str()[12..13], "4", "{v1} is not of UUID version 4");
        let v2 = new_request_id(Version::V2, now, &mut random);
        assert!(v2.as_str().starts_with("2YBX") && v2.as_str().len() == 27, "{v2} does not begin with its time");
        assert_ne!(v2, new_request_id(Version::V2, now, &mut random));
    }
}
