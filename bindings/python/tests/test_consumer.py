"""Reading the stream: good messages verify, forged ones are refused, what was acknowledged does not come again."""

import json
import pathlib
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import pytest

import choria
from choria import Received

EXAMPLE = pathlib.Path(__file__).parent.parent / "examples/consumer.py"


def submit(network, subject, payload, **options):
    return choria.submit(subject, payload, reliable=True, config=network.server_config, socket=network.socket, **options)


def signed(network, payload, seed=None, **changes):
    """The headers that a server sends with a signed message; `changes` replace or, as None, remove."""
    headers = {
        "Nats-Msg-Id": f"forged-{time.monotonic_ns()}",
        "Choria-Created": str(time.time_ns()),
        "Choria-Sender": "user 0",
        "Choria-Identity": network.identities[0],
        "Choria-Token": pathlib.Path(changes.pop("token", network.server_token)).read_text().strip(),
        "Choria-Signature": choria.Seed.open(seed or network.server_seed).sign(payload),
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    return [(name, value) for name, value in headers.items() if value is not None]


def past(seconds):
    return str(int((time.time() - seconds) * 1e9))


FORGED = [
    ("no signature", {"Choria_Signature": None}, choria.SignatureInvalid),
    ("no token", {"Choria_Token": None}, choria.SignatureInvalid),
    ("another payload", {"Choria_Signature": "00" * 64}, choria.SignatureInvalid),
    ("garbage for a signature", {"Choria_Signature": "zz"}, choria.SignatureInvalid),
    ("garbage for a token", {"Choria_Token": "garbage"}, (choria.TokenInvalid, choria.TokenUntrusted)),
    ("a key that is not the token's", {"seed": "client_seed"}, choria.SignatureInvalid),
    ("a foreign issuer", {"token": "foreign_token"}, choria.TokenUntrusted),
    ("a chain that does not hold", {"token": "broken_chain_token"}, choria.TokenUntrusted),
    ("an expired token", {"token": "expired_token"}, choria.TokenExpired),
    ("a client's token", {"token": "client_token", "seed": "client_seed"}, choria.ChoriaError),
    ("another identity", {"Choria_Identity": "n2.demo.example.net"}, choria.ChoriaError),
    ("an old message", {"Choria_Created": past(7200)}, choria.Stale),
    ("a message from the future", {"Choria_Created": past(-7200)}, choria.Stale),
    ("a message without a time", {"Choria_Created": None}, choria.SignatureInvalid),
]


def forge(network, changes, payload=b"forged"):
    named = {key: getattr(network, value) if key in ("seed", "token") else value for key, value in changes.items()}
    return signed(network, payload, **named)


@pytest.mark.parametrize(("name", "changes", "error"), FORGED)
def test_forged_messages(network, trust, name, changes, error):
    message = Received("choria.submission.in.local.forged", b"forged", forge(network, changes))
    with pytest.raises(error) as refused:
        message.verify(trust, max_age=3600)
    assert str(refused.value)
    assert not message.verified


@pytest.mark.parametrize("token", ["server_token", "chain_server_token"])
def test_what_another_client_received(network, trust, token):
    headers = signed(network, b"good", token=getattr(network, token))
    message = Received("choria.submission.in.local.good", b"good", dict(headers))
    message.verify(trust, max_age=60)
    assert (message.verified, message.identity, message.sequence) == (True, network.identities[0], 0)
    assert message.payload == b"good"
    assert message.header("choria-SENDER") == message.sender == "user 0"
    assert message.header("missing") is None
    assert abs(message.created - datetime.now(timezone.utc)) < timedelta(minutes=1)
    message.verify(trust)
    with pytest.raises(choria.TokenExpired):
        message.verify(trust, now=datetime(2099, 1, 1, tzinfo=timezone.utc))


def test_a_bare_message():
    message = Received("some.subject", b"")
    assert (message.id, message.sender, message.identity, message.created) == ("", "", "", None)
    assert message.payload == b""
    assert not message.verified
    zero = Received("some.subject", b"a\0b", [("A", "1")])
    assert zero.payload == b"a\0b"
    assert "NOT verified" in repr(zero)


def test_a_durable_consumer_remembers(network, client, trust):
    identifiers = [submit(network, "local.durable", f"{number}", sign=True) for number in range(6)]
    options = {"durable": "remembers", "filter": "choria.submission.in.local.durable"}
    with client.consumer(network.stream, **options) as consumer:
        for expected in identifiers[:3]:
            message = consumer.next(20)
            message.verify(trust, 60)
            assert message.id == expected
            consumer.ack(message)
    began = time.monotonic()
    with client.consumer(network.stream, **options) as consumer:
        rest = []
        for message in consumer:
            rest.append(message.id)
            consumer.ack(message)
            if len(rest) == 3:
                break
        # What was fetched and not given out was handed back; in which order it comes again is the stream's choice.
        assert sorted(rest) == sorted(identifiers[3:])
        assert time.monotonic() - began < 60, "not only when the time for acknowledging them is over"
        with pytest.raises(choria.Timeout):
            consumer.next(0.3)


def test_a_consumer_without_a_name_begins_at_the_beginning(network, client):
    submit(network, "local.again", "x")
    for _ in range(2):
        with client.consumer(network.stream) as consumer:
            assert consumer.next(20).sequence == 1


def test_waiting_for_what_comes_later(network, client):
    with client.consumer(network.stream, filter="choria.submission.in.local.later") as consumer:
        with pytest.raises(choria.Timeout):
            consumer.next(0)
        identifier = submit(network, "local.later", "x")
        assert consumer.next(20).id == identifier


def test_no_such_stream(client):
    for stream in ("NONSENSE", "", "a.b"):
        with pytest.raises((choria.NotFound, choria.InvalidArgument)):
            client.consumer(stream)


def test_closed(network):
    with choria.Client(network.client_config) as client:
        consumer = client.consumer(network.stream)
    with pytest.raises((choria.Cancelled, choria.NotConnected, choria.Timeout)):
        while True:
            consumer.next(1)
    consumer.close()
    with pytest.raises(choria.InvalidArgument, match="closed"):
        consumer.next()


def test_the_example(network):
    """Good messages are printed, forged ones are refused, and none comes twice."""
    good = [submit(network, f"local.example.{number}", f"payload {number}", sign=True) for number in range(3)]
    unsigned = submit(network, "local.example.unsigned", "x")
    for _, changes, _ in FORGED:
        network.publish("choria.submission.in.local.example.forged", b"forged", forge(network, changes))
    last = submit(network, "local.example.last", "last", sign=True)
    deadline = time.monotonic() + 20
    with choria.Client(network.client_config) as client:
        with client.consumer(network.stream, filter="choria.submission.in.local.example.last") as consumer:
            assert consumer.next(deadline - time.monotonic()).id == last
    count = network.do("stream")["messages"]

    def read(messages):
        command = [sys.executable, EXAMPLE, "--max-age", "3600", "--count", str(messages), network.stream]
        environment = dict(__import__("os").environ, PYTHONPATH=str(EXAMPLE.parent.parent / "src"))
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    done = read(count)
    assert done.returncode == 0, done.stderr
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    mine = [message for message in printed if "local.example" in message["subject"]]
    assert sorted(message["id"] for message in mine) == sorted([*good, last])
    assert {message["identity"] for message in mine} == {network.identities[0]}
    refused = [line for line in done.stderr.splitlines() if "local.example" in line]
    assert len(refused) == len(FORGED) + 1, done.stderr
    assert any("local.example.unsigned" in line for line in refused)
    assert unsigned not in done.stdout
    after = submit(network, "local.example.after", "after", sign=True)
    again = read(1)
    assert [json.loads(line)["id"] for line in again.stdout.splitlines()] == [after], again.stderr
