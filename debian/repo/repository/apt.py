"""A channel of the apt repository: made beside the one that is served, then put in its place in one step.

apt-ftparchive and not reprepro: reprepro keeps one version of a package in a suite (a release must keep all, to go back to),
holds its truth in a database beside the archive, and writes no by-hash folders.
"""
import email.utils
import gzip
import lzma
import os
import pathlib
import re
import shutil
import time

from . import plan
from .base import Refused, copy_whole, drop_generations, generation, need, now, point, run, sha256

ARCHITECTURES = ("amd64", "arm64")
COMPONENTS = ("main", "nats-server")
# How long clients accept an index that nobody renews: a frozen mirror cannot hide updates for longer.
VALID_DAYS = {"release": 60, "nightly": 14}
# Former indexes stay reachable by hash this long, for clients that read their Release before a publication.
BY_HASH_SECONDS = 2 * 86400


class Channel:
    """One suite of DIR/apt."""

    kind = "apt"
    compare = staticmethod(plan.compare_deb)

    def __init__(self, repository, channel, keys):
        need("apt-ftparchive", "dpkg-deb", "dpkg")
        self.repository, self.name, self.keys = repository, channel, keys
        self.root = repository.apt
        self.dists = self.root / "dists"
        self.link = self.link_of(repository, channel)
        self.staged = None
        self.committed = False

    @staticmethod
    def link_of(repository, channel):
        """The name under which clients find the index."""
        return repository.apt / "dists" / channel

    @property
    def exists(self):
        """Whether there is an index; one that was published and is gone is no empty channel."""
        there = self.link.is_symlink() or self.link.exists()
        if not there and f"{self.kind}/{self.name}" in self.repository.settings["published"]:
            raise Refused(f"{self.link} was published and is gone; restore the repository from its backup")
        return there

    def existing(self, trusted, files=True):
        """What is published, after the index proved to be ours and (with `files`) the files to be what it says."""
        if not self.exists:
            return []
        text = self.keys.verify(trusted, self.link / "InRelease").decode()
        listed = {name: digest for digest, name in re.findall(r"^ ([0-9a-f]{64}) +\d+ (\S+)$", text, re.M)}
        found = {}
        for name, digest in sorted(listed.items()):
            if not name.endswith("/Packages"):
                continue
            path = self.link / name
            if not path.is_file() or sha256(path) != digest:
                raise Refused(f"{path} is not what InRelease says; restore the repository from its backup")
            for package in parse_packages(path.read_text()):
                found[package.place] = package
        for package in found.values() if files else ():
            check_pool(self.root / package.place, package)
        return list(found.values())

    def read(self, path):
        """The package in a file."""
        return read_deb(path, self.name)

    def stage(self, decided, key, days):
        """Writes pool files and a complete signed index that nobody is pointed to yet."""
        for package in decided.new:
            copy_whole(package.source, self.root / package.place)
        self.staged = generation(self.dists, self.name)
        farm = self.staged / "farm"
        for package in decided.all:
            target = farm / package.place
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.root / package.place, target)
        for component in COMPONENTS:
            self._component(farm, component)
        shutil.rmtree(farm, ignore_errors=True)
        release = self._release(days)
        (self.staged / "Release").write_bytes(release)
        (self.staged / "InRelease").write_bytes(self.keys.sign(key, release, clear=True))
        (self.staged / "Release.gpg").write_bytes(self.keys.sign(key, release))
        self._former_by_hash()

    def commit(self, keep_places):
        """Points clients to the staged index; what no index names any more goes."""
        former = os.readlink(self.link) if self.link.is_symlink() else ""
        point(self.link, self.staged.name)
        self.committed = True
        drop_generations(self.dists, self.name, {self.staged.name, former})
        pool = self.root / "pool" / self.name
        for path in pool.rglob("*"):
            if path.is_file() and str(path.relative_to(self.root)) not in keep_places:
                path.unlink()

    def abandon(self):
        """Forgets a staged index."""
        if self.staged:
            shutil.rmtree(self.staged, ignore_errors=True)

    def _component(self, farm, component):
        pool = farm / "pool" / self.name / component
        pool.mkdir(parents=True, exist_ok=True)
        relative = pool.relative_to(farm)
        for arch in (*ARCHITECTURES, "all"):
            ask = ["apt-ftparchive", "--md5", "no", "--sha1", "no", "--arch", arch]
            folder = self.staged / component / f"binary-{arch}"
            folder.mkdir(parents=True)
            index = run(*ask, "packages", relative, cwd=farm)
            for ending, content in (("", index), (".gz", gzip.compress(index, mtime=0)), (".xz", lzma.compress(index))):
                put_by_hash(folder, f"Packages{ending}", content)
            contents = run(*ask, "contents", relative, cwd=farm)
            put_by_hash(self.staged / component, f"Contents-{arch}.gz", gzip.compress(contents, mtime=0))

    def _release(self, days):
        date = now()
        label = self.repository.name.capitalize()
        fields = [
            ("Origin", label), ("Label", label), ("Suite", self.name), ("Codename", self.name),
            ("Date", email.utils.formatdate(date, usegmt=True).replace("GMT", "UTC")),
            ("Valid-Until", email.utils.formatdate(date + days * 86400, usegmt=True).replace("GMT", "UTC") if days else None),
            ("Acquire-By-Hash", "yes"), ("No-Support-for-Architecture-all", "Packages"),
            ("Architectures", " ".join(("all", *ARCHITECTURES))), ("Components", " ".join(COMPONENTS)),
            ("Description", f"{label} packages, channel {self.name}"),
        ]
        lines = [f"{name}: {value}" for name, value in fields if value] + ["SHA256:"]
        for path in sorted(self.staged.rglob("*")):
            if path.is_file() and "by-hash" not in path.parts:
                lines.append(f" {sha256(path)} {path.stat().st_size} {path.relative_to(self.staged)}")
        return ("\n".join(lines) + "\n").encode()

    def _former_by_hash(self):
        """Links the former indexes into the new one, the current ones for BY_HASH_SECONDS from now."""
        if not self.link.is_dir():
            return
        current = {sha256(path) for path in self.link.rglob("*") if path.is_file() and re.match(r"(Packages|Contents)", path.name)}
        for path in self.link.rglob("by-hash/SHA256/*"):
            if path.name in current:
                os.utime(path)
            if path.stat().st_mtime < time.time() - BY_HASH_SECONDS:
                continue
            target = self.staged / path.relative_to(self.link)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                os.link(path, target)


def put_by_hash(folder, name, content):
    """Writes an index under its name and under its hash."""
    (folder / name).write_bytes(content)
    by_hash = folder / "by-hash" / "SHA256"
    by_hash.mkdir(parents=True, exist_ok=True)
    target = by_hash / sha256(folder / name)
    if not target.exists():
        os.link(folder / name, target)


def parse_packages(text):
    """The packages that an index lists."""
    for stanza in filter(None, text.split("\n\n")):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
        yield plan.Package(name=fields["Package"], version=fields["Version"], arch=fields["Architecture"],
                           place=fields["Filename"], digest=fields["SHA256"], sha256=fields["SHA256"])


def check_pool(path, package):
    """Refuses when a published file is not what its index says."""
    if not path.is_file():
        raise Refused(f"{path} ({package.title}) was published and is gone; restore it from the backup")
    actual = sha256(path)
    if actual != package.sha256:
        raise Refused(f"{path} ({package.title}) was changed since it was published: the signed index says {package.sha256}, the file is {actual}; "
                      "restore it from the backup")


def read_deb(path, channel):
    """A .deb as a package; refuses files that dpkg cannot read to their end."""
    path = pathlib.Path(path)
    try:
        run("dpkg-deb", "--contents", path)
        text = run("dpkg-deb", "--field", path, "Package", "Version", "Architecture", "Source").decode()
    except Refused as error:
        raise Refused(f"{path} is not a whole Debian package ({error}); build it again")
    fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", text, re.M))
    name, version, arch = (fields.get(key, "") for key in ("Package", "Version", "Architecture"))
    source = fields.get("Source", name).split(" ")[0]
    for word, rule in ((name, r"[a-z0-9][a-z0-9.+-]+"), (source, r"[a-z0-9][a-z0-9.+-]+"), (version, r"([0-9]+:)?[0-9][A-Za-z0-9.+~-]*")):
        if not re.fullmatch(rule, word):
            raise Refused(f"{path}: {word!r} is no valid package name or version; build it again")
    if arch not in (*ARCHITECTURES, "all"):
        raise Refused(f"{path}: architecture {arch} is none of this repository ({', '.join(ARCHITECTURES)}, all)")
    component = "nats-server" if name in plan.THIRD_PARTY else "main"
    folder = source[:4] if source.startswith("lib") else source[0]
    file = f"{name}_{version.split(':')[-1]}_{arch}.deb"
    digest = sha256(path)
    return plan.Package(name=name, version=version, arch=arch, place=f"pool/{channel}/{component}/{folder}/{source}/{file}",
                        digest=digest, sha256=digest, source=path)
