//! A private key and the request to certify it (spec 06 §3.3).

use super::bundle::or_empty;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Whom to certify: the inputs of `gencsr`. `ST` is taken and not used, as in the original.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Subject {
    #[serde(deserialize_with = "or_empty")]
    pub(super) token: String,
    #[serde(deserialize_with = "or_empty")]
    cn: String,
    #[serde(rename = "C", alias = "c", deserialize_with = "or_empty")]
    country: String,
    #[serde(rename = "L", alias = "l", deserialize_with = "or_empty")]
    locality: String,
    #[serde(rename = "O", alias = "o", deserialize_with = "or_empty")]
    organization: String,
    #[serde(rename = "OU", alias = "ou", deserialize_with = "or_empty")]
    unit: String,
}

/// All as PEM.
pub(super) struct Made {
    /// PKCS#1.
    pub(super) private: Zeroizing<String>,
    /// PKCS#1 under the label `PUBLIC KEY`, as the original sends it.
    pub(super) public: String,
    pub(super) request: String,
}

/// A new RSA key of 2048 bits with a request signed by it; `identity` is who asks unless `subject` names another.
pub(super) fn make(subject: &Subject, identity: &str) -> Result<Made, String> {
    let key = RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).map_err(|error| error.to_string())?;
    let private = key.to_pkcs1_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    let public = key.to_public_key().to_pkcs1_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    let pkcs8 = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    let pair = KeyPair::from_pem(&pkcs8).map_err(|error| error.to_string())?;

    let mut name = DistinguishedName::new();
    let common = if subject.cn.is_empty() { identity } else { &subject.cn };
    let parts = [
        (DnType::CountryName, subject.country.as_str()),
        (DnType::OrganizationName, &subject.organization),
        (DnType::OrganizationalUnitName, &subject.unit),
        (DnType::LocalityName, &subject.locality),
        (DnType::CommonName, common),
    ];
    for (kind, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        if text.len() > LONGEST_PART || text.contains(char::is_control) {
            return Err(format!("a part of the subject is longer than {LONGEST_PART} bytes or has control characters"));
        }
        name.push(kind, DnValue::Utf8String(text.to_owned()));
    }
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    let request =
        parameters.serialize_request(&pair).and_then(|request| request.pem()).map_err(|error| error.to_string())?;
    Ok(Made { private, public: public.replace("RSA PUBLIC KEY", "PUBLIC KEY"), request })
}

const LONGEST_PART: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::FromDer;

    #[test]
    fn a_request_names_the_node_and_is_signed_by_its_key() {
        let subject = Subject { country: "MT".to_owned(), organization: "Example".to_owned(), ..Subject::default() };
        let made = make(&subject, "n1.example.net").expect("made");
        assert!(made.private.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        assert!(made.public.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        let (_, pem) = x509_parser::pem::parse_x509_pem(made.request.as_bytes()).expect("PEM");
        assert_eq!(pem.label, "CERTIFICATE REQUEST");
        let (_, request) = X509CertificationRequest::from_der(&pem.contents).expect("a request");
        let subject = request.certification_request_info.subject.to_string();
        assert_eq!(subject, "C=MT, O=Example, CN=n1.example.net");
    }

    #[test]
    fn control_characters_are_refused() {
        let subject = Subject { unit: "a\nb".to_owned(), ..Subject::default() };
        assert!(make(&subject, "n1").is_err());
    }
}
