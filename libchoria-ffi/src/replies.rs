//! The events of a request under way.

use crate::boundary::{LastError, accessor, boundary_of, freeing, panicked};
use crate::event::choria_event;
use crate::failure::Failure;
use crate::forked::{Native, Process, take_own};
use crate::handle::{borrow, borrow_mut, slot};
use crate::library::borrowed;
use crate::queue::{End, Queue, wait};
use crate::result::choria_result;
use crate::runtime::Runtime;
use crate::text::{owned, to_c};
use futures_util::FutureExt;
use names::RequestId;
use rpc::client::{Pings, Replies};
use std::ffi::{CString, c_char, c_int};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most events that wait for the program. What comes meanwhile waits in the subscription, which holds 65,536 messages.
const WAITING: usize = 256;

/// A request under way. Free it with `choria_replies_free`, which ends it. One thread at a time, except for
/// `choria_replies_cancel`.
#[derive(Debug)]
pub struct choria_replies {
    queue: Arc<Queue<choria_event>>,
    stop: CancellationToken,
    request_id: CString,
    error: LastError,
    process: Process,
}

/// Waits for one event, which the caller frees with `choria_event_free`. `timeout_ms` -1 waits until the end, 0 does not
/// wait. `CHORIA_TIMEOUT`, `CHORIA_CANCELLED`, `CHORIA_END` after the event DONE, or why the request failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_replies_next(
    replies: *mut choria_replies,
    timeout_ms: i32,
    out: *mut *mut choria_event,
) -> choria_result {
    // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
    let find = || Ok(&*unsafe { borrow_mut("replies", replies) }?);
    boundary_of(
        find,
        |replies| &replies.error,
        |replies| {
            // SAFETY: as above.
            let out = unsafe { slot("out", out)? };
            out.give(replies.next(wait(timeout_ms))?);
            Ok(())
        },
    )
}

/// A file descriptor that is readable while an event or the end waits, for poll() and its like: then
/// `choria_replies_next` with 0 gives it. It belongs to the handle: do not read or close it. -1 for NULL only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_replies_fd(replies: *const choria_replies) -> c_int {
    // SAFETY: as in `choria_replies_next`.
    accessor(-1, || unsafe { borrow("replies", replies) }.ok().map(|replies| replies.queue.descriptor()))
}

/// Ends the request. A thread that waits in `choria_replies_next`, and every later call of it, gets `CHORIA_CANCELLED`. Any
/// thread, as long as the handle is not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_replies_cancel(replies: *const choria_replies) {
    freeing(|| {
        // SAFETY: as in `choria_replies_next`.
        let Ok(replies) = (unsafe { borrow("replies", replies) }) else { return };
        if replies.process.check().is_ok() {
            replies.cancel();
        }
    });
}

/// A copy of the last error of this handle, to be freed with `choria_string_free`; NULL when nothing failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_replies_error(replies: *const choria_replies) -> *mut c_char {
    // SAFETY: as in `choria_replies_next`.
    let copy = || Some(owned(unsafe { borrow("replies", replies) }.ok()?.error.copy()));
    accessor(std::ptr::null_mut(), copy)
}

/// The id of the request, "" for NULL. Borrowed from the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_replies_request_id(replies: *const choria_replies) -> *const c_char {
    // SAFETY: as in `choria_replies_next`.
    borrowed(|| unsafe { borrow("replies", replies) }.ok().map(|replies| replies.request_id.as_c_str()))
}

/// Ends the request if it goes on, and frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_replies_free(replies: *mut choria_replies) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take_own(replies) }));
}

impl choria_replies {
    /// The events of a request; it ends with `stop`.
    pub(crate) fn of_request(
        runtime: &Runtime,
        mut replies: Replies,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        Self::start(runtime, &replies.id().clone(), stop, |queue| async move {
            loop {
                queue.reserve().await;
                match replies.next().await {
                    Some(Ok(event)) => queue.push(event.into()),
                    Some(Err(error)) => return Failure::from(error).into(),
                    None => return End::Done,
                }
            }
        })
    }

    /// The answers to a ping; it ends with `stop`.
    pub(crate) fn of_ping(runtime: &Runtime, mut pings: Pings, stop: CancellationToken) -> Result<Self, Failure> {
        Self::start(runtime, &pings.id().clone(), stop, |queue| async move {
            let mut responses = 0;
            loop {
                queue.reserve().await;
                match pings.next().await {
                    Some(pong) => {
                        responses += 1;
                        queue.push(pong.into());
                    }
                    None => {
                        queue.push(choria_event::pinged(responses, pings.published().elapsed()));
                        return End::Done;
                    }
                }
            }
        })
    }

    /// The next event.
    pub(crate) fn next(&self, timeout: Option<Duration>) -> Result<choria_event, Failure> {
        self.process.check()?;
        self.queue.pop(timeout)
    }

    /// Ends it.
    pub(crate) fn cancel(&self) {
        self.queue.close(End::Cancelled);
        self.stop.cancel();
    }

    /// Has `pump` fill a queue until it ends or is stopped.
    fn start<Pump: Future<Output = End> + Send + 'static>(
        runtime: &Runtime,
        id: &RequestId,
        stop: CancellationToken,
        pump: impl FnOnce(Arc<Queue<choria_event>>) -> Pump,
    ) -> Result<Self, Failure> {
        let queue = Arc::new(Queue::new(WAITING)?);
        let (work, stopped, filled) = (pump(Arc::clone(&queue)), stop.clone(), Arc::clone(&queue));
        runtime.spawn(async move { filled.close(until(&stopped, work).await) });
        let (request_id, error) = (to_c(id.as_str()), LastError::default());
        Ok(Self { queue, stop, request_id, error, process: Process::this() })
    }
}

impl Native for choria_replies {
    fn process(&self) -> Process {
        self.process
    }
}

impl Drop for choria_replies {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How `work` ends, or that it was stopped first.
pub(crate) async fn until(stop: &CancellationToken, work: impl Future<Output = End>) -> End {
    tokio::select! {
        biased;
        () = stop.cancelled() => End::Cancelled,
        end = AssertUnwindSafe(work).catch_unwind() => end.unwrap_or_else(|panic| panicked(panic.as_ref()).into()),
    }
}
