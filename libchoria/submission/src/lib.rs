//! Submitted messages: what they are, the spool that keeps them until they are delivered, their delivery and their proof
//! (spec 04 §5).
//!
//! | module | holds |
//! |---|---|
//! | `draft` | [`Draft`], what a caller may claim; [`accept`] makes a [`Message`] of it or a [`Refusal`] |
//! | `message` | [`Message`], byte-compatible with the existing system's files |
//! | `words`, `timestamp` | [`MessageId`], [`Priority`], [`Timestamp`] and the rules for texts |
//! | `rules` | [`Rules`]: who may submit what |
//! | `account` | [`Account`]: names and groups of a user, asked of the system |
//! | `settings` | [`Settings`]: what the configuration says |
//! | [`spool`] | [`Spool`]: messages on the disk |
//! | [`schedule`] | what to deliver next, and what an attempt means |
//! | [`delivery`] | the same on the network: from the spool to the stream |
//! | [`wire`] | subject and headers of what is published |
//! | `verify`, `replays` | [`verify()`]: where a received message comes from; [`Replays`]: was it seen |
//!
//! Everything but `spool`, `delivery`, `account` and reading who owns the spool is functions over values: time and ids are arguments.

mod account;
pub mod delivery;
mod draft;
mod message;
mod replays;
mod rules;
pub mod schedule;
mod settings;
pub mod spool;
mod timestamp;
mod verify;
pub mod wire;
mod words;

pub use account::Account;
pub use draft::{Draft, Refusal, Sender, accept};
pub use message::{InvalidMessage, LONGEST_TTL, Message};
pub use replays::Replays;
pub use rules::{Caller, DEFAULT_RULES, Group, InvalidRules, Rules};
pub use settings::{DEFAULT_SPOOL, Settings, SettingsError};
pub use spool::{Claim, Entry, EntryName, InUse, Limits, Spool, SpoolError, Stored, Summary, Window};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use verify::{CLOCK_DIFFERENCE, VerifiedSubmission, VerifyError, verify};
pub use words::{
    InvalidMessageId, InvalidPriority, LONGEST_HEADER_NAME, LONGEST_HEADER_VALUE, LONGEST_NAME, LONGEST_SUBJECT,
    MOST_HEADERS, MessageId, Priority,
};
