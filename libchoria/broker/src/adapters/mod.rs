//! Data adapters: messages of the fleet, unwrapped and written to a stream (spec 08 §1), as registration data is.
//!
//! | module | holds |
//! |---|---|
//! | `settings` | what is configured about adapters |
//! | `output` | from a message to what is written; pure |
//! | `counts` | what adapters count |
//! | `run` | the workers of one run of nats-server |
//!
//! An adapter is a best effort from end to end: it publishes without waiting to be acknowledged, and drops what finds its
//! queue full. As in the original nothing is verified: any server may publish to the subject that an adapter reads, and
//! the sender that is written is the one that the message names. Readers that must know more verify the message itself.

mod counts;
mod output;
mod run;
mod settings;

pub(crate) use counts::{Counts, Role};
pub(crate) use run::start;
pub(crate) use settings::{AdapterSettings, Kind, read};
