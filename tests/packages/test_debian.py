"""The .debs: what is in them, what they need, what their scripts do, and that the same commit gives the same bytes.

Installed on booted machines they are in tests/systemd.
"""
import collections
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ["choria", "choria-aaasvc", "choria-broker", "choria-provisioner", "choria-server", "libchoria-dev", "libchoria1",
        "python3-choria", "ruby-choria"]
SERVICES = ["choria-aaasvc", "choria-broker", "choria-provisioner", "choria-server"]
PROGRAMS = {"choria": ["usr/bin/choria"], "choria-server": ["usr/sbin/choria-server", "usr/sbin/choria-submit"],
            "choria-broker": ["usr/sbin/choria-broker"], "choria-provisioner": ["usr/sbin/choria-provisioner"],
            "choria-aaasvc": ["usr/sbin/choria-aaasvc"]}
# Whether the packages may be of another commit: tests/run makes them in Cargo's folder of this tree.
FOREIGN = "CHORIA_PACKAGES" in os.environ and not pathlib.Path(os.environ["CHORIA_PACKAGES"]).resolve().is_relative_to(
    pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve())
Entry = collections.namedtuple("Entry", "mode owner target")


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command} exited {done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


class Deb:
    def __init__(self, path, folder):
        self.path, self.tree, self.control = path, folder / "tree", folder / "control"
        run("dpkg-deb", "-x", path, self.tree)
        run("dpkg-deb", "-e", path, self.control)
        self.fields = dict(re.findall(r"^(\S+): (.*)$", (self.control / "control").read_text(), re.MULTILINE))
        self.name = self.fields["Package"]
        self.entries = {}
        for line in run("dpkg-deb", "-c", path).splitlines():
            mode, owner, _, _, _, name = line.split(None, 5)
            name, _, target = name.removeprefix("./").partition(" -> ")
            if name and not name.endswith("/"):
                self.entries[name] = Entry(mode, owner, target)

    def script(self, name):
        file = self.control / name
        return file.read_text() if file.exists() else ""

    def relations(self, field):
        return {word.strip() for word in self.fields.get(field, "").split(",") if word.strip()}


@pytest.fixture(scope="module")
def packages(debs, tmp_path_factory):
    found = {}
    for path in sorted(debs.glob("*.deb")):
        if path.name.split("_")[0] in OURS:
            deb = Deb(path, tmp_path_factory.mktemp(path.name.split("_")[0]))
            found[deb.name] = deb
    assert sorted(found) == OURS
    return found


def test_all_are_one_version_that_wins_over_the_go_package(packages):
    versions = {deb.fields["Version"] for deb in packages.values()}
    assert len(versions) == 1
    version = versions.pop()
    run("dpkg", "--compare-versions", version, "gt", "0.30.4+bookworm")
    cargo = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert re.fullmatch(rf"1:{re.escape(cargo)}(~nightly\d{{8}}\.\d{{4}}\.[0-9a-f]{{7}})?-1", version)


def test_they_need_what_they_need(packages):
    version = packages["choria"].fields["Version"]
    for name in SERVICES:
        assert f"choria (= {version})" in packages[name].relations("Depends")
    assert packages["choria"].relations("Recommends") == {"choria-server"}
    assert "nats-server (>= 2.10)" in packages["choria-broker"].relations("Depends")
    assert f"libchoria1 (= {version})" in packages["libchoria-dev"].relations("Depends")
    for name, more in (("python3-choria", {"python3:any"}), ("ruby-choria", {"ruby (>= 1:3.0)", "ruby-ffi (>= 1.15)"})):
        assert packages[name].relations("Depends") == {f"libchoria1 (>= {version})", *more}
        assert packages[name].fields["Architecture"] == "all"
    # The library needs libc and the compiler's helper alone.
    assert {word.split()[0] for word in packages["libchoria1"].relations("Depends")} == {"libc6", "libgcc-s1"}
    for name in ("choria-server", "choria-broker"):
        assert "choria (<< 1:0~)" in packages[name].relations("Conflicts"), "the Go package has files of this one"
        assert not packages[name].relations("Replaces"), "dpkg would remove the Go package, whose script disables the units"


def test_each_file_is_in_one_package_and_belongs_to_root(packages):
    owners = collections.Counter(name for deb in packages.values() for name in deb.entries)
    assert [name for name, count in owners.items() if count > 1] == []
    for deb in packages.values():
        for name, entry in deb.entries.items():
            assert entry.owner == "root/root", name
            program = re.match(r"usr/s?bin/|usr/share/doc/choria-provisioner/helpers/(python|shell)$", name)
            wanted = "lrwxrwxrwx" if entry.target else "-rwxr-xr-x" if program else "-rw-r--r--"
            if name == "etc/choria-provisioner/choria-provisioner.yaml":
                wanted = "-rw-r-----"
            assert entry.mode == wanted, name


def test_no_file_is_without_a_package(packages, tmp_path):
    """What daemons/install makes is what the packages hold, but for what debhelper adds and compresses."""
    if FOREIGN:
        pytest.skip("the packages of CHORIA_PACKAGES may be of another commit than the programs of this tree")
    libdir = "/usr/lib/" + run("dpkg-architecture", "-q", "DEB_HOST_MULTIARCH").strip()
    run(ROOT / "daemons/install", "--no-build", "--profile", "dev", "--destdir", tmp_path, "--libdir", libdir)
    installed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_symlink() or path.is_file()}
    packed = {name.removesuffix(".gz") if "/man/" in name else name for deb in packages.values() for name in deb.entries}
    added = re.compile(r"usr/share/(lintian/overrides/.*|doc/[^/]*/(changelog\.Debian\.gz|copyright|README.*|NEWS.*))$")
    assert {name for name in packed if not added.match(name)} == installed


def test_conffiles_are_what_nobody_rewrites(packages):
    conffiles = {name: deb.script("conffiles").split() for name, deb in packages.items() if deb.script("conffiles")}
    assert conffiles == {"choria": ["/etc/logrotate.d/choria"],
                         "choria-provisioner": ["/etc/choria-provisioner/choria-provisioner.yaml"]}


def test_lintian_is_content(packages):
    # Every override says why it is there. The tag that is left out exists in Debian 12 alone, for which Debian 13 refuses an override.
    done = subprocess.run(["lintian", "--no-cfg", "--allow-root", "-I", "--fail-on", "error,warning,info",
                           "--suppress-tags", "package-supports-alternative-init-but-no-init.d-script",
                           *(deb.path for deb in packages.values())], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_starts_but_the_socket_and_what_ran_is_restarted(packages, name):
    postinst = packages[name].script("postinst")
    enabled = re.findall(r"was-enabled defaults to true.*?enable '(\S+)'", postinst, re.DOTALL)
    started = re.findall(r"deb-systemd-invoke (?:\$_dh_action|start) '?(\S+?)'? >", postinst)
    assert enabled == started == (["choria-submit.socket"] if name == "choria-server" else [])
    restarted = " ".join(re.findall(r'if \[ -n "\$2" \]; then\n\s*deb-systemd-invoke (?:try-)?restart (.*?) >', postinst))
    assert f"'{name}.service'" in restarted
    assert ".socket" not in restarted, "callers would fail while the socket is closed"
    units = {path.rpartition("/")[2] for path in packages[name].entries if path.startswith("usr/lib/systemd/system/")}
    stopped = packages[name].script("prerm")
    for unit in units:
        assert unit.replace("@", "@*") in stopped, f"{unit} would run on after the package is gone"


def test_presets_say_the_same(packages):
    wanted = {}
    for deb in packages.values():
        for name in deb.entries:
            if name.startswith("usr/lib/systemd/system-preset/"):
                wanted |= dict(reversed(line.split()) for line in (deb.tree / name).read_text().splitlines() if line[:1] not in ("#", ""))
    assert [unit for unit, what in wanted.items() if what == "enable"] == ["choria-submit.socket"]


PURGED = {
    "choria-server": (["etc/choria/server.conf", "etc/choria/server.jwt", "etc/choria/server.seed", "etc/choria/provisioning.jwt",
                       "etc/choria/instances/a/server.conf", "var/spool/choria/submission/P4/1.msg", "var/lib/choria/server/x"],
                      ["etc/choria/facts.yaml", "etc/choria/broker.conf", "var/lib/choria/broker/jetstream/x"]),
    "choria-broker": (["etc/choria/broker.conf", "etc/choria/broker.jwt", "etc/choria/broker.seed", "var/lib/choria/broker/jetstream/x",
                       "etc/systemd/system/choria-broker.service.d/run-as-root.conf"],
                      ["etc/choria/server.conf", "srv/streams/x", "etc/systemd/system/choria-broker.service.d/site.conf"]),
    "choria-provisioner": (["etc/choria-provisioner/choria.cfg", "etc/choria-provisioner/signer.seed", "var/lib/choria/provisioner/x"],
                           ["etc/choria-provisioner/helper"]),
    "choria-aaasvc": (["etc/choria/aaasvc.json", "etc/choria/aaasvc.conf", "etc/choria/aaasvc-signer.seed", "var/lib/choria/aaasvc/audit.json"],
                      ["etc/choria/server.conf"]),
    "choria": (["var/log/choria.log", "var/log/choria.log.1.gz", "var/log/choria-audit.log"], ["etc/choria/client.conf", "var/log/choriaudit"]),
}


@pytest.mark.parametrize("name", PURGED)
def test_purge_removes_what_is_the_packages_alone(packages, name, tmp_path):
    gone, kept = PURGED[name]
    for file in gone + kept:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    script = packages[name].control / "postrm"
    environment = os.environ | {"DPKG_ROOT": str(tmp_path), "DPKG_MAINTSCRIPT_PACKAGE": name}
    for action in ("remove", "upgrade"):
        run("sh", script, action, env=environment)
    assert all((tmp_path / file).exists() for file in gone + kept)
    run("sh", script, "purge", env=environment)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)
    empty = [path for path in tmp_path.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert {str(path.relative_to(tmp_path)) for path in empty} <= {"etc", "var", "var/lib", "var/log", "var/spool", "etc/systemd/system"}
    run("sh", script, "purge", env=environment)  # twice does no harm


def test_programs_are_hardened_and_find_libraries_where_the_system_has_them(packages):
    files = [packages[name].tree / file for name, programs in PROGRAMS.items() for file in programs]
    library = next(packages["libchoria1"].tree.rglob("libchoria.so.1"))
    for file in [*files, library]:
        dynamic = run("readelf", "-dW", file)
        assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
        assert re.search(r"FLAGS.*BIND_NOW", dynamic), f"{file} binds symbols late"
        headers = run("readelf", "-hlW", file)
        assert re.search(r"Type:\s+DYN", headers) and "GNU_RELRO" in headers
        assert not re.search(r"GNU_STACK.*E ", headers.split("Section to Segment")[0].replace("RWE", "E "))
        assert ".symtab" not in run("readelf", "-SW", file), f"{file} is not stripped"


def test_symbols_are_those_of_the_version_script(packages):
    exported = set(re.findall(r"^    (choria_\w+);$", (ROOT / "libchoria-ffi/libchoria.map").read_text(), re.MULTILINE))
    assert set(re.findall(r"^ (choria_\w+)@CHORIA_1 ", packages["libchoria1"].script("symbols"), re.MULTILINE)) == exported
    assert "libchoria 1 libchoria1" in packages["libchoria1"].script("shlibs")


def test_a_c_program_is_built_with_the_installed_files(packages, tmp_path):
    for name in ("libchoria1", "libchoria-dev"):
        shutil.copytree(packages[name].tree, tmp_path, symlinks=True, dirs_exist_ok=True)
    libdir = next(tmp_path.rglob("choria.pc")).parents[1]
    environment = os.environ | {"PKG_CONFIG_SYSROOT_DIR": str(tmp_path), "PKG_CONFIG_LIBDIR": str(libdir / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "choria", env=environment).split()
    example = tmp_path / "usr/share/doc/libchoria-dev/examples/submit.c"
    run("cc", "-o", tmp_path / "submit", example, *flags)
    assert "libchoria.so.1" in run("readelf", "-dW", tmp_path / "submit")


def test_python_and_ruby_load_the_installed_library(packages, tmp_path):
    library = next(packages["libchoria1"].tree.rglob("libchoria.so.1"))
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(library.parent)}
    python = packages["python3-choria"].tree / "usr/lib/python3/dist-packages"
    said = run(sys.executable, "-B", "-c", "import choria, choria.aio; print(choria.Seed, choria.__file__)", env=environment | {"PYTHONPATH": str(python)})
    assert str(python) in said
    run("ruby", "-I", packages["ruby-choria"].tree / "usr/lib/ruby/vendor_ruby", "-e", "require 'choria'; Choria::Trust", env=environment)


def test_copyright_names_every_crate(packages):
    run(ROOT / "debian/vendor", "--check")
    text = (ROOT / "debian/copyright").read_text()
    terms = {name.strip() for line in re.findall(r"^License: (.*)$", text, re.MULTILINE) for name in re.split(r" or | and |, and ", line)}
    for name in terms:
        assert re.search(rf"^License: {re.escape(name)}\n ", text, re.MULTILINE), f"the text of {name} is missing"
    for deb in packages.values():
        assert (deb.tree / f"usr/share/doc/{deb.name}/copyright").read_text() == text


def test_the_same_tree_gives_the_same_bytes(packages, tmp_path):
    """Packed again elsewhere, by somebody else, with other settings; programs are taken as Cargo built them."""
    if FOREIGN:
        pytest.skip("the packages of CHORIA_PACKAGES may be of another commit than this tree")
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary"), "TZ": "Asia/Tokyo", "LC_ALL": "C", "USER": "somebody"}
    run("sh", "-c", f"umask 077; exec {ROOT}/debian/package --output {tmp_path}/again --profile dev", env=environment)
    for deb in packages.values():
        again = tmp_path / "again" / deb.path.name
        assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(deb.path.read_bytes()).digest(), f"{deb.name} differs"
