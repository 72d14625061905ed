"""The rpms: what is in them, what they require, how they are made, and dnf from a repository into an empty root.

What their scriptlets do to a running system is tested in tests/systemd/test_rpm.py.
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rpms as built  # noqa: E402

# Names of packages as daemons/install and Debian have them, where ours differ.
DEBIAN = {"libchoria": "libchoria1", "libchoria-devel": "libchoria-dev"}
VERSION = "1:0.1.0"
PYTHONS = ("3.9", "3.12", "3.13", "3.14")
LIBRARIES = r"(libc|libm|libgcc_s|ld-linux-[a-z0-9-]+)\.so\.[0-9]+\(.*"
DAEMON = {"/bin/sh", "choria = @", "systemd >= 252"}
REQUIRES = {  # what is not a library of the base system
    "choria": {"/bin/sh"},
    "choria-server": DAEMON,
    "choria-broker": DAEMON | {"nats-server >= 2.10"},
    "choria-provisioner": DAEMON,
    "choria-aaasvc": DAEMON,
    "libchoria": set(),
    "libchoria-devel": {"/usr/bin/pkg-config", "libchoria(x86-64) = @"},
    "python3-choria": {"libchoria = @", f"({' or '.join(f'python(abi) = {version}' for version in PYTHONS)})"},
    "ruby-choria": {"libchoria = @", "ruby(release)", "rubygem(ffi) >= 1.15"},
}


@pytest.fixture(scope="module")
def folder():
    return built.folder()


@pytest.fixture(scope="module")
def ready(folder, tmp_path_factory):
    """The command line and the library of the packages, as Cargo's target directory has them; no daemon of these is run."""
    return built.programs(folder, tmp_path_factory.mktemp("ready") / "target", real=())


@pytest.fixture(scope="module")
def again(ready, tmp_path_factory):
    """The same tree packaged twice, in folders, with times, a language and a mask of their own."""
    made = []
    for name, mask, settings in (("one", 0o022, {"TZ": "UTC"}), ("another/folder", 0o077, {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"})):
        place = tmp_path_factory.mktemp("again") / name
        (place / "tmp").mkdir(parents=True)
        shutil.copytree(ready, place / "target")
        before = os.umask(mask)
        try:
            built.package("--output", place / "rpms", "--no-build", CARGO_TARGET_DIR=str(place / "target"), TMPDIR=str(place / "tmp"), **settings)
        finally:
            os.umask(before)
        made.append(place / "rpms")
    return made


def files(file):
    """Paths in a package: kind of file (d, -, l, with flags) by path."""
    lines = built.ask(file, "--qf", "[%{FILEMODES:perms} %{FILEFLAGS:fflags}|%{FILENAMES}\n]")
    return {path: about for about, path in (line.split("|", 1) for line in lines)}


@pytest.mark.parametrize("name", built.PACKAGES)
def test_files_are_those_of_the_debs(name, folder, ready, tmp_path):
    """Both formats are filled by daemons/install; what differs on purpose is told here, and nothing else may."""
    debian = DEBIAN.get(name, name)
    site = f"/usr/lib/python{PYTHONS[0]}/site-packages"
    built.run(built.ROOT / "daemons/install", "--no-build", "--profile", "dev", "--package", debian, "--destdir", tmp_path, "--libdir", "/usr/lib64",
              "--python", site, "--ruby", "/usr/share/ruby/vendor_ruby", env={**os.environ, "CARGO_TARGET_DIR": str(ready)})
    installed = {"/" + str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    expected = set()
    for path in installed:
        path = re.sub(r"^(/usr/share/man/.*)", r"\1.gz", path)
        path = path.replace("/usr/share/doc/libchoria-dev/", "/usr/share/doc/libchoria-devel/")
        path = path.replace("/zsh/vendor-completions/", "/zsh/site-functions/")
        expected |= {path.replace(site, f"/usr/lib/python{version}/site-packages") for version in PYTHONS}
    if name == "choria-server":
        expected.add("/etc/sysconfig/choria-server")
    found = {path for path, about in files(built.of(folder, name)).items() if about[0] != "d" and "g" not in about.split()[-1]}
    # What rpm's own tools add.
    found = {path for path in found if not path.startswith(("/usr/lib/.build-id/", "/usr/share/licenses/")) and not path.endswith("/README.md")}
    assert found == {path for path in expected if not path.endswith("/README.md")}


def test_configuration_is_kept_and_what_provisioning_writes_is_nobodys(folder):
    def flagged(name, wanted):
        return {path for path, about in files(built.of(folder, name)).items() if about[0] != "d" and about.split()[-1] == wanted}

    assert flagged("choria", "cn") == {"/etc/logrotate.d/choria"}
    assert flagged("choria-server", "cn") == {"/etc/sysconfig/choria-server"}
    assert flagged("choria-provisioner", "cn") == {"/etc/choria-provisioner/choria-provisioner.yaml"}
    written = {"choria": ("server.conf", "broker.conf"), "choria-broker": ("broker.conf",),
               "choria-server": ("server.conf", "server.seed", "server.jwt", "provisioning.jwt")}
    for name, names in written.items():
        assert flagged(name, "cng") == {f"/etc/choria/{file}" for file in names}, name
    about = files(built.of(folder, "choria-provisioner"))["/etc/choria-provisioner/choria-provisioner.yaml"]
    assert about.startswith("-rw-r-----")


@pytest.mark.parametrize("name", built.PACKAGES)
def test_requirements(name, folder):
    release = built.ask(built.of(folder, name), "--qf", "%{EPOCH}:%{VERSION}-%{RELEASE}")[0]
    found = set(built.ask(built.of(folder, name), "--requires"))
    # Of the loader, of rpm, of the file format, and of the package's own configuration.
    own = (LIBRARIES, r"rpmlib\(.*", r"rtld\(GNU_HASH\)", r"config\(.*", r"libchoria\.so\.1\(\)\(64bit\)")
    found = {one.replace(release, "@") for one in found if not any(re.fullmatch(pattern, one) for pattern in own)}
    assert found == REQUIRES[name]


def test_what_is_provided_obsoleted_and_named(folder):
    release = built.ask(built.of(folder, "choria"), "--qf", "%{EPOCH}:%{VERSION}-%{RELEASE}")[0]
    assert release.startswith(VERSION)

    def says(name, query):
        return set(built.ask(built.of(folder, name), query))

    assert says("choria-server", "--obsoletes") == {"choria < 1:0"}
    assert says("choria-broker", "--conflicts") == {"choria < 1:0"}
    assert says("choria", "--recommends") == {f"choria-server = {release}"}
    assert {f"libchoria1 = {release}", "libchoria.so.1()(64bit)"} <= says("libchoria", "--provides")
    assert f"rubygem-choria = {release}" in says("ruby-choria", "--provides")
    for name in ("choria", "choria-server", "choria-broker", "choria-provisioner", "choria-aaasvc", "libchoria"):
        crates = {line for line in says(name, "--provides") if line.startswith("bundled(crate(")}
        assert any(line.startswith("bundled(crate(ed25519-dalek)) = 2") for line in crates), name
        assert not any("(choria-" in line for line in crates), "our own crates are no bundled ones"
        assert says(name, "--qf=%{LICENSE}").pop().startswith("Apache-2.0 AND (Apache-2.0 OR ")
    assert not any(line.startswith("bundled(crate(clap))") for line in says("libchoria", "--provides")), "only what is linked in"


def test_every_unit_is_in_the_scriptlets(folder):
    """Services are stopped by erasing and restarted by upgrading; so is whatever can be enabled."""
    for name in ("choria-server", "choria-broker", "choria-provisioner", "choria-aaasvc"):
        file = built.of(folder, name)
        before, after = (re.sub(r"\\", "", "\n".join(built.ask(file, "--qf", f"%{{{tag}}}"))) for tag in ("PREUN", "POSTUN"))
        units = {path.rsplit("/", 1)[1]: path for path in files(file) if path.startswith("/usr/lib/systemd/system/")}
        assert units, name
        text = subprocess.run(["rpm2cpio", file], stdout=subprocess.PIPE, check=True).stdout
        for unit, path in units.items():
            content = subprocess.run(["cpio", "-i", "--quiet", "--to-stdout", f".{path}"], input=text, stdout=subprocess.PIPE, check=True).stdout.decode()
            pattern = unit.replace("@.", "@*.")
            if "[Install]" in content or unit.endswith(".service"):
                assert pattern in before, f"erasing {name} forgets {unit}"
            if unit.endswith(".service"):
                assert pattern in after, f"upgrading {name} does not restart {unit}"
            if unit.endswith(".socket"):
                assert pattern not in after, f"upgrading {name} would close {unit}"


def test_every_program_has_a_manual(folder):
    for name in built.PACKAGES:
        paths = set(files(built.of(folder, name)))
        for path in paths:
            if re.match(r"/usr/s?bin/", path):
                program = path.rsplit("/", 1)[1]
                assert paths & {f"/usr/share/man/man{section}/{program}.{section}.gz" for section in (1, 8)}, path


def test_rpmlint_has_nothing_to_say(folder):
    """Filters with their reasons are in rpm/rpmlint.toml."""
    words = ["rpmlint", "--config", str(built.ROOT / "rpm/rpmlint.toml"), *map(str, sorted(folder.glob("*choria*.rpm"))), str(built.ROOT / "rpm/choria.spec")]
    if not shutil.which("rpmlint"):
        raise built.Trouble("rpmlint was not found: install your distribution's package of it")
    done = subprocess.run(words, capture_output=True, text=True)
    said = [line for line in done.stdout.splitlines() if re.search(r": [EW]: ", line)]
    assert said == [] and re.search(r" 0 errors, 0 warnings", done.stdout), done.stdout + done.stderr


def test_the_same_tree_gives_the_same_bytes(again):
    def digests(place):
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in place.glob("*.rpm")}

    one, another = map(digests, again)
    assert len(one) == len(built.PACKAGES) + 1, "binary packages and the source package"
    assert one == another
    host = built.ask(built.of(again[0], "choria"), "--qf", "%{BUILDHOST}")
    assert host == ["reproducible"]


# dnf

@pytest.fixture(scope="module")
def repository(folder, tmp_path_factory):
    """A yum repository of the packages and of a stand-in for the distribution: who provides what the base system would."""
    place = tmp_path_factory.mktemp("repository")
    for name in built.PACKAGES:
        shutil.copy(built.of(folder, name), place)
    needed = set().union(*(built.ask(built.of(folder, name), "--requires") for name in built.PACKAGES))
    libraries = sorted(one for one in needed if re.fullmatch(LIBRARIES, one))
    base = ["/bin/sh", "systemd = 252", "nats-server = 2.10.0", "python(abi) = 3.9", "ruby(release)", "rubygem(ffi) = 1.15.5", "/usr/bin/pkg-config",
            "rtld(GNU_HASH)", *libraries]
    stand_in(place, "base", "1", base)
    built.run("createrepo_c", "--quiet", place)
    return place


def stand_in(place, name, version, provides):
    """A package that is nothing but a promise, and a shell that does nothing for scriptlets: the root is no system."""
    spec = place / f"{name}.spec"
    lines = [f"Name: {name}", f"Version: {version}", "Release: 1", "Summary: Stand-in of a base system", "License: Apache-2.0", "BuildArch: noarch",
             "AutoReqProv: no", *(f"Provides: {one}" for one in provides), "%description", "For tests.", "%files"]
    spec.write_text("\n".join(lines) + "\n")
    built.build(spec, place / "built")
    for file in (place / "built").glob("*.rpm"):
        file.rename(place / file.name)
    shutil.rmtree(place / "built")
    spec.unlink()


def dnf(repository, root, *words, check=True):
    """dnf with this repository alone, into a root of its own."""
    command = ["dnf", "-y", "--quiet", "--installroot", str(root), "--releasever", "9", "--repofrompath", f"choria,file://{repository}", "--repo", "choria",
               "--nogpgcheck", "--setopt=reposdir=/dev/null", "--setopt=cachedir=" + str(root.parent / "cache"), "--setopt=tsflags=noscripts",
               "--setopt=logdir=" + str(root.parent), "--setopt=persistdir=" + str(root.parent / "state"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def packages(root):
    return set(built.run("rpm", "--root", root, "-qa", "--qf", "%{NAME}\n").split()) - {"base"}


def test_dnf_installs_a_node(repository, tmp_path):
    """One word is enough, and it brings what it needs and nothing else."""
    root = tmp_path / "root"
    dnf(repository, root, "install", "choria-server")
    assert packages(root) == {"choria", "choria-server"}
    for program in ("usr/bin/choria", "usr/sbin/choria-server", "usr/sbin/choria-submit"):
        assert re.search(r"\b0\.1\.0\b", built.run(root / program, "--version"))
    # The command line alone would bring the server, unless one says otherwise: a node that had Go's package keeps its server.
    command = tmp_path / "command"
    dnf(repository, command, "--setopt=install_weak_deps=False", "install", "choria")
    assert packages(command) == {"choria"}


def test_dnf_installs_the_rest_and_the_bindings_work(repository, tmp_path):
    root = tmp_path / "root"
    dnf(repository, root, "install", "choria-broker", "choria-provisioner", "choria-aaasvc", "python3-choria", "ruby-choria", "libchoria-devel")
    assert packages(root) == {"choria", "choria-server", "choria-broker", "choria-provisioner", "choria-aaasvc", "libchoria", "libchoria-devel",
                              "python3-choria", "ruby-choria"}
    environment = {**os.environ, "LD_LIBRARY_PATH": str(root / "usr/lib64"), "PYTHONDONTWRITEBYTECODE": "1"}
    site = root / "usr/lib/python3.9/site-packages"
    told = built.run("python3", "-c", "import choria; print(choria.__file__)", env={**environment, "PYTHONPATH": str(site)})
    assert told.startswith(str(site))
    built.run("ruby", "-I", root / "usr/share/ruby/vendor_ruby", "-e", 'require "choria"; puts Choria::VERSION', env=environment)
    source = tmp_path / "program.c"
    source.write_text('#include <choria.h>\n#include <stdio.h>\nint main(void) { puts(choria_result_name(CHORIA_OK)); return 0; }\n')
    built.run("cc", source, "-o", tmp_path / "program", f"-I{root}/usr/include", f"-L{root}/usr/lib64", "-lchoria")
    assert built.run(tmp_path / "program", env=environment).strip() == "CHORIA_OK"


def test_dnf_upgrades_the_existing_package_to_command_line_and_server(repository, tmp_path):
    """Every node of it keeps its server; none becomes a broker."""
    root = tmp_path / "root"
    root.mkdir()
    existing = built.existing(tmp_path / "existing")
    dnf(repository, root, "install", str(existing))
    assert packages(root) == {"choria"}
    (root / "etc/choria/server.conf").write_text("# edited\n")
    (root / "etc/choria/broker.conf").write_text("# edited too\n")
    dnf(repository, root, "--setopt=install_weak_deps=False", "upgrade")
    assert packages(root) == {"choria", "choria-server"}
    assert (root / "etc/choria/server.conf").read_text() == "# edited\n"
    assert (root / "etc/choria/broker.conf").read_text() == "# edited too\n"
    assert not list(root.glob("etc/choria/*.rpm*"))


def test_dnf_refuses_where_something_is_missing(repository, folder, tmp_path):
    """What is required is required: without the base system nothing is installed."""
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("choria", "choria-broker"):
        shutil.copy(built.of(folder, name), alone)
    stand_in(alone, "base", "1", sorted(one for one in built.ask(built.of(folder, "choria-broker"), "--requires") if re.fullmatch(LIBRARIES, one))
             + ["/bin/sh", "systemd = 252", "rtld(GNU_HASH)", "nats-server = 2.9.25"])
    built.run("createrepo_c", "--quiet", alone)
    done = dnf(alone, tmp_path / "root", "install", "choria-broker", check=False)
    assert done.returncode and "nats-server >= 2.10" in done.stdout + done.stderr


def test_arguments_are_checked(tmp_path):
    for words, text in ((("--profile", "fast", "--output", tmp_path), "there is no profile fast"), (("--output",), "--output needs a value"),
                        (("--colour", "blue"), "unknown argument --colour"), ((), "--output must say"),
                        (("--output", tmp_path, "--channel", "beta"), "there is no channel beta"),
                        (("--output", tmp_path, "--spec", "/nowhere.toml"), "the build specification /nowhere.toml cannot be read")):
        done = subprocess.run([str(built.ROOT / "rpm/package"), *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 2 and text in done.stderr, words
