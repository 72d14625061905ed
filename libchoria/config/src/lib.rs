//! Choria configuration files: the format, every key typed and documented, and nothing that acts on them.
//!
//! Three rooms, entered in this order:
//!
//! 1. text: `text` reads one file's lines, `value` and [`parse_duration`] one value;
//! 2. [`Inputs`]: what [`load`] merged from all files and the environment, with file and line, nothing judged;
//! 3. [`Settings`]: what [`Inputs::check`] made of them, or [`Problems`] that list every bad value at once.
//!
//! The keys are declared once, in [`keys`]; validation, `choria tool config` and [`man_page`] are made from there.
//! Everything but [`SystemEnvironment`] is a function over values: tests and embedding programs hand in a
//! [`FixedEnvironment`]. The facts are in spec 04b; where ours is kinder or stricter than them, the item says so.

mod brand;
pub mod build;
mod check;
mod credentials;
mod derived;
mod duration;
mod environment;
mod inputs;
mod key;
pub mod keys;
mod load;
mod man_page;
mod problems;
mod retired;
pub mod roff;
mod rule;
mod secret;
mod settings;
mod spelling;
mod text;
mod value;

pub use brand::{branded, branded_page};
pub use credentials::{CredentialError, find_credential, with_credentials};
pub use duration::{InvalidDuration, parse_duration};
pub use environment::{Environment, FixedEnvironment, SystemEnvironment};
pub use inputs::{Inputs, Kind, Place, Protection};
pub use key::{
    Boolean, CommaList, Integer, Key, KeyInfo, Lines, PathList, PathText, Section, Text, Time, Title, Type, TypedKey,
};
pub use keys::{find_key, patterns, sections, table};
pub use load::{find_client_config, load};
pub use man_page::man_page;
pub use problems::{LoadError, Problem, Problems, Warning};
pub use rule::Rule;
pub use secret::shown;
pub use settings::{Settings, SettingsBuilder};
pub use value::Value;
