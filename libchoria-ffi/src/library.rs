//! The library itself: version, errors, texts.

use crate::boundary::{accessor, freeing, last_error};
use crate::result::{choria_result, choria_result_number};
use std::ffi::{CStr, CString, c_char};

/// The version of the library, as `0.1.0`. Static: not to be freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn choria_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of this interface, which is that of the soname: 1. It stays as long as programs need not be built again.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn choria_abi_version() -> u32 {
    1
}

/// One sentence about the last call on this thread that returned a `choria_result`; empty when that went well. Never NULL.
/// Borrowed: valid until the next such call on this thread. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn choria_last_error() -> *const c_char {
    last_error()
}

/// The name of a result, as `CHORIA_SPOOL_FULL`; `unknown` for other numbers. Static: not to be freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn choria_result_name(result: choria_result_number) -> *const c_char {
    let named = choria_result::ALL.iter().find(|known| **known as choria_result_number == result);
    named.map_or(c"unknown", |result| result.name()).as_ptr()
}

/// Frees a text that a function gave as `char *`. NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_string_free(text: *mut c_char) {
    freeing(|| {
        if !text.is_null() {
            // SAFETY: the header demands a text that this library gave, and it gives only those of `CString::into_raw`.
            drop(unsafe { CString::from_raw(text) });
        }
    });
}

/// The crate's version with its NUL.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"unknown",
};

/// The pointer to a text kept in a handle; to the empty text when there is no handle.
pub(crate) fn borrowed<'a>(find: impl FnOnce() -> Option<&'a CStr>) -> *const c_char {
    accessor(crate::boundary::EMPTY.as_ptr(), || find().map(CStr::as_ptr))
}
