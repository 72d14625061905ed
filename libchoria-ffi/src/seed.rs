//! Seeds, signatures by them, and checking such signatures (spec 01 §1).

use crate::boundary::{boundary, freeing};
use crate::failure::Failure;
use crate::handle::{borrow, slot, take};
use crate::library::borrowed;
use crate::result::choria_result;
use crate::text::{bytes, give_text, text, to_c};
use std::ffi::{CString, c_char};
use std::path::Path;
use tokens::{PublicKey, Seed, Signature};

/// An ed25519 seed: a private key. Free it with `choria_seed_free`, which wipes it from memory. Any thread, several at once.
#[derive(Debug)]
pub struct choria_seed {
    seed: Seed,
    public_key: CString,
}

/// Reads a seed file: 64 hexadecimal characters, white space around them is allowed. `CHORIA_NOT_FOUND`, `CHORIA_IO`, or
/// `CHORIA_INVALID_ARGUMENT` when it holds no seed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_seed_open(path: *const c_char, out: *mut *mut choria_seed) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (path, out) = unsafe { (text("path", path)?, slot("out", out)?) };
        out.give(Seed::read(Path::new(path))?.into());
        Ok(())
    })
}

/// The seed with these 64 hexadecimal characters; `CHORIA_INVALID_ARGUMENT` for anything else. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_seed_from_hex(hex: *const c_char, out: *mut *mut choria_seed) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_seed_open`.
        let (hex, out) = unsafe { (text("hex", hex)?, slot("out", out)?) };
        out.give(Seed::from_hex(hex)?.into());
        Ok(())
    })
}

/// A new seed from the system's random numbers. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_seed_generate(out: *mut *mut choria_seed) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_seed_open`.
        let out = unsafe { slot("out", out)? };
        out.give(Seed::generate().into());
        Ok(())
    })
}

/// The seed's public key: 64 hexadecimal characters, "" for NULL. Borrowed from the seed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_seed_public_key(seed: *const choria_seed) -> *const c_char {
    // SAFETY: as in `choria_seed_open`.
    borrowed(|| unsafe { borrow("seed", seed) }.ok().map(|seed| seed.public_key.as_c_str()))
}

/// Signs `length` bytes. The signature has 128 hexadecimal characters, as in the header Choria-Signature; free it with
/// `choria_string_free`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_seed_sign(
    seed: *const choria_seed,
    data: *const u8,
    length: usize,
    signature_hex: *mut *mut c_char,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_seed_open`.
        let (seed, data, out) =
            unsafe { (borrow("seed", seed)?, bytes("data", data, length)?, slot("signature_hex", signature_hex)?) };
        give_text(out, &seed.seed.sign(data).to_hex());
        Ok(())
    })
}

/// Wipes the seed from memory and frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_seed_free(seed: *mut choria_seed) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(seed) }));
}

/// Checks that the holder of `public_key_hex` signed these bytes. `CHORIA_SIGNATURE_INVALID` when not;
/// `CHORIA_INVALID_ARGUMENT` when the key is none. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_signature_verify(
    public_key_hex: *const c_char,
    data: *const u8,
    length: usize,
    signature_hex: *const c_char,
) -> choria_result {
    boundary(|| {
        // SAFETY: as in `choria_seed_open`.
        let (key, data, signature) = unsafe {
            (
                text("public_key_hex", public_key_hex)?,
                bytes("data", data, length)?,
                text("signature_hex", signature_hex)?,
            )
        };
        let key: PublicKey = key.parse()?;
        let invalid = |words: &str| Failure::new(choria_result::CHORIA_SIGNATURE_INVALID, words);
        let signature = Signature::from_hex(signature).map_err(|error| invalid(&error.to_string()))?;
        if key.verify(data, &signature) {
            return Ok(());
        }
        Err(invalid("the signature was not made over these bytes with the seed of this public key"))
    })
}

impl From<Seed> for choria_seed {
    fn from(seed: Seed) -> Self {
        Self { public_key: to_c(&seed.public().to_string()), seed }
    }
}
