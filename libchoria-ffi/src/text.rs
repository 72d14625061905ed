//! Texts and bytes in and out.

use crate::failure::Failure;
use crate::handle::{Slot, null};
use std::ffi::{CStr, CString, c_char};

/// A text that the caller gave.
///
/// # Errors
/// When it is NULL or not UTF-8.
///
/// # Safety
/// `pointer` is NULL or a NUL-terminated text that stays as it is during `'a`.
pub(crate) unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    unsafe { optional_text(name, pointer) }?.ok_or_else(|| null(name))
}

/// A text that the caller may leave out by giving NULL.
///
/// # Errors
/// When it is not UTF-8.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn optional_text<'a>(name: &str, pointer: *const c_char) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not NULL, and otherwise the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    let utf8 = |error: std::str::Utf8Error| {
        let place = error.valid_up_to();
        Failure::argument(format!("{name} is not UTF-8: the byte at {place} cannot stand there"))
    };
    text.to_str().map(Some).map_err(utf8)
}

/// Bytes that the caller gave; NULL is allowed when there are none.
///
/// # Errors
/// When it is NULL and `length` is not 0, or `length` is more than any memory holds.
///
/// # Safety
/// `pointer` is NULL or valid for reads of `length` bytes, which stay as they are during `'a`.
pub(crate) unsafe fn bytes<'a>(name: &str, pointer: *const u8, length: usize) -> Result<&'a [u8], Failure> {
    match (pointer.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        (false, length) if isize::try_from(length).is_err() => {
            Err(Failure::argument(format!("{name} has a length of {length} bytes, which no memory holds")))
        }
        // SAFETY: not NULL, not longer than an object can be, and otherwise the caller's promise.
        (false, length) => Ok(unsafe { std::slice::from_raw_parts(pointer, length) }),
    }
}

/// `text` for C. A NUL, which would end it early, becomes the replacement character.
pub(crate) fn to_c(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default())
}

/// Hands `text` over to the caller, who frees it with `choria_string_free`.
pub(crate) fn give_text(slot: Slot<'_, *mut c_char>, text: &str) {
    slot.put(to_c(text).into_raw());
}

/// A text for the caller to free; NULL for none.
pub(crate) fn owned(text: Option<CString>) -> *mut c_char {
    text.map_or(std::ptr::null_mut(), CString::into_raw)
}
