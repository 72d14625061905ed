"""Handing messages to this machine's server: on disk when a call returns, delivered when the network is there."""

from __future__ import annotations

import ctypes
import itertools
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Iterable, List, Mapping, Optional, Sequence, TypeVar, Union

from ._abi import DraftPointer, SubmitterPointer
from ._library import Closable, Handle, Path, Payload, check, encode, encode_path, invalid, library, payload_bytes, take
from .errors import ChoriaError

S = TypeVar("S", bound="Submitter")

#: Messages that `Submitter.submit_many` hands over at once; more are handed over in several rounds.
ROUND = 1000


@dataclass(frozen=True)
class Draft:
    """What a caller may say about a message. The kernel, not the caller, says who that is."""

    #: Words joined by dots, without wildcards; the server puts its collective before it.
    subject: str
    #: At least one byte; text becomes UTF-8.
    payload: Payload
    #: Tried until a stream confirms it; otherwise sent once.
    reliable: bool = False
    #: 0 (first) to 4.
    priority: int = 4
    #: Seconds after which it is dropped.
    ttl: Union[float, timedelta] = 86400.0
    #: Tries of a reliable message before it is dropped; 0 is refused.
    max_tries: int = 100
    #: Whether the server signs it with its own key when it is sent.
    sign: bool = False
    #: Who sends it; only root may set another than the kernel's.
    sender: Optional[str] = None
    #: More headers; names may begin with neither `choria` nor `nats`.
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PriorityStatus:
    """Messages of one priority that wait in the spool."""

    priority: int
    messages: int
    bytes: int
    oldest: Optional[datetime]


@dataclass(frozen=True)
class SpoolStatus:
    """What waits in the spool."""

    spool: str
    messages: int
    bytes: int
    priorities: Sequence[PriorityStatus]
    corrupt: int
    limits: Mapping[str, Any]


class Submitter(Closable):
    """Submits through the socket of the submission service, or into the spool if there is no socket and this user may.

    Any number of threads may use one at once; it works in forked children too.
    """

    def __init__(self, config: Optional[Path] = None, socket: Optional[Path] = None) -> None:
        """Reads the server's configuration `config` (default: /etc/choria/server.conf if it exists).

        `socket` is used instead of the configured one. Neither socket nor spool is touched before something is submitted.
        """
        self._library = library()
        pointer = SubmitterPointer()
        check(
            self._library.choria_submitter_open(
                encode_path(config, "config"), encode_path(socket, "socket"), ctypes.byref(pointer)
            )
        )
        self._handle = Handle(pointer, self._library.choria_submitter_free)

    def submit(
        self,
        subject: str,
        payload: Payload,
        *,
        reliable: bool = False,
        priority: int = 4,
        ttl: Union[float, timedelta] = 86400.0,
        max_tries: int = 100,
        sign: bool = False,
        sender: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> str:
        """Submits one message and gives its id; it is on disk then. See `Draft` for what the arguments mean.

        Raises `Refused`, `SpoolFull`, `TooLarge`, `InvalidMessage`, `Unavailable`, `InputOutput`.
        """
        return self.send(Draft(subject, payload, reliable, priority, ttl, max_tries, sign, sender, headers or {}))

    def send(self, draft: Draft) -> str:
        """Submits a draft and gives its id; raises as `submit`."""
        handle = self._use()
        with ExitStack() as stack:
            message = self._draft(draft, stack)
            identifier = ctypes.c_void_p()
            check(self._library.choria_submitter_submit(handle.pointer, message, ctypes.byref(identifier)))
        return take(identifier)

    def submit_many(self, drafts: Iterable[Draft]) -> List[str]:
        """Submits many with far fewer writes than one by one, and gives their ids in order.

        One that is refused keeps no other of its round out (`ROUND`); later rounds are not begun. The exception is that of the
        first failure, and its `ids` tell which drafts were taken.
        """
        identifiers: List[Optional[str]] = []
        remaining = iter(drafts)
        try:
            while True:
                chunk = list(itertools.islice(remaining, ROUND))
                if not chunk:
                    return [identifier for identifier in identifiers if identifier is not None]
                self._round(chunk, identifiers)
        except ChoriaError as error:
            error.ids = tuple(identifiers)
            raise

    def status(self) -> SpoolStatus:
        """What waits in the spool."""
        handle = self._use()
        answer = ctypes.c_void_p()
        check(self._library.choria_submitter_status(handle.pointer, ctypes.byref(answer)))
        return _status(json.loads(take(answer)))

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _round(self, chunk: Sequence[Draft], identifiers: List[Optional[str]]) -> None:
        handle = self._use()
        with ExitStack() as stack:
            messages = [self._draft(draft, stack) for draft in chunk]
            pointers = (DraftPointer * len(messages))(*messages)
            given = (ctypes.c_void_p * len(messages))()
            accepted = ctypes.c_size_t()
            code = self._library.choria_submitter_submit_many(
                handle.pointer, pointers, len(messages), given, ctypes.byref(accepted)
            )
            try:
                check(code)
            finally:
                identifiers.extend(take(identifier) if identifier else None for identifier in given)

    def _draft(self, draft: Draft, stack: ExitStack) -> DraftPointer:
        payload = payload_bytes(draft.payload)
        pointer = DraftPointer()
        native = self._library
        check(native.choria_draft_new(encode(draft.subject, "subject"), payload, len(payload), ctypes.byref(pointer)))
        stack.callback(native.choria_draft_free, pointer)
        check(native.choria_draft_set_reliable(pointer, bool(draft.reliable)))
        check(native.choria_draft_set_priority(pointer, _number(draft.priority, "priority")))
        ttl = draft.ttl.total_seconds() if isinstance(draft.ttl, timedelta) else float(draft.ttl)
        check(native.choria_draft_set_ttl(pointer, ttl))
        check(native.choria_draft_set_max_tries(pointer, _number(draft.max_tries, "max_tries")))
        check(native.choria_draft_set_sign(pointer, bool(draft.sign)))
        if draft.sender is not None:
            check(native.choria_draft_set_sender(pointer, encode(draft.sender, "sender")))
        for name, value in draft.headers.items():
            check(native.choria_draft_add_header(pointer, encode(name, "a header's name"), encode(value, f"header {name}")))
        return pointer


def submit(
    subject: str,
    payload: Payload,
    *,
    reliable: bool = False,
    priority: int = 4,
    ttl: Union[float, timedelta] = 86400.0,
    max_tries: int = 100,
    sign: bool = False,
    sender: Optional[str] = None,
    headers: Optional[Mapping[str, str]] = None,
    config: Optional[Path] = None,
    socket: Optional[Path] = None,
) -> str:
    """Submits one message and gives its id; it is on disk then. As `Submitter.submit`, for a single message."""
    with Submitter(config, socket) as submitter:
        return submitter.send(Draft(subject, payload, reliable, priority, ttl, max_tries, sign, sender, headers or {}))


def submission_status(config: Optional[Path] = None, socket: Optional[Path] = None) -> SpoolStatus:
    """What waits in the spool."""
    with Submitter(config, socket) as submitter:
        return submitter.status()


def server_status(socket: Optional[Path] = None) -> Mapping[str, Any]:
    """What this machine's server says about itself through its own socket (default: /run/choria/server.sock)."""
    native = library()
    answer = ctypes.c_void_p()
    check(native.choria_server_status(encode_path(socket, "socket"), ctypes.byref(answer)))
    status: Mapping[str, Any] = json.loads(take(answer))
    return status


def _number(value: Any, what: str) -> int:
    # ctypes would cut a number that does not fit.
    if not isinstance(value, int) or not 0 <= value < 2**32:
        raise invalid(f"{what} is {value!r}: give a whole number from 0")
    return value


def _status(value: Mapping[str, Any]) -> SpoolStatus:
    priorities = [
        PriorityStatus(entry["priority"], entry["messages"], entry["bytes"], _time(entry.get("oldest")))
        for entry in value.get("priorities", [])
    ]
    return SpoolStatus(
        spool=value["spool"],
        messages=value["messages"],
        bytes=value["bytes"],
        priorities=priorities,
        corrupt=value.get("corrupt", 0),
        limits=value.get("limits", {}),
    )


def _time(value: Optional[str]) -> Optional[datetime]:
    if not value:
        return None
    # Python before 3.11 reads neither Z nor nanoseconds.
    whole, _, rest = value.replace("Z", "+00:00").partition(".")
    if rest:
        digits = "".join(itertools.takewhile(str.isdigit, rest))
        whole += f".{digits[:6]:0<6}{rest[len(digits):]}"
    return datetime.fromisoformat(whole)
