//! What the runtime's thread hands to the program's: bounded, with waiting, polling and a file descriptor.

use crate::failure::Failure;
use crate::result::choria_result;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Items on their way. When it is full the sender waits, and what comes from the network meanwhile waits in its
/// subscription.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    space: Semaphore,
    /// Readable while something waits; the other end writes one byte.
    readable: UnixStream,
    signal: UnixStream,
}

/// Why nothing more will come.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Everything was told.
    Done,
    /// Somebody cancelled it.
    Cancelled,
    /// It failed.
    Failed(choria_result, String),
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    end: Option<End>,
    signalled: bool,
}

impl<T> Queue<T> {
    /// A queue for at most `capacity` items.
    ///
    /// # Errors
    /// When the system gives no file descriptor.
    pub(crate) fn new(capacity: usize) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(choria_result::CHORIA_IO, format!("the system gives no file descriptor to wait for: {error}"))
        };
        let (readable, signal) = UnixStream::pair().map_err(failed)?;
        for end in [&readable, &signal] {
            end.set_nonblocking(true).map_err(failed)?;
        }
        let state = State { items: VecDeque::new(), end: None, signalled: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ok(Self { state, changed, space: Semaphore::new(capacity), readable, signal })
    }

    /// Waits until there is room for one item; that room is then the caller's to fill.
    pub(crate) async fn reserve(&self) {
        // It is never closed.
        if let Ok(permit) = self.space.acquire().await {
            permit.forget();
        }
    }

    /// Gives room back that is not needed after all.
    pub(crate) fn give_back(&self) {
        self.space.add_permits(1);
    }

    /// Puts an item into the room that was reserved. After the end it is dropped.
    pub(crate) fn push(&self, item: T) {
        let mut state = self.state();
        if state.end.is_none() {
            state.items.push_back(item);
            self.tell(&mut state);
        }
    }

    /// Takes everything that waits.
    pub(crate) fn take_all(&self) -> Vec<T> {
        let mut state = self.state();
        let items: Vec<T> = state.items.drain(..).collect();
        self.space.add_permits(items.len());
        self.tell(&mut state);
        items
    }

    /// Nothing more comes; the first reason counts. Cancelling drops what waits.
    pub(crate) fn close(&self, end: End) {
        let mut state = self.state();
        match (&state.end, &end) {
            (None, End::Cancelled) => state.items.clear(),
            (None, _) => {}
            // Everything had arrived, but is not wanted any more.
            (Some(End::Done), End::Cancelled) if !state.items.is_empty() => state.items.clear(),
            (Some(_), _) => return,
        }
        state.end = Some(end);
        self.tell(&mut state);
    }

    /// The next item. `timeout` `None` waits until there is one or the end, zero does not wait.
    ///
    /// # Errors
    /// The end as a result, or `CHORIA_TIMEOUT`.
    pub(crate) fn pop(&self, timeout: Option<Duration>) -> Result<T, Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state();
        loop {
            if let Some(item) = state.items.pop_front() {
                self.tell(&mut state);
                self.space.add_permits(1);
                return Ok(item);
            }
            if let Some(end) = &state.end {
                return Err(end.failure());
            }
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Failure::new(choria_result::CHORIA_TIMEOUT, "nothing came in the time given"));
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Readable while an item or the end waits. It is this queue's: nobody else reads or closes it.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.readable.as_raw_fd()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the descriptor say what is so, and wakes who waits.
    fn tell(&self, state: &mut State<T>) {
        let waits = !state.items.is_empty() || state.end.is_some();
        if waits != state.signalled {
            // One byte in a pair of our own: there is room for it, and there is one to take.
            let told = if waits { (&self.signal).write(&[1]) } else { (&self.readable).read(&mut [0]) };
            state.signalled = if told.is_ok() { waits } else { state.signalled };
        }
        self.changed.notify_all();
    }
}

impl End {
    fn failure(&self) -> Failure {
        match self {
            Self::Done => Failure::new(choria_result::CHORIA_END, "everything was told"),
            Self::Cancelled => Failure::new(choria_result::CHORIA_CANCELLED, "it was cancelled"),
            Self::Failed(result, message) => Failure::new(*result, message.clone()),
        }
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.result, failure.message)
    }
}

/// `timeout_ms` of the header: -1 waits until the end, 0 polls.
pub(crate) fn wait(timeout_ms: i32) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn is_readable<T>(queue: &Queue<T>) -> bool {
        let mut fds = [PollFd::new(queue.readable.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll") == 1
    }

    #[test]
    fn the_descriptor_says_what_waits() {
        let queue = Queue::new(8).expect("a queue");
        assert!(!is_readable(&queue), "new");
        queue.push(1);
        queue.push(2);
        assert!(is_readable(&queue), "two wait");
        assert_eq!(queue.pop(NOW).expect("the first"), 1);
        assert!(is_readable(&queue), "one waits");
        assert_eq!(queue.pop(None).expect("the second"), 2);
        assert!(!is_readable(&queue), "none waits");
        assert_eq!(queue.pop(NOW).expect_err("none").result, choria_result::CHORIA_TIMEOUT);
        queue.close(End::Done);
        for _ in 0..2 {
            assert!(is_readable(&queue), "the end waits");
            assert_eq!(queue.pop(None).expect_err("the end").result, choria_result::CHORIA_END);
        }
    }

    #[test]
    fn the_first_end_counts_and_cancelling_drops_what_waits() {
        let rows = [
            ("done, nothing waits, cancelled", vec![], End::Done, End::Cancelled, choria_result::CHORIA_END),
            ("done, one waits, cancelled", vec![1], End::Done, End::Cancelled, choria_result::CHORIA_CANCELLED),
            ("cancelled, then done", vec![1], End::Cancelled, End::Done, choria_result::CHORIA_CANCELLED),
        ];
        for (name, items, first, second, expected) in rows {
            let queue = Queue::new(8).expect("a queue");
            items.into_iter().for_each(|item| queue.push(item));
            queue.close(first);
            queue.close(second);
            queue.push(9);
            assert_eq!(queue.pop(None).expect_err("the end").result, expected, "{name}");
        }
    }

    #[test]
    fn a_full_queue_has_its_sender_wait() {
        let queue = Queue::new(1).expect("a queue");
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut is_room = || std::pin::pin!(queue.reserve()).poll(&mut context).is_ready();
        assert!(is_room(), "empty");
        queue.push(1);
        assert!(!is_room(), "full");
        assert_eq!(queue.pop(NOW).expect("one"), 1);
        assert!(is_room(), "empty again");
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_cancellation() {
        let queue = std::sync::Arc::new(Queue::<u8>::new(1).expect("a queue"));
        let waiting = std::thread::spawn({
            let queue = std::sync::Arc::clone(&queue);
            move || queue.pop(None).expect_err("cancelled").result
        });
        queue.close(End::Cancelled);
        assert_eq!(waiting.join().expect("no panic"), choria_result::CHORIA_CANCELLED);
    }
}
