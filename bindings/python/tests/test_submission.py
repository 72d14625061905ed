"""Messages reach the stream through the socket, wait in the spool, or are refused in so many words."""

import json
import os
import pathlib
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest

import choria
from choria import Draft
from choria.submission import ROUND
from processes import in_child

SECONDS = 20
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


def arrived(network, client, count):
    """The newest `count` messages of the stream by id, once there are so many more than `network` had."""
    deadline = time.monotonic() + SECONDS
    while True:
        with client.consumer(network.stream) as consumer:
            found = {}
            for _ in range(network.do("stream")["messages"]):
                message = consumer.next(5)
                found[message.id] = message
        if count(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def spooled(folder):
    return [json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("spool/P*/*.msg"))]


def test_submitted_messages_arrive(network, client, trust):
    identifier = choria.submit(
        "local.python.one",
        b'{"ok": true}',
        reliable=True,
        sign=True,
        priority=1,
        ttl=timedelta(minutes=5),
        max_tries=7,
        headers={"Acme-Job": "7"},
        config=network.server_config,
        socket=network.socket,
    )
    uuid.UUID(identifier)
    message = arrived(network, client, lambda found: identifier in found)[identifier]
    assert message.subject == "choria.submission.in.local.python.one"
    assert message.payload == b'{"ok": true}'
    assert message.header("acme-job") == "7"
    assert message.header("Choria-Priority") == "1"
    assert message.sender == f"user {os.geteuid()}"
    assert abs(message.created - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert not message.verified
    message.verify(trust, max_age=60)
    assert message.verified
    assert message.identity == network.identities[0]


def test_many_arrive_in_order(network, client, submitter):
    drafts = [Draft("local.python.many", f"{number}", reliable=True) for number in range(1200)]
    identifiers = submitter.submit_many(drafts)
    assert len(set(identifiers)) == len(drafts)
    found = arrived(network, client, lambda found: set(identifiers) <= set(found))
    assert [int(found[identifier].payload) for identifier in identifiers] == list(range(1200))
    sequences = [found[identifier].sequence for identifier in identifiers]
    assert sequences == sorted(sequences)


def test_status(network, submitter):
    status = submitter.status()
    assert status.spool == network.spool
    assert [priority.priority for priority in status.priorities] == [0, 1, 2, 3, 4]
    assert status.messages == sum(priority.messages for priority in status.priorities)
    assert status.corrupt == 0
    assert status.limits
    assert choria.submission_status(network.server_config, network.socket).spool == network.spool


def test_the_spool_itself(here, tmp_path):
    config = here()
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    identifier = choria.submit("local.job", b"\0\xff", priority=2, max_tries=5, ttl=90.5, headers={"A": "b"}, config=config)
    (message,) = spooled(tmp_path)
    assert (message["id"], message["subject"], message["payload"]) == (identifier, "local.job", "AP8=")
    assert (message["priority"], message["max_tries"], message["ttl"], message["headers"]) == (2, 5, 90.5, {"A": "b"})
    assert (message["reliable"], message["sign"], message["identity"]) == (False, False, "here.example.net")
    status = choria.submission_status(config)
    assert (status.messages, status.priorities[2].messages) == (1, 1)
    assert before < status.priorities[2].oldest < datetime.now(timezone.utc) + timedelta(seconds=1)


def test_a_full_spool(here, tmp_path):
    submitter = choria.Submitter(here("plugin.choria.submission.max_spool_size = 3"))
    accepted = 0
    with pytest.raises(choria.SpoolFull) as full:
        for _ in range(10):
            submitter.submit("local.job", b"x")
            accepted += 1
    assert accepted in (3, 4)
    assert len(spooled(tmp_path)) == accepted
    assert full.value.code == choria.Result.SPOOL_FULL
    submitter.submit("local.job", b"x", priority=0)


def test_many_of_which_some_are_refused(here, tmp_path):
    submitter = choria.Submitter(here())
    drafts = [Draft("local.job", b"1"), Draft("local.job", b"2"), Draft("local.*", b"3"), Draft("local.job", b"4")]
    with pytest.raises(choria.InvalidMessage) as invalid:
        submitter.submit_many(drafts)
    assert [identifier is None for identifier in invalid.value.ids] == [False, False, True, False]
    assert [message["id"] for message in spooled(tmp_path)] == [taken for taken in invalid.value.ids if taken]
    assert submitter.submit_many([]) == []


def test_many_for_a_small_spool(here, tmp_path):
    full = choria.Submitter(here("plugin.choria.submission.max_spool_size = 4"))
    with pytest.raises(choria.SpoolFull) as stopped:
        full.submit_many(Draft("local.job", f"{number}") for number in range(2 * ROUND))
    taken = [identifier for identifier in stopped.value.ids if identifier]
    assert [message["id"] for message in spooled(tmp_path)] == taken
    assert len(taken) in (4, 5)
    assert len(stopped.value.ids) == ROUND, "the second round is not begun"


def test_too_large(here, submitter):
    small = choria.Submitter(here("plugin.choria.submission.max_message_size = 1000"))
    small.submit("local.job", b"x" * 1000)
    with pytest.raises(choria.TooLarge):
        small.submit("local.job", b"x" * 1001)
    with pytest.raises(choria.TooLarge):
        submitter.submit("local.job", b"x" * (1024 * 1024 + 1))


INVALID = [
    ("no payload", {"payload": b""}),
    ("no subject", {"subject": ""}),
    ("wildcard", {"subject": "local.>"}),
    ("white space", {"subject": "local. job"}),
    ("empty word", {"subject": "local..job"}),
    ("priority", {"priority": 5}),
    ("no tries", {"max_tries": 0}),
    ("no time", {"ttl": 0}),
    ("too much time", {"ttl": 32 * 86400}),
    ("negative time", {"ttl": -1}),
    ("reserved header", {"headers": {"Choria-Identity": "x"}}),
    ("reserved header of NATS", {"headers": {"nats-Msg-Id": "x"}}),
    ("line in a header", {"headers": {"A": "b\r\nC: d"}}),
]


@pytest.mark.parametrize(("name", "change"), INVALID)
def test_invalid_messages(here, tmp_path, name, change):
    arguments = {"subject": "local.job", "payload": b"x", **change}
    with pytest.raises((choria.InvalidMessage, choria.InvalidArgument)) as invalid:
        choria.Submitter(here()).submit(**arguments)
    assert str(invalid.value)
    assert spooled(tmp_path) == []


WRONG = [
    ("zero in the subject", {"subject": "local\0job"}),
    ("not a payload", {"payload": 5}),
    ("not a subject", {"subject": None}),
    ("negative priority", {"priority": -1}),
    ("huge tries", {"max_tries": 2**40}),
    ("text as priority", {"priority": "4"}),
]


@pytest.mark.parametrize(("name", "change"), WRONG)
def test_what_c_cannot_hold(here, name, change):
    with pytest.raises(choria.InvalidArgument):
        choria.Submitter(here()).submit(**{"subject": "local.job", "payload": b"x", **change})


def test_neither_socket_nor_spool(tmp_path):
    config = tmp_path / "server.conf"
    lines = (f"plugin.choria.submission.socket = {tmp_path}/none.sock", f"plugin.choria.submission.spool = {config}", "")
    config.write_text("\n".join(lines))
    with pytest.raises((choria.Unavailable, choria.InputOutput)) as refused:
        choria.submit("local.job", b"x", config=config)
    assert str(config) in str(refused.value)


def test_a_socket_that_nobody_serves(tmp_path, here):
    import socket

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "dead.sock"))
    listener.close()
    config = here()
    with pytest.raises(choria.ChoriaError) as refused:
        choria.submit("local.job", b"x", config=tmp_path / "missing.conf", socket=tmp_path / "dead.sock")
    assert str(refused.value)
    assert config.exists()


@needs_root
def test_other_users(network):
    """An unprivileged user may submit below local., nothing else, and not as somebody else."""

    def attempt():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        submitter = choria.Submitter(None, network.socket)
        results = [submitter.submit("local.nobody", b"x")]
        for subject, options in (("acme.nobody", {}), ("local.nobody", {"sender": "root"})):
            try:
                results.append(submitter.submit(subject, b"x", **options))
            except choria.Refused as refused:
                results.append(str(refused))
        return results

    identifier, subject, sender = in_child(attempt)
    uuid.UUID(identifier)
    assert "acme.nobody" in subject
    assert "plugin.choria.submission.allow" in subject
    assert "sender" in sender


@needs_root
def test_the_sender_is_who_the_kernel_says(network, client):
    def attempt():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        return choria.submit("local.sender", b"x", reliable=True, socket=network.socket)

    identifier = in_child(attempt)
    assert arrived(network, client, lambda found: identifier in found)[identifier].sender == "user 65534"
    own = choria.submit("local.sender", b"x", reliable=True, sender="cron", socket=network.socket)
    assert arrived(network, client, lambda found: own in found)[own].sender == "cron"


@needs_root
def test_a_spool_of_somebody_else(here, tmp_path):
    config = here()
    (tmp_path / "spool").chmod(0o700)

    def attempt():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            return choria.submit("local.job", b"x", config=config)
        except choria.ChoriaError as error:
            return type(error).__name__

    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    config.chmod(0o644)
    assert in_child(attempt) in ("Unavailable", "Refused")
    assert spooled(tmp_path) == []


def test_a_service_that_was_away(network, client, submitter):
    network.do("stop", name="submit")
    try:
        direct = submitter.submit("local.away", b"into the spool", reliable=True)
    finally:
        network.do("start", name="submit")
    through = submitter.submit("local.away", b"through the socket", reliable=True)
    found = arrived(network, client, lambda found: {direct, through} <= set(found))
    assert {direct, through} <= set(found)


def test_submitting_while_the_server_is_stopped(network, client, submitter):
    network.do("stop", name="server1")
    try:
        identifiers = [submitter.submit("local.stopped", f"{number}", reliable=True) for number in range(5)]
        assert submitter.status().messages >= 5
    finally:
        network.do("start", name="server1")
    found = arrived(network, client, lambda found: set(identifiers) <= set(found))
    sequences = [found[identifier].sequence for identifier in identifiers]
    assert sequences == sorted(sequences)


def test_closed(network):
    submitter = choria.Submitter(network.server_config, network.socket)
    with submitter:
        pass
    with pytest.raises(choria.InvalidArgument, match="closed"):
        submitter.submit("local.job", b"x")
