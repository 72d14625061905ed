//! Tokens: verified, or read without being believed (spec 01 §2-§5).

use crate::boundary::{accessor, boundary, freeing};
use crate::failure::Failure;
use crate::handle::{Slot, borrow, optional_slot, slot, take};
use crate::library::borrowed;
use crate::result::choria_result;
use crate::text::{text, to_c};
use crate::trust::choria_trust;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{
    ClientClaims, ProvisioningClaims, Purpose, ServerClaims, StandardClaims, claims_of, purpose_of, read_client,
    read_provisioning, read_server, read_token,
};

/// What a token is for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum choria_token_kind {
    /// Identifies a client.
    CHORIA_TOKEN_CLIENT = 1,
    /// Identifies a server.
    CHORIA_TOKEN_SERVER = 2,
    /// Tells an unprovisioned server where to go.
    CHORIA_TOKEN_PROVISIONING = 3,
}

/// A kind as it goes out: 0 when there is none. The header calls both `choria_token_kind`.
pub(crate) type choria_token_kind_number = u32;

/// The claims of a token. Free it with `choria_token_free`. Any thread, several at once.
#[derive(Debug)]
pub struct choria_token {
    kind: choria_token_kind,
    verified: bool,
    identity: CString,
    organization: CString,
    public_key: CString,
    expires: i64,
    permissions: BTreeSet<String>,
    claims: CString,
}

/// Verifies a token of any kind: its signature, its chain of trust, and its times at `now`, in Unix seconds; 0 is the
/// clock of this machine. White space around the token is overlooked. `CHORIA_TOKEN_INVALID`, `CHORIA_TOKEN_UNTRUSTED`,
/// `CHORIA_TOKEN_EXPIRED`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_verify(
    trust: *const choria_trust,
    token: *const c_char,
    now: i64,
    out: *mut *mut choria_token,
) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (trust, token, out) = unsafe { (borrow("trust", trust)?, text("token", token)?, slot("out", out)?) };
        verify(trust, token.trim(), time(now)?, out)
    })
}

/// As `choria_token_verify`, for the token in a file. Also `CHORIA_NOT_FOUND`, `CHORIA_IO`, and `CHORIA_INVALID_ARGUMENT`
/// when the file is no text. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_verify_file(
    trust: *const choria_trust,
    path: *const c_char,
    now: i64,
    out: *mut *mut choria_token,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_token_verify`.
        let (trust, path, out) = unsafe { (borrow("trust", trust)?, text("path", path)?, slot("out", out)?) };
        verify(trust, &read_token(Path::new(path))?, time(now)?, out)
    })
}

/// Reads what a token of any kind says, without verifying anything: for showing it. `CHORIA_TOKEN_INVALID`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_read(token: *const c_char, out: *mut *mut choria_token) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_token_verify`.
        let (token, out) = unsafe { (text("token", token)?, slot("out", out)?) };
        let token = token.trim();
        let read = match purpose_of(token)? {
            Purpose::Client => choria_token::of_client(token, &read_client(token)?),
            Purpose::Server => choria_token::of_server(token, &read_server(token)?),
            Purpose::Provisioning => choria_token::of_provisioning(token, &read_provisioning(token)?),
            Purpose::Unknown => return Err(no_purpose()),
        };
        out.give(read?);
        Ok(())
    })
}

/// Frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_free(token: *mut choria_token) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(token) }));
}

/// What the token is for; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_get_kind(token: *const choria_token) -> choria_token_kind_number {
    // SAFETY: as in `choria_token_verify`.
    accessor(0, || unsafe { borrow("token", token) }.ok().map(|token| token.kind as choria_token_kind_number))
}

/// Whether the token was verified; false for those that were only read. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_is_verified(token: *const choria_token) -> bool {
    // SAFETY: as in `choria_token_verify`.
    accessor(false, || unsafe { borrow("token", token) }.ok().map(|token| token.verified))
}

/// Whose token it is: the identity of a server, the caller id of a client (`up=alice`), "" for provisioning tokens.
/// Borrowed from the token. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_identity(token: *const choria_token) -> *const c_char {
    // SAFETY: as in `choria_token_verify`.
    borrowed(|| unsafe { field(token, |token| &token.identity) })
}

/// The organization, claim `ou`, "" when it has none. Borrowed from the token. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_organization(token: *const choria_token) -> *const c_char {
    // SAFETY: as in `choria_token_verify`.
    borrowed(|| unsafe { field(token, |token| &token.organization) })
}

/// The public key of the token's holder: 64 hexadecimal characters, "" when it names none. Borrowed from the token. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_public_key(token: *const choria_token) -> *const c_char {
    // SAFETY: as in `choria_token_verify`.
    borrowed(|| unsafe { field(token, |token| &token.public_key) })
}

/// When the token, or the chain issuer that signed it, expires, in Unix seconds; 0 is never. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_expires(token: *const choria_token) -> i64 {
    // SAFETY: as in `choria_token_verify`.
    accessor(0, || unsafe { borrow("token", token) }.ok().map(|token| token.expires))
}

/// Whether the token grants a permission, by its name in the claim `permissions`, such as `submission` or
/// `fleet_management`. False for other names, and always for tokens that were not verified, since those grant nothing;
/// what they say is in `choria_token_claims`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_permits(token: *const choria_token, permission: *const c_char) -> bool {
    accessor(false, || {
        // SAFETY: as in `choria_token_verify`.
        let (token, permission) = unsafe { (borrow("token", token).ok()?, text("permission", permission).ok()?) };
        Some(token.verified && token.permissions.contains(permission))
    })
}

/// All claims as in the token: a JSON object, "" for NULL. Its bytes are counted in `length`, which may be NULL. Borrowed
/// from the token. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_token_claims(token: *const choria_token, length: *mut usize) -> *const c_char {
    // SAFETY: as in `choria_token_verify`.
    let (claims, length) = unsafe { (field(token, |token| &token.claims), optional_slot(length)) };
    with_length(claims, length)
}

/// The pointer to a text, and its length where the caller wants it.
pub(crate) fn with_length(text: Option<&CStr>, length: Option<Slot<'_, usize>>) -> *const c_char {
    borrowed(|| {
        if let Some(length) = length {
            length.put(text.map_or(0, |text| text.to_bytes().len()));
        }
        text
    })
}

/// The time `now` in Unix seconds; 0 is the clock.
pub(crate) fn time(now: i64) -> Result<SystemTime, Failure> {
    match u64::try_from(now) {
        Ok(0) => Ok(SystemTime::now()),
        Ok(seconds) => UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| Failure::argument(format!("now is {now}, which no clock can show"))),
        Err(_) => Err(Failure::argument(format!("now is {now}: it is Unix seconds from 1970 on, or 0 for the clock"))),
    }
}

/// `time` in Unix seconds, rounded down; 0 for none.
fn unix_seconds(time: Option<SystemTime>) -> i64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A text of a handle; `None` for NULL.
///
/// # Safety
/// As for [`borrow`].
unsafe fn field<'a>(
    token: *const choria_token,
    field: impl FnOnce(&'a choria_token) -> &'a CString,
) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    unsafe { borrow("token", token) }.ok().map(|token| field(token).as_c_str())
}

fn verify(trust: &choria_trust, token: &str, now: SystemTime, out: Slot<'_, *mut choria_token>) -> Result<(), Failure> {
    let verified = match purpose_of(token)? {
        Purpose::Client => choria_token::of_client(token, &*trust.verify(|roots| roots.verify_client(token, now))?),
        Purpose::Server => choria_token::of_server(token, &*trust.verify(|roots| roots.verify_server(token, now))?),
        Purpose::Provisioning => {
            choria_token::of_provisioning(token, &*trust.verify(|roots| roots.verify_provisioning(token, now))?)
        }
        Purpose::Unknown => return Err(no_purpose()),
    };
    out.give(choria_token { verified: true, ..verified? });
    Ok(())
}

fn no_purpose() -> Failure {
    Failure::new(
        choria_result::CHORIA_TOKEN_INVALID,
        "the token does not say what it is for: the claim purpose of Choria's tokens is choria_client_id, \
         choria_server or choria_provisioning",
    )
}

impl choria_token {
    fn of_client(token: &str, claims: &ClientClaims) -> Result<Self, Failure> {
        let granted = serde_json::to_value(claims.granted());
        let read = Self::new(token, choria_token_kind::CHORIA_TOKEN_CLIENT, &claims.standard)?;
        Ok(Self {
            identity: to_c(&claims.caller_id),
            organization: to_c(&claims.organization_unit),
            permissions: flags(granted.ok()),
            ..read
        })
    }

    fn of_server(token: &str, claims: &ServerClaims) -> Result<Self, Failure> {
        let granted = serde_json::to_value(claims.granted());
        let read = Self::new(token, choria_token_kind::CHORIA_TOKEN_SERVER, &claims.standard)?;
        Ok(Self {
            identity: to_c(&claims.identity),
            organization: to_c(&claims.organization_unit),
            permissions: flags(granted.ok()),
            ..read
        })
    }

    fn of_provisioning(token: &str, claims: &ProvisioningClaims) -> Result<Self, Failure> {
        let read = Self::new(token, choria_token_kind::CHORIA_TOKEN_PROVISIONING, &claims.standard)?;
        Ok(Self { organization: to_c(&claims.organization_unit), ..read })
    }

    fn new(token: &str, kind: choria_token_kind, standard: &StandardClaims) -> Result<Self, Failure> {
        Ok(Self {
            kind,
            verified: false,
            identity: CString::default(),
            organization: CString::default(),
            public_key: to_c(standard.public_key.as_deref().unwrap_or_default()),
            expires: unix_seconds(standard.effective_expiry()),
            permissions: BTreeSet::new(),
            claims: to_c(&Value::Object(claims_of(token)?).to_string()),
        })
    }
}

/// The names of those that are true.
fn flags(granted: Option<Value>) -> BTreeSet<String> {
    let Some(Value::Object(granted)) = granted else { return BTreeSet::new() };
    granted.into_iter().filter(|(_, granted)| *granted == Value::Bool(true)).map(|(name, _)| name).collect()
}
