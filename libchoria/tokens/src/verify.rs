//! Verifying tokens: who is trusted to issue them, and the rules in their order (spec 01 §2, §5).

use crate::claims::{ClientClaims, Kind, ProvisioningClaims, ServerClaims, check_kind};
use crate::encoded::Encoded;
use crate::invalid::Invalid;
use crate::key::{PublicKey, Signature};
use crate::key_file::{RsaPublicKey, VerificationKey};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::SystemTime;

/// Who is trusted to issue tokens (spec 01 §5.3).
#[derive(Clone, Debug)]
pub struct TrustRoots {
    trusted: Trusted,
    direct: bool,
}

#[derive(Clone, Debug)]
enum Trusted {
    Issuers(BTreeMap<String, PublicKey>),
    Signers(Vec<VerificationKey>),
}

/// Claims of a token whose signature, times and kind were verified. Made by [`TrustRoots`] only.
///
/// Time goes on after that: who keeps these asks [`Verified::check_times`] again before each use.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl TrustRoots {
    /// Trusts one organization issuer for each organization unit, the name in the token's `ou`. A token of any other
    /// organization is refused.
    #[must_use]
    pub fn issuers(issuers: BTreeMap<String, PublicKey>) -> Self {
        Self { trusted: Trusted::Issuers(issuers), direct: false }
    }

    /// Trusts each of these keys for every organization. They are tried in order until one fits, or the token is found
    /// expired or of the wrong kind. None at all refuses every token.
    #[must_use]
    pub fn signers(keys: Vec<VerificationKey>) -> Self {
        Self { trusted: Trusted::Signers(keys), direct: false }
    }

    /// Also lets a configured key be that of a chain issuer, whose tokens are then accepted without proof that an
    /// organization appointed it: needed where an AAA service is configured with its own signer's key (spec 01 §5.1).
    #[must_use]
    pub fn with_chain_issuers(mut self) -> Self {
        self.direct = true;
        self
    }

    /// Each trusted key as roots of its own, with the organization unit it was given for: for callers who must know
    /// that two tokens were verified with the same key.
    #[must_use]
    pub fn split(&self) -> Vec<(Option<String>, Self)> {
        let alone = |key| Self { trusted: Trusted::Signers(vec![key]), direct: self.direct };
        match &self.trusted {
            Trusted::Issuers(issuers) => {
                issuers.iter().map(|(unit, key)| (Some(unit.clone()), alone((*key).into()))).collect()
            }
            Trusted::Signers(keys) => keys.iter().map(|key| (None, alone(key.clone()))).collect(),
        }
    }

    /// Verifies a client token.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify_client(&self, token: &str, now: SystemTime) -> Result<Verified<ClientClaims>, Invalid> {
        self.verify(token, now)
    }

    /// Verifies a server token.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify_server(&self, token: &str, now: SystemTime) -> Result<Verified<ServerClaims>, Invalid> {
        self.verify(token, now)
    }

    /// Verifies a provisioning token, which a trusted key must have signed itself: chains of trust are not followed.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify_provisioning(&self, token: &str, now: SystemTime) -> Result<Verified<ProvisioningClaims>, Invalid> {
        self.verify(token, now)
    }

    fn verify<T: Kind>(&self, token: &str, now: SystemTime) -> Result<Verified<T>, Invalid> {
        let token = Encoded::<T>::parse(token)?;
        match &self.trusted {
            Trusted::Issuers(issuers) => {
                let organization = token.claims.organization();
                let unknown = || Invalid::UnknownIssuer(organization.chars().take(64).collect());
                let key = VerificationKey::Ed25519(*issuers.get(organization).ok_or_else(unknown)?);
                judge(&token, &key, self.direct, now)?;
            }
            Trusted::Signers(keys) => {
                let mut verdict = Err(Invalid::NoTrust);
                for key in keys {
                    verdict = judge(&token, key, self.direct, now);
                    if matches!(verdict, Ok(()) | Err(Invalid::Expired | Invalid::Purpose { .. })) {
                        break;
                    }
                }
                verdict?;
            }
        }
        Ok(Verified(token.claims.complete()))
    }
}

#[expect(private_bounds, reason = "the kinds of token are the three claims types of this crate")]
impl<T: Kind> Verified<T> {
    /// Whether the token may still be used at `now`. The signature is not verified again.
    ///
    /// # Errors
    /// [`Invalid::Expired`] or [`Invalid::NotYetValid`].
    pub fn check_times(&self, now: SystemTime) -> Result<(), Invalid> {
        check_times(&self.0, now)?;
        check_issuer_expiry(&self.0, now)
    }

    /// The claims, for keeping them apart from their proof.
    #[must_use]
    pub fn into_claims(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Every rule for a token under one key, in the order of spec 01 §5: algorithm, key, chain, signature, times, kind,
/// issuer's expiry.
fn judge<T: Kind>(token: &Encoded<'_, T>, key: &VerificationKey, direct: bool, now: SystemTime) -> Result<(), Invalid> {
    match (token.algorithm.as_str(), key) {
        ("EdDSA", VerificationKey::Ed25519(key)) => check_ed25519(token, key, direct)?,
        ("RS256", VerificationKey::Rsa(key)) => check_rsa(token, key, jsonwebtoken::Algorithm::RS256)?,
        ("RS384", VerificationKey::Rsa(key)) => check_rsa(token, key, jsonwebtoken::Algorithm::RS384)?,
        ("RS512", VerificationKey::Rsa(key)) => check_rsa(token, key, jsonwebtoken::Algorithm::RS512)?,
        ("EdDSA", _) => return Err(Invalid::KeyKind { needed: "ed25519" }),
        ("RS256" | "RS384" | "RS512", _) => return Err(Invalid::KeyKind { needed: "RSA" }),
        (other, _) => return Err(Invalid::Algorithm(other.to_owned())),
    }
    check_times(&token.claims, now)?;
    check_kind(&token.claims)?;
    check_issuer_expiry(&token.claims, now)
}

/// The token's signature, by the chain issuer's key where there is one.
fn check_ed25519<T: Kind>(token: &Encoded<'_, T>, key: &PublicKey, direct: bool) -> Result<(), Invalid> {
    let standard = token.claims.standard();
    let chain_issuer =
        if T::CHAINED && standard.is_delegated() { Some(standard.verify_chain(key, direct)?) } else { None };
    let signer = chain_issuer.as_ref().unwrap_or(key);
    let signature = Signature::from_slice(&token.signature).map_err(|_| Invalid::Signature)?;
    if signer.verify(token.signed.as_bytes(), &signature) { Ok(()) } else { Err(Invalid::Signature) }
}

fn check_rsa<T: Kind>(
    token: &Encoded<'_, T>,
    key: &RsaPublicKey,
    algorithm: jsonwebtoken::Algorithm,
) -> Result<(), Invalid> {
    use base64::Engine;
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&token.signature);
    let verdict = jsonwebtoken::crypto::verify(&signature, token.signed.as_bytes(), &key.0, algorithm);
    // An error means that the key is none, which no token can satisfy either.
    if matches!(verdict, Ok(true)) { Ok(()) } else { Err(Invalid::Signature) }
}

/// `exp` and `nbf`, without leeway; both optional.
fn check_times<T: Kind>(claims: &T, now: SystemTime) -> Result<(), Invalid> {
    let standard = claims.standard();
    if standard.expires.is_some_and(|expires| now >= expires) {
        return Err(Invalid::Expired);
    }
    if standard.not_before.is_some_and(|start| now < start) {
        return Err(Invalid::NotYetValid);
    }
    Ok(())
}

/// A token with `tcs` must not outlive its chain issuer. One whose `iss` names no chain issuer has none, which is
/// refused as expired too, except for client tokens: chain issuers are such (spec 01 §5.2).
fn check_issuer_expiry<T: Kind>(claims: &T, now: SystemTime) -> Result<(), Invalid> {
    let standard = claims.standard();
    let chained = standard.is_delegated();
    if standard.trust_chain_signature.is_none() || (!chained && T::PURPOSE == crate::Purpose::Client) {
        return Ok(());
    }
    if chained && standard.issuer_expires.is_some() && !standard.is_expired(now) {
        return Ok(());
    }
    Err(Invalid::Expired)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::chain::ChainFault;
    use crate::claims::Purpose;
    use crate::key::Seed;
    use crate::key_file::SigningKey;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, UNIX_EPOCH};

    /// The time `unix` seconds after 1970.
    pub(crate) fn at(unix: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(unix)
    }

    /// Claims of a client, made at `unix` and valid for `validity` seconds.
    pub(crate) fn client(caller: &str, unix: u64, validity: u64) -> ClientClaims {
        ClientClaims::new(caller, Duration::from_secs(validity), at(unix), &mut rand::rngs::OsRng).unwrap()
    }

    const MADE: u64 = 1_700_000_000;

    fn key(number: u8) -> SigningKey {
        SigningKey::Ed25519(Seed::from_bytes([number; 32]))
    }

    fn signers(numbers: &[u8]) -> TrustRoots {
        TrustRoots::signers(numbers.iter().map(|number| Seed::from_bytes([*number; 32]).public().into()).collect())
    }

    fn data(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
    }

    fn server() -> ServerClaims {
        let public = Seed::from_bytes([9; 32]).public();
        let validity = Duration::from_secs(100);
        let random = &mut rand::rngs::OsRng;
        ServerClaims::new("n1.example.net", vec!["choria".to_owned()], public, validity, at(MADE), random).unwrap()
    }

    #[test]
    fn a_token_is_valid_from_its_beginning_until_just_before_its_end() {
        let token = client("up=alice", MADE, 100).sign(&key(1)).unwrap();
        let rows = [
            (MADE - 1, Err(Invalid::NotYetValid)),
            (MADE, Ok(())),
            (MADE + 99, Ok(())),
            (MADE + 100, Err(Invalid::Expired)),
            (MADE + 101, Err(Invalid::Expired)),
        ];
        let kept = signers(&[1]).verify_client(&token, at(MADE)).unwrap();
        for (now, expected) in rows {
            let verdict = signers(&[1]).verify_client(&token, at(now)).map(|_| ());
            assert_eq!(verdict, expected, "verified at {now}");
            assert_eq!(kept.check_times(at(now)), expected, "asked again at {now}");
        }
    }

    #[test]
    fn several_signers_are_tried_until_one_decides() {
        let good = client("up=alice", MADE, 100).sign(&key(2)).unwrap();
        let rows: [(&[u8], u64, Result<(), Invalid>); 6] = [
            (&[2], MADE, Ok(())),
            (&[1, 2, 3], MADE, Ok(())),
            (&[1, 3], MADE, Err(Invalid::Signature)),
            (&[1], MADE, Err(Invalid::Signature)),
            (&[1, 2, 3], MADE + 100, Err(Invalid::Expired)),
            (&[], MADE, Err(Invalid::NoTrust)),
        ];
        for (keys, now, expected) in rows {
            assert_eq!(signers(keys).verify_client(&good, at(now)).map(|_| ()), expected, "{keys:?} at {now}");
        }
        let wrong = Invalid::Purpose { expected: Purpose::Server, found: Purpose::Client };
        assert_eq!(signers(&[1, 2, 3]).verify_server(&good, at(MADE)).map(|_| ()), Err(wrong));
    }

    #[test]
    fn each_organization_has_its_own_issuer() {
        let roots = TrustRoots::issuers(BTreeMap::from([
            ("choria".to_owned(), Seed::from_bytes([1; 32]).public()),
            ("acme".to_owned(), Seed::from_bytes([2; 32]).public()),
        ]));
        let rows = [
            ("choria", 1, Ok(())),
            ("acme", 2, Ok(())),
            ("acme", 1, Err(Invalid::Signature)),
            ("other", 1, Err(Invalid::UnknownIssuer("other".to_owned()))),
            ("", 1, Err(Invalid::UnknownIssuer(String::new()))),
        ];
        for (organization, signer, expected) in rows {
            let mut claims = client("up=alice", MADE, 100);
            organization.clone_into(&mut claims.organization_unit);
            let token = claims.sign(&key(signer)).unwrap();
            assert_eq!(roots.verify_client(&token, at(MADE)).map(|_| ()), expected, "{organization} by {signer}");
        }
    }

    #[test]
    fn a_chained_token_ends_with_its_issuer() {
        let mut issuer = client("up=login", MADE, 50);
        issuer.standard.public_key = Some(Seed::from_bytes([2; 32]).public().to_string());
        issuer.standard.add_org_issuer(&Seed::from_bytes([1; 32])).unwrap();
        let mut user = client("up=bob", MADE, 100);
        user.standard.public_key = Some(Seed::from_bytes([3; 32]).public().to_string());
        user.standard.add_chain_issuer(&issuer, &Seed::from_bytes([2; 32])).unwrap();
        // As if the chain issuer had not lowered the expiry.
        user.standard.expires = Some(at(MADE + 100));
        let token = user.sign(&key(2)).unwrap();
        let rows = [
            (signers(&[1]), MADE, Ok(())),
            (signers(&[1]), MADE + 50, Ok(())),
            (signers(&[1]), MADE + 51, Err(Invalid::Expired)),
            (signers(&[2]), MADE, Err(Invalid::Chain(ChainFault::Appointment))),
            (signers(&[2]).with_chain_issuers(), MADE, Ok(())),
        ];
        for (number, (roots, now, expected)) in rows.into_iter().enumerate() {
            assert_eq!(roots.verify_client(&token, at(now)).map(|_| ()), expected, "row {number}");
        }
        let forged = user.sign(&key(1)).unwrap();
        assert_eq!(signers(&[1]).verify_client(&forged, at(MADE)).map(|_| ()), Err(Invalid::Signature));
        assert!(signers(&[1]).verify_client(&issuer.sign(&key(1)).unwrap(), at(MADE)).is_ok(), "the issuer itself");
    }

    #[test]
    fn a_server_token_with_half_a_chain_is_refused() {
        let mut claims = server();
        assert!(signers(&[1]).verify_server(&claims.sign(&key(1)).unwrap(), at(MADE)).is_ok());
        claims.standard.trust_chain_signature = Some("00".to_owned());
        let token = claims.sign(&key(1)).unwrap();
        assert_eq!(signers(&[1]).verify_server(&token, at(MADE)).map(|_| ()), Err(Invalid::Expired));
    }

    #[test]
    fn rsa_tokens_need_an_rsa_key_or_certificate() {
        let rsa = SigningKey::read(&data("throwaway.key.pem")).unwrap();
        let token = server().sign(&rsa).unwrap();
        let certificate = VerificationKey::read(&data("throwaway.cert.pem")).unwrap();
        let roots = TrustRoots::signers(vec![certificate]);
        assert_eq!(roots.verify_server(&token, at(MADE)).unwrap().identity, "n1.example.net");
        let ed25519 = server().sign(&key(1)).unwrap();
        let rows = [
            (roots.verify_server(&ed25519, at(MADE)), Invalid::KeyKind { needed: "ed25519" }),
            (signers(&[1]).verify_server(&token, at(MADE)), Invalid::KeyKind { needed: "RSA" }),
            (roots.verify_server(&format!("{}AAAA", &token[..token.len() - 4]), at(MADE)), Invalid::Signature),
        ];
        for (verdict, expected) in rows {
            assert_eq!(verdict.map(|_| ()), Err(expected));
        }
    }
}
