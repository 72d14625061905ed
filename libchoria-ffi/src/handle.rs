//! Pointers in and out: every one is checked for NULL here, and nowhere else.

use crate::failure::Failure;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Where a function puts its output: a valid place of the caller's, written only on success.
#[derive(Debug)]
pub(crate) struct Slot<'a, T> {
    place: NonNull<T>,
    caller: PhantomData<&'a mut T>,
}

impl<T> Slot<'_, T> {
    /// Writes the output. What was there is not looked at: it may never have been set.
    pub(crate) fn put(self, value: T) {
        // SAFETY: only `slot` makes this, whose caller says that the place is valid for writes during the call.
        unsafe { self.place.write(value) }
    }
}

impl<T> Slot<'_, *mut T> {
    /// Hands `value` over to the caller, who frees it.
    pub(crate) fn give(self, value: T) {
        self.put(Box::into_raw(Box::new(value)));
    }
}

/// The place for an output.
///
/// # Errors
/// When it is NULL.
///
/// # Safety
/// `pointer` is NULL or valid for a write during `'a`.
pub(crate) unsafe fn slot<'a, T>(name: &str, pointer: *mut T) -> Result<Slot<'a, T>, Failure> {
    match NonNull::new(pointer) {
        Some(place) => Ok(Slot { place, caller: PhantomData }),
        None => Err(null(name)),
    }
}

/// A place for an output that the caller may not want.
///
/// # Safety
/// `pointer` is NULL or valid for a write during `'a`.
pub(crate) unsafe fn optional_slot<'a, T>(pointer: *mut T) -> Option<Slot<'a, T>> {
    NonNull::new(pointer).map(|place| Slot { place, caller: PhantomData })
}

/// A handle to look at.
///
/// # Errors
/// When it is NULL.
///
/// # Safety
/// `pointer` is NULL or came from [`Slot::give`], is not freed before `'a` ends, and nobody changes it meanwhile.
pub(crate) unsafe fn borrow<'a, T>(name: &str, pointer: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// A handle to change.
///
/// # Errors
/// When it is NULL.
///
/// # Safety
/// As for [`borrow`], and nobody else uses it during `'a`.
pub(crate) unsafe fn borrow_mut<'a, T>(name: &str, pointer: *mut T) -> Result<&'a mut T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(name))
}

/// A handle that comes back to be dropped; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL, or came from [`Slot::give`] and is not used again.
pub(crate) unsafe fn take<T>(pointer: *mut T) -> Option<Box<T>> {
    // SAFETY: the caller's promise; `give` made it from a box.
    (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer) })
}

/// The failure of a NULL where something is needed.
pub(crate) fn null(name: &str) -> Failure {
    Failure::argument(format!("{name} is NULL: this argument is needed"))
}
