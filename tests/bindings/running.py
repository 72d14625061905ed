"""The network that the bindings' tests talk to: what it has beyond the demonstration's, and what it tells about itself."""
import base64
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import tokens
from nats import Connection

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "compose"))

from network import TARGET, Network, Trouble  # noqa: E402

ORGANIZATION = "choria"
CALLER = "up=demo"
STREAM = "SUBMIT"
STREAM_SUBJECT = "choria.submission.in.>"
PROGRAMS = ("choria", "choria-broker", "choria-server", "choria-submit")
SUBMIT_SECONDS = 10
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def programs():
    """The folder with the programs."""
    folder = pathlib.Path(os.environ.get("CHORIA_PROGRAMS") or TARGET / "debug").resolve()
    missing = [name for name in PROGRAMS if not (folder / name).exists()]
    if missing:
        packages = " ".join(f"-p {name}" for name in PROGRAMS)
        raise Trouble(f"{folder} has no {', '.join(missing)}: run cargo build {packages}, or set CHORIA_PROGRAMS")
    return folder


class Running(Network):
    """A broker with streams, two servers, a submission service with its socket, a stream of what was submitted."""

    def __init__(self, folder, servers):
        super().__init__(folder / "private", programs(), servers)
        # Sockets are where everybody can reach them; keys, tokens and the spool are not.
        self.base = folder
        self.run = folder / "run"
        self.socket = self.run / "submit.sock"
        self.spool = self.folder / "spool"
        self.server_permissions = ["--submission", "--stream-user"]
        self.client_permissions = ["--fleet-management", "--event-viewer", "--stream-admin", "--stream-user"]
        self.server_extra["server1"] = f"""
            plugin.choria.submission.spool = {self.spool}
            plugin.choria.submission.max_spool_size = 5000
            plugin.choria.submission.socket = {self.socket}
            """
        self.environment["TMPDIR"] = str(folder / "private")
        self.before_exec = end_with_parent

    def make_credentials(self):
        """As the demonstration's, and tokens for every way in which a token can be wrong."""
        self.base.chmod(0o755)
        self.run.mkdir(mode=0o755)
        super().make_credentials()
        # Under another name than the one that would make the servers provision themselves.
        self.choria("jwt", "provisioning", "machines.jwt", "issuer.seed", "--token", "secret", "--urls",
                    f"nats://127.0.0.1:{self.port}", "--default", "--validity", "30d")
        organization = tokens.Key.read(self.folder / "issuer.seed")
        stranger = tokens.Key()
        server = (self.folder / "server1.public").read_text()
        client = (self.folder / "client.public").read_text()
        claims = tokens.server_claims(self.identities[0], server)
        delegate, delegation = tokens.chain_issuer(organization)
        stolen, _ = tokens.chain_issuer(stranger)
        self.token("admin", organization.token(dict(
            tokens.client_claims("up=admin", client), permissions={"org_admin": True})))
        self.token("expired", organization.token(tokens.server_claims(self.identities[0], server, -3600)))
        self.token("foreign", stranger.token(claims))
        self.token("foreign_client", stranger.token(tokens.client_claims(CALLER, client)))
        self.token("chain_server", tokens.issue(delegate, delegation, claims))
        self.token("chain_client", tokens.issue(delegate, delegation, tokens.client_claims(CALLER, client)))
        # Names the delegate's chain, and is signed by somebody else.
        self.token("broken_chain", tokens.issue(stolen, delegation, claims))

    def token(self, name, text):
        path = self.folder / f"{name}.jwt"
        path.touch(0o600)
        path.write_text(text)

    def start(self):
        """Everything; returns when all of it answers."""
        super().start()
        self.make_stream()
        self.start_submission()

    def start_submission(self):
        """The submission service, for which there is a socket when this returns."""
        process = self.daemon("submit", self.programs / "choria-submit", "--config", "server1.conf")
        deadline = time.monotonic() + SUBMIT_SECONDS
        while not self.socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"choria-submit made no {self.socket}:\n{self.logs('submit')}")
            time.sleep(0.02)

    def connection(self):
        """A connection that may do everything."""
        seed = bytes.fromhex((self.folder / "client.seed").read_text())
        return Connection(self.port, (self.folder / "admin.jwt").read_text(), seed, "up=admin")

    def make_stream(self):
        """The stream of all submissions, as an administrator makes it."""
        self.choria("broker", "stream", "add", STREAM, "--subjects", STREAM_SUBJECT, "--defaults")

    def description(self):
        """What tests need to know, as one JSON object; files are named, never quoted."""
        file = lambda name: str(self.folder / name)  # noqa: E731
        return {
            "version": 1, "folder": str(self.base), "organization": ORGANIZATION, "issuer_public_key": self.issuer,
            "issuer_seed": file("issuer.seed"), "collective": "choria", "caller": CALLER, "identities": self.identities,
            "nats_url": f"nats://127.0.0.1:{self.port}", "stream": STREAM, "stream_subject": STREAM_SUBJECT,
            "socket": str(self.socket), "spool": str(self.spool),
            "client_config": file("client.conf"), "server_config": file("server1.conf"),
            "client_token": file("client.jwt"), "client_seed": file("client.seed"),
            "server_token": file("server1.jwt"), "server_seed": file("server1.seed"),
            "provisioning_token": file("machines.jwt"), "expired_token": file("expired.jwt"),
            "foreign_token": file("foreign.jwt"), "foreign_client_token": file("foreign_client.jwt"),
            "chain_server_token": file("chain_server.jwt"),
            "chain_client_token": file("chain_client.jwt"), "broken_chain_token": file("broken_chain.jwt"),
            "environment": {"USER": "demo", "CHORIA_CONFIG": file("client.conf")},
        }

    # What a test asks for, one JSON object in a line; see README.md.

    def do(self, command):
        """Performs a test's wish and gives the answer."""
        wishes = {"publish": self.publish, "stream": self.stream, "pause": self.pause, "resume": self.resume,
                  "stop": self.stop_one, "start": self.start_one, "alive": self.alive}
        wish = wishes.get(command.pop("do", None))
        if wish is None:
            raise Trouble(f"do is one of {', '.join(wishes)}")
        return wish(**command) or {}

    def publish(self, subject, payload, headers=()):
        """Publishes to the stream, as a forger with every permission could."""
        with self.connection() as broker:
            return broker.request(subject, base64.b64decode(payload), headers)

    def stream(self):
        with self.connection() as broker:
            return broker.request(f"$JS.API.STREAM.INFO.{STREAM}", b"")["state"]

    def pause(self, name):
        self.process(name).send_signal(signal.SIGSTOP)

    def resume(self, name):
        self.process(name).send_signal(signal.SIGCONT)

    def stop_one(self, name):
        self.process(name)
        self.stop(name)

    def start_one(self, name):
        if any(name == known for known, _ in self.processes):
            raise Trouble(f"{name} runs")
        if name == "submit":
            self.socket.unlink(missing_ok=True)
            self.start_submission()
        elif name == "broker":
            self.start_broker()
        else:
            self.daemon(name, *self.server_command, "--config", f"{name}.conf")
        if name != "submit":
            self.wait_for(len(self.identities))

    def alive(self):
        self.check_alive()

    def stop(self, *names):
        """Ends what runs; what was paused goes on first, or it could not end."""
        for name, process in self.processes:
            if process.poll() is None and (not names or name in names):
                process.send_signal(signal.SIGCONT)
        super().stop(*names)

    def process(self, name):
        for known, process in self.processes:
            if known == name:
                return process
        raise Trouble(f"{name} does not run; these do: {', '.join(known for known, _ in self.processes)}")


class Guard:
    """A process that cleans up after this one, however this one ends."""

    def __init__(self, folder):
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, pathlib.Path(__file__).with_name("guard.py"), folder],
                                        stdin=subprocess.PIPE, start_new_session=True)

    def dismiss(self):
        """Lets it do its work and waits for it."""
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def end_with_parent():
    """In a new program, before it is executed: when the network's process dies, this one is asked to end."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
