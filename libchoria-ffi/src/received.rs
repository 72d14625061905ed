//! Submissions as they arrive: from a consumer here, or from any other client of NATS.

use crate::boundary::{accessor, boundary, freeing};
use crate::failure::Failure;
use crate::handle::{Slot, borrow, borrow_mut, optional_slot, slot, take};
use crate::library::borrowed;
use crate::result::choria_result;
use crate::text::{bytes, text, to_c};
use crate::token::time;
use crate::trust::choria_trust;
use async_nats::jetstream::message::Acker;
use std::ffi::{CStr, CString, c_char};
use std::ptr::null;
use std::sync::Arc;
use std::time::Duration;
use submission::wire::header;
use submission::{VerifyError, verify};
use tokens::Invalid;

/// A message from a stream. Free it with `choria_received_free`. One thread at a time while it is built or verified; then any.
#[derive(Debug)]
pub struct choria_received {
    subject: CString,
    payload: Vec<u8>,
    headers: Vec<(String, CString)>,
    verified_identity: Option<CString>,
    sequence: u64,
    pub(crate) acker: Option<Arc<Acknowledge>>,
}

/// How a message of a consumer is acknowledged.
pub(crate) struct Acknowledge(pub(crate) Acker);

/// A message with a copy of these `length` bytes, as another client received it; its headers are added next. `payload` may
/// be NULL when there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_new(
    subject: *const c_char,
    payload: *const u8,
    length: usize,
    out: *mut *mut choria_received,
) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (subject, payload, out) =
            unsafe { (text("subject", subject)?, bytes("payload", payload, length)?, slot("out", out)?) };
        out.give(choria_received::new(subject, payload.to_vec()));
        Ok(())
    })
}

/// A header as it arrived. All of them must be added, also a second one of the same name: such messages are not believed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_add_header(
    received: *mut choria_received,
    name: *const c_char,
    value: *const c_char,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_received_new`.
        let (received, name, value) =
            unsafe { (borrow_mut("received", received)?, text("name", name)?, text("value", value)?) };
        received.add_header(name, value);
        Ok(())
    })
}

/// Verifies signature, token and its chain of trust, that the message names the token's identity, and that it was created
/// within `max_age` seconds before `now`; 0 is any age. The token is judged at `now`, in Unix seconds; 0 is the clock of this
/// machine. What is proven is the payload and the identity; subject, sender, time and other headers are what is claimed.
/// `CHORIA_SIGNATURE_INVALID`, `CHORIA_TOKEN_INVALID`, `CHORIA_TOKEN_UNTRUSTED`, `CHORIA_TOKEN_EXPIRED`, `CHORIA_STALE`,
/// `CHORIA_INVALID_MESSAGE` when a header cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_verify(
    received: *mut choria_received,
    trust: *const choria_trust,
    max_age: f64,
    now: i64,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_received_new`.
        let (received, trust) = unsafe { (borrow_mut("received", received)?, borrow("trust", trust)?) };
        received.verified_identity = None;
        let (now, most) = (time(now)?, age(max_age)?);
        let headers: Vec<(&str, &str)> =
            received.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
        let verified = trust.judge(
            |roots| verify(&headers, &received.payload, roots, most, now),
            |error| matches!(error, VerifyError::Untrusted(Invalid::UnknownIssuer(_))),
            || VerifyError::Untrusted(Invalid::NoTrust),
        )?;
        received.verified_identity = Some(to_c(&verified.identity));
        Ok(())
    })
}

/// Frees it. NULL is allowed. A message of a consumer that was not acknowledged comes again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_free(received: *mut choria_received) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(received) }));
}

/// The subject, "" for NULL. Borrowed from the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_subject(received: *const choria_received) -> *const c_char {
    // SAFETY: as in `choria_received_new`.
    borrowed(|| unsafe { borrow("received", received) }.ok().map(|received| received.subject.as_c_str()))
}

/// The payload; its bytes are counted in `length`, which may be NULL. NULL for NULL only. Borrowed from the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_payload(received: *const choria_received, length: *mut usize) -> *const u8 {
    accessor(null(), || {
        // SAFETY: as in `choria_received_new`.
        let (received, length) = unsafe { (borrow("received", received).ok(), optional_slot(length)) };
        let payload = received.map(|received| received.payload.as_slice());
        if let Some(length) = length {
            Slot::put(length, payload.map_or(0, <[u8]>::len));
        }
        payload.map(<[u8]>::as_ptr)
    })
}

/// The header Nats-Msg-Id, "" when it is missing. Borrowed from the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_id(received: *const choria_received) -> *const c_char {
    // SAFETY: as in `choria_received_new`.
    borrowed(|| unsafe { borrow("received", received) }.ok()?.header(header::MESSAGE_ID))
}

/// The header Choria-Sender, "" when it is missing. The signature does not cover it. Borrowed from the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_sender(received: *const choria_received) -> *const c_char {
    // SAFETY: as in `choria_received_new`.
    borrowed(|| unsafe { borrow("received", received) }.ok()?.header(header::SENDER))
}

/// Which node it is from: the token's once verified, else what the header Choria-Identity claims, "" when it is missing.
/// Borrowed from the message; verifying again ends that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_identity(received: *const choria_received) -> *const c_char {
    borrowed(|| {
        // SAFETY: as in `choria_received_new`.
        let received = unsafe { borrow("received", received) }.ok()?;
        received.verified_identity.as_deref().or_else(|| received.header(header::IDENTITY))
    })
}

/// Whether the last `choria_received_verify` went well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_is_verified(received: *const choria_received) -> bool {
    // SAFETY: as in `choria_received_new`.
    let verified = || Some(unsafe { borrow("received", received) }.ok()?.verified_identity.is_some());
    accessor(false, verified)
}

/// When it was submitted, in Unix seconds with decimals; 0 when that is missing. The signature does not cover it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_created(received: *const choria_received) -> f64 {
    accessor(0.0, || {
        // SAFETY: as in `choria_received_new`.
        let nanoseconds = unsafe { borrow("received", received) }.ok()?.header(header::CREATED)?.to_str().ok()?;
        nanoseconds.parse::<i64>().ok().map(|nanoseconds| nanoseconds as f64 / 1e9)
    })
}

/// The first header of this name, in any case; NULL when it is missing. Borrowed from the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_header(
    received: *const choria_received,
    name: *const c_char,
) -> *const c_char {
    accessor(null(), || {
        // SAFETY: as in `choria_received_new`.
        let (received, name) = unsafe { (borrow("received", received).ok()?, text("name", name).ok()?) };
        received.header(name).map(CStr::as_ptr)
    })
}

/// Its number in the stream; 0 when it is not from a consumer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_received_sequence(received: *const choria_received) -> u64 {
    // SAFETY: as in `choria_received_new`.
    accessor(0, || unsafe { borrow("received", received) }.ok().map(|received| received.sequence))
}

impl choria_received {
    pub(crate) fn new(subject: &str, payload: Vec<u8>) -> Self {
        Self { subject: to_c(subject), payload, headers: Vec::new(), verified_identity: None, sequence: 0, acker: None }
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), to_c(value)));
    }

    /// Says that it came from a consumer.
    pub(crate) fn of_consumer(self, sequence: u64, acker: Option<Acker>) -> Self {
        Self { sequence, acker: acker.map(|acker| Arc::new(Acknowledge(acker))), ..self }
    }

    pub(crate) fn is_from_consumer(&self) -> bool {
        self.sequence > 0
    }

    fn header(&self, name: &str) -> Option<&CStr> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_c_str())
    }
}

impl std::fmt::Debug for Acknowledge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acknowledge")
    }
}

/// How old a message may be; 0 is any age.
fn age(seconds: f64) -> Result<Duration, Failure> {
    if seconds == 0.0 {
        return Ok(Duration::MAX);
    }
    let unfit = |_| Failure::argument(format!("max_age is {seconds} seconds: it is more than 0, or 0 for any age"));
    Duration::try_from_secs_f64(seconds).map_err(unfit)
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let result = match &error {
            VerifyError::Untrusted(invalid) => return Self { message: error.to_string(), ..invalid.clone().into() },
            VerifyError::Expired => choria_result::CHORIA_TOKEN_EXPIRED,
            VerifyError::Malformed { header, .. } if *header == header::TOKEN => choria_result::CHORIA_TOKEN_INVALID,
            VerifyError::Malformed { header, .. } if *header != header::SIGNATURE => {
                choria_result::CHORIA_INVALID_MESSAGE
            }
            VerifyError::Missing(_)
            | VerifyError::Malformed { .. }
            | VerifyError::Signature
            | VerifyError::Identity { .. } => choria_result::CHORIA_SIGNATURE_INVALID,
            VerifyError::Stale { .. } | VerifyError::Future { .. } => choria_result::CHORIA_STALE,
        };
        Self::of(result, &error)
    }
}
