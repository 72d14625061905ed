//! A failed call: its number and its sentence, and which error of the crates below becomes which number.

use crate::result::choria_result;
use std::error::Error;
use std::io::ErrorKind;
use tokens::{Category, Invalid, InvalidKey, KeyError};

/// Why a call did not go well.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The number for the caller.
    pub(crate) result: choria_result,
    /// One sentence for people.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with this sentence.
    pub(crate) fn new(result: choria_result, message: impl Into<String>) -> Self {
        Self { result, message: message.into() }
    }

    /// An argument that cannot be used.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(choria_result::CHORIA_INVALID_ARGUMENT, message)
    }

    /// `error` with everything that caused it.
    pub(crate) fn of(result: choria_result, error: &(dyn Error + 'static)) -> Self {
        Self::new(result, chain(error))
    }
}

/// The text of `error` and of its causes, joined by `: `. A cause that the text before it already tells is left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// What a file that cannot be read means.
fn of_io(kind: ErrorKind) -> choria_result {
    match kind {
        ErrorKind::NotFound => choria_result::CHORIA_NOT_FOUND,
        _ => choria_result::CHORIA_IO,
    }
}

impl From<Invalid> for Failure {
    fn from(error: Invalid) -> Self {
        let result = match error.category() {
            Category::Malformed | Category::Purpose | Category::Holder => choria_result::CHORIA_TOKEN_INVALID,
            Category::Unverifiable | Category::Signature | Category::Chain => choria_result::CHORIA_TOKEN_UNTRUSTED,
            Category::Expired | Category::NotYetValid => choria_result::CHORIA_TOKEN_EXPIRED,
        };
        Self::of(result, &error)
    }
}

impl From<InvalidKey> for Failure {
    fn from(error: InvalidKey) -> Self {
        Self::of(choria_result::CHORIA_INVALID_ARGUMENT, &error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let result = match &error {
            KeyError::Read { source, .. } | KeyError::Write { source, .. } => of_io(source.kind()),
            KeyError::TooLarge { .. } | KeyError::Key { .. } | KeyError::Pem { .. } | KeyError::NotText { .. } => {
                choria_result::CHORIA_INVALID_ARGUMENT
            }
        };
        Self::of(result, &error)
    }
}

impl From<config::LoadError> for Failure {
    fn from(error: config::LoadError) -> Self {
        let result = match &error {
            config::LoadError::Missing { .. } | config::LoadError::NoClientFile => choria_result::CHORIA_NOT_FOUND,
            config::LoadError::Unreadable { source, .. } => of_io(source.kind()),
            _ => choria_result::CHORIA_INVALID_CONFIGURATION,
        };
        Self::of(result, &error)
    }
}

impl From<config::Problems> for Failure {
    fn from(error: config::Problems) -> Self {
        Self::of(choria_result::CHORIA_INVALID_CONFIGURATION, &error)
    }
}

impl From<security::SetupErrors> for Failure {
    fn from(error: security::SetupErrors) -> Self {
        Self::of(choria_result::CHORIA_INVALID_CONFIGURATION, &error)
    }
}
