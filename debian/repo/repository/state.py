"""The folder of a repository: its lock, and what is remembered between two publications."""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re

from .base import Refused, write_whole

CHANNELS = ("release", "nightly")
DEFAULT_URL = "https://packages.example.net/choria"


class Repository:
    """DIR, its settings (`.publisher/repository.json`), and the folders apt/ and yum/."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).absolute()
        self.private = self.folder / ".publisher"
        self.file = self.private / "repository.json"
        self.keyrings = self.private / "keyrings"
        self.apt = self.folder / "apt"
        self.yum = self.folder / "yum"
        self.settings = {"name": "choria", "url": DEFAULT_URL, "keys": [], "allow": [], "published": [], "keyring": {"serial": 0, "of": ""}}
        if self.file.is_file():
            try:
                self.settings.update(json.loads(self.file.read_text()))
            except ValueError as error:
                raise Refused(f"{self.file} is not JSON ({error}); restore it, or remove it and name the keys again")
        elif self.apt.exists() or self.yum.exists():
            raise Refused(f"{self.folder} has packages but no {self.file.name}: it was not made by publish, or is a mirror; publish into the original or an empty folder")

    name = property(lambda self: self.settings["name"])
    url = property(lambda self: self.settings["url"])
    keys = property(lambda self: self.settings["keys"])

    @contextlib.contextmanager
    def locked(self):
        """Holds the folder for one publisher; a second one is refused, not queued."""
        self.private.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.private / "lock", "a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise Refused(f"{self.folder} is being published to by process {holder}; wait until it has ended and run this again")
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            if not self.file.is_file():
                self.save()
            yield self

    def configure(self, name=None, url=None, allow=()):
        """Takes what the command line says about the whole repository."""
        if name:
            if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
                raise Refused(f"--name {name} is not made of lower case letters, digits, dots and dashes; choose one like choria")
            self.settings["name"] = name
        if url:
            if not re.fullmatch(r"https?://[^\s\"'<>]+", url):
                raise Refused(f"--url {url} is no http or https address; give the one that users will fetch from")
            self.settings["url"] = url.rstrip("/")
        self.settings["allow"] = sorted({*self.settings["allow"], *allow})

    def admit_key(self, key, added=(), retired=()):
        """The keys of the keyring after this publication; a key that no client knows yet may not sign."""
        known = list(self.keys)
        if known and key not in known and key not in added:
            raise Refused(f"key {key} is not one of this repository ({', '.join(known)}), so no client would accept it; "
                          f"announce it first with --add-key {key}, see debian/repo/README.md")
        for one in (key, *added):
            if one not in known:
                known.append(one)
        for one in retired:
            if one not in known:
                raise Refused(f"--retire-key {one}: not a key of this repository ({', '.join(known)})")
            if one == key:
                raise Refused(f"--retire-key {one}: it signs this publication; sign with its successor (--key) and then retire it")
            known.remove(one)
        self.settings["keys"] = known

    def keyring_serial(self, content):
        """The number of the keyring packages: one more whenever what they hold has changed."""
        of = hashlib.sha256(content).hexdigest()
        keyring = self.settings["keyring"]
        if keyring["of"] != of:
            self.settings["keyring"] = {"serial": keyring["serial"] + 1, "of": of}
        return self.settings["keyring"]["serial"]

    def save(self):
        """Remembers the settings."""
        self.private.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self.file, json.dumps(self.settings, indent=2, sort_keys=True) + "\n")
