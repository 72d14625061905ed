//! What the fuzz targets do with foreign bytes, as ordinary functions: libFuzzer drives them from `../fuzz_targets`,
//! and `tests/replay.rs` gives them the recorded data and all past finds on a stable compiler.
//!
//! | module | holds |
//! |---|---|
//! | `token`, `configuration`, `transport`, `request`, `filter`, `ddl`, `expression`, `policy`, `helper`, `submission`, `varlink` | one target each |
//! | `seeds` | first inputs, made from the recorded data at run time |
//! | `party` | the keys and the provider that targets sign and verify with |
//!
//! A target panics when a rule does not hold: what it reads and writes is the same again, what is refused stays refused,
//! nothing that nobody trusted signed is believed, and no text that people read holds a secret or a second line. That a
//! target ends in time and in little memory is watched by libFuzzer (`../run`).

mod configuration;
mod ddl;
mod expression;
mod filter;
mod helper;
mod party;
mod policy;
mod request;
pub mod seeds;
mod submission;
mod token;
mod transport;
mod varlink;

use std::fmt;

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, of the libFuzzer program and of its folder of past finds.
    pub name: &'static str,
    /// What it does with one input.
    ///
    /// # Panics
    /// When a rule does not hold.
    pub run: fn(&[u8]),
    /// Its first inputs with a name each, made from the recorded data.
    pub seeds: fn() -> Vec<(String, Vec<u8>)>,
}

/// All targets.
pub const ALL: [Target; 11] = [
    Target { name: "token", run: token::run, seeds: seeds::token },
    Target { name: "configuration", run: configuration::run, seeds: seeds::configuration },
    Target { name: "transport", run: transport::run, seeds: seeds::transport },
    Target { name: "request", run: request::run, seeds: seeds::request },
    Target { name: "filter", run: filter::run, seeds: seeds::filter },
    Target { name: "ddl", run: ddl::run, seeds: seeds::ddl },
    Target { name: "expression", run: expression::run, seeds: seeds::expression },
    Target { name: "policy", run: policy::run, seeds: seeds::policy },
    Target { name: "helper", run: helper::run, seeds: seeds::helper },
    Target { name: "submission", run: submission::run, seeds: seeds::submission },
    Target { name: "varlink", run: varlink::run, seeds: varlink::seeds },
];

impl Target {
    /// The target called `name`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn find(name: &str) -> Self {
        *ALL.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no fuzz target {name}"))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Lets a panic that the tested code catches itself pass quietly; libFuzzer's own hook would end the process before it
/// is caught. What is not caught ends it still.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
}

/// What people are shown stands on one line, does nothing to their terminal and is not a book.
fn assert_readable(text: &str) {
    assert!(!text.contains(char::is_control), "control characters: {text:?}");
    assert!(text.len() <= LONGEST_REASON, "{} bytes long: {text:.200?}", text.len());
}

/// Far above what any reason needs.
const LONGEST_REASON: usize = 16 * 1024;
