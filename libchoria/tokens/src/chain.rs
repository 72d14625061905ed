//! The chain of trust: an organization issuer lets a chain issuer sign tokens in its name (spec 01 §4, §5.1).
//!
//! | role | `iss` | `tcs` |
//! |---|---|---|
//! | chain issuer | `I-<organization key>` | organization's signature over `<jti>.<public_key>` |
//! | issued by it | `C-<issuer jti>.<issuer public_key>` | `<issuer tcs>.<issuer's signature over "<jti>.<issuer tcs>">` |

use crate::claims::{ClientClaims, StandardClaims};
use crate::issue::IssueError;
use crate::key::{PublicKey, Seed, Signature};
use crate::ksuid::Ksuid;

/// Why a chain of trust is refused, in the order in which the rules are checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainFault {
    /// `iss` is missing.
    #[error("iss is missing")]
    NoIssuer,
    /// `public_key` is missing.
    #[error("public_key is missing")]
    NoPublicKey,
    /// `tcs` is missing.
    #[error("tcs is missing")]
    NoSignature,
    /// `jti` is missing.
    #[error("jti is missing")]
    NoId,
    /// `iat` is missing.
    #[error("iat is missing")]
    NoIssueTime,
    /// `exp` is missing.
    #[error("exp is missing")]
    NoExpiry,
    /// `jti` is not a KSUID.
    #[error("jti is not a KSUID: the token was made by a release that did not know chains of trust")]
    IdFormat,
    /// The time in `jti` is not `iat`.
    #[error("the time inside jti is not iat")]
    IdTime,
    /// `issexp` is missing.
    #[error("issexp is missing")]
    NoIssuerExpiry,
    /// `iss` begins with `C-` but is not `C-<id>.<key>`.
    #[error("iss is not C-<id>.<64 hexadecimal digits>")]
    IssuerFormat,
    /// `tcs` is not as many hexadecimal signatures as the role needs.
    #[error("tcs is not made of hexadecimal signatures, one for a chain issuer and two for what it issued")]
    SignatureFormat,
    /// The organization issuer did not sign the chain issuer's id and key.
    #[error("the organization issuer did not appoint this chain issuer: compare the configured issuer's public key")]
    Appointment,
    /// The chain issuer did not sign the token's id.
    #[error("the chain issuer did not sign for this token")]
    Delegation,
    /// `iss` of a chain issuer names another organization key.
    #[error("the chain issuer belongs to another organization issuer")]
    OtherOrganization,
    /// `iss` is neither `I-…` nor `C-…`.
    #[error("iss is free text: the token is not part of a chain")]
    NotChained,
}

/// Who issued a token through a chain, as its `iss` and `tcs` tell; not verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChainLink<'c> {
    /// The chain issuer's token id.
    pub issuer_id: &'c str,
    /// The chain issuer's public key bytes; 32 of them in a valid token.
    issuer_key: Vec<u8>,
    /// The organization's signature over the chain issuer, as hexadecimal text.
    appointment: &'c str,
    /// The chain issuer's signature over this token, of any length.
    delegation: Vec<u8>,
}

// Reading and verifying

impl StandardClaims {
    /// Whether the token claims that its holder may issue others; a hint that [`StandardClaims::is_chain_issuer`]
    /// settles.
    #[must_use]
    pub fn claims_to_issue(&self) -> bool {
        self.trust_chain_signature.is_some() && self.issuer.starts_with(ORGANIZATION)
    }

    /// Whether the organization issuer named in `iss` let the holder issue tokens. Trust in that organization is for
    /// the caller to judge.
    #[must_use]
    pub fn is_chain_issuer(&self) -> bool {
        let organization = self.issuer.strip_prefix(ORGANIZATION).and_then(|key| key.parse::<PublicKey>().ok());
        organization.is_some_and(|key| self.is_appointed_by(&key))
    }

    /// Checks that this is the token of a chain issuer of `organization` (spec 01 §5.1, `I-` tokens). Verifying a token
    /// does not ask for this.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_chain_issuer(&self, organization: &PublicKey) -> Result<(), ChainFault> {
        self.check_chain_claims()?;
        if !self.issuer.starts_with(ORGANIZATION) {
            return Err(ChainFault::NotChained);
        }
        if self.issuer != format!("{ORGANIZATION}{organization}") {
            return Err(ChainFault::OtherOrganization);
        }
        let signature = self.trust_chain_signature.as_deref().unwrap_or_default();
        hex::decode(signature).map_err(|_| ChainFault::SignatureFormat)?;
        if self.is_appointed_by(organization) { Ok(()) } else { Err(ChainFault::Appointment) }
    }

    /// Who issued the token through a chain.
    ///
    /// # Errors
    /// [`ChainFault::NotChained`], [`ChainFault::IssuerFormat`] or [`ChainFault::SignatureFormat`].
    pub fn chain_link(&self) -> Result<ChainLink<'_>, ChainFault> {
        let issuer = self.issuer.strip_prefix(DELEGATE).ok_or(ChainFault::NotChained)?;
        let (issuer_id, key) = exactly_two(issuer).ok_or(ChainFault::IssuerFormat)?;
        let issuer_key = hex::decode(key).map_err(|_| ChainFault::IssuerFormat)?;
        let signatures = self.trust_chain_signature.as_deref().unwrap_or_default();
        let (appointment, delegation) = exactly_two(signatures).ok_or(ChainFault::SignatureFormat)?;
        let delegation = hex::decode(delegation).map_err(|_| ChainFault::SignatureFormat)?;
        Ok(ChainLink { issuer_id, issuer_key, appointment, delegation })
    }

    /// Whether the token says that a chain issuer signed it.
    pub(crate) fn is_delegated(&self) -> bool {
        self.issuer.starts_with(DELEGATE)
    }

    /// The chain issuer's key, after every rule of spec 01 §5.1 but the last: the token's own signature must still be
    /// verified with it.
    ///
    /// With `direct`, `trusted` may also be the chain issuer's own key, which then needs no organization.
    pub(crate) fn verify_chain(&self, trusted: &PublicKey, direct: bool) -> Result<PublicKey, ChainFault> {
        self.check_chain_claims()?;
        if self.issuer_expires.is_none() {
            return Err(ChainFault::NoIssuerExpiry);
        }
        let link = self.chain_link()?;
        if !(direct && link.issuer_key == trusted.as_bytes()) {
            link.check_appointment(trusted)?;
        }
        link.check_delegation(&self.id)
    }

    /// What every token that takes part in a chain carries.
    fn check_chain_claims(&self) -> Result<(), ChainFault> {
        let required = [
            (!self.issuer.is_empty(), ChainFault::NoIssuer),
            (self.public_key.is_some(), ChainFault::NoPublicKey),
            (self.trust_chain_signature.is_some(), ChainFault::NoSignature),
            (!self.id.is_empty(), ChainFault::NoId),
            (self.issued_at.is_some(), ChainFault::NoIssueTime),
            (self.expires.is_some(), ChainFault::NoExpiry),
        ];
        if let Some((_, fault)) = required.into_iter().find(|(present, _)| !present) {
            return Err(fault);
        }
        let id: Ksuid = self.id.parse().map_err(|_| ChainFault::IdFormat)?;
        if self.issued_at == Some(id.time()) { Ok(()) } else { Err(ChainFault::IdTime) }
    }

    /// Whether `tcs` is the signature of `organization` over this token's id and key.
    fn is_appointed_by(&self, organization: &PublicKey) -> bool {
        let signature = self.trust_chain_signature.as_deref().and_then(|text| Signature::from_hex(text).ok());
        match (signature, self.appointment()) {
            (Some(signature), Ok(appointment)) => organization.verify(appointment.as_bytes(), &signature),
            _ => false,
        }
    }

    /// What an organization signs to make the holder a chain issuer.
    fn appointment(&self) -> Result<String, IssueError> {
        let key = self.public_key.as_deref().ok_or(IssueError::ChainWithout("public_key"))?;
        if self.id.is_empty() {
            return Err(IssueError::ChainWithout("jti"));
        }
        Ok(format!("{}.{key}", self.id))
    }
}

impl ChainLink<'_> {
    /// Whether `organization` signed the chain issuer's id and key. Without this rule anybody could be a chain issuer.
    fn check_appointment(&self, organization: &PublicKey) -> Result<(), ChainFault> {
        let signature = hex::decode(self.appointment).map_err(|_| ChainFault::SignatureFormat)?;
        let signature = Signature::from_slice(&signature).map_err(|_| ChainFault::Appointment)?;
        let message = format!("{}.{}", self.issuer_id, hex::encode(&self.issuer_key));
        if organization.verify(message.as_bytes(), &signature) { Ok(()) } else { Err(ChainFault::Appointment) }
    }

    /// Whether the chain issuer signed for the token called `id`; its key.
    fn check_delegation(&self, id: &str) -> Result<PublicKey, ChainFault> {
        let key = <&[u8; 32]>::try_from(self.issuer_key.as_slice()).map_err(|_| ChainFault::IssuerFormat)?;
        let key = PublicKey::from_bytes(key).map_err(|_| ChainFault::IssuerFormat)?;
        let signature = Signature::from_slice(&self.delegation).map_err(|_| ChainFault::Delegation)?;
        let message = format!("{id}.{}", self.appointment);
        if key.verify(message.as_bytes(), &signature) { Ok(key) } else { Err(ChainFault::Delegation) }
    }
}

// Issuing

impl StandardClaims {
    /// Lets the holder issue tokens in the name of `organization`, with whose key the token must then be signed.
    ///
    /// # Errors
    /// [`IssueError::ChainWithout`] when the id or public key is not set.
    pub fn add_org_issuer(&mut self, organization: &Seed) -> Result<(), IssueError> {
        let signature = organization.sign(self.appointment()?.as_bytes());
        self.issuer = format!("{ORGANIZATION}{}", organization.public());
        self.trust_chain_signature = Some(signature.to_hex());
        Ok(())
    }

    /// Records that the chain issuer with the token `issuer` and the key `seed` issues this token, which must then be
    /// signed with that key. The token will not outlive its issuer.
    ///
    /// # Errors
    /// [`IssueError::ChainWithout`] when this token has no id, [`IssueError::Issuer`] when the issuer's token lacks what
    /// an issuer needs, [`IssueError::OtherSeed`] when the seed is not the issuer's.
    pub fn add_chain_issuer(&mut self, issuer: &ClientClaims, seed: &Seed) -> Result<(), IssueError> {
        let issuer = &issuer.standard;
        let appointment = issuer.trust_chain_signature.as_deref().ok_or(IssueError::Issuer("tcs"))?;
        let key = issuer.public_key.as_deref().ok_or(IssueError::Issuer("public_key"))?;
        let issuer_expires = issuer.expires.ok_or(IssueError::Issuer("exp"))?;
        if issuer.id.is_empty() {
            return Err(IssueError::Issuer("jti"));
        }
        if self.id.is_empty() {
            return Err(IssueError::ChainWithout("jti"));
        }
        if issuer.holder_key() != Ok(seed.public()) {
            return Err(IssueError::OtherSeed);
        }
        let delegation = seed.sign(format!("{}.{appointment}", self.id).as_bytes());
        self.issuer = format!("{DELEGATE}{}.{key}", issuer.id);
        self.issuer_expires = Some(issuer_expires);
        self.expires = Some(self.expires.map_or(issuer_expires, |own| own.min(issuer_expires)));
        self.trust_chain_signature = Some(format!("{appointment}.{}", delegation.to_hex()));
        Ok(())
    }
}

/// `left.right`, both not empty and without further dots.
fn exactly_two(text: &str) -> Option<(&str, &str)> {
    let (left, right) = text.split_once('.')?;
    let valid = !left.is_empty() && !right.is_empty() && !right.contains('.');
    valid.then_some((left, right))
}

/// Begins `iss` of chain issuers.
const ORGANIZATION: &str = "I-";
/// Begins `iss` of tokens that chain issuers made.
const DELEGATE: &str = "C-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::{at, client};

    const ISSUER_TCS: &str = "8c6f404027fc9200942d95deb53caa4990dc85d83dfc46d3df20185692418defcbc3cad2fc4b13a2604a40a712e84d526fb47654af29778188b324d9f8860504";
    const USER_TCS: &str = "338f564d67dc58fa58fd480d2aeb71a954d857eb18cc6b55d439e4daa696f96c182756c9e9d81941203ec323e033b45f4cab7a2abcb8d7e4ce8f84d92170fb08";

    fn organization() -> Seed {
        Seed::from_bytes([1; 32])
    }

    fn chain_seed() -> Seed {
        Seed::from_bytes([2; 32])
    }

    /// The documented chain issuer (spec 01 §4).
    fn chain_issuer() -> ClientClaims {
        let mut issuer = client("up=login", 1_700_000_000, 3600);
        issuer.standard.id = "2YBXZN2Ey2oglTXj87eEzpGHWSA".to_owned();
        issuer.standard.public_key = Some(chain_seed().public().to_string());
        issuer.standard.add_org_issuer(&organization()).unwrap();
        issuer
    }

    /// The documented user that the chain issuer made.
    fn user() -> StandardClaims {
        let mut user = client("up=bob", 1_700_000_100, 7200).standard;
        user.id = "2YBXlwgxCv10PIl7QatYhaEcurL".to_owned();
        user.public_key = Some(Seed::from_bytes([3; 32]).public().to_string());
        user.add_chain_issuer(&chain_issuer(), &chain_seed()).unwrap();
        user
    }

    #[test]
    fn chains_are_signed_as_documented() {
        let issuer = chain_issuer().standard;
        assert_eq!(issuer.issuer, "I-8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
        assert_eq!(issuer.trust_chain_signature.as_deref(), Some(ISSUER_TCS));
        assert!(issuer.claims_to_issue() && issuer.is_chain_issuer());
        assert_eq!(issuer.check_chain_issuer(&organization().public()), Ok(()));

        let user = user();
        let expected = "C-2YBXZN2Ey2oglTXj87eEzpGHWSA.8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394";
        assert_eq!(user.issuer, expected);
        assert_eq!(user.trust_chain_signature, Some(format!("{ISSUER_TCS}.{USER_TCS}")));
        assert_eq!(user.issuer_expires, Some(at(1_700_003_600)));
        assert_eq!(user.expires, Some(at(1_700_003_600)), "the token does not outlive its issuer");
        assert_eq!(user.chain_link().unwrap().issuer_id, "2YBXZN2Ey2oglTXj87eEzpGHWSA");
        assert_eq!(user.verify_chain(&organization().public(), false), Ok(chain_seed().public()));
        assert!(!user.claims_to_issue() && !user.is_chain_issuer());
    }

    #[test]
    fn each_rule_of_the_chain_is_checked_in_its_order() {
        type Change = fn(&mut StandardClaims);
        let rows: [(Change, ChainFault); 18] = [
            (|claims| claims.public_key = None, ChainFault::NoPublicKey),
            (|claims| claims.trust_chain_signature = None, ChainFault::NoSignature),
            (|claims| claims.id.clear(), ChainFault::NoId),
            (|claims| claims.issued_at = None, ChainFault::NoIssueTime),
            (|claims| claims.expires = None, ChainFault::NoExpiry),
            (|claims| claims.id = "0123456789abcdef0123456789abcdef".to_owned(), ChainFault::IdFormat),
            (|claims| claims.issued_at = Some(at(1_700_000_101)), ChainFault::IdTime),
            (|claims| claims.issuer_expires = None, ChainFault::NoIssuerExpiry),
            (|claims| claims.issuer = "C-".to_owned(), ChainFault::IssuerFormat),
            (|claims| claims.issuer = "C-.00".to_owned(), ChainFault::IssuerFormat),
            (|claims| claims.issuer = "C-id.".to_owned(), ChainFault::IssuerFormat),
            (|claims| claims.issuer.push_str(".00"), ChainFault::IssuerFormat),
            (|claims| claims.issuer = "C-id.zz".to_owned(), ChainFault::IssuerFormat),
            (|claims| claims.trust_chain_signature = Some(USER_TCS.to_owned()), ChainFault::SignatureFormat),
            (|claims| claims.trust_chain_signature = Some(format!("{ISSUER_TCS}.zz")), ChainFault::SignatureFormat),
            (|claims| claims.trust_chain_signature = Some(format!("{USER_TCS}.{USER_TCS}")), ChainFault::Appointment),
            (|claims| claims.trust_chain_signature = Some(format!("{ISSUER_TCS}.00")), ChainFault::Delegation),
            (
                |claims| claims.trust_chain_signature = Some(format!("{ISSUER_TCS}.{ISSUER_TCS}")),
                ChainFault::Delegation,
            ),
        ];
        for (number, (change, expected)) in rows.into_iter().enumerate() {
            let mut claims = user();
            change(&mut claims);
            assert_eq!(claims.verify_chain(&organization().public(), false), Err(expected), "row {number}");
        }
    }

    #[test]
    fn only_the_appointing_organization_is_believed() {
        let (organization, other, chain) = (organization().public(), Seed::generate().public(), chain_seed().public());
        let rows = [
            ("the organization", organization, false, Ok(chain)),
            ("another organization", other, false, Err(ChainFault::Appointment)),
            ("the chain issuer itself", chain, false, Err(ChainFault::Appointment)),
            ("the chain issuer itself, trusted directly", chain, true, Ok(chain)),
            ("another organization, direct trust allowed", other, true, Err(ChainFault::Appointment)),
        ];
        for (who, key, direct, expected) in rows {
            assert_eq!(user().verify_chain(&key, direct), expected, "{who}");
        }
        let issuer = chain_issuer().standard;
        assert_eq!(issuer.check_chain_issuer(&other), Err(ChainFault::OtherOrganization));
        assert_eq!(user().check_chain_issuer(&organization), Err(ChainFault::NotChained));
        let stolen = StandardClaims { public_key: Some(other.to_string()), ..issuer };
        assert_eq!(stolen.check_chain_issuer(&organization), Err(ChainFault::Appointment));
    }

    #[test]
    fn only_a_complete_issuer_with_its_own_seed_issues() {
        type Change = fn(&mut StandardClaims);
        let rows: [(Change, IssueError); 4] = [
            (|issuer| issuer.trust_chain_signature = None, IssueError::Issuer("tcs")),
            (|issuer| issuer.public_key = None, IssueError::Issuer("public_key")),
            (|issuer| issuer.expires = None, IssueError::Issuer("exp")),
            (|issuer| issuer.id.clear(), IssueError::Issuer("jti")),
        ];
        for (change, expected) in rows {
            let mut issuer = chain_issuer();
            change(&mut issuer.standard);
            assert_eq!(user().add_chain_issuer(&issuer, &chain_seed()), Err(expected));
        }
        assert_eq!(user().add_chain_issuer(&chain_issuer(), &Seed::generate()), Err(IssueError::OtherSeed));
        let mut nameless = StandardClaims::default();
        assert_eq!(nameless.add_org_issuer(&organization()), Err(IssueError::ChainWithout("public_key")));
    }
}
