"""The README's examples are run as they are written there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import uuid

import pytest

import choria

README = pathlib.Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
ALL = ["n1.demo.example.net", "n2.demo.example.net"]


FRONT_PAGE = README.parent.parent.parent / "README.md"
(ALL_AT_ONCE,) = re.findall(r"```python\n(.*?)```", FRONT_PAGE.read_text(), re.S)


def example(words):
    if words == "the front page":
        return ALL_AT_ONCE
    (found,) = [text for text in EXAMPLES if words in text]
    return found


def run(network, words, *arguments, around=()):
    environment = dict(os.environ, **network.environment)
    installed = os.environ.get("CHORIA_TEST_PYTHON")
    if installed:
        # An environment in which the wheel is installed: the package and the library are those inside it.
        environment.pop("CHORIA_LIBRARY", None)
    else:
        environment["PYTHONPATH"] = str(README.parent / "src")
    command = [*around, installed or sys.executable, "-c", example(words), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_examples_are_short():
    assert len(EXAMPLES) == 4
    for text in [*EXAMPLES, ALL_AT_ONCE]:
        assert len([line for line in text.splitlines() if line.strip()]) <= 10


def at_home(network):
    """Where the socket of the submission service is at /run/choria, for one command."""
    folder = pathlib.Path(network.socket).parent
    script = f'mount -t tmpfs none /run && mkdir /run/choria && mount --bind {folder} /run/choria && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-c", script, "sh"]


def home(network):
    around = at_home(network)
    if not shutil.which("unshare") or subprocess.run([*around, "true"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace, to have a socket at /run/choria/submit.sock")
    return around


def test_all_at_once(network):
    identifier, identity, *replies = run(network, "the front page", network.server_token, around=home(network)).splitlines()
    uuid.UUID(identifier)
    assert identity == ALL[0]
    assert sorted(reply.split()[0] for reply in replies) == ALL


def test_submit(network):
    identifier = run(network, "local.jobs.backup", around=home(network)).strip()
    uuid.UUID(identifier)
    with choria.Client(network.client_config) as client:
        with client.consumer(network.stream, filter="choria.submission.in.local.jobs.backup") as consumer:
            message = consumer.next(20)
    assert (message.id, message.payload) == (identifier, b'{"ok": true}')
    assert message.header("Choria-Reliable") == "1"


def test_verify(network):
    identity, *expires, permitted = run(network, "verify_token", network.server_token).split()
    assert (identity, permitted) == (ALL[0], "True")
    assert len(expires) == 2


@pytest.mark.parametrize("words", ["with choria.Client", "aio.Client"])
def test_ping(network, words):
    lines = [line.split() for line in run(network, words).splitlines()]
    assert sorted(sender for sender, _, _ in lines) == ALL
    assert all(message == "OK" and int(pong) > 0 for _, message, pong in lines)
