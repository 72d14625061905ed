"""Requests, pings and discovery with threads: filters, silence, refusal, cancelling."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import choria
from choria import EventKind

ALL = ("n1.demo.example.net", "n2.demo.example.net")
FIRST, SECOND = ALL


def test_ping_the_agent(network, client):
    replies = client.request("rpcutil", "ping")
    assert replies.request_id
    got = list(replies)
    assert sorted(reply.sender for reply in got) == list(ALL)
    for reply in got:
        assert (reply.kind, reply.status, reply.ok, reply.verified) == (EventKind.REPLY, 0, True, True)
        assert reply.message == "OK"
        assert abs(reply.data["pong"] - time.time()) < 60
        assert reply.latency is None
    statistics = replies.statistics
    assert (statistics.discovered, statistics.responses, statistics.ok, statistics.failed) == (2, 2, 2, 0)
    assert (statistics.silent, statistics.unexpected) == ((), ())
    assert 0 < statistics.seconds < 60
    assert list(replies) == []
    assert replies.next() is None


def test_who_asks(network, client):
    assert client.caller == network.caller


def test_ping(network, client):
    pongs = client.ping(timeout=5).all()
    assert sorted(pong.sender for pong in pongs) == list(ALL)
    for pong in pongs:
        assert (pong.kind, pong.ok) == (EventKind.PONG, True)
        assert 0 < pong.latency < 5


FILTERS = [
    ("nothing", {}, ALL),
    ("a fact", {"facts": ["number=1"]}, (FIRST,)),
    ("a number", {"facts": ["number>1"]}, (SECOND,)),
    ("a nested fact", {"facts": ["os.family=Debian"]}, ALL),
    ("two facts", {"facts": ["number>=1", "country=us"]}, (SECOND,)),
    ("a class", {"classes": ["roles::web"]}, (FIRST,)),
    ("classes like", {"classes": ["/^roles/"]}, ALL),
    ("an identity", {"identities": [SECOND]}, (SECOND,)),
    ("identities like", {"identities": ["/^n1/"]}, (FIRST,)),
    ("an agent", {"agents": ["rpcutil"]}, ALL),
    ("an expression", {"compound": "with('roles::base') and not with('number=1')"}, (SECOND,)),
    ("nobody", {"facts": ["number=77"]}, ()),
]


@pytest.mark.parametrize(("name", "filters", "expected"), FILTERS)
def test_filters(client, name, filters, expected):
    assert tuple(sorted(client.discover(timeout=1, **filters))) == expected


def test_filters_of_a_request(client):
    (reply,) = client.request("rpcutil", "get_fact", {"fact": "number"}, facts=["number=2"])
    assert (reply.sender, reply.data["value"]) == (SECOND, 2)
    assert [pong.sender for pong in client.ping(classes=["roles::web"], timeout=2)] == [FIRST]


def test_nobody_matches(client):
    with pytest.raises(choria.NotFound):
        client.request("rpcutil", "ping", facts=["number=77"], discovery_timeout=1)
    assert client.ping(facts=["number=77"], timeout=1).all() == []


def test_named_nodes(client):
    began = time.monotonic()
    replies = client.request("rpcutil", "ping", nodes=[SECOND])
    assert [reply.sender for reply in replies] == [SECOND]
    assert time.monotonic() - began < 30


def test_a_silent_node(network, client):
    network.do("pause", name="server2")
    try:
        replies = client.request("rpcutil", "ping", nodes=ALL, timeout=2)
        first = next(replies)
        assert first.sender == FIRST, "comes before the silence is over"
        assert replies.statistics is None
        assert list(replies) == []
        assert replies.statistics.silent == (SECOND,)
        assert replies.statistics.responses == 1
    finally:
        network.do("resume", name="server2")


def test_a_node_that_does_not_exist(client):
    replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=1)
    assert list(replies) == []
    assert replies.statistics.silent == ("missing.example.net",)


def test_a_failing_action(client):
    (reply,) = client.request("rpcutil", "get_data", {"source": "missing"}, nodes=[FIRST])
    assert not reply.ok
    assert reply.status != 0
    assert reply.message != "OK"


WRONG_INPUTS = [
    ("unknown agent", "nonsense", "ping", {}, choria.NotFound),
    ("unknown action", "rpcutil", "nonsense", {}, (choria.NotFound, choria.InvalidRequest)),
    ("missing input", "rpcutil", "get_fact", {}, choria.InvalidRequest),
    ("unknown input", "rpcutil", "ping", {"nonsense": 1}, choria.InvalidRequest),
    ("another type", "rpcutil", "get_fact", {"fact": 5}, choria.InvalidRequest),
    ("too long", "rpcutil", "get_fact", {"fact": "x" * 10000}, choria.InvalidRequest),
]


@pytest.mark.parametrize(("name", "agent", "action", "inputs", "error"), WRONG_INPUTS)
def test_the_description_is_kept(client, name, agent, action, inputs, error):
    with pytest.raises(error) as refused:
        client.request(agent, action, inputs, nodes=[FIRST])
    assert str(refused.value)


WRONG_ARGUMENTS = [
    ("a text instead of a list", {"nodes": FIRST}),
    ("a fact without a value", {"facts": ["=x"]}),
    ("negative time", {"timeout": -1}),
    ("no time", {"timeout": 0}),
    ("a zero character", {"nodes": ["n1\0"]}),
    ("a collective that is none", {"collective": "a.b"}),
]


@pytest.mark.parametrize(("name", "arguments"), WRONG_ARGUMENTS)
def test_wrong_arguments(client, name, arguments):
    with pytest.raises((choria.InvalidArgument, choria.InvalidRequest)):
        client.request("rpcutil", "ping", **arguments)


@pytest.mark.parametrize("filters", [{"compound": "with('x' and"}, {"identities": ["/(/"]}])
def test_filters_that_no_node_understands(client, filters):
    with pytest.raises((choria.NotFound, choria.InvalidArgument)):
        client.request("rpcutil", "ping", discovery_timeout=1, **filters)


def test_inputs_that_json_does_not_know(client):
    for value in (object(), float("nan"), b"bytes"):
        with pytest.raises(choria.InvalidArgument, match="fact"):
            client.request("rpcutil", "get_fact", {"fact": value}, nodes=[FIRST])


def test_inputs_as_text(client):
    (reply,) = client.request("rpcutil", "get_fact", text_inputs={"fact": "number"}, nodes=[FIRST])
    assert reply.data["value"] == 1


def test_waiting_has_an_end(network, client):
    network.do("pause", name="server1")
    try:
        replies = client.request("rpcutil", "ping", nodes=[FIRST], timeout=30)
        for timeout in (0, 0.05):
            with pytest.raises(TimeoutError) as waited:
                replies.next(timeout)
            assert isinstance(waited.value, choria.Timeout)
    finally:
        network.do("resume", name="server1")
    assert replies.next(20).sender == FIRST, "asking again goes on"


def test_cancel_from_another_thread(client):
    replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60)
    began = time.monotonic()
    threading.Timer(0.1, replies.cancel).start()
    with pytest.raises(choria.Cancelled):
        list(replies)
    assert time.monotonic() - began < 30
    with pytest.raises(choria.Cancelled):
        replies.next()


def test_close_while_another_thread_waits(client):
    replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60)
    threading.Timer(0.1, replies.close).start()
    with pytest.raises((choria.Cancelled, choria.InvalidArgument)):
        list(replies)


def test_closing_the_client_ends_its_requests(network):
    client = choria.Client(network.client_config)
    replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60)
    threading.Timer(0.1, client.close).start()
    with pytest.raises(choria.Cancelled):
        list(replies)
    with pytest.raises(choria.InvalidArgument, match="closed"):
        client.request("rpcutil", "ping")


def test_leaving_the_loop_early(client):
    for _ in range(20):
        for reply in client.request("rpcutil", "ping", nodes=ALL):
            assert reply.ok
            break
    with client.request("rpcutil", "ping", nodes=ALL) as replies:
        next(replies)
    with pytest.raises(choria.InvalidArgument, match="closed"):
        next(replies)


def test_a_client_that_nobody_keeps(network):
    assert len(list(choria.Client(network.client_config).request("rpcutil", "ping", nodes=ALL))) == 2


def test_an_interrupt_ends_waiting(network, client):
    """Control-C must reach Python while replies are awaited."""
    import signal

    # Programs that a shell starts in the background ignore it, and Python leaves that so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    replies = client.request("rpcutil", "ping", nodes=["missing.example.net"], timeout=60)
    began = time.monotonic()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(replies)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 30


def test_many_threads(client):
    def ask(number):
        node = ALL[number % 2]
        (reply,) = client.request("rpcutil", "get_fact", {"fact": "number"}, nodes=[node])
        return reply.sender == node and reply.data["value"] == number % 2 + 1

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))


def test_several_requests_at_once(client):
    pending = [client.request("rpcutil", "ping", nodes=ALL) for _ in range(50)]
    for replies in pending:
        assert sorted(reply.sender for reply in replies) == list(ALL)
    assert len({replies.request_id for replies in pending}) == 50


@pytest.fixture
def config_with(network, tmp_path):
    def make(**changes):
        lines = []
        for line in open(network.client_config):
            key = line.split("=")[0].strip()
            lines.append(f"{key} = {changes.pop(key)}\n" if key in changes else line)
        path = tmp_path / "client.conf"
        path.write_text("".join(lines))
        assert not changes
        return path

    return make


def test_a_login_that_is_refused(network, config_with):
    config = config_with(**{"plugin.security.choria.token_file": network.foreign_client_token})
    with pytest.raises((choria.Unauthorized, choria.TokenUntrusted)) as refused:
        choria.Client(config, timeout=10)
    assert str(refused.value)


def test_no_broker(config_with):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        config = config_with(**{"plugin.choria.middleware_hosts": f"127.0.0.1:{probe.getsockname()[1]}"})
        began = time.monotonic()
        with pytest.raises(choria.NotConnected):
            choria.Client(config, timeout=1)
        assert time.monotonic() - began < 30


def test_no_configuration(tmp_path):
    with pytest.raises((choria.NotFound, choria.InvalidConfiguration)):
        choria.Client(tmp_path / "missing.conf")


def test_a_broker_that_was_away(network, client):
    assert len(client.request("rpcutil", "ping", nodes=ALL).all()) == 2
    network.do("stop", name="broker")
    network.do("start", name="broker")
    deadline = time.monotonic() + 30
    while True:
        try:
            if len(client.request("rpcutil", "ping", nodes=ALL, timeout=2).all()) == 2:
                return
        except choria.NotConnected:
            pass
        assert time.monotonic() < deadline
