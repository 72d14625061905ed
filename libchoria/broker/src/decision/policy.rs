//! What an administrator configured about connections.

use super::{Networks, Secret};
use crate::permissions::Derived;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use tokens::{StandardClaims, TrustRoots};

/// The rules every connection is judged by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose tokens count.
    pub trust: Trust,
    /// The provisioning account; `None` when `plugin.choria.network.provisioning.client_password` is not set.
    pub provisioning: Option<Provisioning>,
    /// The login of the system account, from `plugin.choria.network.system.user` and `.password`.
    pub system: Option<System>,
    /// `plugin.choria.network.deny_server_connections`: servers connect and may do nothing.
    pub deny_servers: bool,
    /// `plugin.choria.network.client_hosts`: where connections with client tokens may come from; empty is anywhere. When
    /// it names anything, a connection with only a certificate becomes a server (spec 01 §7 row e).
    pub client_hosts: Networks,
    /// `plugin.choria.network.read_only`: clients watch and change nothing.
    pub read_only: bool,
    /// `plugin.choria.network.enforce_token_expiry`: a connection ends with its token.
    pub enforce_expiry: bool,
    /// Whether `plugin.security.choria.ca` lets certificates without a token use free messaging on a network of
    /// issuers.
    pub certificates_on_issuer_network: bool,
    /// Source and destination of a mapping of the broker's own, which members must not notice.
    pub renamed: Option<(String, String)>,
}

/// Whose tokens count.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Organization issuers by organization unit: `plugin.security.issuer.names`.
    Issuers(TrustRoots),
    /// Single keys: `plugin.choria.network.client_signer_cert` and `.server_signer_cert`.
    Signers {
        /// Keys that sign client tokens; `None` refuses every client token.
        clients: Option<TrustRoots>,
        /// Keys that sign server tokens; `None` refuses every server token.
        servers: Option<TrustRoots>,
    },
}

/// The rules of the provisioning account.
#[derive(Clone)]
pub struct Provisioning {
    /// What the user `provisioner` must present.
    pub password: Secret,
    /// Whether the provisioner of an issuer network may come without a token.
    pub without_token: bool,
    /// Reads the key of `plugin.choria.network.provisioning.signer_cert` anew for each token that needs it, so that
    /// replacing the file needs no restart. `None` when the key is not set.
    pub signer: Option<Arc<dyn Fn() -> Result<TrustRoots, SignerUnavailable> + Send + Sync>>,
}

/// The login of the system account.
#[derive(Clone, Debug)]
pub struct System {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// The file of `plugin.choria.network.provisioning.signer_cert` could not be used; carries path and cause.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SignerUnavailable(pub String);

impl Policy {
    /// When a connection that presented a token with `claims` ends although it is in use; a token of a chain issuer ends
    /// with its issuer.
    #[must_use]
    pub fn end_of(&self, claims: &StandardClaims) -> Option<SystemTime> {
        if self.enforce_expiry { claims.effective_expiry() } else { None }
    }

    /// Permissions with what the broker's own mapping makes of them.
    pub(super) fn follow_renaming(&self, derived: Derived) -> Derived {
        match &self.renamed {
            Some((source, destination)) => derived.renamed(source, destination),
            None => derived,
        }
    }
}

impl Trust {
    /// The roots for client tokens.
    #[must_use]
    pub fn clients(&self) -> Option<&TrustRoots> {
        match self {
            Self::Issuers(roots) => Some(roots),
            Self::Signers { clients, .. } => clients.as_ref(),
        }
    }

    /// The roots for server tokens.
    #[must_use]
    pub fn servers(&self) -> Option<&TrustRoots> {
        match self {
            Self::Issuers(roots) => Some(roots),
            Self::Signers { servers, .. } => servers.as_ref(),
        }
    }
}

impl fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signer = if self.signer.is_some() { "from a file" } else { "none" };
        f.debug_struct("Provisioning")
            .field("password", &self.password)
            .field("without_token", &self.without_token)
            .field("signer", &signer)
            .finish()
    }
}
