"""A Choria network on loopback: programs, throwaway credentials, a broker, servers, a client; all in one folder.

The demonstration and the benchmarks stand on it.
"""
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
START_SECONDS = 30


class Trouble(Exception):
    """The network cannot be built or started; the text says why and what to do."""


def say(text):
    print(f"» {text}", flush=True)


def build(release):
    """Builds the programs and gives the folder that holds them."""
    if not shutil.which("cargo"):
        raise Trouble("cargo was not found: install a Rust toolchain, 1.85 or newer")
    say("building (the first time takes a few minutes)")
    command = ["cargo", "build", "--locked", "-p", "choria", "-p", "choria-broker", "-p", "choria-server", "-p", "choria-provisioner",
               "-p", "choria-aaasvc", "-p", "choria-submit"]
    command += ["--release"] if release else []
    if subprocess.run(command, cwd=ROOT).returncode:
        raise Trouble("the build failed, see above")
    return TARGET / ("release" if release else "debug")


class Network:
    """One broker, some servers and a client's credentials, all in one folder."""

    def __init__(self, folder, programs, servers):
        self.folder = folder
        self.programs = programs
        self.identities = [f"n{number}.demo.example.net" for number in range(1, servers + 1)]
        self.broker_command = [programs / "choria-broker"]
        self.server_command = [programs / "choria-server"]
        self.broker_extra = ""
        self.server_extra = {}
        self.server_permissions = ["--submission"]
        self.client_permissions = ["--fleet-management", "--event-viewer", "--stream-user"]
        self.processes = []
        self.before_exec = None
        self.port = free_port()
        self.environment = dict(os.environ, CHORIA_CONFIG=str(folder / "client.conf"), USER="demo", LC_ALL="C.UTF-8")
        self.environment["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"

    def make_credentials(self):
        """An organization issuer, a token for each party, and the configuration files."""
        say(f"making throwaway credentials in {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.issuer = self.keys("issuer")
        self.server_token("broker.demo.example.net", "broker")
        self.write("broker.conf", f"""
            identity = broker.demo.example.net
            plugin.choria.broker_network = true
            plugin.choria.network.listen_address = 127.0.0.1
            plugin.choria.network.client_port = {self.port}
            plugin.choria.network.stream.store = {self.folder / "streams"}
            plugin.choria.network.provisioning.client_password = {secrets.token_hex(16)}
            loglevel = warn
            """, self.security("broker"), self.broker_extra)
        for number, identity in enumerate(self.identities, 1):
            name = f"server{number}"
            self.server_token(identity, name)
            country = ("mt", "de", "us")[number % 3]
            facts = {"country": country, "number": number, "os": {"family": "Debian", "release": {"major": "13"}}}
            (self.folder / f"{name}.facts.json").write_text(json.dumps(facts, indent=2) + "\n")
            (self.folder / f"{name}.classes").write_text("roles::base\n" + ("roles::web\n" if number % 2 else ""))
            self.write(f"{name}.conf", f"""
                identity = {identity}
                plugin.choria.middleware_hosts = 127.0.0.1:{self.port}
                plugin.choria.use_srv = false
                plugin.yaml = {self.folder}/{name}.facts.json
                classesfile = {self.folder}/{name}.classes
                plugin.choria.status_file_path = {self.folder}/{name}.status.json
                # A demonstration without policies: everybody with a fleet token may do everything.
                rpcauthorization = false
                loglevel = warn
                """, self.security(name), self.server_extra.get(name, ""))
        self.keys("client")
        public = (self.folder / "client.public").read_text()
        self.choria("jwt", "client", "client.jwt", "up=demo", "issuer.seed", "--public-key", public,
                    *self.client_permissions, "--validity", "30d")
        self.write("client.conf", f"""
            plugin.choria.middleware_hosts = 127.0.0.1:{self.port}
            plugin.choria.use_srv = false
            loglevel = warn
            """, self.security("client"))

    def keys(self, name):
        """Makes an ed25519 key pair and gives the public key in hexadecimal."""
        self.choria("jwt", "keys", f"{name}.seed", f"{name}.public", "--force")
        return (self.folder / f"{name}.public").read_text()

    def server_token(self, identity, name):
        public = self.keys(name)
        self.choria("jwt", "server", f"{name}.jwt", identity, public, "issuer.seed", "--collectives", "choria",
                    *self.server_permissions, "--validity", "30d")

    def security(self, name):
        return f"""
            plugin.security.provider = choria
            plugin.security.choria.token_file = {self.folder}/{name}.jwt
            plugin.security.choria.seed_file = {self.folder}/{name}.seed
            plugin.security.issuer.names = choria
            plugin.security.issuer.choria.public = {self.issuer}
            """

    def write(self, name, *parts):
        lines = [line.strip() for part in parts for line in part.strip().splitlines()]
        (self.folder / name).write_text("\n".join(lines) + "\n")

    def choria(self, *arguments):
        """Runs the client inside the folder; failure is trouble."""
        done = subprocess.run([self.programs / "choria", *arguments], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Trouble(f"`choria {' '.join(arguments)}` exited {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self):
        """Starts broker and servers and waits until all of them answer."""
        self.start_broker()
        say(f"starting {len(self.identities)} servers")
        for number in range(1, len(self.identities) + 1):
            self.daemon(f"server{number}", *self.server_command, "--config", f"server{number}.conf")
        self.wait_for(len(self.identities))

    def start_broker(self):
        """Starts the broker; clients and servers wait for it by themselves."""
        found = subprocess.run([ROOT / "compose/nats-server"], capture_output=True, text=True)
        if found.returncode:
            raise Trouble(found.stderr.strip())
        self.environment["CHORIA_NATS_SERVER"] = found.stdout.strip()
        version = subprocess.run([found.stdout.strip(), "-v"], capture_output=True, text=True).stdout.strip()
        say(f"starting a broker on 127.0.0.1:{self.port} with {version}")
        self.daemon("broker", *self.broker_command, "--config", "broker.conf")

    def wait_for(self, count, seconds=START_SECONDS):
        """Waits until `count` servers answer."""
        deadline = time.monotonic() + seconds
        while True:
            self.check_alive()
            done = self.client("ping", "--names", "--timeout", "2", "--expect", str(count))
            answered = len(done.stdout.split())
            if answered == count:
                say(f"all {answered} servers answer")
                return
            if time.monotonic() > deadline:
                raise Trouble(f"{answered} of {count} servers answered within {seconds} s: "
                              f"{done.stderr.strip() or 'no error'}; last log lines:\n{self.logs()}")
            time.sleep(0.2)

    def daemon(self, name, *command):
        """Starts a program of the network in its own process group, its output in NAME.log."""
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                   preexec_fn=self.before_exec)
        log.close()
        self.processes.append((name, process))
        return process

    def check_alive(self):
        for name, process in self.processes:
            if process.poll() is not None:
                raise Trouble(f"{name} ended with exit code {process.returncode}:\n{self.logs(name)}")

    def logs(self, *names):
        names = names or [name for name, _ in self.processes]
        return "\n".join(f"{name}: {(self.folder / f'{name}.log').read_text()[-1500:].strip()}" for name in names)

    def client(self, *arguments, timeout=60, text=None):
        """Runs the client, with `text` on its standard input or nothing."""
        source = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
        return subprocess.run([self.programs / "choria", *arguments], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=timeout, **source)

    def stop(self, *names):
        """Ends what it started (or only `names`): servers first, then the broker, so that they can say goodbye."""
        ending = [entry for entry in reversed(self.processes) if not names or entry[0] in names]
        self.end([entry for entry in ending if entry[0] != "broker"])
        self.end([entry for entry in ending if entry[0] == "broker"])
        self.processes = [entry for entry in self.processes if entry not in ending]

    @staticmethod
    def end(processes):
        """Asks politely, and ends for good whoever does not stop in time."""
        for _, process in processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 10
        for name, process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{name} did not stop in time and is killed", file=sys.stderr)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_port():
    """One that is free now, and not of those that the system gives to outgoing connections, which could take it before it is used."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
