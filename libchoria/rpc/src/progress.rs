//! Who has answered, who has not, and when a request is done: no clock and no sockets (spec 03a §9.1, §9.2).

use crate::StatusCode;
use names::Identity;
use std::collections::{BTreeSet, HashSet};

/// The replies of one request so far.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Every node that was asked; empty for services, where anyone may answer.
    expected: HashSet<Identity>,
    /// Nodes of the current batch that have not answered.
    waiting: HashSet<Identity>,
    /// Nodes of earlier batches that have not answered in time.
    late: HashSet<Identity>,
    unexpected: BTreeSet<Identity>,
    service: Option<Identity>,
    is_service: bool,
    counts: Counts,
}

/// How many replies came, by outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Nodes that answered, each counted once.
    pub responses: usize,
    /// Answers with status 0.
    pub ok: usize,
    /// Answers with another status, and messages that were no valid reply.
    pub failed: usize,
}

/// What a reply means for the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// The first answer of a node that was asked.
    Expected,
    /// An answer of a node that was not asked, or its second one; it is not counted among the responses.
    Unexpected,
}

impl Progress {
    /// Expects one answer of each of `targets`, which are asked in batches, see [`Progress::begin_batch`].
    #[must_use]
    pub fn of_nodes<'a>(targets: impl IntoIterator<Item = &'a Identity>) -> Self {
        Self::new(targets.into_iter().cloned().collect(), false)
    }

    /// Expects one answer of whoever provides a service.
    #[must_use]
    pub fn of_service() -> Self {
        Self::new(HashSet::new(), true)
    }

    /// From now on the nodes of this batch are waited for; those still missing are counted as not answering, unless they
    /// answer while a later batch is waited for.
    pub fn begin_batch(&mut self, targets: &[Identity]) {
        self.late.extend(self.waiting.drain());
        self.waiting.extend(targets.iter().cloned());
    }

    /// Counts a reply.
    pub fn accept(&mut self, sender: &Identity, status: StatusCode) -> Standing {
        if !self.is_first_answer(sender) {
            self.unexpected.insert(sender.clone());
            return Standing::Unexpected;
        }
        self.counts.responses += 1;
        if status.is_ok() {
            self.counts.ok += 1;
        } else {
            self.counts.failed += 1;
        }
        Standing::Expected
    }

    /// Counts a message that is no valid reply: it cannot be read, or what proves its origin is wrong. Whoever sent it is
    /// still waited for.
    pub fn refuse(&mut self) {
        self.counts.failed += 1;
    }

    /// Whether everyone of the current batch has answered.
    #[must_use]
    pub fn is_batch_done(&self) -> bool {
        if self.is_service { self.service.is_some() } else { self.waiting.is_empty() }
    }

    /// How many nodes were asked; for a service how many answered.
    #[must_use]
    pub fn discovered(&self) -> usize {
        if self.is_service { usize::from(self.service.is_some()) } else { self.expected.len() }
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Who was asked and has not answered, sorted.
    #[must_use]
    pub fn silent(&self) -> Vec<Identity> {
        let silent: BTreeSet<_> = self.waiting.iter().chain(&self.late).cloned().collect();
        silent.into_iter().collect()
    }

    /// Who answered without being asked, or more than once, sorted.
    #[must_use]
    pub fn unexpected(&self) -> Vec<Identity> {
        self.unexpected.iter().cloned().collect()
    }

    fn new(expected: HashSet<Identity>, is_service: bool) -> Self {
        Self {
            expected,
            waiting: HashSet::new(),
            late: HashSet::new(),
            unexpected: BTreeSet::new(),
            service: None,
            is_service,
            counts: Counts::default(),
        }
    }

    fn is_first_answer(&mut self, sender: &Identity) -> bool {
        if self.is_service {
            return self.service.is_none() && self.service.insert(sender.clone()) == sender;
        }
        self.waiting.remove(sender) || self.late.remove(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Expected, Unexpected};

    fn names(text: &str) -> Vec<Identity> {
        text.split_whitespace().map(|name| name.parse().expect("an identity")).collect()
    }

    #[test]
    fn replies_are_counted_once() {
        let targets = names("a b c");
        let mut progress = Progress::of_nodes(&targets);
        progress.begin_batch(&targets);
        let rows = [
            ("a", 0, Expected, (1, 1, 0), false),
            ("a", 0, Unexpected, (1, 1, 0), false),
            ("x", 0, Unexpected, (1, 1, 0), false),
            ("b", 1, Expected, (2, 1, 1), false),
            ("c", 0, Expected, (3, 2, 1), true),
            ("c", 0, Unexpected, (3, 2, 1), true),
        ];
        for (sender, status, standing, (responses, ok, failed), done) in rows {
            let sender = sender.parse().expect("an identity");
            assert_eq!(progress.accept(&sender, StatusCode::from(status)), standing, "{sender}");
            assert_eq!(progress.counts(), Counts { responses, ok, failed }, "{sender}");
            assert_eq!(progress.is_batch_done(), done, "{sender}");
        }
        assert_eq!(progress.unexpected(), names("a c x"));
        assert_eq!((progress.discovered(), progress.silent()), (3, vec![]));
    }

    #[test]
    fn invalid_messages_fail_but_answer_for_nobody() {
        let targets = names("a");
        let mut progress = Progress::of_nodes(&targets);
        progress.begin_batch(&targets);
        progress.refuse();
        assert_eq!(progress.counts(), Counts { responses: 0, ok: 0, failed: 1 });
        assert!(!progress.is_batch_done());
        assert_eq!(progress.silent(), targets);
    }

    #[test]
    fn late_answers_of_an_earlier_batch_still_count() {
        let (first, second) = (names("a b"), names("c"));
        let mut progress = Progress::of_nodes(first.iter().chain(&second));
        progress.begin_batch(&first);
        progress.accept(&first[0], StatusCode::Ok);
        assert!(!progress.is_batch_done());
        progress.begin_batch(&second);
        assert_eq!(progress.silent(), names("b c"));
        assert_eq!(progress.accept(&first[1], StatusCode::Ok), Expected);
        assert_eq!(progress.accept(&second[0], StatusCode::Ok), Expected);
        assert!(progress.is_batch_done());
        assert_eq!((progress.counts().responses, progress.discovered()), (3, 3));
    }

    #[test]
    fn a_service_answers_once() {
        let mut progress = Progress::of_service();
        assert_eq!((progress.is_batch_done(), progress.discovered()), (false, 0));
        let hosts = names("s1 s2");
        assert_eq!(progress.accept(&hosts[0], StatusCode::Ok), Expected);
        assert_eq!(progress.accept(&hosts[1], StatusCode::Ok), Unexpected);
        assert_eq!((progress.is_batch_done(), progress.discovered(), progress.silent()), (true, 1, vec![]));
    }
}
