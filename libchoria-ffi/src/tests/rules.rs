//! The rules that head the header: NULL, UTF-8, outputs, panics, errors of the thread.

use crate::boundary::{LastError, boundary, boundary_of};
use crate::failure::Failure;
use crate::*;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

/// The last error of this thread.
fn last_error() -> String {
    // SAFETY: it is never NULL and stays until the next call.
    unsafe { CStr::from_ptr(choria_last_error()) }.to_str().expect("UTF-8").to_owned()
}

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

#[test]
fn a_panic_becomes_a_number_and_a_sentence() {
    let result = boundary(|| panic!("the table has {} legs", 3));
    assert_eq!(result, choria_result::CHORIA_INTERNAL);
    assert_eq!(last_error(), "this is a fault of libchoria, please report it: the table has 3 legs");
    let error = LastError::default();
    let result = boundary_of(|| Ok(&error), |error| error, |_| panic!("again"));
    assert_eq!(result, choria_result::CHORIA_INTERNAL);
    assert!(error.copy().expect("kept").to_str().expect("UTF-8").ends_with("again"));
    assert_eq!(boundary(|| Ok(())), choria_result::CHORIA_OK);
    assert_eq!(last_error(), "");
}

#[test]
fn an_end_is_no_error_of_a_handle() {
    let error = LastError::default();
    let ends = [choria_result::CHORIA_END, choria_result::CHORIA_TIMEOUT, choria_result::CHORIA_CANCELLED];
    for result in ends {
        boundary_of(|| Ok(&error), |error| error, |_| Err(Failure::new(result, "over")));
        assert_eq!(error.copy(), None, "{result:?}");
        assert_eq!(last_error(), "over", "{result:?}");
    }
}

#[test]
fn errors_belong_to_their_thread() {
    boundary(|| Err(Failure::argument("here")));
    let elsewhere = std::thread::spawn(last_error).join().expect("no panic");
    assert_eq!((last_error().as_str(), elsewhere.as_str()), ("here", ""));
}

#[test]
fn every_result_has_its_name() {
    for result in choria_result::ALL {
        // SAFETY: a static text.
        let name = unsafe { CStr::from_ptr(choria_result_name(result as u32)) };
        assert_eq!(name.to_str().expect("UTF-8"), format!("{result:?}"));
    }
    for unknown in [4, 9, 100, u32::MAX] {
        // SAFETY: a static text.
        assert_eq!(unsafe { CStr::from_ptr(choria_result_name(unknown)) }, c"unknown", "{unknown}");
    }
}

#[test]
fn texts_must_be_utf8_and_present() {
    let mut seed = null_mut();
    let rows: [(&str, *const c_char, &str); 3] = [
        ("NULL", null(), "hex is NULL: this argument is needed"),
        ("not UTF-8", c"ab\xff".as_ptr(), "hex is not UTF-8: the byte at 2 cannot stand there"),
        ("not hex", c"ab".as_ptr(), "an ed25519 key is 64 hexadecimal digits, this has 2 characters"),
    ];
    for (name, hex, expected) in rows {
        // SAFETY: NULL or a text; a place for the output.
        let result = unsafe { choria_seed_from_hex(hex, &mut seed) };
        assert_eq!(result, choria_result::CHORIA_INVALID_ARGUMENT, "{name}");
        assert_eq!(last_error(), expected, "{name}");
        assert!(seed.is_null(), "{name}: an output is written only on success");
    }
}

#[test]
fn bytes_may_be_missing_only_when_there_are_none() {
    let mut draft = null_mut();
    // SAFETY: NULL or valid.
    unsafe {
        assert_eq!(choria_draft_new(c"a.b".as_ptr(), null(), 0, &mut draft), choria_result::CHORIA_OK);
        choria_draft_free(draft);
        let rows =
            [(1, "payload is NULL: this argument is needed"), (usize::MAX, "payload is NULL: this argument is needed")];
        for (length, expected) in rows {
            let result = choria_draft_new(c"a.b".as_ptr(), null(), length, &mut draft);
            assert_eq!((result, last_error().as_str()), (choria_result::CHORIA_INVALID_ARGUMENT, expected), "{length}");
        }
        let result = choria_draft_new(c"a.b".as_ptr(), b"x".as_ptr(), usize::MAX, &mut draft);
        assert_eq!(result, choria_result::CHORIA_INVALID_ARGUMENT);
    }
}

#[test]
fn a_nul_inside_does_not_cut_a_text_short() {
    assert_eq!(crate::text::to_c("a\0b"), c("a\u{fffd}b"));
}

#[test]
fn a_seed_signs_and_its_key_verifies() {
    let (mut seed, mut signature) = (null_mut(), null_mut());
    // SAFETY: handles are used between making and freeing.
    unsafe {
        assert_eq!(choria_seed_generate(&mut seed), choria_result::CHORIA_OK);
        assert_eq!(choria_seed_sign(seed, b"text".as_ptr(), 4, &mut signature), choria_result::CHORIA_OK);
        let key = choria_seed_public_key(seed);
        assert_eq!(choria_signature_verify(key, b"text".as_ptr(), 4, signature), choria_result::CHORIA_OK);
        let other = choria_signature_verify(key, b"texd".as_ptr(), 4, signature);
        assert_eq!(other, choria_result::CHORIA_SIGNATURE_INVALID);
        let short = choria_signature_verify(key, b"text".as_ptr(), 4, c"00".as_ptr());
        assert_eq!(short, choria_result::CHORIA_SIGNATURE_INVALID);
        choria_string_free(signature);
        choria_seed_free(seed);
    }
}
