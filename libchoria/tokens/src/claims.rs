//! What tokens say: the claims that all share, those of each kind, and how they are read from JSON.

mod client;
mod json;
mod provisioning;
mod server;
mod standard;

pub use client::{ClientClaims, ClientPermissions};
pub use provisioning::ProvisioningClaims;
pub use server::{ServerClaims, ServerPermissions};
pub use standard::{Purpose, StandardClaims};

pub(crate) use json::{Claims, parse};

use crate::encoded::Encoded;
use crate::invalid::Invalid;

/// One kind of token.
pub(crate) trait Kind: Claims {
    /// The purpose that says so.
    const PURPOSE: Purpose;
    /// Whether a token of this kind may be signed by a chain issuer (spec 01 §5.2).
    const CHAINED: bool;

    /// The claims that all kinds share.
    fn standard(&self) -> &StandardClaims;

    /// The `ou` claim, empty when absent.
    fn organization(&self) -> &str;

    /// Whether the claims say that they are of this kind.
    fn is_kind(&self) -> bool {
        self.standard().purpose == Self::PURPOSE
    }

    /// Fills in what an absent claim means.
    fn complete(self) -> Self {
        self
    }
}

/// Reads a client token without verifying anything: for its holder, who has no issuer's key to verify it with. Nothing
/// that others sent may be judged by this.
///
/// # Errors
/// [`Invalid`] when it is malformed or not a client token.
pub fn read_client(token: &str) -> Result<ClientClaims, Invalid> {
    read(token)
}

/// Reads a server token without verifying anything: for its holder, who has no issuer's key to verify it with. Nothing
/// that others sent may be judged by this.
///
/// # Errors
/// [`Invalid`] when it is malformed or not a server token.
pub fn read_server(token: &str) -> Result<ServerClaims, Invalid> {
    read(token)
}

/// Reads a provisioning token without verifying anything: for the node that carries it as its configuration.
///
/// # Errors
/// [`Invalid`] when it is malformed or not a provisioning token.
pub fn read_provisioning(token: &str) -> Result<ProvisioningClaims, Invalid> {
    read(token)
}

fn read<T: Kind>(token: &str) -> Result<T, Invalid> {
    let claims = Encoded::<T>::parse(token)?.claims;
    check_kind(&claims)?;
    Ok(claims.complete())
}

/// Refuses claims of another kind.
pub(crate) fn check_kind<T: Kind>(claims: &T) -> Result<(), Invalid> {
    if claims.is_kind() {
        return Ok(());
    }
    Err(Invalid::Purpose { expected: T::PURPOSE, found: claims.standard().stated_purpose() })
}
