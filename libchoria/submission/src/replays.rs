//! Telling a message that was seen from one that was not.

use crate::verify::VerifiedSubmission;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Remembers the last messages by identity and id, a bounded number of them.
///
/// It keeps the same message from being handled twice, as streams deliver at least once. It is no proof: the id is not
/// signed, so who may publish can send an old payload under a new id (see [`crate::verify`]).
#[derive(Debug)]
pub struct Replays {
    most: usize,
    known: HashSet<Arc<(String, String)>>,
    order: VecDeque<Arc<(String, String)>>,
    forgotten: u64,
}

impl Replays {
    /// Remembers `most` messages, at least one. For ids as usual that is about 200 bytes each.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), known: HashSet::new(), order: VecDeque::new(), forgotten: 0 }
    }

    /// Whether this message is seen for the first time, as far as remembered; it is remembered then, and the oldest is
    /// forgotten when there are too many.
    pub fn first(&mut self, submission: &VerifiedSubmission) -> bool {
        self.first_of(&submission.identity, submission.id.as_str())
    }

    /// The same for an identity and an id.
    pub fn first_of(&mut self, identity: &str, id: &str) -> bool {
        let key = Arc::new((identity.to_owned(), id.to_owned()));
        if !self.known.insert(Arc::clone(&key)) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
                self.forgotten += 1;
            }
        }
        true
    }

    /// How many messages are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many were forgotten for others: they would be taken for new.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}
