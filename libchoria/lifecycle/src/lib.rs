//! Lifecycle events: what servers, provisioners and governors tell the network about themselves (spec 02 §15).
//!
//! | module | holds |
//! |---|---|
//! | `event` | [`Event`], its kinds, subject and one-line text |
//! | `wire` | the JSON of an event, bare or in a CloudEvent |
//! | `cloud_event` | [`CloudEvent`], the envelope that machine events use as well |
//!
//! Values only: time and randomness are arguments, publishing is the business of others.

mod cloud_event;
mod event;
mod wire;

pub use cloud_event::CloudEvent;
pub use event::{Component, Event, GovernorStage, InvalidComponent, Kind};
pub use wire::{Format, Invalid};
