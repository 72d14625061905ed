"""What a request brings, one reply after another as they arrive."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import select
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Iterator, List, Mapping, Optional, Sequence, TypeVar, Union

from ._abi import EventKind, EventPointer, RepliesPointer, Result
from ._library import Closable, Handle, check, library, text
from .errors import Timeout

R = TypeVar("R", bound="Replies")

LOG = logging.getLogger("choria")
#: The longest single wait, so that a wake-up that was missed costs a second and not the request.
LONGEST_WAIT = 1.0
OK = 0


@dataclass(frozen=True)
class Reply:
    """One reply of one node."""

    kind: EventKind
    #: The node's identity.
    sender: str
    #: 0 well, 1 failed, 2 unknown action, 3 missing data, 4 invalid data, 5 other error.
    status: int
    #: What the node says about the status, OK when all is well.
    message: str
    #: What the action answers; for a ping {"latency": seconds}.
    data: Mapping[str, Any]
    #: Whether the reply's signature was verified.
    verified: bool

    @property
    def ok(self) -> bool:
        """Whether the node did what was asked."""
        return self.status == OK and self.kind in (EventKind.REPLY, EventKind.PONG)

    @property
    def latency(self) -> Optional[float]:
        """Seconds from question to answer, of a ping."""
        return self.data.get("latency") if self.kind == EventKind.PONG else None


@dataclass(frozen=True)
class Statistics:
    """How a request went, known when all replies were read."""

    discovered: int
    responses: int
    ok: int
    failed: int
    #: Nodes that were asked and did not answer.
    silent: Sequence[str]
    #: Nodes that answered and were not asked.
    unexpected: Sequence[str]
    seconds: float


class Pending(Closable):
    """A request on its way: what the iterators for threads and for asyncio share."""

    def __init__(self, pointer: RepliesPointer, keep: object) -> None:
        self._library = library()
        self._handle = Handle(pointer, self._library.choria_replies_free)
        # The client must not be collected while its replies are read.
        self._keep = keep
        self._turn = threading.Lock()
        self._process = os.getpid()
        #: The request's id, as the servers' logs and audits name it.
        self.request_id = text(self._library.choria_replies_request_id(pointer))
        #: Set when all replies were read.
        self.statistics: Optional[Statistics] = None

    def cancel(self) -> None:
        """Waits for no more replies, from any thread; whoever iterates gets `Cancelled`."""
        handle = self._handle
        if handle is not None:
            self._library.choria_replies_cancel(handle.pointer)

    def close(self) -> None:
        """Ends the request and frees what it holds."""
        self.cancel()
        super().close()

    def fileno(self) -> int:
        """A descriptor that is readable while a reply or the end waits; it belongs to this object."""
        handle = self._use()
        return int(self._library.choria_replies_fd(handle.pointer))

    def poll(self) -> Union[Reply, Result]:
        """What is there now: a reply, or `Result.TIMEOUT` or `Result.END`; anything else is raised."""
        handle = self._use()
        event = EventPointer()
        # One thread at a time, and never for long: waiting is done outside. A fork may have copied the lock while another
        # thread held it; in the child the library only says that the request belongs to the parent.
        with ExitStack() as turn:
            if os.getpid() == self._process:
                turn.enter_context(self._turn)
            code = self._library.choria_replies_next(handle.pointer, 0, ctypes.byref(event))
            if code in (Result.TIMEOUT, Result.END):
                return Result(code)
            check(code)
        try:
            return self._reply(event)
        finally:
            self._library.choria_event_free(event)

    def _reply(self, event: EventPointer) -> Union[Reply, Result]:
        native = self._library
        length = ctypes.c_size_t()
        raw = native.choria_event_data(event, ctypes.byref(length))
        data = json.loads(raw) if raw else {}
        kind = EventKind(native.choria_event_get_kind(event))
        if kind == EventKind.DONE:
            self.statistics = _statistics(data)
            return Result.END
        return Reply(
            kind,
            text(native.choria_event_sender(event)),
            int(native.choria_event_status(event)),
            text(native.choria_event_message(event)),
            data,
            bool(native.choria_event_is_verified(event)),
        )


class Replies(Pending):
    """Iterates over replies as they arrive. Leaving the loop and dropping this, or `close`, ends the request."""

    def next(self, timeout: Optional[float] = None) -> Optional[Reply]:
        """The next event of any kind, None when there will be no more.

        Raises `Timeout` when nothing comes within `timeout` seconds (None: waits until the end), and `Cancelled`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            # Held while waiting: a descriptor that another thread closes could be somebody else's a moment later.
            handle = self._use()
            event = self.poll()
            if isinstance(event, Reply):
                return event
            if event == Result.END:
                return None
            remaining = LONGEST_WAIT if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise Timeout(f"nothing came within {timeout} s", Result.TIMEOUT)
            wait_readable(self.fileno(), min(remaining, LONGEST_WAIT))
            del handle

    def events(self) -> Iterator[Reply]:
        """All events, those that iterating over this passes over included: see `Reply.kind`."""
        while True:
            event = self.next()
            if event is None:
                return
            yield event

    def all(self) -> List[Reply]:
        """All replies, when the last has come."""
        return list(self)

    def __iter__(self) -> Iterator[Reply]:
        return self

    def __next__(self) -> Reply:
        while True:
            event = self.next()
            if event is None:
                raise StopIteration
            if is_answer(event):
                return event

    def __enter__(self: R) -> R:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_answer(event: Reply) -> bool:
    """Whether a node that was asked answered; what is passed over is logged."""
    if event.kind in (EventKind.REPLY, EventKind.PONG):
        return True
    LOG.debug("passed over a reply of %s (%s): %s", event.sender, event.kind.name.lower(), event.message)
    return False


def wait_readable(descriptor: int, seconds: float) -> None:
    """Returns when the descriptor is readable or the time is over; signals are handled meanwhile."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    waiting.poll(max(1, int(seconds * 1000)))


def _statistics(data: Mapping[str, Any]) -> Statistics:
    return Statistics(
        discovered=data.get("discovered", 0),
        responses=data.get("responses", 0),
        ok=data.get("ok", 0),
        failed=data.get("failed", 0),
        silent=tuple(data.get("silent") or ()),
        unexpected=tuple(data.get("unexpected") or ()),
        seconds=data.get("seconds", 0.0),
    )
