//! The one thread on which everything that uses the network runs. It starts with the first client of a process and stays.
//!
//! Nothing of it is locked: a child of `fork()` finds the parent's runtime, which has no thread there, forgets it and starts
//! its own. Work runs on that thread alone, so callers need little stack, and their signals are none of its business.

use crate::boundary::panicked;
use crate::failure::Failure;
use crate::result::choria_result;
use futures_util::FutureExt;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc;
use tokio::runtime::Handle;

/// A runtime with its thread; lives as long as the process.
#[derive(Debug)]
pub(crate) struct Runtime {
    process: u32,
    handle: Handle,
    /// Ends the thread when it is dropped.
    _stop: tokio::sync::oneshot::Sender<()>,
    /// That of the process from which this one was forked, kept so that it is not taken for lost.
    _before: AtomicPtr<Self>,
}

/// The runtime of this process, or of one it was forked from.
static CURRENT: AtomicPtr<Runtime> = AtomicPtr::new(null_mut());

impl Runtime {
    /// The runtime of this process, started when there is none yet.
    ///
    /// # Errors
    /// When the system gives no thread or event queue.
    pub(crate) fn current() -> Result<&'static Self, Failure> {
        loop {
            let found = CURRENT.load(Ordering::Acquire);
            // SAFETY: it is NULL or came from `Box::into_raw` below, and is never freed once it was stored.
            match unsafe { found.as_ref() } {
                Some(runtime) if runtime.process == std::process::id() => return Ok(runtime),
                _ => {}
            }
            let started = Box::into_raw(Box::new(Self::start(found)?));
            match CURRENT.compare_exchange(found, started, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: as above.
                Ok(_) => return Ok(unsafe { &*started }),
                // Another thread was faster.
                // SAFETY: made just above and seen by nobody else.
                Err(_) => drop(unsafe { Box::from_raw(started) }),
            }
        }
    }

    /// What `work` comes to. It runs on the runtime's thread; this one waits.
    ///
    /// # Errors
    /// Those of `work`; when it panics, the failure that says so.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let (done, outcome) = mpsc::sync_channel(1);
        self.spawn(async move {
            let result = AssertUnwindSafe(work).catch_unwind().await;
            let result = result.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            // Whoever asked is waiting.
            let _ = done.send(result);
        });
        let stopped = || Failure::new(choria_result::CHORIA_INTERNAL, "the thread of libchoria ended");
        outcome.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Has `work` done in the background.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(work));
    }

    fn start(before: *mut Self) -> Result<Self, Failure> {
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(choria_result::CHORIA_IO, format!("libchoria cannot start its {what}: {error}"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed("event queue", error))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = {
            let _quiet = Quiet::all();
            std::thread::Builder::new().name("choria".to_owned()).spawn(move || {
                drop(runtime.block_on(stopped));
                runtime.shutdown_background();
            })
        };
        thread.map_err(|error| failed("thread", error))?;
        Ok(Self { process: std::process::id(), handle, _stop: stop, _before: AtomicPtr::new(before) })
    }
}

/// Signals that this thread, and those it starts, do not get while this lives.
#[derive(Debug)]
pub(crate) struct Quiet(Option<SigSet>);

impl Quiet {
    /// Every signal: for starting the runtime's thread, on which no handler of the program shall run.
    fn all() -> Self {
        Self(SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok())
    }

    /// The one that a peer causes by closing its end: a library must not have its program killed for that. One that
    /// arrives meanwhile is taken away, unless the program itself had one waiting.
    pub(crate) fn broken_pipes<T>(work: impl FnOnce() -> T) -> T {
        let mut pipe = SigSet::empty();
        pipe.add(Signal::SIGPIPE);
        let before = pipe.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
        let blocked_already = before.as_ref().is_none_or(|before| before.contains(Signal::SIGPIPE));
        let _restored = Self(before);
        let result = work();
        if !blocked_already {
            take_waiting(&pipe);
        }
        result
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Setting the mask that was there before cannot fail.
            let _ = before.thread_set_mask();
        }
    }
}

/// Takes away the signals of `set` that wait for this thread.
fn take_waiting(set: &SigSet) {
    let now = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both are valid for reads during the call, and no information about the signal is asked for.
    while unsafe { nix::libc::sigtimedwait(set.as_ref(), null_mut(), &raw const now) } > 0 {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigHandler, signal};

    #[test]
    fn a_broken_pipe_does_not_kill_the_program() {
        // SAFETY: no handler runs. Test programs ignore this signal, programs in C do not.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("the default");
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        drop(reader);
        for _ in 0..2 {
            let written = Quiet::broken_pipes(|| nix::unistd::write(&writer, b"x"));
            assert_eq!(written, Err(nix::errno::Errno::EPIPE));
        }
        assert!(!SigSet::thread_get_mask().expect("the mask").contains(Signal::SIGPIPE), "the mask is as it was");
    }

    #[test]
    fn work_that_panics_fails_and_the_thread_goes_on() {
        let runtime = Runtime::current().expect("a runtime");
        let failure = runtime.run(async { panic!("on purpose") }).map(|(): ()| ()).expect_err("a panic");
        assert_eq!(failure.result, choria_result::CHORIA_INTERNAL);
        assert!(failure.message.ends_with("on purpose"), "{}", failure.message);
        assert_eq!(runtime.run(async { Ok(5) }).expect("work"), 5);
    }

    #[test]
    fn no_signal_reaches_the_thread_of_the_library() {
        let runtime = Runtime::current().expect("a runtime");
        let mask = runtime.run(async { Ok(SigSet::thread_get_mask().expect("the mask")) }).expect("work");
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGPIPE, Signal::SIGUSR1] {
            assert!(mask.contains(signal), "{signal}");
        }
    }
}
