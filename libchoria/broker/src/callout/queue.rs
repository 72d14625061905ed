//! Questions that wait for a worker: the newest is answered first.
//!
//! Without a backlog the order makes no difference. With one, the oldest questions are those whose clients are about to
//! leave: answering in order of arrival would answer every one of them a moment too late (spec 10 §7).

use std::sync::{Mutex, PoisonError};
use tokio::sync::Semaphore;

/// A bounded stack between one that takes questions in and several that answer.
#[derive(Debug)]
pub(super) struct Queue<T> {
    items: Mutex<Vec<T>>,
    /// One permit for each item.
    available: Semaphore,
    capacity: usize,
}

impl<T> Queue<T> {
    /// A queue of at most `capacity` items.
    pub(super) fn new(capacity: usize) -> Self {
        Self { items: Mutex::new(Vec::new()), available: Semaphore::new(0), capacity }
    }

    /// Adds `item`, unless the queue is full.
    ///
    /// # Errors
    /// The item itself when the queue is full.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= self.capacity {
            return Err(item);
        }
        items.push(item);
        self.available.add_permits(1);
        Ok(())
    }

    /// Waits for an item and takes the newest.
    pub(super) async fn pop(&self) -> T {
        loop {
            // The semaphore is never closed, so this only waits.
            if let Ok(permit) = self.available.acquire().await {
                permit.forget();
            }
            if let Some(item) = self.items.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                return item;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_comes_first_and_the_bound_holds() {
        let queue = Queue::new(2);
        assert_eq!([queue.push(1), queue.push(2), queue.push(3)], [Ok(()), Ok(()), Err(3)]);
        assert_eq!(queue.pop().await, 2);
        assert_eq!(queue.push(4), Ok(()));
        assert_eq!([queue.pop().await, queue.pop().await], [4, 1]);
    }
}
