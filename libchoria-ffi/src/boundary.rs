//! The one door between C and Rust: panics stop here, errors become numbers, and the sentence is kept for the thread.

use crate::failure::Failure;
use crate::result::choria_result;
use crate::text::to_c;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// What went wrong last on this thread, until the next call that can fail.
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// What went wrong last with one handle; `None` until something does.
#[derive(Debug, Default)]
pub(crate) struct LastError(Mutex<Option<CString>>);

/// Runs `call` for a function that returns a result. Handles are only ever changed under a lock or by assignments that
/// cannot panic half-way, so that one whose call panicked can still be freed.
pub(crate) fn boundary(call: impl FnOnce() -> Result<(), Failure>) -> choria_result {
    settle(guarded(call), None)
}

/// As [`boundary`], for a long-lived handle that keeps its own last error too. `find` tells which.
pub(crate) fn boundary_of<'a, Handle: 'a>(
    find: impl FnOnce() -> Result<&'a Handle, Failure>,
    error: impl FnOnce(&'a Handle) -> &'a LastError,
    call: impl FnOnce(&'a Handle) -> Result<(), Failure>,
) -> choria_result {
    let find = || catch_unwind(AssertUnwindSafe(find)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
    match find() {
        Ok(handle) => settle(guarded(|| call(handle)), Some(error(handle))),
        Err(failure) => settle(Err(failure), None),
    }
}

/// Runs `call` for a function that returns something else, which is `fallback` when there is nothing to tell.
pub(crate) fn accessor<Output>(fallback: Output, call: impl FnOnce() -> Option<Output>) -> Output {
    catch_unwind(AssertUnwindSafe(call)).ok().flatten().unwrap_or(fallback)
}

/// Runs `call` for a function that frees.
pub(crate) fn freeing(call: impl FnOnce()) {
    // A destructor that panics leaks what it held, which is all that can be done about it.
    drop(catch_unwind(AssertUnwindSafe(call)));
}

/// The sentence of the last failure on this thread, valid until its next call; empty when it went well.
pub(crate) fn last_error() -> *const c_char {
    let text = LAST_ERROR.try_with(|last| last.borrow().as_ptr());
    // A thread that is ending has no sentence any more.
    text.unwrap_or(EMPTY.as_ptr())
}

impl LastError {
    /// A copy of the sentence, if there is one.
    pub(crate) fn copy(&self) -> Option<CString> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep(&self, message: &CStr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.to_owned());
    }
}

/// The empty text, for those who want a pointer to one.
pub(crate) const EMPTY: &CStr = c"";

fn guarded(call: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

/// The failure that a panic becomes.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason is known");
    Failure::new(choria_result::CHORIA_INTERNAL, format!("this is a fault of libchoria, please report it: {words}"))
}

fn settle(outcome: Result<(), Failure>, handle: Option<&LastError>) -> choria_result {
    let (result, message) = match outcome {
        Ok(()) => (choria_result::CHORIA_OK, CString::default()),
        Err(failure) => (failure.result, to_c(&failure.message)),
    };
    if let (true, Some(handle)) = (is_fault(result), handle) {
        handle.keep(&message);
    }
    // A thread that is ending keeps no sentence.
    let _ended = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
    result
}

/// Whether `result` says that something went wrong; an end, a timeout and a cancellation are what was asked for.
fn is_fault(result: choria_result) -> bool {
    !matches!(
        result,
        choria_result::CHORIA_OK
            | choria_result::CHORIA_END
            | choria_result::CHORIA_TIMEOUT
            | choria_result::CHORIA_CANCELLED
    )
}
