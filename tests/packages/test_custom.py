"""Custom builds: a build specification makes an organisation's own packages (daemons/CUSTOM.md).

The tree, its names and what stops a build are always tested. With CHORIA_CUSTOM_BUILD=1 the organisation's Debian packages
are built too, which compiles this project's crates once more (minutes), and their programs are run: a server that has nothing
but what is compiled in, and a fleet in which the organisation's own agent answers.
"""

import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
SECRETS = ("compiled-in-secret", "hunter2hunter2")
sys.path.insert(0, str(ROOT / "compose"))


def load_brand():
    loader = importlib.machinery.SourceFileLoader("brand", str(ROOT / "daemons/brand"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("brand", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


brand = load_brand()


def specification(port, more=""):
    return f"""
[package]
name = "acme-fleet"
display_name = "Acme Fleet"
vendor = "Acme Inc."
contact = "Acme Operations <ops@acme.example>"
release = "3acme1"
enable_server = true

[defaults]
collectives = ["acme"]
max_broker_clients = 2000

[provisioning]
brokers = ["127.0.0.1:{port}"]
token = "{SECRETS[0]}"
username = "waiting"
password = "{SECRETS[1]}"
default = true
protocol_v2 = true
{more}
[agents.stock]
package = "acme-agent-stock"
path = "agent"
"""


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    """An organisation's folder: its specification, and the crate of its agent, which is the example under another name."""
    from network import free_port

    folder = tmp_path_factory.mktemp("acme")
    port = free_port()
    (folder / "acme.toml").write_text(specification(port))
    shutil.copytree(ROOT / "libchoria/agents/example", folder / "agent")
    manifest = folder / "agent/Cargo.toml"
    manifest.write_text(manifest.read_text().replace("choria-agent-load", "acme-agent-stock"))
    code = folder / "agent/src/lib.rs"
    code.write_text(code.read_text().replace('"load"', '"stock"'))
    document = folder / "agent/ddl/load.json"
    (folder / "agent/ddl/stock.json").write_text(document.read_text().replace('"name": "load"', '"name": "stock"'))
    document.unlink()
    return folder, port


@pytest.fixture(scope="module")
def tree(acme, tmp_path_factory):
    folder, _ = acme
    place = tmp_path_factory.mktemp("branded") / "tree"
    subprocess.run([ROOT / "daemons/brand", folder / "acme.toml", place], check=True)
    return place


def test_packages_have_the_organisations_names(tree):
    control = (tree / "debian/control").read_text()
    packages = re.findall(r"^Package: (.*)$", control, re.M)
    assert {"acme-fleet", "acme-fleet-server", "acme-fleet-broker", "libacme-fleet1"} <= set(packages), packages
    assert not [name for name in packages if "choria" in name]
    assert "Maintainer: Acme Operations <ops@acme.example>" in control and "Acme Fleet asks thousands" in control
    # They hold the same files as the plain ones, so only one of both can be installed.
    assert "Package: libacme-fleet1\nConflicts: libchoria1\nReplaces: libchoria1\nProvides: libchoria1" in control
    first = (tree / "debian/changelog").read_text().splitlines()[0]
    assert re.match(r"acme-fleet \(1:[\d.]+-3acme1\)", first), first
    spec = (tree / "rpm/acme-fleet.spec").read_text()
    assert re.search(r"^Name: +acme-fleet$", spec, re.M) and re.search(r"^Release: +3acme1%\{\?dist\}\nVendor: Acme Inc.$", spec, re.M)


def test_scripts_of_packages_touch_nothing_of_the_plain_ones(tree):
    for file in [*tree.glob("debian/*.p*[mt]"), *tree.glob("debian/*inst")]:
        left = [line for line in file.read_text().splitlines() if "choria" in line.lower() and "https://" not in line]
        assert not left, f"{file.name}: {left}"


def test_the_server_is_enabled_where_the_specification_says_so(tree):
    assert "\nenable choria-server.service\n" in (tree / "systemd/system-preset/60-choria-server.preset").read_text()
    rules = (tree / "debian/rules").read_text()
    assert re.search(r"^\tdh_installsystemd -pacme-fleet-server --no-start .* acme-fleet-server.service$", rules, re.M)
    assert "\nenable choria-server.service" not in (ROOT / "systemd/system-preset/60-choria-server.preset").read_text()


def test_source_code_is_not_touched(tree):
    changed = subprocess.run(["git", "diff", "--no-index", "--name-only", ROOT / "libchoria", tree / "libchoria"],
                             capture_output=True, text=True).stdout.split()
    names = {name[name.index("libchoria/"):] for name in changed if "/target/" not in name}
    assert names == {"libchoria/agents/extra/Cargo.toml", "libchoria/agents/extra/src/lib.rs"}


def test_the_agent_is_a_member_of_the_workspace(tree):
    done = subprocess.run(["cargo", "metadata", "--offline", "--locked", "--no-deps", "--format-version=1"],
                          cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    packages = {package["name"]: package for package in json.loads(done.stdout)["packages"]}
    assert "acme-agent-stock" in packages
    features = packages["choria-extra-agents"]["features"]
    assert features["default"] == ["stock"] and features["stock"] == ["dep:acme-agent-stock"] and "load" in features


def test_nobody_gets_the_example_unasked():
    done = subprocess.run(["cargo", "tree", "--offline", "--locked", "-p", "choria-server", "-p", "choria", "--edges", "normal"],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "choria-extra-agents" in done.stdout, done.stderr
    assert "choria-agent-load" not in done.stdout
    done = subprocess.run(["cargo", "tree", "--offline", "--locked", "-p", "choria-server", "--features", "load", "--edges", "normal"],
                          cwd=ROOT, capture_output=True, text=True)
    assert "choria-agent-load" in done.stdout, done.stderr


def test_texts_are_renamed_and_foreign_words_are_not():
    rename = brand.renamer("acme", {"bindir": "/opt/acme/bin", "sbindir": "/opt/acme/sbin", "etcdir": "/etc/opt/acme"})
    rows = [
        ("systemctl restart choria-server.service", "systemctl restart acme-server.service"),
        ("/usr/sbin/choria-broker /etc/choria/broker.conf", "/opt/acme/sbin/acme-broker /etc/opt/acme/broker.conf"),
        ("rm -rf etc/choria /etc/choria-provisioner", "rm -rf etc/opt/acme /etc/acme-provisioner"),
        ("libchoria1, python3-choria, debian/choria.postrm", "libacme1, python3-acme, debian/acme.postrm"),
        ("libchoria.so.1 libchoria1 #MINVER#", "libchoria.so.1 libacme1 #MINVER#"),
        (" choria_server_status@CHORIA_1", " choria_server_status@CHORIA_1"),
        ("https://choria.io/docs linux@choria.io", "https://choria.io/docs linux@choria.io"),
        ("libchoria-ffi/build bindings/ruby/lib/choria.rb daemons/choria-server/server.conf",
         "libchoria-ffi/build bindings/ruby/lib/choria.rb daemons/choria-server/server.conf"),
        ("ImportCredential=choria.server.*", "ImportCredential=choria.server.*"),
        ("plugin.choria.server.provision = 1", "plugin.choria.server.provision = 1"),
        ("python3 -c 'import choria'", "python3 -c 'import choria'"),
    ]
    for text, wanted in rows:
        assert rename(text) == wanted


@pytest.mark.parametrize("text, words", [
    ("[package]\nname = 'Acme'\n", "package.name is 'Acme'"),
    ("[package\n", "cannot be read"),
    ("[agents.x]\npackage = 'x'\npath = 'nowhere'\n", "agents.x.path is 'nowhere'"),
    ("[agents.x]\npackage = 'x'\n", "[agents.x] needs package"),
])
def test_a_tree_is_not_made_of_a_mistake(tmp_path, text, words):
    (tmp_path / "x.toml").write_text(text)
    done = subprocess.run([ROOT / "daemons/brand", tmp_path / "x.toml", tmp_path / "tree"], capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_mistake_stops_the_build_with_one_sentence(tmp_path):
    (tmp_path / "x.toml").write_text("[provisioning]\nbrokers = ['b1.acme.example:4222']\nprotocol_v2 = true\n")
    own = tmp_path / "target"
    brand.seed(TARGET, own)
    environment = os.environ | {"CARGO_TARGET_DIR": str(own), "CHORIA_BUILD_SPEC": str(tmp_path / "x.toml")}
    command = ["cargo", "check", "--offline", "--locked", "-p", "choria-config"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    sentence = f"{tmp_path}/x.toml: provisioning.token is not set: without it everybody could configure a server"
    assert sentence in done.stderr, done.stderr


# What follows needs the organisation's programs.

needs_build = pytest.mark.skipif(
    os.environ.get("CHORIA_CUSTOM_BUILD") != "1",
    reason="SKIPPED: the organisation's packages are not built; CHORIA_CUSTOM_BUILD=1 builds and runs them, which takes minutes",
)


@pytest.fixture(scope="module")
def custom(acme, tmp_path_factory):
    """The organisation's Debian packages, unpacked."""
    folder, _ = acme
    place = tmp_path_factory.mktemp("custom")
    done = subprocess.run([ROOT / "debian/package", "--profile", "dev", "--spec", folder / "acme.toml", "--output", place / "debs"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    for package in (place / "debs").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, place / "root"], check=True)
    return place


@needs_build
def test_no_file_is_named_like_one_of_the_plain_packages(custom):
    shared = re.compile(r"/(libchoria\.|choria\.(h|pc|rb)|choria/|choria-[\d.]+\.dist-info/|doc/(lib|python3-|ruby-)?acme)")
    files = {str(file.relative_to(custom / "root")) for file in (custom / "root").rglob("*") if not file.is_dir()}
    left = sorted(file for file in files if "choria" in file and not shared.search(f"/{file}"))
    assert not left, left
    for file in ["usr/bin/acme-fleet", "usr/sbin/acme-fleet-server", "usr/lib/systemd/system/acme-fleet-server.service",
                 "usr/share/man/man8/acme-fleet-server.8.gz", "usr/share/acme-fleet/choria/agent/stock.json"]:
        assert file in files, file
    unit = (custom / "root/usr/lib/systemd/system/acme-fleet-server.service").read_text()
    assert "ExecStart=/usr/sbin/acme-fleet-server" in unit and "/etc/acme-fleet" in unit and "Acme Fleet" in unit


@needs_build
def test_buildinfo_shows_the_specification_and_no_secret(custom, acme):
    program = custom / "root/usr/bin/acme-fleet"
    text = subprocess.run([program, "buildinfo"], capture_output=True, text=True, check=True).stdout
    document = json.loads(subprocess.run([program, "buildinfo", "--json"], capture_output=True, check=True).stdout)
    assert text.startswith("Acme Fleet build settings:\n") and "Default Collectives: acme\n" in text
    assert "  stock version " in text and "Provisioning Token: *****" in text
    assert not [secret for secret in SECRETS if secret in text + json.dumps(document)]
    assert document["package"]["etcdir"] == "/etc/acme-fleet" and document["max_broker_clients"] == 2000
    assert document["provisioning"]["brokers"] == [f"127.0.0.1:{acme[1]}"] and document["provisioning"]["username"] == "waiting"
    assert "stock" in [agent["name"] for agent in document["agents"]]


@needs_build
def test_a_server_without_files_waits_where_the_build_says(custom, acme, tmp_path):
    _, port = acme
    certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                   "-subj", "/CN=broker", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run(certificate, check=True, capture_output=True)
    (tmp_path / "nats.conf").write_text(f"""
        listen: "127.0.0.1:{port}"
        http: "127.0.0.1:-1"
        ports_file_dir: "{tmp_path}"
        tls {{ cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem" }}
        authorization {{ user: waiting, password: "{SECRETS[1]}" }}
        """)
    nats = subprocess.run([ROOT / "compose/nats-server"], capture_output=True, text=True, check=True).stdout.strip()
    with subprocess.Popen([nats, "-c", tmp_path / "nats.conf"], stderr=subprocess.DEVNULL) as broker:
        with open(tmp_path / "log", "wb") as log:
            server = subprocess.Popen([custom / "root/usr/sbin/acme-fleet-server", "--config", tmp_path / "server.conf",
                                       "--identity", "n1.acme.example"], stderr=log)
        try:
            ports = json.loads(eventually(lambda: next(tmp_path.glob("*.ports")).read_text(), tmp_path / "log"))

            def waiting():
                with urllib.request.urlopen(f"{ports['monitoring'][0]}/connz?subs=1&auth=1") as answer:
                    connections = json.load(answer)["connections"]
                assert connections and connections[0]["authorized_user"] == "waiting", connections
                assert "provisioning.broadcast.agent.choria_provision" in connections[0]["subscriptions_list"]
                return connections[0]

            assert eventually(waiting, tmp_path / "log")["name"] == "n1.acme.example"
        finally:
            server.terminate()
            server.wait(20)
            broker.terminate()
    log = (tmp_path / "log").read_text()
    assert "waiting to be provisioned: there is no configuration file" in log
    assert not [secret for secret in SECRETS if secret in log]


@needs_build
def test_the_organisations_agent_answers(custom, tmp_path):
    import network

    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ["choria", "choria-server", "choria-broker"]:
        own = program.replace("choria", "acme-fleet")
        (programs / program).symlink_to(next((custom / "root/usr").glob(f"*bin/{own}")))

    class Acme(network.Network):
        def server_token(self, identity, name):
            public = self.keys(name)
            self.choria("jwt", "server", f"{name}.jwt", identity, public, "issuer.seed", "--validity", "1d")

    fleet = Acme(tmp_path / "fleet", programs, 1)
    # These have credentials, and what is compiled in would have them provisioned.
    fleet.server_extra = {"server1": "plugin.choria.server.provision = false"}
    try:
        fleet.make_credentials()
        client = tmp_path / "fleet/client.conf"
        client.write_text(client.read_text() + f"libdir = {custom}/root/usr/share/acme-fleet\n")
        fleet.start()
        node = fleet.identities[0]
        done = fleet.client("req", "stock", "read", "-I", node, "--json")
        assert done.returncode == 0, done.stderr
        reply = json.loads(done.stdout)["replies"][0]
        assert reply["statuscode"] == 0 and isinstance(reply["data"]["one"], float), reply
        inventory = fleet.client("inventory", node)
        assert "stock" in inventory.stdout and "acme" in inventory.stdout, inventory.stdout + inventory.stderr
    finally:
        fleet.stop()


def eventually(look, log, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return look()
        except (AssertionError, OSError, StopIteration, ValueError) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"{error}; the server's log: {log.read_text()}") from error
            time.sleep(0.1)
