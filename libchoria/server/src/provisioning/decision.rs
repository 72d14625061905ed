//! Whether a server waits to be provisioned (spec 06 §2.1, §2.2): pure, and asked once per process.
//!
//! The original deletes credentials that fail its test and asks again at every use. Here the answer is given once, from
//! what was found, and nothing is deleted.

use super::credentials::CredentialFault;
use names::Identity;

/// What was found on the node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The provisioning token.
    pub token: TokenFound,
    /// The configuration file; `None` when it does not exist.
    pub config: Option<Configured>,
}

/// The provisioning token as far as it matters for the decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenFound {
    /// There is none.
    Absent,
    /// There is one that cannot be used, and why.
    Unusable(String),
    /// There is one.
    Usable {
        /// Claim `chpd`: provision by default.
        by_default: bool,
        /// Claim `v2`: version 2 of the protocol.
        v2: bool,
        /// Whether brokers refuse it because its time is over.
        expired: bool,
    },
}

/// The configuration file as far as it matters for the decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Configured {
    /// `plugin.choria.server.provision`, when the file sets it.
    pub provision: Option<bool>,
    /// The credential test, when the configuration demands a token: the identity in the token.
    pub credentials: Option<Result<Identity, CredentialFault>>,
    /// The node's identity.
    pub identity: Identity,
}

/// What the process is from now on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// A member of the fleet.
    Fleet {
        /// Something the administrator should know: why the node was not provisioned although it seems to need it.
        note: Option<String>,
    },
    /// Waits to be provisioned.
    Provision {
        /// Why.
        reason: Reason,
        /// Whether the provisioning token has expired, so that the broker refuses it until it is replaced.
        expired: bool,
    },
    /// Does not start.
    Refuse(Refusal),
}

/// Why a node waits to be provisioned.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Reason {
    /// There is no configuration file.
    #[error("there is no configuration file")]
    NoConfiguration,
    /// The node's own credentials cannot be used; they stay where they are until new ones have come.
    #[error("{0}")]
    Credentials(CredentialFault),
    /// The token is another node's, as on a copied disk.
    #[error("the server token is for {token} and this node is {identity}")]
    OtherIdentity {
        /// Identity in the token.
        token: Identity,
        /// Identity of the node.
        identity: Identity,
    },
    /// The configuration asks for it.
    #[error("the configuration sets plugin.choria.server.provision")]
    Configured,
    /// The token asks for it and the configuration says nothing.
    #[error(
        "the provisioning token asks for it (claim chpd) and the configuration does not set plugin.choria.server.provision = false"
    )]
    Default,
}

/// Why a server does not start.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Neither configuration nor token.
    #[error(
        "configuration file {file} was not found and provisioning is disabled: write the file, or put a provisioning token beside it or into /etc/choria/provisioning.jwt"
    )]
    Nothing {
        /// The configuration file.
        file: String,
    },
    /// No configuration, and the token cannot be used.
    #[error("configuration file {file} was not found and the node cannot be provisioned: {why}")]
    Unusable {
        /// The configuration file.
        file: String,
        /// What is wrong with the token.
        why: String,
    },
    /// No configuration or no credentials, and the token does not provision by default. The original runs on without
    /// verifying any request.
    #[error(
        "{why}, and the provisioning token does not provision by default: make it with --default (claim chpd; provisioning.default of a custom build), or set plugin.choria.server.provision = true in {file}"
    )]
    NotByDefault {
        /// The configuration file.
        file: String,
        /// What is missing.
        why: Reason,
    },
    /// The token wants the first version of the protocol.
    #[error(
        "{why}, and the provisioning token asks for version 1 of the protocol, which this server does not speak: make it with --protocol-v2 (claim v2)"
    )]
    Protocol {
        /// Why the node would be provisioned.
        why: Reason,
    },
}

/// Decides from what was found; `file` is the configuration file, for words.
#[must_use]
pub fn decide(found: &Found, file: &str) -> Decision {
    let Some(config) = &found.config else { return without_configuration(&found.token, file) };
    let Some(reason) = reason(config) else {
        // Credentials are well, or none are needed; only the token or the file may ask for more.
        return match (&found.token, config.provision) {
            (TokenFound::Usable { .. } | TokenFound::Absent, Some(false)) | (TokenFound::Absent, None) => {
                Decision::Fleet { note: None }
            }
            (TokenFound::Absent, Some(true)) => Decision::Fleet {
                note: Some(format!(
                    "plugin.choria.server.provision is set in {file}, but there is no provisioning token beside it or in \
                     /etc/choria/provisioning.jwt: the node is not provisioned"
                )),
            },
            (TokenFound::Unusable(why), _) => Decision::Fleet {
                note: Some(format!(
                    "the node cannot be provisioned, and nobody can call its agent choria_provision: {why}"
                )),
            },
            (token, Some(true)) => provision(token, Reason::Configured),
            (token @ TokenFound::Usable { by_default: true, .. }, None) => provision(token, Reason::Default),
            (TokenFound::Usable { .. }, None) => Decision::Fleet { note: None },
        };
    };
    match (&found.token, &reason) {
        // The checks of a member name every fault of its credentials; an expired token may be replaced while it waits.
        (TokenFound::Absent, _) => Decision::Fleet { note: None },
        (TokenFound::Unusable(why), reason) => {
            Decision::Fleet { note: Some(format!("{reason}, and the node cannot be provisioned again: {why}")) }
        }
        (token @ TokenFound::Usable { by_default: true, .. }, _) => provision(token, reason),
        (token, _) if config.provision == Some(true) => provision(token, reason),
        (token, Reason::OtherIdentity { .. }) => provision(token, reason),
        (_, Reason::Credentials(fault)) if fault.is_expiry() => Decision::Fleet {
            note: Some(format!("{reason}, and the provisioning token does not provision by default (claim chpd)")),
        },
        _ => Decision::Refuse(Refusal::NotByDefault { file: file.to_owned(), why: reason }),
    }
}

/// Why the credentials ask for provisioning, whatever the file says; a copied disk only where the file says nothing.
fn reason(config: &Configured) -> Option<Reason> {
    match config.credentials.as_ref()? {
        Err(fault) => Some(Reason::Credentials(fault.clone())),
        Ok(token) if *token != config.identity && config.provision != Some(false) => {
            Some(Reason::OtherIdentity { token: token.clone(), identity: config.identity.clone() })
        }
        Ok(_) => None,
    }
}

fn without_configuration(token: &TokenFound, file: &str) -> Decision {
    let file = file.to_owned();
    match token {
        TokenFound::Absent => Decision::Refuse(Refusal::Nothing { file }),
        TokenFound::Unusable(why) => Decision::Refuse(Refusal::Unusable { file, why: why.clone() }),
        TokenFound::Usable { by_default: false, .. } => {
            Decision::Refuse(Refusal::NotByDefault { file, why: Reason::NoConfiguration })
        }
        token => provision(token, Reason::NoConfiguration),
    }
}

fn provision(token: &TokenFound, reason: Reason) -> Decision {
    match token {
        TokenFound::Usable { v2: true, expired, .. } => Decision::Provision { reason, expired: *expired },
        _ => Decision::Refuse(Refusal::Protocol { why: reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: &str = "fleet";
    const NOTED: &str = "fleet, noted";

    fn usable(by_default: bool, v2: bool) -> TokenFound {
        TokenFound::Usable { by_default, v2, expired: false }
    }

    fn configured(provision: Option<bool>, credentials: Option<Result<&str, CredentialFault>>) -> Option<Configured> {
        let credentials = credentials.map(|found| found.map(|name| name.parse().expect("a name")));
        Some(Configured { provision, credentials, identity: "n1".parse().expect("a name") })
    }

    fn missing() -> Option<Result<&'static str, CredentialFault>> {
        Some(Err(CredentialFault::Unreadable("cannot read /c/server.jwt".to_owned())))
    }

    fn expired() -> Option<Result<&'static str, CredentialFault>> {
        Some(Err(CredentialFault::Expired { file: "/c/server.jwt".to_owned() }))
    }

    fn word(decision: &Decision) -> &'static str {
        match decision {
            Decision::Fleet { note: None } => FLEET,
            Decision::Fleet { note: Some(_) } => NOTED,
            Decision::Provision { reason: Reason::NoConfiguration, .. } => "no configuration",
            Decision::Provision { reason: Reason::Credentials(_), .. } => "credentials",
            Decision::Provision { reason: Reason::OtherIdentity { .. }, .. } => "other identity",
            Decision::Provision { reason: Reason::Configured, .. } => "configured",
            Decision::Provision { reason: Reason::Default, .. } => "default",
            Decision::Refuse(Refusal::Nothing { .. }) => "refused: nothing",
            Decision::Refuse(Refusal::Unusable { .. }) => "refused: unusable",
            Decision::Refuse(Refusal::NotByDefault { .. }) => "refused: not by default",
            Decision::Refuse(Refusal::Protocol { .. }) => "refused: protocol",
        }
    }

    #[test]
    fn every_row_of_the_specification() {
        let unusable = || TokenFound::Unusable("claim cht is empty".to_owned());
        let (yes, no) = (usable(true, true), usable(false, true));
        let rows = [
            // No configuration file.
            ("nothing at all", TokenFound::Absent, None, "refused: nothing"),
            ("a token alone", yes.clone(), None, "no configuration"),
            ("a token that is not for it", no.clone(), None, "refused: not by default"),
            ("a token that cannot be used", unusable(), None, "refused: unusable"),
            ("a token of version 1", usable(true, false), None, "refused: protocol"),
            // A file as packages ship it, without credentials.
            ("stock file, no token", TokenFound::Absent, configured(None, None), FLEET),
            ("stock file, token", yes.clone(), configured(None, None), "default"),
            ("stock file, token not by default", no.clone(), configured(None, None), FLEET),
            ("stock file, bad token", unusable(), configured(None, None), NOTED),
            ("off in the file", yes.clone(), configured(Some(false), None), FLEET),
            ("off in the file, bad token", unusable(), configured(Some(false), None), NOTED),
            ("on in the file", yes.clone(), configured(Some(true), None), "configured"),
            ("on in the file, token not by default", no.clone(), configured(Some(true), None), "configured"),
            ("on in the file, no token", TokenFound::Absent, configured(Some(true), None), NOTED),
            ("on in the file, version 1", usable(true, false), configured(Some(true), None), "refused: protocol"),
            // Good credentials.
            ("provisioned", yes.clone(), configured(Some(false), Some(Ok("n1"))), FLEET),
            ("provisioned, version 1 token", usable(true, false), configured(Some(false), Some(Ok("n1"))), FLEET),
            ("provisioned, file says nothing", yes.clone(), configured(None, Some(Ok("n1"))), "default"),
            ("by hand, token not by default", no.clone(), configured(None, Some(Ok("n1"))), FLEET),
            ("by hand, no token", TokenFound::Absent, configured(None, Some(Ok("n1"))), FLEET),
            ("asked again", yes.clone(), configured(Some(true), Some(Ok("n1"))), "configured"),
            // Credentials that fail: before the file is asked.
            ("missing credentials", yes.clone(), configured(Some(false), missing()), "credentials"),
            ("missing, file says nothing", yes.clone(), configured(None, missing()), "credentials"),
            ("missing, not by default", no.clone(), configured(Some(false), missing()), "refused: not by default"),
            ("missing, not by default, on", no.clone(), configured(Some(true), missing()), "credentials"),
            ("missing, no token", TokenFound::Absent, configured(Some(false), missing()), FLEET),
            ("missing, bad token", unusable(), configured(Some(false), missing()), NOTED),
            ("missing, version 1", usable(true, false), configured(Some(false), missing()), "refused: protocol"),
            ("expired credentials", yes.clone(), configured(Some(false), expired()), "credentials"),
            ("expired, not by default: waits", no.clone(), configured(Some(false), expired()), NOTED),
            ("expired, bad token: waits", unusable(), configured(Some(false), expired()), NOTED),
            // A copied disk.
            ("copy", yes.clone(), configured(None, Some(Ok("n2"))), "other identity"),
            ("copy, not by default", no, configured(None, Some(Ok("n2"))), "other identity"),
            ("copy, off: its checks refuse it", yes, configured(Some(false), Some(Ok("n2"))), FLEET),
            ("copy, no token", TokenFound::Absent, configured(None, Some(Ok("n2"))), FLEET),
        ];
        for (name, token, config, wanted) in rows {
            let decision = decide(&Found { token, config }, "/c/server.conf");
            assert_eq!(word(&decision), wanted, "{name}: {decision:?}");
        }
    }

    #[test]
    fn an_expired_token_is_told_and_provisions_all_the_same() {
        let token = TokenFound::Usable { by_default: true, v2: true, expired: true };
        let decision = decide(&Found { token, config: configured(Some(false), expired()) }, "/c/server.conf");
        assert!(matches!(decision, Decision::Provision { expired: true, .. }), "{decision:?}");
    }

    #[test]
    fn refusals_say_what_to_do() {
        let rows = [
            (TokenFound::Absent, "configuration file /c/server.conf was not found and provisioning is disabled: write"),
            (
                TokenFound::Unusable("why".to_owned()),
                "configuration file /c/server.conf was not found and the node cannot be provisioned: why",
            ),
            (
                usable(false, true),
                "there is no configuration file, and the provisioning token does not provision by default: make it with --default",
            ),
            (usable(true, false), "there is no configuration file, and the provisioning token asks for version 1"),
        ];
        for (token, beginning) in rows {
            let Decision::Refuse(refusal) = decide(&Found { token, config: None }, "/c/server.conf") else {
                panic!("{beginning}: not refused")
            };
            assert!(refusal.to_string().starts_with(beginning), "{refusal}");
        }
    }
}
