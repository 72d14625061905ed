"""After a fork: network objects from before say so, everything else works, and the parent is not disturbed."""

import gc
import multiprocessing
import os
import threading
import time

import pytest

import choria
from processes import in_child

ALL = ("n1.demo.example.net", "n2.demo.example.net")


def code(function):
    try:
        function()
    except choria.ChoriaError as error:
        return error.code.name
    return "OK"


def test_objects_from_before(network, client, submitter, trust, issuers):
    replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=30)
    consumer = client.consumer(network.stream)
    token = trust.verify_file(network.server_token)
    seed = choria.Seed.open(network.server_seed)

    def child():
        codes = {
            "request": code(lambda: client.request("rpcutil", "ping", nodes=ALL)),
            "ping": code(client.ping),
            "discover": code(client.discover),
            "next": code(replies.next),
            "consumer": code(lambda: consumer.next(1)),
        }
        works = [
            submitter.submit("local.child", b"x"),
            trust.verify_file(network.server_token).identity,
            choria.Trust(issuers).verify_file(network.client_token).identity,
            token.identity,
            seed.sign(b"x"),
        ]
        replies.close()
        consumer.close()
        client.close()
        gc.collect()
        return codes, works

    codes, works = in_child(child)
    assert set(codes.values()) == {"FORKED"}, codes
    assert works[1:4] == ["n1.demo.example.net", "up=demo", "n1.demo.example.net"]
    assert works[4] == seed.sign(b"x")
    assert len(client.request("rpcutil", "ping", nodes=ALL).all()) == 2, "the parent's goes on"
    with pytest.raises(choria.Timeout):
        replies.next(0)


def test_a_client_of_the_child(network, client):
    def child():
        with choria.Client(network.client_config) as own:
            return sorted(reply.sender for reply in own.request("rpcutil", "ping", nodes=ALL))

    assert in_child(child) == list(ALL)
    assert in_child(lambda: in_child(child)) == list(ALL), "a child's child"
    assert len(client.request("rpcutil", "ping", nodes=ALL).all()) == 2


def test_forking_while_other_threads_are_inside(network, client, submitter):
    ending = threading.Event()

    def busy():
        while not ending.is_set():
            client.request("rpcutil", "ping", nodes=ALL).all()
            submitter.submit("local.busy", b"x")

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: (submitter.submit("local.child", b"x"), code(client.ping))[1]) == "FORKED"
    finally:
        ending.set()
        for thread in threads:
            thread.join(60)


def pooled(config):
    with choria.Client(config) as own:
        return os.getpid(), len(own.request("rpcutil", "ping", nodes=ALL).all())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(network, client, method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = pool.map_async(pooled, [network.client_config] * 4).get(60)
    assert [count for _, count in answers] == [2] * 4
    assert os.getpid() not in {process for process, _ in answers}


def test_ending_while_a_thread_waits(network):
    """A program ends at once, whatever its threads are waiting for."""
    import subprocess
    import sys

    program = """
import threading, choria
client = choria.Client()
replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60)
threading.Thread(target=replies.all, daemon=True).start()
threading.Thread(target=lambda: list(client.consumer("SUBMIT", filter="choria.submission.in.local.never")), daemon=True).start()
print("ends")
"""
    began = time.monotonic()
    environment = dict(os.environ, PYTHONPATH=str(__import__("pathlib").Path(choria.__file__).parent.parent))
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")
    assert time.monotonic() - began < 40
