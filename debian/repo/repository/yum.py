"""A channel of the yum repository: signed packages and a signed index, put in place in one step.

No sqlite databases: dnf 4 and 5 read the XML; only yum of RHEL 7 used them.
"""
import gzip
import os
import pathlib
import re
import shutil
import tempfile
import xml.etree.ElementTree

from . import plan
from .base import Refused, copy_whole, drop_generations, generation, need, now, point, run, sha256
from .apt import check_pool

# Source packages are in the same repository: dnf takes them only when it is asked to (dnf download --source).
ARCHITECTURES = ("x86_64", "aarch64", "noarch", "src")
COMMON = "{http://linux.duke.edu/metadata/common}"
REPO = "{http://linux.duke.edu/metadata/repo}"
QUERY = "\\n".join(["%{NAME}", "%{EPOCHNUM}:%{VERSION}-%{RELEASE}", "%{ARCH}", "%{SOURCERPM}", "%{SHA256HEADER}",
                    "%{RSAHEADER:pgpsig}%{DSAHEADER:pgpsig}%{SIGPGP:pgpsig}%{SIGGPG:pgpsig}"])


class Channel:
    """One channel of DIR/yum."""

    kind = "yum"
    compare = staticmethod(plan.compare_rpm)

    def __init__(self, repository, channel, keys):
        need("rpm", "rpmkeys", "rpmsign", "createrepo_c")
        self.repository, self.name, self.keys = repository, channel, keys
        self.root = repository.yum / channel
        self.link = self.link_of(repository, channel)
        self.staged = None
        self.committed = False

    @staticmethod
    def link_of(repository, channel):
        """The name under which clients find the index."""
        return repository.yum / channel / "repodata"

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
        text = self.keys.verify(trusted, self.link / "repomd.xml", detached=self.link / "repomd.xml.asc")
        primary = xml.etree.ElementTree.fromstring(text).find(f"{REPO}data[@type='primary']")
        path = self.root / primary.find(f"{REPO}location").get("href")
        if not path.is_file() or sha256(path) != primary.find(f"{REPO}checksum").text:
            raise Refused(f"{path} is not what repomd.xml says; restore the repository from its backup")
        found = [self._listed(entry) for entry in xml.etree.ElementTree.fromstring(gzip.decompress(path.read_bytes()))]
        for package in found if files else ():
            check_pool(self.root / package.place, package)
        return found

    def _listed(self, entry):
        version = entry.find(f"{COMMON}version")
        place = entry.find(f"{COMMON}location").get("href")
        path = self.root / place
        digest = run("rpm", "-qp", "--nosignature", "--qf", "%{SHA256HEADER}", path).decode() if path.is_file() else ""
        return plan.Package(name=entry.find(f"{COMMON}name").text, arch=entry.find(f"{COMMON}arch").text,
                            version=f"{version.get('epoch')}:{version.get('ver')}-{version.get('rel')}",
                            place=place, digest=digest, sha256=entry.find(f"{COMMON}checksum").text)

    def read(self, path):
        """The package in a file. What is signed by somebody else is refused."""
        package = read_rpm(path)
        if package.signed and not self._ours(package.source):
            raise Refused(f"{path} is signed by a key that is none of this repository; publish the package as it was built (rpmsign --delsign)")
        return package

    def _ours(self, path):
        """Whether a package is signed by a key of this repository."""
        if not self.repository.keys:
            return False
        with tempfile.TemporaryDirectory() as folder:
            for number, key in enumerate(self.repository.keys):
                ring = pathlib.Path(folder, f"{number}.asc")
                ring.write_bytes(self.keys.public([key], armor=True))
                run("rpmkeys", "--dbpath", folder, "--import", ring)
            try:
                out = run("rpmkeys", "--dbpath", folder, "--checksig", path).decode()
            except Refused:
                return False
        return out.strip().endswith("digests signatures OK")

    def stage(self, decided, key, days):
        """Signs new packages, and writes a complete signed index that nobody is pointed to yet."""
        self.staged = generation(self.root, "repodata")
        for package in decided.new:
            self._add(package, key)
        names = self.staged / "names"
        names.write_text("".join(f"{package.place}\n" for package in decided.all))
        update = ["--update", "--update-md-path", self.root] if self.exists else []
        run("createrepo_c", "--quiet", "--no-database", "--checksum", "sha256", "--pkglist", names, *update, "--outputdir", self.staged,
            "--general-compress-type", "gz", "--revision", now(), "--set-timestamp-to-revision", self.root)
        names.unlink()
        made = self.staged / "repodata"
        for path in made.iterdir():
            path.rename(self.staged / path.name)
        made.rmdir()
        index = self.staged / "repomd.xml"
        (self.staged / "repomd.xml.asc").write_bytes(self.keys.sign(key, index.read_bytes()))
        (self.staged / "repomd.xml.key").write_bytes(self.keys.public(self.repository.keys, armor=True))
        self._former_indexes()

    def _add(self, package, key):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, pathlib.Path(package.place).name)
            shutil.copyfile(package.source, copy)
            if not package.signed:
                run("rpmsign", *self.keys.rpm_options(key), "--addsign", copy, what=f"signing {package.source}")
            if not self._ours(copy):
                raise Refused(f"{package.source} does not verify after it was signed with {key}; rpm here may not know the kind of this key "
                              "(use RSA, see debian/repo/README.md)")
            copy_whole(copy, self.root / package.place)

    def _former_indexes(self):
        """Keeps the files of the former index, whose names are hashes, for clients that read its repomd.xml before."""
        if not self.exists:
            return
        listing = xml.etree.ElementTree.parse(self.link / "repomd.xml").getroot()
        for location in listing.iter(f"{REPO}location"):
            path = self.root / location.get("href")
            target = self.staged / path.name
            if path.is_file() and not target.exists():
                os.link(path, target)

    def commit(self, keep_places):
        """Points clients to the staged index; what no index names any more goes."""
        former = os.readlink(self.link) if self.link.is_symlink() else ""
        point(self.link, self.staged.name)
        self.committed = True
        drop_generations(self.root, "repodata", {self.staged.name, former})
        for path in (self.root / "Packages").rglob("*"):
            if path.is_file() and str(path.relative_to(self.root)) not in keep_places:
                path.unlink()

    def abandon(self):
        """Forgets a staged index."""
        if self.staged:
            shutil.rmtree(self.staged, ignore_errors=True)


def read_rpm(path):
    """An .rpm as a package; refuses files that rpm cannot read to their end."""
    path = pathlib.Path(path)
    try:
        run("rpmkeys", "--checksig", "--nosignature", path)
        name, version, arch, source, digest, signature = run("rpm", "-qp", "--nosignature", "--qf", QUERY, path).decode().split("\n")
    except (Refused, ValueError) as error:
        raise Refused(f"{path} is not a whole rpm package ({error}); build it again")
    if source == "(none)":
        arch = "src"  # its header names the architecture it was packed on
    if arch not in ARCHITECTURES:
        raise Refused(f"{path}: architecture {arch} is none of this repository ({', '.join(ARCHITECTURES)})")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise Refused(f"{path} has no SHA-256 of its header; build it with rpm 4.14 or newer")
    for word in (name, version):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+~^_:-]*", word):
            raise Refused(f"{path}: {word!r} is no valid package name or version; build it again")
    file = f"{name}-{version.split(':')[-1]}.{arch}.rpm"
    return plan.Package(name=name, version=version, arch=arch, place=f"Packages/{name[0].lower()}/{file}", digest=digest,
                        source=path, signed=bool(signature.replace("(none)", "")))
