//! Bytes both ways between an encrypted connection and nats-server.
//!
//! A connection of the fleet is idle nearly all the time and there are thousands, so an idle one holds no buffer: bytes
//! are read into a buffer of the thread and written on at once. Only what the other side cannot take yet is kept, and
//! until it is taken nothing more is read, so a slow side slows its other side and memory stays bounded.

use super::serve::Place;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Two connected streams: a member of the fleet and nats-server.
#[derive(Debug)]
pub(super) struct Pump<C, B> {
    client: C,
    backend: B,
    to_client: Kept,
    to_backend: Kept,
    /// The place at the gate, held until nats-server answers for the first time.
    place: Option<Place>,
    asked: Option<Instant>,
}

/// Bytes that were read and not yet written.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    written: usize,
}

/// Which side ended.
enum Ended {
    Client,
    Backend,
}

impl<C, B> Pump<C, B>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// A pump that writes `first` to the client before anything else.
    pub(super) fn new(client: C, backend: B, first: Vec<u8>, place: Place) -> Self {
        let to_client = Kept { bytes: first, written: 0 };
        Self { client, backend, to_client, to_backend: Kept::default(), place: Some(place), asked: None }
    }

    /// Runs until one side ends, then gives the other a moment to take what was sent to it, and ends it too.
    pub(super) async fn run(mut self) {
        let ended = poll_fn(|context| self.poll(context)).await;
        let last = poll_fn(|context| match ended {
            Ended::Client => self.poll_last_to_backend(context),
            Ended::Backend => self.poll_last_to_client(context),
        });
        // Whoever does not take it in time, or is gone, misses nothing that it would have read.
        let _ = tokio::time::timeout(LAST_PATIENCE, last).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(SCRATCH_SIZE, 0);
            let upward = poll_copy(&mut self.client, &mut self.backend, &mut self.to_backend, scratch, context);
            if self.asked.is_none() && upward.moved {
                self.asked = Some(Instant::now());
            }
            if upward.ended {
                return Poll::Ready(Ended::Client);
            }
            let downward = poll_copy(&mut self.backend, &mut self.client, &mut self.to_client, scratch, context);
            if downward.moved {
                self.answered();
            }
            if downward.ended { Poll::Ready(Ended::Backend) } else { Poll::Pending }
        })
    }

    /// Frees the place at the first answer.
    fn answered(&mut self) {
        if let (Some(place), Some(asked)) = (&mut self.place, self.asked) {
            place.own_time(asked.elapsed());
            self.place = None;
        }
    }

    fn poll_last_to_backend(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.to_backend.poll_write(&mut self.backend, context))?;
        Pin::new(&mut self.backend).poll_shutdown(context)
    }

    fn poll_last_to_client(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.to_client.poll_write(&mut self.client, context))?;
        ready!(Pin::new(&mut self.client).poll_flush(context))?;
        Pin::new(&mut self.client).poll_shutdown(context)
    }
}

/// What copying in one direction came to.
#[derive(Default)]
struct Copied {
    /// Bytes were read.
    moved: bool,
    /// One of the two sides ended or failed.
    ended: bool,
}

/// Copies until one side has to be waited for, at most [`ROUNDS`] times in a row.
fn poll_copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    kept: &mut Kept,
    scratch: &mut [u8],
    context: &mut Context<'_>,
) -> Copied {
    let mut copied = Copied::default();
    for _ in 0..ROUNDS {
        match kept.poll_write(to, context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Copied { ended: true, ..copied },
            Poll::Pending => return copied,
        }
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(&mut *from).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => copied.moved = true,
            Poll::Ready(_) => return Copied { ended: true, ..copied },
            Poll::Pending => {
                // What was written may still be inside the encryption.
                let failed = matches!(Pin::new(&mut *to).poll_flush(context), Poll::Ready(Err(_)));
                return Copied { ended: failed, ..copied };
            }
        }
        let mut bytes = buffer.filled();
        while !bytes.is_empty() {
            match Pin::new(&mut *to).poll_write(context, bytes) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Copied { ended: true, ..copied },
                Poll::Ready(Ok(count)) => bytes = &bytes[count..],
                Poll::Pending => {
                    kept.bytes.extend_from_slice(bytes);
                    return copied;
                }
            }
        }
    }
    // Others want to be served too.
    context.waker().wake_by_ref();
    copied
}

impl Kept {
    /// Writes what is kept, and lets go of its memory once all of it is written.
    fn poll_write(&mut self, to: &mut (impl AsyncWrite + Unpin), context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let count = ready!(Pin::new(&mut *to).poll_write(context, &self.bytes[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        if !self.bytes.is_empty() {
            *self = Self::default();
        }
        Poll::Ready(Ok(()))
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Four records of TLS.
const SCRATCH_SIZE: usize = 64 * 1024;

/// Copies in a row before other connections have their turn.
const ROUNDS: usize = 8;

/// How long the last bytes may take.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    fn pumping() -> (DuplexStream, DuplexStream) {
        let (client, front) = duplex(1000);
        let (back, backend) = duplex(777);
        tokio::spawn(Pump::new(front, back, b"first ".to_vec(), Place::of_nobody()).run());
        (client, backend)
    }

    #[tokio::test]
    async fn bytes_arrive_whole_and_in_order_both_ways() {
        let (mut client, mut backend) = pumping();
        let sent: Vec<u8> = (0..500_000_u32).map(|number| (number % 251) as u8).collect();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        {
            let (mut client_read, mut client_write) = tokio::io::split(&mut client);
            let (mut backend_read, mut backend_write) = tokio::io::split(&mut backend);
            let upward = async {
                client_write.write_all(&sent).await.unwrap();
            };
            let downward = async {
                backend_write.write_all(&sent).await.unwrap();
            };
            let read_up = async {
                up.resize(sent.len(), 0);
                backend_read.read_exact(&mut up).await.unwrap();
            };
            let read_down = async {
                down.resize(sent.len() + 6, 0);
                client_read.read_exact(&mut down).await.unwrap();
            };
            tokio::join!(upward, downward, read_up, read_down);
        }
        assert!(up == sent && down[..6] == *b"first " && down[6..] == sent);
    }

    #[tokio::test]
    async fn last_words_arrive_before_the_end() {
        let (mut client, mut backend) = pumping();
        backend.write_all(b"-ERR 'Authorization Violation'\r\n").await.unwrap();
        drop(backend);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "first -ERR 'Authorization Violation'\r\n");

        let (mut client, mut backend) = pumping();
        client.write_all(b"PUB x 0\r\n\r\n").await.unwrap();
        drop(client);
        let mut heard = Vec::new();
        backend.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"PUB x 0\r\n\r\n");
    }

    #[tokio::test]
    async fn a_side_that_reads_nothing_stops_the_other() {
        let (client, mut backend) = pumping();
        let flood = tokio::time::timeout(Duration::from_millis(200), async {
            loop {
                backend.write_all(&[0; 4096]).await.unwrap();
            }
        });
        assert!(flood.await.is_err(), "the backend must have to wait");
        drop(client);
    }
}
