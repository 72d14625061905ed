//! Which nodes a request goes to, and in which batches: decided before anything is sent (spec 03a §9.1).

use names::Identity;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

/// How many of the discovered nodes a request goes to: `10` or `10%`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LimitSize {
    /// This many, or all when there are fewer.
    Count(usize),
    /// This share in percent, rounded down.
    Percent(u32),
}

/// Which of the discovered nodes a limit keeps (`rpclimitmethod`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LimitMethod {
    /// The first ones discovered.
    First,
    /// Random ones; the same seed and the same targets give the same choice. It is not the choice that the existing
    /// tools make with that seed.
    Random {
        /// The number the choice depends on.
        seed: u64,
    },
}

/// A limit on the nodes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// How many.
    pub size: LimitSize,
    /// Which ones.
    pub method: LimitMethod,
}

/// Asking some nodes at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Batching {
    /// Nodes in one batch; the last one may be smaller.
    pub size: NonZeroUsize,
    /// The wait before every batch but the first.
    pub pause: Duration,
}

/// The nodes to ask, each once, in batches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    batches: Vec<Vec<Identity>>,
    pause: Duration,
}

/// A limit that is no limit, or leaves nothing. The words are those of the existing tools.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Neither a number nor a percentage.
    #[error("could not parse limit as either number or percent: '{0}' is neither like 10 nor like 10%")]
    Unreadable(String),
    /// No node is left.
    #[error("no targets left after applying target limits of '{0}'")]
    Nothing(LimitSize),
    /// There was no node to begin with.
    #[error("no targets were discovered")]
    NoTargets,
}

impl Plan {
    /// Plans a request to `targets`: doubles are removed, then `limit` is applied, then batches are made.
    ///
    /// # Errors
    /// When no node is left.
    pub fn new(targets: Vec<Identity>, limit: Option<Limit>, batching: Option<Batching>) -> Result<Self, PlanError> {
        let mut targets = unique(targets);
        if targets.is_empty() {
            return Err(PlanError::NoTargets);
        }
        if let Some(limit) = limit {
            if let LimitMethod::Random { seed } = limit.method {
                shuffle(&mut targets, seed);
            }
            targets.truncate(limit.size.of(targets.len()));
            if targets.is_empty() {
                return Err(PlanError::Nothing(limit.size));
            }
        }
        let size = batching.map_or(targets.len(), |batching| batching.size.get());
        let batches = targets.chunks(size).map(<[Identity]>::to_vec).collect();
        Ok(Self { batches, pause: batching.map_or(Duration::ZERO, |batching| batching.pause) })
    }

    /// The batches in order; none is empty.
    #[must_use]
    pub fn batches(&self) -> &[Vec<Identity>] {
        &self.batches
    }

    /// The wait before every batch but the first.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// All nodes in the order they are asked.
    pub fn targets(&self) -> impl Iterator<Item = &Identity> {
        self.batches.iter().flatten()
    }

    /// How many nodes are asked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.iter().map(Vec::len).sum()
    }

    /// Whether no node is asked, which cannot be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

impl LimitSize {
    /// How many of `count` nodes are kept.
    fn of(self, count: usize) -> usize {
        match self {
            Self::Count(limit) => limit.min(count),
            Self::Percent(percent) => {
                let share = count as u128 * u128::from(percent) / 100;
                usize::try_from(share).unwrap_or(count).min(count)
            }
        }
    }
}

impl FromStr for LimitSize {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let unreadable = || PlanError::Unreadable(text.to_owned());
        let digits = text.strip_suffix('%').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unreadable());
        }
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent).map_err(|_| unreadable()),
            None => text.parse().map(Self::Count).map_err(|_| unreadable()),
        }
    }
}

impl std::fmt::Display for LimitSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The identities in their order, each once.
pub(crate) fn unique(identities: Vec<Identity>) -> Vec<Identity> {
    let mut seen = HashSet::with_capacity(identities.len());
    identities.into_iter().filter(|identity| seen.insert(identity.clone())).collect()
}

/// Fisher and Yates' shuffle over the SplitMix64 sequence: short, and the same on every machine and in every release.
fn shuffle(targets: &mut [Identity], seed: u64) {
    let mut state = seed;
    for last in (1..targets.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        targets.swap(last, ((u128::from(word) * (last as u128 + 1)) >> 64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(count: usize) -> Vec<Identity> {
        (0..count).map(|number| format!("target{number}").parse().expect("an identity")).collect()
    }

    fn limit(text: &str, method: LimitMethod) -> Option<Limit> {
        Some(Limit { size: text.parse().expect("a limit"), method })
    }

    #[test]
    fn limits_keep_the_documented_number() {
        let rows = [
            (10, "3", Ok(3)),
            (10, "30", Ok(10)),
            (10, "10%", Ok(1)),
            (19, "10%", Ok(1)),
            (10, "250%", Ok(10)),
            (9, "10%", Err("no targets left after applying target limits of '10%'")),
            (9, "0", Err("no targets left after applying target limits of '0'")),
            (0, "1", Err("no targets were discovered")),
        ];
        for (count, text, expected) in rows {
            for method in [LimitMethod::First, LimitMethod::Random { seed: 1 }] {
                let plan = Plan::new(targets(count), limit(text, method), None);
                let got = plan.map(|plan| plan.len()).map_err(|error| error.to_string());
                assert_eq!(got, expected.map_err(str::to_owned), "{count} {text} {method:?}");
            }
        }
        for text in ["", "%", "-1", "1.5%", "a", "1 %", "99999999999999999999999"] {
            let error = text.parse::<LimitSize>().expect_err(text).to_string();
            assert!(error.starts_with("could not parse limit as either number or percent"), "{error}");
        }
    }

    #[test]
    fn random_limits_depend_on_the_seed_alone() {
        let chosen = |seed| {
            let plan = Plan::new(targets(100), limit("5", LimitMethod::Random { seed }), None).expect("a plan");
            plan.targets().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
        assert_eq!(chosen(1), ["target22", "target96", "target24", "target79", "target63"]);
        let first = Plan::new(targets(100), limit("2", LimitMethod::First), None).expect("a plan");
        assert_eq!(first.targets().map(Identity::as_str).collect::<Vec<_>>(), ["target0", "target1"]);
    }

    #[test]
    fn doubles_are_asked_once_and_batches_hold_everyone() {
        let doubled = [targets(5), targets(7)].concat();
        let batching = Batching { size: NonZeroUsize::new(3).expect("three"), pause: Duration::from_secs(1) };
        let plan = Plan::new(doubled, None, Some(batching)).expect("a plan");
        assert_eq!(plan.batches().iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(plan.pause(), Duration::from_secs(1));
        assert_eq!(plan.targets().cloned().collect::<Vec<_>>(), targets(7));
        assert_eq!(Plan::new(targets(7), None, None).expect("a plan").batches().len(), 1);
    }
}
