"""Reading submissions from a stream, and proving where they come from."""

from __future__ import annotations

import ctypes
import time
from datetime import datetime, timezone
from typing import Iterable, Iterator, Mapping, Optional, Tuple, TypeVar, Union

from ._abi import ConsumerPointer, ReceivedPointer, Result
from ._library import Closable, Handle, Payload, check, encode, invalid, library, payload_bytes, text
from .errors import Timeout
from .replies import LONGEST_WAIT, wait_readable
from .tokens import Trust, When, unix_seconds

C = TypeVar("C", bound="Consumer")

Headers = Union[Mapping[str, str], Iterable[Tuple[str, str]]]


class Received:
    """A submission that came from a stream, or that any NATS client received."""

    def __init__(self, subject: str, payload: Payload, headers: Headers = ()) -> None:
        """What another NATS client received. `Consumer` makes these by itself."""
        native = library()
        raw = payload_bytes(payload)
        pointer = ReceivedPointer()
        check(native.choria_received_new(encode(subject, "subject"), raw, len(raw), ctypes.byref(pointer)))
        self._adopt(pointer)
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            data = encode(value, f"header {name}")
            check(native.choria_received_add_header(pointer, encode(name, "a header's name"), data))

    def verify(self, trust: Trust, max_age: float = 0, now: Optional[When] = None) -> None:
        """Proves that the server `identity` signed the payload and that its token is good at `now`.

        `max_age`: seconds since it was made, 0 for any. Only payload and identity are proven; id, times, sender and subject
        are not covered by the signature.

        Raises `SignatureInvalid`, `TokenUntrusted`, `TokenExpired`, `TokenInvalid`, `Stale`.
        """
        judge = trust._use()
        check(self._library.choria_received_verify(self._handle.pointer, judge.pointer, max_age, unix_seconds(now)))

    @property
    def subject(self) -> str:
        """Where it was published."""
        return text(self._library.choria_received_subject(self._handle.pointer))

    @property
    def payload(self) -> bytes:
        """What was submitted."""
        length = ctypes.c_size_t()
        data = self._library.choria_received_payload(self._handle.pointer, ctypes.byref(length))
        return ctypes.string_at(data, length.value) if length.value else b""

    @property
    def id(self) -> str:
        """What `submit` answered; empty when missing."""
        return text(self._library.choria_received_id(self._handle.pointer))

    @property
    def sender(self) -> str:
        """The user who submitted it; not covered by the signature."""
        return text(self._library.choria_received_sender(self._handle.pointer))

    @property
    def identity(self) -> str:
        """The server: proven when `verified`, else only claimed."""
        return text(self._library.choria_received_identity(self._handle.pointer))

    @property
    def verified(self) -> bool:
        """Whether `verify` succeeded."""
        return bool(self._library.choria_received_is_verified(self._handle.pointer))

    @property
    def created(self) -> Optional[datetime]:
        """When it was submitted, None when missing."""
        seconds = self._library.choria_received_created(self._handle.pointer)
        return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None

    @property
    def sequence(self) -> int:
        """Its number in the stream, 0 when it does not come from a `Consumer`."""
        return int(self._library.choria_received_sequence(self._handle.pointer))

    def header(self, name: str) -> Optional[str]:
        """A header, None when missing; names compare without case."""
        value = self._library.choria_received_header(self._handle.pointer, encode(name, "a header's name"))
        return None if value is None else text(value)

    def __repr__(self) -> str:
        proof = "verified" if self.verified else "NOT verified"
        return f"<Received {self.id!r} on {self.subject!r} from {self.identity!r}, {proof}>"

    @classmethod
    def _from(cls, pointer: ReceivedPointer) -> Received:
        received = cls.__new__(cls)
        received._adopt(pointer)
        return received

    def _adopt(self, pointer: ReceivedPointer) -> None:
        self._library = library()
        self._handle = Handle(pointer, self._library.choria_received_free)


class BaseConsumer(Closable):
    """What the consumers for threads and for asyncio share."""

    def __init__(self, pointer: ConsumerPointer, keep: object) -> None:
        self._library = library()
        self._handle = Handle(pointer, self._library.choria_consumer_free)
        self._keep = keep

    def poll(self) -> Optional[Received]:
        """A message that is there now, or None."""
        handle = self._use()
        pointer = ReceivedPointer()
        code = self._library.choria_consumer_next(handle.pointer, 0, ctypes.byref(pointer))
        if code == Result.TIMEOUT:
            return None
        check(code)
        return Received._from(pointer)

    def ack(self, message: Received) -> None:
        """Tells the stream that the message is done with, so that this durable consumer never sees it again."""
        handle = self._use()
        check(self._library.choria_consumer_ack(handle.pointer, message._handle.pointer))

    def fileno(self) -> int:
        """A descriptor that is readable while a message waits; it belongs to this object."""
        handle = self._use()
        return int(self._library.choria_consumer_fd(handle.pointer))


class Consumer(BaseConsumer):
    """Iterates over the submissions in a stream, and waits for more; made by `Client.consumer`. For one thread at a time.

    With a `durable` name the stream remembers what was acknowledged; without, reading begins with the first message.
    """

    def next(self, timeout: Optional[float] = None) -> Received:
        """The next message; waits until there is one, or raises `Timeout` after `timeout` seconds."""
        if timeout is not None and timeout < 0:
            raise invalid(f"timeout is {timeout}: give seconds from 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            handle = self._use()
            message = self.poll()
            if message is not None:
                return message
            remaining = LONGEST_WAIT if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise Timeout(f"no message came within {timeout} s", Result.TIMEOUT)
            wait_readable(self.fileno(), min(remaining, LONGEST_WAIT))
            del handle

    def __iter__(self) -> Iterator[Received]:
        return self

    def __next__(self) -> Received:
        return self.next()

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_consumer(client: Handle, stream: str, durable: Optional[str], filter: Optional[str]) -> ConsumerPointer:
    """Opens a consumer for the library."""
    pointer = ConsumerPointer()
    check(
        library().choria_consumer_open(
            client.pointer,
            encode(stream, "stream"),
            None if durable is None else encode(durable, "durable"),
            None if filter is None else encode(filter, "filter"),
            ctypes.byref(pointer),
        )
    )
    return pointer
