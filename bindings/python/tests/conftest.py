"""A running network for all tests that need one; see tests/bindings/README.md."""

import base64
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "bindings/python"
START_SECONDS = 60
WISH_SECONDS = 60

sys.path.insert(0, str(PACKAGE / "src"))


class Network:
    """The network's description, and what may be wished of it."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests/bindings/network"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.known = self._answer(START_SECONDS)

    def __getattr__(self, name):
        try:
            return self.__dict__["known"][name]
        except KeyError:
            raise AttributeError(name) from None

    def do(self, wish, **arguments):
        """Has a wish fulfilled; its answer without `error`."""
        self.process.stdin.write(json.dumps({"do": wish, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self._answer(WISH_SECONDS)
        assert "error" not in answer, answer
        return answer

    def publish(self, subject, payload, headers):
        return self.do("publish", subject=subject, payload=base64.b64encode(payload).decode(), headers=headers)

    def close(self):
        """Ends it; it must have lived well until now."""
        self.process.stdin.close()
        assert self.process.wait(30) == 0, "the network did not end well, see above"

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def _answer(self, seconds):
        line = self.lines.get(timeout=seconds)
        if not line:
            raise RuntimeError("the network ended, see above")
        return json.loads(line)


@pytest.fixture(scope="session")
def network():
    running = Network()
    os.environ.update(running.environment)
    yield running
    running.close()


@pytest.fixture(scope="session")
def issuers(network):
    return {network.organization: network.issuer_public_key}


@pytest.fixture(scope="session")
def trust(issuers):
    import choria

    return choria.Trust(issuers)


@pytest.fixture
def client(network):
    import choria

    with choria.Client(network.client_config) as connected:
        yield connected


@pytest.fixture
def submitter(network):
    import choria

    return choria.Submitter(network.server_config, network.socket)


@pytest.fixture
def here(tmp_path):
    """A server configuration with a spool of its own and a socket that nobody listens on."""

    def make(*lines):
        (tmp_path / "spool").mkdir(exist_ok=True)
        path = tmp_path / "server.conf"
        path.write_text(
            "\n".join(
                [
                    "identity = here.example.net",
                    f"plugin.choria.submission.spool = {tmp_path}/spool",
                    f"plugin.choria.submission.socket = {tmp_path}/none.sock",
                    *lines,
                ]
            )
            + "\n"
        )
        return path

    return make
