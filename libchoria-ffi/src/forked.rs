//! Handles that use the network belong to the process that made them.

use crate::failure::Failure;
use crate::handle::take;
use crate::result::choria_result;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The process that made a handle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Process(u32);

/// A handle that knows its process.
pub(crate) trait Native {
    /// The process that made it.
    fn process(&self) -> Process;
}

/// Handles of the parent that a child was asked to free. What they hold may be locked by threads that the child does not
/// have, so they are only put aside; that they stay reachable tells leak checkers that this is on purpose.
static PUT_ASIDE: AtomicPtr<Aside> = AtomicPtr::new(null_mut());

struct Aside {
    _handle: *mut (),
    _next: *mut Self,
}

impl Process {
    /// This one.
    pub(crate) fn this() -> Self {
        Self(std::process::id())
    }

    /// # Errors
    /// `CHORIA_FORKED` when this is not the process.
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self == Self::this() {
            return Ok(());
        }
        Err(Failure::new(
            choria_result::CHORIA_FORKED,
            "the handle was made before fork() and its connection belongs to the parent: open a new client in this process",
        ))
    }
}

/// The handle that comes back to be dropped; `None` for NULL, and for one of the parent's, which is put aside.
///
/// # Safety
/// As for [`take`].
pub(crate) unsafe fn take_own<T: Native>(pointer: *mut T) -> Option<Box<T>> {
    // SAFETY: the caller's promise.
    let handle = unsafe { take(pointer) }?;
    if handle.process() == Process::this() {
        return Some(handle);
    }
    let handle = Box::into_raw(handle).cast();
    let mut next = PUT_ASIDE.load(Ordering::Acquire);
    let aside = Box::into_raw(Box::new(Aside { _handle: handle, _next: next }));
    while let Err(found) = PUT_ASIDE.compare_exchange(next, aside, Ordering::AcqRel, Ordering::Acquire) {
        next = found;
        // SAFETY: it is seen by nobody else until it is stored.
        unsafe { (*aside)._next = found };
    }
    None
}
