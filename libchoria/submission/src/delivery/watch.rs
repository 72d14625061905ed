//! Told by the kernel when something comes into the spool, so that an idle server is never woken to look.

use crate::words::Priority;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// Watches the five queues of a spool.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: AsyncFd<Handle>,
    queues: [WatchDescriptor; 5],
}

/// Why nothing is told any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    /// The system has no watch to give; see `fs.inotify.max_user_watches` and `max_user_instances`.
    #[error("the spool cannot be watched: {0} (see the limits fs.inotify.max_user_instances and max_user_watches)")]
    System(#[from] std::io::Error),
    /// A directory of the spool was removed or replaced.
    #[error("a directory of the spool was removed or moved away")]
    Gone,
}

impl Watch {
    /// Watches from now on. Must be called inside a runtime.
    pub(super) fn new(spool: &Path) -> Result<Self, WatchError> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(std::io::Error::from)?;
        let events = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        let watch = |priority: Priority| inotify.add_watch(&spool.join(priority.directory()), events);
        let [a, b, c, d, e] = Priority::ALL.map(|priority| watch(priority).map_err(std::io::Error::from));
        let queues = [a?, b?, c?, d?, e?];
        #[allow(
            deprecated,
            reason = "`register` needs unsafe code to promise what `Handle` keeps: it owns its descriptor"
        )]
        let inotify = AsyncFd::new(Handle(inotify))?;
        Ok(Self { inotify, queues })
    }

    /// Wakes who waits for a queue whenever a message comes into it, until the watch is of no more use.
    pub(super) async fn tell(&self, arrivals: &[Notify; 5]) -> WatchError {
        loop {
            let mut ready = match self.inotify.readable().await {
                Ok(ready) => ready,
                Err(error) => return error.into(),
            };
            let events = match ready.try_io(|inotify| inotify.get_ref().0.read_events().map_err(Into::into)) {
                Ok(Ok(events)) => events,
                Ok(Err(error)) => return error.into(),
                Err(_not_yet) => continue,
            };
            for event in events {
                if event.mask.intersects(AddWatchFlags::IN_Q_OVERFLOW) {
                    // More happened than the kernel kept: anything may have come.
                    arrivals.iter().for_each(Notify::notify_one);
                    continue;
                }
                let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED;
                if event.mask.intersects(gone) {
                    return WatchError::Gone;
                }
                if let Some(index) = self.queues.iter().position(|queue| *queue == event.wd) {
                    arrivals[index].notify_one();
                }
            }
        }
    }
}

/// For the runtime, which wants a number.
#[derive(Debug)]
struct Handle(Inotify);

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
