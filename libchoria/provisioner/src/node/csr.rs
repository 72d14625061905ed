//! Judging a node's signing request before the helper sees it (spec 06 §6 step 6).

use super::deny_list::DenyList;
use names::Identity;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

/// Why a signing request is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidCsr {
    /// Not a signing request at all.
    #[error("the signing request is not PEM of a certificate request")]
    Unreadable,
    /// The node does not hold the key, or the request was changed.
    #[error("the signing request is not signed by the key inside")]
    Signature,
    /// Not exactly one common name.
    #[error("the signing request has {0} common names, it must have one")]
    CommonNames(usize),
    /// The name of another node.
    #[error("the signing request is for {found:?}, and the node is {node}")]
    OtherName {
        /// The common name, cut to 128 characters.
        found: String,
        /// The node.
        node: Identity,
    },
    /// A name that nodes must not have.
    #[error("the signing request is for {name:?}, which {pattern} in cert_deny_list forbids")]
    Denied {
        /// The name, cut to 128 characters.
        name: String,
        /// The pattern.
        pattern: String,
    },
}

/// Checks that `pem` is a signing request of `node`, signed by its own key, for no name that `deny` forbids.
pub(crate) fn check(pem: &str, node: &Identity, deny: &DenyList) -> Result<(), InvalidCsr> {
    let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|_| InvalidCsr::Unreadable)?;
    if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
        return Err(InvalidCsr::Unreadable);
    }
    let (rest, request) = X509CertificationRequest::from_der(&block.contents).map_err(|_| InvalidCsr::Unreadable)?;
    if !rest.is_empty() {
        return Err(InvalidCsr::Unreadable);
    }
    request.verify_signature().map_err(|_| InvalidCsr::Signature)?;

    let subject = &request.certification_request_info.subject;
    let names: Vec<&str> = subject.iter_common_name().map(|name| name.as_str().unwrap_or_default()).collect();
    let [name] = names[..] else { return Err(InvalidCsr::CommonNames(names.len())) };
    // Before the comparison, so that a name that no node may have is told as that.
    denied(name, deny)?;
    if name != node.as_str() {
        return Err(InvalidCsr::OtherName { found: cut(name), node: node.clone() });
    }
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(alternatives) = extension else { continue };
        for name in &alternatives.general_names {
            if let GeneralName::DNSName(name) = name {
                denied(name, deny)?;
            }
        }
    }
    Ok(())
}

fn denied(name: &str, deny: &DenyList) -> Result<(), InvalidCsr> {
    match deny.denies(name) {
        Some(pattern) => Err(InvalidCsr::Denied { name: cut(name), pattern: pattern.to_owned() }),
        None => Ok(()),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn request(common_name: Option<&str>, alternatives: &[&str]) -> String {
        let alternatives: Vec<String> = alternatives.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(alternatives).expect("names");
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let key = KeyPair::generate().expect("a key");
        params.serialize_request(&key).expect("a request").pem().expect("PEM")
    }

    /// Changes one byte of what is signed: a letter of the name in the request.
    fn forged(pem: &str) -> String {
        let (_, block) = parse_x509_pem(pem.as_bytes()).expect("PEM");
        let mut bytes = block.contents;
        let position = bytes.windows(2).position(|pair| pair == b"n1").expect("the name");
        bytes[position + 1] = b'2';
        let body = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
    }

    #[test]
    fn only_requests_for_the_node_itself_pass() {
        let node: Identity = "n1.example.net".parse().expect("an identity");
        let deny = DenyList::new(None).0;
        let own = request(Some("n1.example.net"), &[]);
        let rows = [
            (own.clone(), "ok"),
            (request(Some("n1.example.net"), &["n1.example.net", "alias.example.net"]), "ok"),
            (request(Some("n2.example.net"), &[]), "is for \"n2.example.net\", and the node is n1"),
            (request(Some("bob.choria"), &[]), "cert_deny_list forbids"),
            (request(Some("n1.example.net"), &["admin.privileged.choria"]), "cert_deny_list forbids"),
            (request(None, &[]), "has 0 common names"),
            (own.replace("CERTIFICATE REQUEST", "CERTIFICATE"), "is not PEM"),
            (own[..own.len() / 2].to_owned(), "is not PEM"),
            ("no PEM".to_owned(), "is not PEM"),
            (String::new(), "is not PEM"),
            ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n".to_owned(), "is not PEM"),
        ];
        for (pem, expected) in rows {
            let got = check(&pem, &node, &deny).err().map_or_else(|| "ok".to_owned(), |error| error.to_string());
            assert!(got.contains(expected), "{expected}: {got}");
        }
        let other: Identity = "n2.example.net".parse().expect("an identity");
        assert_eq!(check(&forged(&own), &other, &deny), Err(InvalidCsr::Signature));
    }
}
