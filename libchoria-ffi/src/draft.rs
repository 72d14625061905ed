//! Messages as a caller asks for them (spec 04 §5).

use crate::boundary::{boundary, freeing};
use crate::failure::Failure;
use crate::handle::{borrow_mut, slot, take};
use crate::result::choria_result;
use crate::text::{bytes, text};
use std::ffi::c_char;
use std::time::Duration;
use submission::{Draft, Priority};

/// A message that is to be submitted. Free it with `choria_draft_free`; it may be submitted any number of times. One thread
/// at a time.
#[derive(Debug)]
pub struct choria_draft(pub(crate) Draft);

/// A draft with a copy of these `length` bytes; `payload` may be NULL when there are none. Best effort, priority 4, for a
/// day, 100 tries, unsigned. Whether it can be submitted to the subject is seen when it is submitted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_new(
    subject: *const c_char,
    payload: *const u8,
    length: usize,
    out: *mut *mut choria_draft,
) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (subject, payload, out) =
            unsafe { (text("subject", subject)?, bytes("payload", payload, length)?, slot("out", out)?) };
        out.give(choria_draft(Draft::new(subject, payload)));
        Ok(())
    })
}

/// Frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_free(draft: *mut choria_draft) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(draft) }));
}

/// Whether the message is sent until a stream has acknowledged it, in order within its priority.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_set_reliable(draft: *mut choria_draft, reliable: bool) -> choria_result {
    // SAFETY: as in `choria_draft_new`.
    change(
        || unsafe { borrow_mut("draft", draft) },
        |draft| {
            draft.0.reliable = reliable;
            Ok(())
        },
    )
}

/// 0, which is sent first, to 4, the default. `CHORIA_INVALID_MESSAGE` for others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_set_priority(draft: *mut choria_draft, priority: u32) -> choria_result {
    // SAFETY: as in `choria_draft_new`.
    change(
        || unsafe { borrow_mut("draft", draft) },
        |draft| {
            let priority = Priority::new(priority.into());
            draft.0.priority = priority.map_err(|error| invalid(error.to_string()))?;
            Ok(())
        },
    )
}

/// For how long delivery is tried, in seconds. `CHORIA_INVALID_MESSAGE` unless it is more than 0 and can be counted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_set_ttl(draft: *mut choria_draft, seconds: f64) -> choria_result {
    // SAFETY: as in `choria_draft_new`.
    change(
        || unsafe { borrow_mut("draft", draft) },
        |draft| {
            let ttl = Duration::try_from_secs_f64(seconds).ok().filter(|ttl| !ttl.is_zero());
            draft.0.ttl =
                ttl.ok_or_else(|| invalid(format!("the time to live is {seconds} seconds: it must be more than 0")))?;
            Ok(())
        },
    )
}

/// How often delivery is tried. `CHORIA_INVALID_MESSAGE` for 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_set_max_tries(draft: *mut choria_draft, tries: u32) -> choria_result {
    // SAFETY: as in `choria_draft_new`.
    change(
        || unsafe { borrow_mut("draft", draft) },
        |draft| {
            if tries == 0 {
                return Err(invalid(
                    "the number of tries is 0, with which nothing would ever be sent: it is at least 1".into(),
                ));
            }
            draft.0.max_tries = tries;
            Ok(())
        },
    )
}

/// Whether the server signs the message with its seed when it is sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_set_sign(draft: *mut choria_draft, sign: bool) -> choria_result {
    // SAFETY: as in `choria_draft_new`.
    change(
        || unsafe { borrow_mut("draft", draft) },
        |draft| {
            draft.0.sign = sign;
            Ok(())
        },
    )
}

/// Who is said to send it; by default the user that the kernel tells. Only root and the owner of the spool may name
/// another: for others submitting it is `CHORIA_REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_set_sender(draft: *mut choria_draft, sender: *const c_char) -> choria_result {
    // SAFETY: as in `choria_draft_new`.
    change(
        || unsafe { Ok((borrow_mut("draft", draft)?, text("sender", sender)?)) },
        |(draft, sender)| {
            draft.0.sender = Some(sender.to_owned());
            Ok(())
        },
    )
}

/// A header that goes with the message; a second one of the same name replaces the first. `CHORIA_INVALID_MESSAGE` when
/// name or value cannot be a header, which is seen when it is submitted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_draft_add_header(
    draft: *mut choria_draft,
    name: *const c_char,
    value: *const c_char,
) -> choria_result {
    // SAFETY: as in `choria_draft_new`.
    let find = || unsafe { Ok((borrow_mut("draft", draft)?, text("name", name)?, text("value", value)?)) };
    change(find, |(draft, name, value)| {
        draft.0.headers.insert(name.to_owned(), value.to_owned());
        Ok(())
    })
}

/// Finds the arguments, then changes the first of them.
fn change<Arguments>(
    find: impl FnOnce() -> Result<Arguments, Failure>,
    change: impl FnOnce(Arguments) -> Result<(), Failure>,
) -> choria_result {
    boundary(|| change(find()?))
}

fn invalid(message: String) -> Failure {
    Failure::new(choria_result::CHORIA_INVALID_MESSAGE, message)
}
