"""The same questions for asyncio: the event loop watches the library's descriptors, and nothing blocks it.

Connecting, opening a consumer and finding the nodes of a request wait in the loop's executor; replies and messages do not.
"""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Callable, Coroutine, Generator, List, Optional, TypeVar

from ._abi import Result
from ._library import Path
from .client import BaseClient, Question, connect
from .consumer import BaseConsumer, Received, open_consumer
from .errors import Timeout
from .replies import LONGEST_WAIT, Pending, Reply, Statistics, is_answer

T = TypeVar("T")


class Client(BaseClient["Replies", Coroutine[Any, Any, List[str]]]):
    """A connection to the broker for asyncio: `async with Client() as client: …`."""

    def __init__(self, config: Optional[Path] = None, timeout: Optional[float] = None) -> None:
        """Connects when it is entered; arguments as for `choria.Client`."""
        self._config = config
        self._timeout = timeout
        self._handle = None

    async def connect(self) -> Client:
        """Connects, as entering does; `close` ends it."""
        if self._handle is None:
            await in_executor(lambda: self._adopt(connect(self._config, self._timeout)))
        return self

    async def consumer(self, stream: str, durable: Optional[str] = None, filter: Optional[str] = None) -> Consumer:
        """Reads submissions from a stream; see `Consumer`."""
        handle = self._use()
        return await in_executor(lambda: Consumer(open_consumer(handle, stream, durable, filter), self))

    async def __aenter__(self) -> Client:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        # Says goodbye to the broker, which may take a moment.
        await in_executor(self.close)

    def _ask(self, question: Question) -> Replies:
        return Replies(self, lambda: Pending(self._begin(self._library.choria_client_request, question), self))

    def _ping(self, question: Question) -> Replies:
        return Replies(self, lambda: Pending(self._begin(self._library.choria_client_ping, question), self))

    async def _discover(self, question: Question) -> List[str]:
        return await in_executor(lambda: self._find(question))


class Replies:
    """Iterates over replies as they arrive; the question is asked when iteration begins, or `start` is awaited.

    Leaving the loop and dropping this, `close`, or leaving `async with` ends the request.
    """

    def __init__(self, client: Client, begin: Callable[[], Pending]) -> None:
        client._use()
        self._begin = begin
        self._pending: Optional[Pending] = None

    async def start(self) -> Replies:
        """Asks, if that was not done yet; raises as `choria.Client.request`."""
        if self._pending is None:
            self._pending = await in_executor(self._begin)
        return self

    @property
    def request_id(self) -> str:
        """The request's id, empty before it was asked."""
        return self._pending.request_id if self._pending else ""

    @property
    def statistics(self) -> Optional[Statistics]:
        """How it went, set when all replies were read."""
        return self._pending.statistics if self._pending else None

    def cancel(self) -> None:
        """Waits for no more replies; whoever iterates gets `Cancelled`."""
        if self._pending:
            self._pending.cancel()

    def close(self) -> None:
        """Ends the request and frees what it holds."""
        if self._pending:
            self._pending.close()

    async def next(self) -> Optional[Reply]:
        """The next event of any kind, None when there will be no more; raises `Cancelled`."""
        await self.start()
        pending = self._pending
        assert pending is not None
        while True:
            # Held while waiting: a descriptor that another task closes could be somebody else's a moment later.
            handle = pending._use()
            event = pending.poll()
            if isinstance(event, Reply):
                return event
            if event == Result.END:
                return None
            await readable(pending.fileno(), LONGEST_WAIT)
            del handle

    async def events(self) -> AsyncIterator[Reply]:
        """All events, those that iterating over this passes over included: see `Reply.kind`."""
        while True:
            event = await self.next()
            if event is None:
                return
            yield event

    async def all(self) -> List[Reply]:
        """All replies, when the last has come."""
        return [reply async for reply in self]

    def __aiter__(self) -> Replies:
        return self

    async def __anext__(self) -> Reply:
        while True:
            event = await self.next()
            if event is None:
                raise StopAsyncIteration
            if is_answer(event):
                return event

    def __await__(self) -> Generator[Any, None, Replies]:
        return self.start().__await__()

    async def __aenter__(self) -> Replies:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Consumer(BaseConsumer):
    """Iterates over the submissions in a stream and waits for more; made by `Client.consumer`."""

    async def next(self, timeout: Optional[float] = None) -> Received:
        """The next message; waits until there is one, or raises `Timeout` after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            handle = self._use()
            message = self.poll()
            if message is not None:
                return message
            remaining = LONGEST_WAIT if deadline is None else deadline - loop.time()
            if remaining <= 0:
                raise Timeout(f"no message came within {timeout} s", Result.TIMEOUT)
            await readable(self.fileno(), min(remaining, LONGEST_WAIT))
            del handle

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Received:
        return await self.next()

    async def __aenter__(self) -> Consumer:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


async def readable(descriptor: int, seconds: float) -> None:
    """Returns when the descriptor is readable or the time is over."""
    loop = asyncio.get_running_loop()
    signal: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not signal.done():
            signal.set_result(None)

    loop.add_reader(descriptor, wake)
    timer = loop.call_later(seconds, wake)
    try:
        await signal
    finally:
        timer.cancel()
        loop.remove_reader(descriptor)


async def in_executor(function: Callable[[], T]) -> T:
    """Runs what may block where it does not block the loop.

    What it gives owns its handle, so that nothing leaks when nobody waits for it any more.
    """
    return await asyncio.get_running_loop().run_in_executor(None, function)
