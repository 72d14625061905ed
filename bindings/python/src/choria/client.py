"""Asking the fleet: requests, pings and discovery."""

from __future__ import annotations

import ctypes
import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Callable, Generic, Iterable, List, Mapping, Optional, TypeVar

from ._abi import ClientPointer, RepliesPointer, RequestPointer
from ._library import Closable, Handle, Path, check, encode, encode_path, invalid, library, milliseconds, take, text
from .consumer import Consumer, open_consumer
from .replies import Replies

Answers = TypeVar("Answers")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Question:
    """What is asked of whom: a request before it is sent."""

    agent: str
    action: str
    inputs: Mapping[str, Any]
    text_inputs: Mapping[str, str]
    facts: Iterable[str]
    classes: Iterable[str]
    identities: Iterable[str]
    agents: Iterable[str]
    compound: Optional[str]
    nodes: Iterable[str]
    collective: Optional[str]
    timeout: Optional[float]
    discovery_timeout: Optional[float]

    def build(self, stack: ExitStack) -> RequestPointer:
        """The request for the library; `stack` frees it."""
        native = library()
        pointer = RequestPointer()
        check(native.choria_request_new(encode(self.agent, "agent"), encode(self.action, "action"), ctypes.byref(pointer)))
        stack.callback(native.choria_request_free, pointer)
        for name, value in self.inputs.items():
            check(native.choria_request_set_input(pointer, encode(name, "an input's name"), _json(name, value)))
        for name, value in self.text_inputs.items():
            check(
                native.choria_request_set_input_text(
                    pointer, encode(name, "an input's name"), encode(value, f"input {name}")
                )
            )
        for values, add, what in (
            (self.facts, native.choria_request_add_fact, "facts"),
            (self.classes, native.choria_request_add_class, "classes"),
            (self.identities, native.choria_request_add_identity, "identities"),
            (self.agents, native.choria_request_add_agent, "agents"),
            (self.nodes, native.choria_request_add_node, "nodes"),
        ):
            _add_all(pointer, values, add, what)
        if self.compound is not None:
            check(native.choria_request_set_compound(pointer, encode(self.compound, "compound")))
        if self.collective is not None:
            check(native.choria_request_set_collective(pointer, encode(self.collective, "collective")))
        check(native.choria_request_set_timeout(pointer, milliseconds(self.timeout, "timeout")))
        wait = milliseconds(self.discovery_timeout, "discovery_timeout")
        check(native.choria_request_set_discovery_timeout(pointer, wait))
        return pointer


class BaseClient(Closable, Generic[Answers, Found]):
    """The questions, which are the same for threads and for asyncio; how they are waited for differs."""

    def request(
        self,
        agent: str,
        action: str,
        inputs: Optional[Mapping[str, Any]] = None,
        *,
        text_inputs: Optional[Mapping[str, str]] = None,
        facts: Iterable[str] = (),
        classes: Iterable[str] = (),
        identities: Iterable[str] = (),
        agents: Iterable[str] = (),
        compound: Optional[str] = None,
        nodes: Iterable[str] = (),
        collective: Optional[str] = None,
        timeout: Optional[float] = None,
        discovery_timeout: Optional[float] = None,
    ) -> Answers:
        """Asks nodes to run an action and gives their replies as they arrive.

        `inputs` are values that JSON knows; `text_inputs` are texts that the agent's description converts, as the command
        line does. Nodes that match all filters are asked (`facts` such as "os=linux" or "cpus>4", `classes`, `identities`
        and `agents` by name or /regular expression/, a `compound` expression), or without discovery exactly those that
        `nodes` names. `timeout`: seconds for replies, by default the description's. `discovery_timeout`: seconds.

        Raises `NotFound` (no such agent or action, or no node matches), `InvalidRequest`, `InvalidArgument`, `NotConnected`,
        `Unauthorized`.
        """
        return self._ask(
            Question(
                agent, action, inputs or {}, text_inputs or {}, facts, classes, identities, agents, compound, nodes,
                collective, timeout, discovery_timeout,
            )
        )  # fmt: skip

    def ping(
        self,
        *,
        facts: Iterable[str] = (),
        classes: Iterable[str] = (),
        identities: Iterable[str] = (),
        agents: Iterable[str] = (),
        compound: Optional[str] = None,
        collective: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Answers:
        """Asks who is there, and gives the answers as they arrive (`Reply.latency`). Filters as for `request`."""
        return self._ping(
            Question("discovery", "ping", {}, {}, facts, classes, identities, agents, compound, (), collective, timeout, timeout)
        )

    def discover(
        self,
        *,
        facts: Iterable[str] = (),
        classes: Iterable[str] = (),
        identities: Iterable[str] = (),
        agents: Iterable[str] = (),
        compound: Optional[str] = None,
        collective: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Found:
        """The identities of the nodes that match. Filters as for `request`."""
        return self._discover(
            Question("discovery", "ping", {}, {}, facts, classes, identities, agents, compound, (), collective, None, timeout)
        )

    def _ask(self, question: Question) -> Answers:
        raise NotImplementedError

    def _ping(self, question: Question) -> Answers:
        raise NotImplementedError

    def _discover(self, question: Question) -> Found:
        raise NotImplementedError

    def _adopt(self, pointer: ClientPointer) -> None:
        self._library = library()
        self._handle = Handle(pointer, self._library.choria_client_free)
        #: Who asks, such as up=alice.
        self.caller = text(self._library.choria_client_caller(pointer))

    def _begin(self, function: Callable[..., int], question: Question) -> RepliesPointer:
        handle = self._use()
        pointer = RepliesPointer()
        with ExitStack() as stack:
            check(function(handle.pointer, question.build(stack), ctypes.byref(pointer)))
        return pointer

    def _find(self, question: Question) -> List[str]:
        handle = self._use()
        found = ctypes.c_void_p()
        with ExitStack() as stack:
            check(self._library.choria_client_discover(handle.pointer, question.build(stack), ctypes.byref(found)))
        identities: List[str] = json.loads(take(found))
        return identities


class Client(BaseClient[Replies, List[str]]):
    """A connection to the broker. Any number of threads may ask at once.

    Closing it ends its requests: they raise `Cancelled`. After a fork the child makes its own; this one raises `Forked`.
    """

    def __init__(self, config: Optional[Path] = None, timeout: Optional[float] = None) -> None:
        """Connects with the configuration `config` (default: what the choria command would use) within `timeout` seconds.

        Raises `InvalidConfiguration`, `NotConnected`, `Unauthorized`.
        """
        self._adopt(connect(config, timeout))

    def consumer(self, stream: str, durable: Optional[str] = None, filter: Optional[str] = None) -> Consumer:
        """Reads submissions from a stream; see `Consumer`."""
        handle = self._use()
        return Consumer(open_consumer(handle, stream, durable, filter), self)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, question: Question) -> Replies:
        return Replies(self._begin(self._library.choria_client_request, question), self)

    def _ping(self, question: Question) -> Replies:
        return Replies(self._begin(self._library.choria_client_ping, question), self)

    def _discover(self, question: Question) -> List[str]:
        return self._find(question)


def connect(config: Optional[Path], timeout: Optional[float]) -> ClientPointer:
    """Opens a client for the library."""
    pointer = ClientPointer()
    check(
        library().choria_client_open(encode_path(config, "config"), milliseconds(timeout, "timeout"), ctypes.byref(pointer))
    )
    return pointer


def _add_all(pointer: RequestPointer, values: Iterable[str], add: Callable[..., int], what: str) -> None:
    if isinstance(values, str):
        raise invalid(f"{what} is a text: give a list of texts")
    for value in values:
        check(add(pointer, encode(value, what)))


def _json(name: str, value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise invalid(f"input {name} cannot be written as JSON: {error}") from None
