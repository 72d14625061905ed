"""The same with asyncio: one event loop, no thread for replies."""

import asyncio
import gc
import threading
import time

import pytest

import choria
from choria import aio

ALL = ("n1.demo.example.net", "n2.demo.example.net")
FIRST, SECOND = ALL


def run(main):
    """Runs a coroutine function, with a minute for everything."""
    return asyncio.run(asyncio.wait_for(main(), 60))


def test_replies_as_they_arrive(network):
    async def main():
        async with aio.Client() as client:
            assert client.caller == network.caller
            replies = client.request("rpcutil", "ping")
            assert replies.request_id == ""
            senders = [reply.sender async for reply in replies]
            assert replies.request_id
            assert replies.statistics.ok == 2
            return senders

    assert sorted(run(main)) == list(ALL)


def test_many_at_once_without_threads(network):
    async def main():
        async with aio.Client(network.client_config) as client:
            pending = [await client.request("rpcutil", "ping", nodes=ALL) for _ in range(50)]
            # Replies are read with no thread but this one: the executor's are asleep, and nothing is given to them.
            asyncio.get_running_loop().run_in_executor = None
            counts = await asyncio.gather(*(replies.all() for replies in pending))
            del asyncio.get_running_loop().run_in_executor
            return [len(replies) for replies in counts]

    assert run(main) == [2] * 50


def test_the_loop_goes_on_meanwhile(network):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        async with aio.Client(network.client_config) as client:
            ticker = asyncio.ensure_future(tick())
            replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=1)
            assert await replies.all() == []
            during_replies = ticks
            assert sorted(await client.discover(timeout=1)) == list(ALL)
            ticker.cancel()
            return during_replies, ticks - during_replies

    for count in run(main):
        assert count > 5


def test_ping_and_filters(network):
    async def main():
        async with aio.Client(network.client_config) as client:
            pongs = await client.ping(facts=["number=2"], timeout=2).all()
            first = await client.discover(classes=["roles::web"], timeout=1)
            return [pong.sender for pong in pongs], first

    assert run(main) == ([SECOND], [FIRST])


def test_cancelling_a_task(network):
    async def main():
        async with aio.Client(network.client_config) as client:
            task = asyncio.ensure_future(client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60).all())
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(asyncio.TimeoutError):
                replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60)
                await asyncio.wait_for(replies.all(), 0.2)
            replies.cancel()
            with pytest.raises(choria.Cancelled):
                await replies.next()
            return len(await client.request("rpcutil", "ping", nodes=ALL).all())

    assert run(main) == 2


def test_leaving_the_loop_ends_the_request(network):
    async def main():
        async with aio.Client(network.client_config) as client:
            async for reply in client.request("rpcutil", "ping", nodes=ALL):
                assert reply.ok
                break
            async with client.request("rpcutil", "ping", nodes=ALL) as replies:
                assert (await replies.__anext__()).ok
            with pytest.raises(choria.InvalidArgument, match="closed"):
                await replies.next()
            gc.collect()
            loop = asyncio.get_running_loop()
            return len(loop._selector.get_map())

    # The loop's own pipe is all that is watched: no descriptor of a request was forgotten.
    assert run(main) == 1


def test_cancelling_before_the_question_is_out(network):
    async def main():
        async with aio.Client(network.client_config) as client:
            task = asyncio.ensure_future(client.request("rpcutil", "ping").start())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return len(await client.request("rpcutil", "ping", nodes=ALL).all())

    assert run(main) == 2


def test_errors(network):
    async def main():
        async with aio.Client(network.client_config) as client:
            with pytest.raises(choria.InvalidRequest):
                await client.request("rpcutil", "get_fact", nodes=ALL)
            with pytest.raises(choria.NotFound):
                async for _ in client.request("nonsense", "ping", nodes=ALL):
                    pass
            with pytest.raises(choria.NotFound):
                await client.consumer("NONSENSE")
        with pytest.raises(choria.InvalidArgument, match="closed"):
            client.request("rpcutil", "ping")

    run(main)


def test_closing_the_client_ends_its_requests(network):
    async def main():
        client = await aio.Client(network.client_config).connect()
        replies = await client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60)
        asyncio.get_running_loop().call_later(0.1, client.close)
        with pytest.raises(choria.Cancelled):
            await replies.all()

    run(main)


def test_a_loop_in_each_thread(network):
    failures = []

    async def ask():
        async with aio.Client(network.client_config) as client:
            return len(await client.request("rpcutil", "ping", nodes=ALL).all())

    def work():
        try:
            assert run(ask) == 2
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_consumer(network):
    identifiers = [
        choria.submit("local.aio", f"{n}", reliable=True, sign=True, config=network.server_config, socket=network.socket)
        for n in range(5)
    ]

    async def main():
        trust = choria.Trust.from_config()
        seen = []
        async with aio.Client(network.client_config) as client:
            subject = "choria.submission.in.local.aio"
            async with await client.consumer(network.stream, durable="aio", filter=subject) as messages:
                async for message in messages:
                    message.verify(trust, 60)
                    messages.ack(message)
                    seen.append(message.id)
                    if len(seen) == 5:
                        break
                began = time.monotonic()
                with pytest.raises(choria.Timeout):
                    await messages.next(0.2)
                assert time.monotonic() - began < 20
        return seen

    assert run(main) == identifiers
