"""The repository that machines install from: made by debian/repo/publish, signed, served, and used as its front page says."""
import html
import pathlib
import re
import shutil
import subprocess
import tempfile

from base import ROOT
from machines import Trouble

COMMANDS = ROOT / "debian/repo"


class Repository:
    """Packages, served to all machines of the room as http://repository/."""

    def __init__(self, machines, packages):
        self.folder = machines.folder / "repository"
        self.folder.mkdir()
        # The path of an agent's socket must be short.
        self.keys = pathlib.Path(tempfile.mkdtemp(prefix="choria-keys-"))
        made = self.command("key", "make", "--uid", "Test packages <packages@example.net>", "--type", "ed25519", "--unprotected")
        self.key = re.search(r"^fingerprint (\S+)$", made, re.M).group(1)
        self.address = machines.serve(self.folder)
        self.publish(*packages)

    def command(self, name, *words):
        done = subprocess.run([COMMANDS / name, *words, "--gnupghome", self.keys], capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise Trouble(f"debian/repo/{name} exited {done.returncode}: {done.stderr.strip()}{done.stdout[-1000:]}")
        return done.stdout

    def publish(self, *packages):
        """Puts packages in, beside those that are there."""
        self.command("publish", "--output", self.folder, "--channel", "release", "--key", self.key, "--url", self.address, *packages)

    def paste(self, machine, nats=False):
        """What the front page tells operators of Debian to paste; with `nats` also our nats-server, as machines see no other repository."""
        page = (self.folder / "index.html").read_text()
        blocks = re.findall(r"<pre>(.*?)</pre>", page.split('id="debian"')[1].split("<h2")[0], re.S)
        lines = html.unescape(blocks[0] + ("\n" + blocks[1] if nats else "")).replace("sudo ", "").splitlines()
        machine.run("\n".join(["set -e", *(line for line in lines if not line.startswith("apt "))]))

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.keys, "--kill", "all"], capture_output=True, check=False)
        shutil.rmtree(self.keys, ignore_errors=True)
