//! What happens to a request, one event at a time.

use crate::boundary::{accessor, freeing};
use crate::handle::{borrow, optional_slot, take};
use crate::library::borrowed;
use crate::text::to_c;
use crate::token::with_length;
use rpc::client::{Event, NodeReply, Pong};
use rpc::stats::Stats;
use security::Verification;
use serde_json::json;
use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

/// What happened.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum choria_event_kind {
    /// A node that was asked answered.
    CHORIA_EVENT_REPLY = 1,
    /// A node answered a ping.
    CHORIA_EVENT_PONG = 2,
    /// A node answered that was not asked, or once more.
    CHORIA_EVENT_UNEXPECTED = 3,
    /// Something came that cannot be used as a reply; the message tells why.
    CHORIA_EVENT_INVALID = 4,
    /// Everyone answered or the time is over: once, as the last event. The data are the statistics.
    CHORIA_EVENT_DONE = 5,
}

/// A kind as it goes out: 0 when there is none. The header calls both `choria_event_kind`.
pub(crate) type choria_event_kind_number = u32;

/// One event of a request. Those that `choria_replies_next` gave are freed with `choria_event_free`, those in a callback are
/// borrowed. One thread at a time.
#[derive(Debug)]
pub struct choria_event {
    kind: choria_event_kind,
    sender: CString,
    status: i32,
    message: CString,
    data: CString,
    verified: bool,
}

/// What happened; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_event_get_kind(event: *const choria_event) -> choria_event_kind_number {
    // SAFETY: pointers are NULL, which `borrow` refuses, or as the header demands.
    accessor(0, || unsafe { borrow("event", event) }.ok().map(|event| event.kind as choria_event_kind_number))
}

/// The identity of the node, "" when there is none. Borrowed from the event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_event_sender(event: *const choria_event) -> *const c_char {
    // SAFETY: as in `choria_event_get_kind`.
    borrowed(|| unsafe { field(event, |event| &event.sender) })
}

/// The status code of a reply: 0 is well, 1 to 5 are failures. 0 for events that are no replies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_event_status(event: *const choria_event) -> i32 {
    // SAFETY: as in `choria_event_get_kind`.
    accessor(0, || unsafe { borrow("event", event) }.ok().map(|event| event.status))
}

/// The status message, "OK" when all is well. Borrowed from the event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_event_message(event: *const choria_event) -> *const c_char {
    // SAFETY: as in `choria_event_get_kind`.
    borrowed(|| unsafe { field(event, |event| &event.message) })
}

/// A JSON value, normally an object: what the node answered; for a PONG `{"latency":seconds}`; for DONE `{"discovered":n,
/// "responses":n,"ok":n,"failed":n,"silent":[…],"unexpected":[…],"seconds":x}`; `{}` when there is nothing. Its bytes are
/// counted in `length`, which may be NULL. Borrowed from the event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_event_data(event: *const choria_event, length: *mut usize) -> *const c_char {
    // SAFETY: as in `choria_event_get_kind`.
    let (data, length) = unsafe { (field(event, |event| &event.data), optional_slot(length)) };
    with_length(data, length)
}

/// Whether the signature of the reply was verified. Without issuers in the configuration, and for pongs, it never is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_event_is_verified(event: *const choria_event) -> bool {
    // SAFETY: as in `choria_event_get_kind`.
    accessor(false, || unsafe { borrow("event", event) }.ok().map(|event| event.verified))
}

/// Frees it. NULL is allowed. Not for events in a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_event_free(event: *mut choria_event) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(event) }));
}

/// A text of a handle; `None` for NULL.
///
/// # Safety
/// As for [`borrow`].
unsafe fn field<'a>(
    event: *const choria_event,
    field: impl FnOnce(&'a choria_event) -> &'a CString,
) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    unsafe { borrow("event", event) }.ok().map(|event| field(event).as_c_str())
}

impl choria_event {
    /// Whether it is the last one.
    pub(crate) fn is_last(&self) -> bool {
        self.kind == choria_event_kind::CHORIA_EVENT_DONE
    }

    fn reply(kind: choria_event_kind, reply: &NodeReply) -> Self {
        Self {
            kind,
            sender: to_c(reply.sender().as_str()),
            status: reply.body.status.number().into(),
            message: to_c(&reply.body.message),
            data: to_c(reply.body.data.get()),
            verified: reply.verification == Verification::Signature,
        }
    }

    /// The end of a ping that `responses` nodes answered in this time.
    pub(crate) fn pinged(responses: usize, time: Duration) -> Self {
        Self::done(&json!({
            "discovered": responses, "responses": responses, "ok": responses, "failed": 0,
            "silent": [], "unexpected": [], "seconds": time.as_secs_f64(),
        }))
    }

    fn finished(stats: &Stats) -> Self {
        Self::done(&json!({
            "discovered": stats.discovered, "responses": stats.responses, "ok": stats.ok, "failed": stats.failed,
            "silent": stats.silent, "unexpected": stats.unexpected, "seconds": stats.request_time.as_secs_f64(),
        }))
    }

    fn done(data: &serde_json::Value) -> Self {
        Self {
            kind: choria_event_kind::CHORIA_EVENT_DONE,
            sender: CString::default(),
            status: 0,
            message: c"OK".to_owned(),
            data: to_c(&data.to_string()),
            verified: false,
        }
    }
}

impl From<Pong> for choria_event {
    fn from(pong: Pong) -> Self {
        Self {
            kind: choria_event_kind::CHORIA_EVENT_PONG,
            sender: to_c(pong.sender.as_str()),
            status: 0,
            message: c"OK".to_owned(),
            data: to_c(&json!({"latency": pong.latency.as_secs_f64()}).to_string()),
            verified: false,
        }
    }
}

impl From<Event> for choria_event {
    fn from(event: Event) -> Self {
        match event {
            Event::Reply(reply) => Self::reply(choria_event_kind::CHORIA_EVENT_REPLY, &reply),
            Event::Unexpected(reply) => Self::reply(choria_event_kind::CHORIA_EVENT_UNEXPECTED, &reply),
            Event::Invalid(invalid) => Self {
                kind: choria_event_kind::CHORIA_EVENT_INVALID,
                sender: CString::default(),
                status: 0,
                message: to_c(&invalid.to_string()),
                data: c"{}".to_owned(),
                verified: false,
            },
            Event::Done(stats) => Self::finished(&stats),
        }
    }
}
