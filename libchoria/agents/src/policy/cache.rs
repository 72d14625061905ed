//! Prepared policies by their text, for callers whose tokens carry them with every request.

use super::rego::{InvalidPolicy, Package, Policy};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was understood, or why not.
pub(crate) type Understood = Result<Arc<Policy>, InvalidPolicy>;

/// Remembers the policies it understood, the texts that are none as well. Bounded: when it is full it forgets the half
/// that was not asked for longest.
#[derive(Debug)]
pub struct Policies {
    package: Package,
    most: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Grows with every question.
    clock: u64,
    policies: HashMap<Arc<str>, (u64, Understood)>,
}

impl Policies {
    /// Remembers at most `most` policies of `package`, at least one.
    #[must_use]
    pub fn new(package: Package, most: usize) -> Self {
        Self { package, most: most.max(1), known: Mutex::default() }
    }

    /// The policy of `text`, prepared now if it was not yet; `name` is used then.
    ///
    /// # Errors
    /// [`InvalidPolicy`], remembered like a policy.
    pub fn get(&self, name: &str, text: &str) -> Understood {
        if let Some(understood) = self.known(text) {
            return understood;
        }
        // Not under the lock: a large text takes a while, and the others need not wait for it.
        let understood = Policy::parse(name, text, self.package).map(Arc::new);
        // What is too large to be a policy is quick to refuse again and not worth its room.
        if text.len() <= super::rego::MAX_TEXT {
            self.remember(text, understood.clone());
        }
        understood
    }

    /// What is remembered of `text`.
    #[must_use]
    pub fn known(&self, text: &str) -> Option<Understood> {
        let mut known = self.lock();
        known.clock += 1;
        let now = known.clock;
        let (used, understood) = known.policies.get_mut(text)?;
        *used = now;
        Some(understood.clone())
    }

    /// How many policies are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().policies.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Only whole values are stored, so what a panicking holder left behind is usable.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, text: &str, understood: Understood) {
        let mut known = self.lock();
        if known.policies.len() >= self.most {
            let mut used: Vec<u64> = known.policies.values().map(|(used, _)| *used).collect();
            used.sort_unstable();
            let limit = used[used.len() / 2];
            known.policies.retain(|_, (used, _)| *used > limit);
        }
        let now = known.clock;
        known.policies.insert(text.into(), (now, understood));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> String {
        format!("package io.choria.aaasvc\ndefault allow = false\n# {number}\n")
    }

    #[test]
    fn a_policy_is_prepared_once_and_the_memory_is_bounded() {
        let policies = Policies::new(Package::Aaasvc, 4);
        let first = policies.get("a", &text(1)).expect("a policy");
        assert!(Arc::ptr_eq(&first, &policies.get("b", &text(1)).expect("a policy")), "it was prepared again");
        for number in 0..20 {
            policies.get("x", &text(number)).expect("a policy");
            policies.get("x", &text(1)).expect("a policy");
            assert!(policies.len() <= 4);
        }
        assert!(Arc::ptr_eq(&first, &policies.get("b", &text(1)).expect("a policy")), "the one in use was forgotten");
    }

    #[test]
    fn a_text_that_is_none_is_remembered_and_one_too_large_is_not() {
        let policies = Policies::new(Package::Aaasvc, 4);
        let error = policies.get("broken", "package").expect_err("no policy");
        assert_eq!(policies.get("broken again", "package").expect_err("no policy"), error);
        policies.get("large", &" ".repeat(super::super::rego::MAX_TEXT + 1)).expect_err("too large");
        assert_eq!(policies.len(), 1);
    }
}
