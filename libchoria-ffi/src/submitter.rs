//! Handing messages to this machine (spec 04 §5).

use crate::boundary::{LastError, accessor, boundary, boundary_of, freeing};
use crate::draft::choria_draft;
use crate::failure::Failure;
use crate::handle::{borrow, null, slot, take};
use crate::result::choria_result;
use crate::runtime::Quiet;
use crate::text::{give_text, optional_text, owned, to_c};
use config::{Inputs, Kind, LoadError, SystemEnvironment};
use local::submission::{SubmitError, status, submit, submit_many};
use std::ffi::c_char;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use submission::{DEFAULT_SPOOL, Draft, Settings, SettingsError};

/// Where messages are handed in: the socket of choria-submit, else its spool. Free it with `choria_submitter_free`. Any thread,
/// several at once; it works on both sides of fork().
#[derive(Debug)]
pub struct choria_submitter {
    settings: Settings,
    error: LastError,
}

/// Reads where messages are handed in; neither socket nor spool is touched yet. `config` is a server's configuration file;
/// NULL is /etc/choria/server.conf, and without one that this user may read, the defaults. `socket` NULL is the configured
/// one. `CHORIA_NOT_FOUND`, `CHORIA_IO`, `CHORIA_INVALID_CONFIGURATION`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_submitter_open(
    config: *const c_char,
    socket: *const c_char,
    out: *mut *mut choria_submitter,
) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (config, socket, out) =
            unsafe { (optional_text("config", config)?, optional_text("socket", socket)?, slot("out", out)?) };
        let mut settings = settings(config)?;
        if let Some(socket) = socket {
            settings.socket = PathBuf::from(socket);
        }
        out.give(choria_submitter { settings, error: LastError::default() });
        Ok(())
    })
}

/// Frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_submitter_free(submitter: *mut choria_submitter) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take(submitter) }));
}

/// A copy of the last error of this handle, to be freed with `choria_string_free`; NULL when nothing failed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_submitter_error(submitter: *const choria_submitter) -> *mut c_char {
    // SAFETY: as in `choria_submitter_open`.
    let copy = || Some(owned(unsafe { borrow("submitter", submitter) }.ok()?.error.copy()));
    accessor(null_mut(), copy)
}

/// Hands in a message and gives its id, to be freed with `choria_string_free`. It is on the disk when this returns
/// `CHORIA_OK`. The socket is used when a service listens there; else the spool, if this user may write it.
/// `CHORIA_INVALID_MESSAGE`, `CHORIA_REFUSED`, `CHORIA_SPOOL_FULL`, `CHORIA_TOO_LARGE`, `CHORIA_UNAVAILABLE`; with `CHORIA_IO`
/// it is not known whether the message was taken. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_submitter_submit(
    submitter: *const choria_submitter,
    draft: *const choria_draft,
    id: *mut *mut c_char,
) -> choria_result {
    // SAFETY: as in `choria_submitter_open`.
    boundary_of(
        || unsafe { borrow("submitter", submitter) },
        |submitter| &submitter.error,
        |submitter| {
            // SAFETY: as above.
            let (draft, id) = unsafe { (borrow("draft", draft)?, slot("id", id)?) };
            let taken = Quiet::broken_pipes(|| submit(&submitter.settings, &draft.0))?;
            give_text(id, taken.as_str());
            Ok(())
        },
    )
}

/// Hands in many messages with few rounds of waiting for the disk. `drafts` and `ids` have `count` places. `CHORIA_OK` when all
/// were taken. After a failure, which is that of the first draft not taken, `*accepted` counts those before it; drafts behind
/// it may have been taken too. Every place of `ids` is written whenever messages were handed in: an id to be freed with
/// `choria_string_free`, or NULL for a draft that was not taken. When nothing could be handed in, `*accepted` is 0 and all
/// are NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_submitter_submit_many(
    submitter: *const choria_submitter,
    drafts: *const *const choria_draft,
    count: usize,
    ids: *mut *mut c_char,
    accepted: *mut usize,
) -> choria_result {
    // SAFETY: as in `choria_submitter_open`.
    boundary_of(
        || unsafe { borrow("submitter", submitter) },
        |submitter| &submitter.error,
        |submitter| {
            // SAFETY: as above; the header demands `count` places each.
            let (drafts, places, accepted) = unsafe {
                (pointers("drafts", drafts, count)?, places("ids", ids, count)?, slot("accepted", accepted)?)
            };
            places.fill(null_mut());
            let drafts: Vec<Draft> = drafts.iter().enumerate().map(draft).collect::<Result<_, _>>()?;
            let answers = Quiet::broken_pipes(|| submit_many(&submitter.settings, &drafts));
            let answers = match answers {
                Ok(answers) => answers,
                Err(error) => {
                    accepted.put(0);
                    return Err(error.into());
                }
            };
            let mut first_failure = None;
            for (number, (answer, place)) in answers.into_iter().zip(places.iter_mut()).enumerate() {
                match answer {
                    Ok(id) => *place = to_c(id.as_str()).into_raw(),
                    Err(error) if first_failure.is_none() => first_failure = Some((number, error)),
                    Err(_) => {}
                }
            }
            match first_failure {
                None => {
                    accepted.put(count);
                    Ok(())
                }
                Some((number, error)) => {
                    accepted.put(number);
                    Err(error.into())
                }
            }
        },
    )
}

/// What waits in the spool, what may, and what was handed in, as a JSON object to be freed with `choria_string_free`:
/// `{"spool":PATH,"messages":N,"bytes":N,"priorities":[{"priority":0,"messages":N,"bytes":N,"oldest":RFC3339|null},…],
/// "corrupt":N,"limits":{…},…}`. `CHORIA_UNAVAILABLE`, `CHORIA_IO`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_submitter_status(
    submitter: *const choria_submitter,
    json: *mut *mut c_char,
) -> choria_result {
    // SAFETY: as in `choria_submitter_open`.
    boundary_of(
        || unsafe { borrow("submitter", submitter) },
        |submitter| &submitter.error,
        |submitter| {
            // SAFETY: as above.
            let json = unsafe { slot("json", json)? };
            let status = Quiet::broken_pipes(|| status(&submitter.settings))?;
            let text =
                serde_json::to_string(&status).map_err(|error| Failure::of(choria_result::CHORIA_INTERNAL, &error))?;
            give_text(json, &text);
            Ok(())
        },
    )
}

/// The drafts of an array.
///
/// # Safety
/// `pointer` is NULL or valid for reads of `count` pointers during `'a`.
unsafe fn pointers<'a, T>(name: &str, pointer: *const *const T, count: usize) -> Result<&'a [*const T], Failure> {
    match (pointer.is_null(), count) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        (false, count) if count > MOST_DRAFTS => Err(too_many(count)),
        // SAFETY: not NULL, not longer than an object can be, and otherwise the caller's promise.
        (false, count) => Ok(unsafe { std::slice::from_raw_parts(pointer, count) }),
    }
}

/// The places for ids. What is in them is not looked at before it is written.
///
/// # Safety
/// `pointer` is NULL or valid for writes of `count` pointers during `'a`, and nobody else uses it.
unsafe fn places<'a, T>(name: &str, pointer: *mut *mut T, count: usize) -> Result<&'a mut [*mut T], Failure> {
    match (pointer.is_null(), count) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(null(name)),
        (false, count) if count > MOST_DRAFTS => Err(too_many(count)),
        (false, count) => {
            // SAFETY: the caller's promise; written first, since it may never have been, and NULL is a pointer.
            unsafe { std::ptr::write_bytes(pointer, 0, count) };
            // SAFETY: not NULL, not longer than an object can be, and otherwise the caller's promise.
            Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count) })
        }
    }
}

/// A copy of one draft of an array.
fn draft((number, pointer): (usize, &*const choria_draft)) -> Result<Draft, Failure> {
    // SAFETY: the header demands NULL or a draft in every place.
    Ok(unsafe { borrow(&format!("drafts[{number}]"), *pointer)? }.0.clone())
}

fn too_many(count: usize) -> Failure {
    Failure::argument(format!("count is {count}: at most {MOST_DRAFTS} messages are handed in at once"))
}

/// Most drafts of one call; all their payloads are held in memory at once.
const MOST_DRAFTS: usize = 65_536;

fn settings(file: Option<&str>) -> Result<Settings, Failure> {
    let environment = SystemEnvironment;
    let inputs = match config::load(Path::new(file.unwrap_or(config::build::SERVER_CONFIG)), Kind::Server, &environment)
    {
        Ok(inputs) => inputs,
        Err(error) if file.is_none() && is_out_of_reach(&error) => Inputs::empty(None, Kind::Server, &environment),
        Err(error) => return Err(error.into()),
    };
    let configured = inputs.check()?;
    let settings = match Settings::from_settings(&configured)? {
        Some(settings) => settings,
        // No spool is known here; the service knows its own.
        None => Settings::with_spool(&configured, PathBuf::from(DEFAULT_SPOOL))?,
    };
    Ok(settings)
}

/// Whether there is no file, or none that this user may read.
fn is_out_of_reach(error: &LoadError) -> bool {
    match error {
        LoadError::Missing { .. } => true,
        LoadError::Unreadable { source, .. } => source.kind() == ErrorKind::PermissionDenied,
        _ => false,
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::of(choria_result::CHORIA_INVALID_CONFIGURATION, &error)
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        let result = match &error {
            SubmitError::NoSocket(_) | SubmitError::Busy(_) => choria_result::CHORIA_UNAVAILABLE,
            SubmitError::Refused(_) => choria_result::CHORIA_REFUSED,
            SubmitError::Invalid(_) => choria_result::CHORIA_INVALID_MESSAGE,
            SubmitError::TooLarge(_) => choria_result::CHORIA_TOO_LARGE,
            SubmitError::SpoolFull(_) => choria_result::CHORIA_SPOOL_FULL,
            _ => choria_result::CHORIA_IO,
        };
        Self::of(result, &error)
    }
}
