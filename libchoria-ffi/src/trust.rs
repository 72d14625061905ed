//! Who is believed when a token says something (spec 01 §5.3).

use crate::boundary::{boundary, freeing};
use crate::failure::Failure;
use crate::handle::{borrow_mut, slot, take};
use crate::result::choria_result;
use crate::text::{optional_text, text};
use config::{Kind, Settings, SystemEnvironment};
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::path::PathBuf;
use tokens::{Invalid, PublicKey, TrustRoots, VerificationKey};

/// Issuers and signers whose tokens are accepted. Free it with `choria_trust_free`. One thread while it is built; then any
/// thread, several at once.
#[derive(Debug, Default)]
pub struct choria_trust {
    configured: Option<TrustRoots>,
    issuers: BTreeMap<String, PublicKey>,
    signers: Vec<VerificationKey>,
    /// Everything above, in the order in which it is tried.
    roots: Vec<TrustRoots>,
}

/// Trust in nobody so far. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_trust_new(out: *mut *mut choria_trust) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let out = unsafe { slot("out", out)? };
        out.give(choria_trust::default());
        Ok(())
    })
}

/// Trust in those that a configuration file names: `plugin.security.issuer.names` with the issuers' keys, or
/// `plugin.security.choria.trusted_signers`. `config` NULL is the file that the choria command would read.
/// `CHORIA_NOT_FOUND`, `CHORIA_IO`, or `CHORIA_INVALID_CONFIGURATION`, also when it names nobody. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_trust_from_config(config: *const c_char, out: *mut *mut choria_trust) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_trust_new`.
        let (config, out) = unsafe { (optional_text("config", config)?, slot("out", out)?) };
        let settings = client_settings(config)?;
        let nobody = || {
            let file = settings.config_file().map(|file| file.display().to_string()).unwrap_or_default();
            Failure::new(
                choria_result::CHORIA_INVALID_CONFIGURATION,
                format!(
                    "{file} names nobody who is trusted to issue tokens: set plugin.security.issuer.names and the \
                     issuers' keys, or plugin.security.choria.trusted_signers"
                ),
            )
        };
        let configured = security::trust_roots(&settings)?.ok_or_else(nobody)?;
        let mut trust = choria_trust { configured: Some(configured), ..choria_trust::default() };
        trust.gather();
        out.give(trust);
        Ok(())
    })
}

/// Also trusts the issuer of an organization, the name in a token's `ou`, whose public key has 64 hexadecimal characters.
/// A second key for the same organization replaces the first. `CHORIA_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_trust_add_issuer(
    trust: *mut choria_trust,
    organization: *const c_char,
    public_key_hex: *const c_char,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_trust_new`.
        let (trust, organization, key) = unsafe {
            (borrow_mut("trust", trust)?, text("organization", organization)?, text("public_key_hex", public_key_hex)?)
        };
        let key = key.trim().parse::<PublicKey>()?;
        trust.issuers.insert(organization.to_owned(), key);
        trust.gather();
        Ok(())
    })
}

/// Also trusts a signer for every organization: a public key of 64 hexadecimal characters, or a file that holds one, or an
/// RSA public key or certificate as PEM. `CHORIA_NOT_FOUND`, `CHORIA_IO`, `CHORIA_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_trust_add_signer(
    trust: *mut choria_trust,
    key_or_file: *const c_char,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_trust_new`.
        let (trust, key) = unsafe { (borrow_mut("trust", trust)?, text("key_or_file", key_or_file)?) };
        trust.signers.push(VerificationKey::find(key)?);
        trust.gather();
        Ok(())
    })
}

/// Frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_trust_free(trust: *mut choria_trust) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(trust) }));
}

impl choria_trust {
    /// What `judge` finds with the first of the roots that accepts, else the most telling refusal: one by a root that
    /// knows the token's organization.
    pub(crate) fn judge<T, E>(
        &self,
        mut judge: impl FnMut(&TrustRoots) -> Result<T, E>,
        is_stranger: impl Fn(&E) -> bool,
        nobody: impl FnOnce() -> E,
    ) -> Result<T, E> {
        let mut refusal: Option<E> = None;
        for roots in &self.roots {
            match judge(roots) {
                Ok(verified) => return Ok(verified),
                Err(error) if refusal.as_ref().is_none_or(&is_stranger) => refusal = Some(error),
                Err(_) => {}
            }
        }
        Err(refusal.unwrap_or_else(nobody))
    }

    /// What `verify` finds, see [`Self::judge`].
    pub(crate) fn verify<T>(&self, verify: impl FnMut(&TrustRoots) -> Result<T, Invalid>) -> Result<T, Invalid> {
        self.judge(verify, |error| matches!(error, Invalid::UnknownIssuer(_)), || Invalid::NoTrust)
    }

    fn gather(&mut self) {
        let issuers = (!self.issuers.is_empty()).then(|| TrustRoots::issuers(self.issuers.clone()));
        let signers = (!self.signers.is_empty()).then(|| TrustRoots::signers(self.signers.clone()));
        self.roots = self.configured.iter().cloned().chain(issuers).chain(signers).collect();
    }
}

/// The settings of a client: those in `file`, else in the one that the choria command would read, which is `CHORIA_CONFIG`
/// when the environment has it.
pub(crate) fn client_settings(file: Option<&str>) -> Result<Settings, Failure> {
    let environment = SystemEnvironment;
    let here = std::env::current_dir();
    let working_directory = here.map_err(|error| {
        let message =
            format!("could not determine the working directory, in which project files are looked for: {error}");
        Failure::new(choria_result::CHORIA_IO, message)
    })?;
    let named = file.map(PathBuf::from).or_else(|| std::env::var_os("CHORIA_CONFIG").map(PathBuf::from));
    let file = named.unwrap_or_else(|| config::find_client_config(&environment));
    Ok(config::load(&file, Kind::Client { working_directory }, &environment)?.check()?)
}
