//! What one round of provisioning needs to remember. All of it is in memory: a new process begins a new round.

use rand::Rng;
use rand::rngs::StdRng;
use security::key_transport::Exchange;
use std::fmt;
use std::time::{Duration, Instant};
use tokens::Seed;
use zeroize::Zeroizing;

/// The state of the agent.
pub(super) struct State {
    random: StdRng,
    holder: Option<(String, Instant)>,
    updating: bool,
    pub(super) keys: Keys,
}

/// Keys that were made and wait for what belongs to them.
#[derive(Default)]
pub(super) struct Keys {
    /// From `gen25519`.
    pub(super) seed: Option<Seed>,
    /// From `jwt`.
    pub(super) exchange: Option<Exchange>,
    /// From `gencsr`: private key and request, PEM.
    pub(super) request: Option<(Zeroizing<String>, String)>,
}

impl State {
    pub(super) fn new(random: StdRng) -> Self {
        Self { random, holder: None, updating: false, keys: Keys::default() }
    }

    /// Takes the lock for `holder` or renews it; refuses while another holds it.
    pub(super) fn lock(&mut self, holder: &str, now: Instant) -> bool {
        let free = match &self.holder {
            Some((owner, since)) => owner == holder || now.saturating_duration_since(*since) >= LOCKED,
            None => true,
        };
        if free {
            self.holder = Some((holder.to_owned(), now));
        }
        free
    }

    /// A new exchange of keys instead of any earlier one; its public half.
    pub(super) fn new_exchange(&mut self) -> String {
        let exchange = Exchange::generate(&mut self.random);
        let public = exchange.public();
        self.keys.exchange = Some(exchange);
        public
    }

    /// A new seed instead of any earlier one; its public half and its signature of `nonce`, hexadecimal.
    pub(super) fn new_seed(&mut self, nonce: &[u8]) -> (String, String) {
        let seed = Seed::generate_with(&mut self.random);
        let answer = (seed.public().to_string(), seed.sign(nonce).to_hex());
        self.keys.seed = Some(seed);
        answer
    }

    /// Whether an update may begin; only one runs at a time.
    pub(super) fn begin_update(&mut self) -> bool {
        !std::mem::replace(&mut self.updating, true)
    }

    pub(super) fn end_update(&mut self) {
        self.updating = false;
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.random.gen_range(0..end.max(1))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// How long a provisioner keeps others out after its last call.
const LOCKED: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_lock_is_renewed_and_runs_out() {
        let mut state = State::new(StdRng::seed_from_u64(1));
        let start = Instant::now();
        let rows = [
            ("a", 0, true),
            ("b", 1, false),
            ("a", 119, true),
            ("b", 121, false),
            ("b", 238, false),
            ("b", 239, true),
            ("a", 240, false),
        ];
        for (holder, seconds, taken) in rows {
            assert_eq!(state.lock(holder, start + Duration::from_secs(seconds)), taken, "{holder} at {seconds} s");
        }
    }
}
