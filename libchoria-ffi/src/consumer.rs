//! Reading submissions from a stream.

use crate::boundary::{LastError, accessor, boundary_of, freeing};
use crate::client::choria_client;
use crate::failure::Failure;
use crate::forked::{Native, Process, take_own};
use crate::handle::{borrow, borrow_mut, slot};
use crate::queue::{End, Queue, wait};
use crate::received::choria_received;
use crate::replies::until;
use crate::result::choria_result;
use crate::runtime::Runtime;
use crate::text::{optional_text, owned, text};
use async_nats::jetstream::consumer::pull::{Config, MessagesErrorKind, Stream};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{self, AckKind, Message, context::GetStreamErrorKind};
use futures_util::{FutureExt, StreamExt};
use std::ffi::{c_char, c_int};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most messages that wait for the program.
const WAITING: usize = 32;

/// A reader of a stream. Free it with `choria_consumer_free`. One thread at a time.
#[derive(Debug)]
pub struct choria_consumer {
    queue: Arc<Queue<choria_received>>,
    stop: CancellationToken,
    error: LastError,
    process: Process,
}

/// Reads a stream. With `durable`, a consumer of that name is used, or made first: what was acknowledged does not come
/// again, and what is not acknowledged within two minutes does. With NULL it starts at the first message and remembers
/// nothing. `filter` is a subject, wildcards allowed, or NULL for all. `CHORIA_NOT_FOUND` when there is no such stream,
/// `CHORIA_UNAUTHORIZED` when this user may not read it, `CHORIA_NOT_CONNECTED`, `CHORIA_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_consumer_open(
    client: *const choria_client,
    stream: *const c_char,
    durable: *const c_char,
    filter: *const c_char,
    out: *mut *mut choria_consumer,
) -> choria_result {
    // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
    boundary_of(
        || unsafe { borrow("client", client) },
        choria_client::last_error,
        |client| {
            // SAFETY: as above.
            let (stream, durable, filter, out) = unsafe {
                (
                    text("stream", stream)?,
                    optional_text("durable", durable)?,
                    optional_text("filter", filter)?,
                    slot("out", out)?,
                )
            };
            out.give(choria_consumer::open(client, stream, durable, filter)?);
            Ok(())
        },
    )
}

/// The next message, which the caller frees with `choria_received_free`. It is not verified: see `choria_received_verify`.
/// `timeout_ms` -1 waits for ever, 0 does not wait. `CHORIA_TIMEOUT`, `CHORIA_CANCELLED` once the client was freed, or why
/// no more can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_consumer_next(
    consumer: *mut choria_consumer,
    timeout_ms: i32,
    out: *mut *mut choria_received,
) -> choria_result {
    // SAFETY: as in `choria_consumer_open`.
    let find = || Ok(&*unsafe { borrow_mut("consumer", consumer) }?);
    boundary_of(
        find,
        |consumer| &consumer.error,
        |consumer| {
            // SAFETY: as above.
            let out = unsafe { slot("out", out)? };
            consumer.process.check()?;
            out.give(consumer.queue.pop(wait(timeout_ms))?);
            Ok(())
        },
    )
}

/// Acknowledges a message of this consumer and waits until the stream knows, so that it does not come again. Does nothing
/// for consumers that are not durable. `CHORIA_INVALID_ARGUMENT` for messages that are not from a consumer,
/// `CHORIA_NOT_CONNECTED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_consumer_ack(
    consumer: *mut choria_consumer,
    received: *const choria_received,
) -> choria_result {
    // SAFETY: as in `choria_consumer_open`.
    let find = || Ok(&*unsafe { borrow_mut("consumer", consumer) }?);
    boundary_of(
        find,
        |consumer| &consumer.error,
        |consumer| {
            // SAFETY: as above.
            let received = unsafe { borrow("received", received)? };
            consumer.process.check()?;
            if !received.is_from_consumer() {
                return Err(Failure::argument("received is not from a consumer, so there is nothing to acknowledge"));
            }
            let Some(acknowledge) = received.acker.clone() else { return Ok(()) };
            Runtime::current()?.run(async move {
                let failed = |reason: String| {
                    Failure::new(
                        choria_result::CHORIA_NOT_CONNECTED,
                        format!(
                            "the stream did not confirm the acknowledgement, so the message may come again: {reason}"
                        ),
                    )
                };
                match tokio::time::timeout(CONFIRMING, acknowledge.0.double_ack()).await {
                    Ok(confirmed) => confirmed.map_err(|error| failed(error.to_string())),
                    Err(_elapsed) => Err(failed("no answer in time".to_owned())),
                }
            })
        },
    )
}

/// A file descriptor that is readable while a message or the end waits, for poll() and its like. It belongs to the handle:
/// do not read or close it. -1 for NULL only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_consumer_fd(consumer: *const choria_consumer) -> c_int {
    // SAFETY: as in `choria_consumer_open`.
    accessor(-1, || unsafe { borrow("consumer", consumer) }.ok().map(|consumer| consumer.queue.descriptor()))
}

/// A copy of the last error of this handle, to be freed with `choria_string_free`; NULL when nothing failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_consumer_error(consumer: *const choria_consumer) -> *mut c_char {
    // SAFETY: as in `choria_consumer_open`.
    let copy = || Some(owned(unsafe { borrow("consumer", consumer) }.ok()?.error.copy()));
    accessor(std::ptr::null_mut(), copy)
}

/// Stops reading and frees it. A durable consumer stays in the stream. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_consumer_free(consumer: *mut choria_consumer) {
    // SAFETY: the header demands NULL or a handle that is not used again.
    freeing(|| drop(unsafe { take_own(consumer) }));
}

impl choria_consumer {
    fn open(
        client: &choria_client,
        stream: &str,
        durable: Option<&str>,
        filter: Option<&str>,
    ) -> Result<Self, Failure> {
        let runtime = client.runtime()?;
        let queue = Arc::new(Queue::new(WAITING)?);
        let (stop, nats) = (client.stop(), client.connection().client().clone());
        let config = Config {
            durable_name: durable.map(str::to_owned),
            filter_subject: filter.unwrap_or_default().to_owned(),
            ack_policy: if durable.is_some() { AckPolicy::Explicit } else { AckPolicy::None },
            ack_wait: ACKNOWLEDGING,
            ..Config::default()
        };
        let (stream, acknowledges) = (stream.to_owned(), durable.is_some());
        let finding = nats.clone();
        let consumer = runtime.run(async move { find(finding, &stream, config).await })?;
        let (filled, stopped) = (Arc::clone(&queue), stop.clone());
        runtime.spawn(async move {
            let mut reading = None;
            let end = until(&stopped, pump(consumer, &filled, acknowledges, &mut reading)).await;
            let given_up = acknowledges && matches!(end, End::Cancelled);
            let unread = if given_up { filled.take_all() } else { Vec::new() };
            filled.close(end);
            if given_up {
                hand_back(&nats, unread, reading).await;
            }
        });
        Ok(Self { queue, stop, error: LastError::default(), process: Process::this() })
    }
}

impl Native for choria_consumer {
    fn process(&self) -> Process {
        self.process
    }
}

impl Drop for choria_consumer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The consumer on the stream, made if need be.
async fn find(nats: async_nats::Client, stream: &str, config: Config) -> Result<PullConsumer, Failure> {
    let context = jetstream::new(nats);
    let found = context.get_stream(stream).await.map_err(|error| {
        let result = match error.kind() {
            GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName => {
                choria_result::CHORIA_INVALID_ARGUMENT
            }
            GetStreamErrorKind::JetStream(said) if said.code() == 404 => choria_result::CHORIA_NOT_FOUND,
            GetStreamErrorKind::JetStream(_) => choria_result::CHORIA_INVALID_REQUEST,
            GetStreamErrorKind::Request => choria_result::CHORIA_UNAUTHORIZED,
        };
        let hint = if result == choria_result::CHORIA_UNAUTHORIZED {
            "; without an answer this user may lack the permission streams_user, or the broker has no streams"
        } else {
            ""
        };
        Failure::new(result, format!("the stream {stream} cannot be read: {error}{hint}"))
    })?;
    let made = match config.durable_name.clone() {
        Some(durable) => found.get_or_create_consumer(&durable, config).await,
        None => found.create_consumer(config).await,
    };
    made.map_err(|error| {
        let result = match error.kind() {
            ConsumerErrorKind::InvalidName | ConsumerErrorKind::InvalidConsumerType => {
                choria_result::CHORIA_INVALID_ARGUMENT
            }
            ConsumerErrorKind::JetStream(_) => choria_result::CHORIA_INVALID_REQUEST,
            _ => choria_result::CHORIA_NOT_CONNECTED,
        };
        Failure::new(result, format!("the stream {stream} gives no consumer: {error}"))
    })
}

/// Reads until the consumer is gone. What passes, such as a lost connection, is waited out.
async fn pump(
    consumer: PullConsumer,
    queue: &Queue<choria_received>,
    acknowledges: bool,
    reading: &mut Option<Stream>,
) -> End {
    loop {
        let stream = consumer.stream().max_messages_per_batch(WAITING).heartbeat(HEARTBEAT).messages().await;
        let Ok(messages) = stream else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let messages = reading.insert(messages);
        loop {
            queue.reserve().await;
            match messages.next().await {
                Some(Ok(message)) => queue.push(received(message, acknowledges)),
                Some(Err(error)) if matches!(error.kind(), MessagesErrorKind::ConsumerDeleted) => {
                    let message = "the consumer was deleted from the stream: open it again";
                    return End::Failed(choria_result::CHORIA_NOT_FOUND, message.to_owned());
                }
                Some(Err(_)) | None => {
                    queue.give_back();
                    break;
                }
            }
        }
        *reading = None;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells the stream that these were fetched and will not be read, so that whoever reads next gets them at once.
/// What cannot be told, the stream finds out by itself when the time for acknowledging is over.
async fn hand_back(nats: &async_nats::Client, mut unread: Vec<choria_received>, reading: Option<Stream>) {
    if let Some(mut messages) = reading {
        while let Some(Some(Ok(message))) = messages.next().now_or_never() {
            unread.push(received(message, true));
        }
    }
    // The stream is no longer read here once this was sent; before that it would send all of them here again.
    let _ = nats.flush().await;
    for message in unread.iter().filter_map(|message| message.acker.as_ref()) {
        let _ = message.0.ack_with(AckKind::Nak(None)).await;
    }
}

fn received(message: Message, acknowledges: bool) -> choria_received {
    let sequence = message.info().map_or(0, |info| info.stream_sequence);
    let (message, acker) = message.split();
    let mut received = choria_received::new(&message.subject, message.payload.to_vec());
    for (name, values) in message.headers.iter().flat_map(async_nats::HeaderMap::iter) {
        values.iter().for_each(|value| received.add_header(name.as_ref(), value.as_str()));
    }
    received.of_consumer(sequence, acknowledges.then_some(acker))
}

/// How long a message may be worked on before it comes again.
const ACKNOWLEDGING: Duration = Duration::from_secs(120);
/// How long the confirmation of an acknowledgement is waited for.
const CONFIRMING: Duration = Duration::from_secs(5);
/// A stream that is silent for twice as long is asked again.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
