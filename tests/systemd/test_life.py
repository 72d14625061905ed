"""The life of packages on a node: installed, upgraded and downgraded under load, removed, purged, and taking over from the Go package."""
import json
import pathlib
import subprocess
import textwrap

import pytest

HERE = pathlib.Path(__file__).resolve().parent
OURS = "choria choria-server"
# What changes by itself or by apt's own work.
ELSEWHERE = ("/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/", "/var/log/journal", "/var/log/apt", "/var/log/dpkg.log", "/var/log/alternatives.log",
             "/var/backups/", "/run/", "/root/", "/var/tmp/", "/home/", "/var/spool/cron/", "/var/lib/systemd/timers", "/etc/.pwd.lock",
             "/var/lib/systemd/catalog/", "/usr/share/mime/")


@pytest.fixture(scope="module")
def node(site, machines, repository):
    """One more node of the site, before anything of ours is on it; with a stream for what is submitted under load."""
    node = machines.machine("life")
    repository.paste(node)
    node.add_user("jane")
    node.before = node.files()
    site.login("admin")
    site.ask("broker", "stream", "add", "LIFE", "--subjects", "choria.submission.in.local.life.>", "--defaults", user="admin")
    yield node
    site.ask("broker", "stream", "rm", "LIFE", "--force", user="admin")
    machines.remove("life")


@pytest.fixture(scope="module")
def version(packages):
    server = next(file for file in packages if file.name.startswith("choria-server_"))
    return subprocess.run(["dpkg-deb", "-f", server, "Version"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def successor(packages, version, repository, tmp_path_factory):
    """The same packages with the next version number, published."""
    folder = tmp_path_factory.mktemp("next")
    later = version + "+next1"
    for package in packages:
        if subprocess.run(["dpkg-deb", "-f", package, "Version"], capture_output=True, text=True, check=True).stdout.strip() == version:
            tree = folder / "tree"
            subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
            control = (tree / "DEBIAN/control").read_text().replace(version, later)
            (tree / "DEBIAN/control").write_text(control)
            subprocess.run(["dpkg-deb", "-Znone", "-b", tree, folder / package.name.replace("_amd64", "+next1_amd64")], check=True, capture_output=True)
            subprocess.run(["rm", "-r", tree], check=True)
    repository.publish(*folder.glob("*.deb"))
    subprocess.run(["rm", "-r", folder], check=True)
    return later


def installed(node):
    lines = node.run("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n", "choria*").stdout.splitlines()
    return {line.split()[0]: line.split()[1] for line in lines if line.endswith("ii ")}


def kept(node):
    """What belongs to the site and to provisioning, by content."""
    return node.run("find /etc/choria /etc/logrotate.d/choria -type f -exec sha256sum {} + | sort -k2").stdout


def joined(site, node):
    """Waits until the node answers beside the others."""
    return site.client.wait_for(lambda: node.fqdn in site.ask("ping", "--names", "--timeout", "2", "-I", node.fqdn, check=False).stdout,
                                what=f"{node.fqdn} answers")


class Load:
    """Two users of the socket: a program that submits every few milliseconds, and the command line in a row."""

    def __init__(self, node):
        self.node = node
        node.run("rm -rf /var/tmp/load; mkdir -m 777 /var/tmp/load")
        node.put("/var/tmp/load/load.py", HERE / "load.py")
        self.programs = [node.popen("python3", "/var/tmp/load/load.py", "local.life.program", "/var/tmp/load/program", user="jane"),
                         node.popen("cd /var/tmp/load; while [ ! -e cli.stop ]; do echo x | choria tool submit --reliable local.life.cli - >>cli 2>&1 "
                                    "|| echo lost $? >>cli; done; echo end >>cli", user="jane")]
        node.wait_for(lambda: min(self.count(name) for name in ("program", "cli")) > 2, what="the load begins")

    def count(self, name):
        return len(self.node.run(f"cat /var/tmp/load/{name} 2>/dev/null", check=False).stdout.splitlines())

    def end(self):
        """The ids of everything that was accepted; nothing may have been lost."""
        self.node.run("touch /var/tmp/load/program.stop /var/tmp/load/cli.stop")
        for program in self.programs:
            program.wait(120)
        lines = self.node.run("cat /var/tmp/load/program /var/tmp/load/cli").stdout.splitlines()
        assert lines.count("end") == 2
        lost = [line for line in lines if line != "end" and len(line) != 36]
        assert not lost, lost
        return [line for line in lines if line != "end"]


def arrived(site):
    return json.loads(site.ask("broker", "stream", "info", "LIFE", "--json", user="admin").stdout)["state"]["messages"]


def change(site, node, capsys, *apt):
    """Changes the version under load: everything stays, what ran is restarted, every message arrives."""
    before = kept(node)
    pid = node.show("choria-server", "MainPID")["MainPID"]
    socket = node.show("choria-submit.socket", "ActiveEnterTimestampMonotonic")
    count = arrived(site)
    load = Load(node)
    node.apt(*apt)
    node.wait_active("choria-server")
    ids = load.end()
    assert len(set(ids)) == len(ids)
    with capsys.disabled():
        print(f"\n{len(ids)} messages were submitted during `apt {' '.join(apt)}`")
    site.client.wait_for(lambda: arrived(site) - count >= len(ids), what=f"{len(ids)} messages arrive")
    assert arrived(site) - count == len(ids)
    assert kept(node) == before
    assert node.show("choria-server", "MainPID")["MainPID"] != pid
    assert node.show("choria-submit.socket", "ActiveEnterTimestampMonotonic") == socket, "the socket was closed"
    for unit in ("choria-server", "choria-submit"):
        main = node.show(unit, "MainPID")["MainPID"]
        if main != "0":
            assert node.run("readlink", f"/proc/{main}/exe").stdout.strip() == f"/usr/sbin/{unit}"
    joined(site, node)
    assert waits(node)


def waits(node):
    """Whether the message that no stream takes is still in the spool."""
    return "a2VwdAo=" in node.run("cat /var/spool/choria/submission/P0/*.msg", check=False).stdout


def test_an_installation_starts_nothing_but_the_socket(site, node, version):
    node.apt_install("choria-server")
    assert installed(node).items() >= {"choria": version, "choria-server": version}.items()
    assert node.active("choria-server.service") == "inactive"
    assert node.run("systemctl", "is-enabled", "choria-server.service", check=False).stdout.strip() == "disabled"
    assert node.active("choria-submit.socket") == "active"
    assert node.run("systemctl", "is-enabled", "choria-submit.socket").stdout.strip() == "enabled"
    assert node.run("echo hi | choria tool submit --reliable local.life.early -", user="jane").stdout.strip()
    assert node.active("choria-server.service") == "inactive", "a submission starts no server"


def test_it_is_provisioned_and_delivers(site, node):
    site.set_up_node(node)
    joined(site, node)
    site.client.wait_for(lambda: arrived(site) == 1)
    node.run("echo kept | choria tool submit --reliable --priority 0 local.unheard -", user="jane")


def test_an_upgrade_loses_nothing(site, node, successor, capsys):
    node.apt("update")
    change(site, node, capsys, "upgrade")
    assert installed(node)["choria-server"] == successor


def test_nor_does_a_downgrade(site, node, version, capsys):
    change(site, node, capsys, "install", "--allow-downgrades", *(f"{name}={version}" for name in OURS.split()))
    assert installed(node)["choria-server"] == version


def test_a_server_that_was_stopped_stays_so(site, node, successor):
    node.run("systemctl stop choria-server; systemctl disable choria-server")
    node.apt("upgrade")
    assert node.active("choria-server") == "inactive"
    assert node.run("systemctl", "is-enabled", "choria-server.service", check=False).stdout.strip() == "disabled"
    node.run("systemctl enable --now choria-server")
    joined(site, node)


def test_removed_it_runs_no_more_and_keeps_its_configuration(site, node):
    site.identity = {name: node.get(f"/etc/choria/{name}") for name in ("server.conf", "server.jwt", "server.seed")}
    node.apt("remove", *OURS.split())
    assert node.active("choria-server.service") == "inactive"
    assert node.run("pgrep", "-l", "choria", check=False).stdout == ""
    assert node.run("ls /run/choria 2>/dev/null", check=False).stdout == ""
    assert {name: node.get(f"/etc/choria/{name}") for name in site.identity} == site.identity
    assert waits(node)


def test_purged_nothing_is_left_but_what_is_the_sites(node):
    node.apt("purge", "--autoremove", *OURS.split())
    left = {path for path in node.files() - node.before if not path.startswith(ELSEWHERE)}
    # What the site put or named there: its facts, and the status file of its configuration.
    assert left == {"/etc/choria", "/etc/choria/facts.json", "/var/lib/choria", "/var/lib/choria/server-status.json"}
    gone = {path for path in node.before - node.files() if not path.startswith(ELSEWHERE)}
    assert not gone


def go_package(folder):
    """What stands in for the package of the Go implementation: its files, its units, and a program that does nothing."""
    tree = folder / "go"
    unit = """\
        [Unit]
        Description=Choria {role}
        After=network.target
        [Service]
        ExecStart=/usr/bin/choria {role} run --config=/etc/choria/{role}.conf
        KillMode=process
        [Install]
        WantedBy=multi-user.target
        """
    files = {"DEBIAN/control": """\
        Package: choria
        Version: 0.30.4-1
        Architecture: all
        Maintainer: Somebody <somebody@example.net>
        Description: stands in for the Go implementation
        """, "DEBIAN/conffiles": "/etc/choria/server.conf\n/etc/choria/broker.conf\n/etc/logrotate.d/choria\n",
        "DEBIAN/postinst": "#!/bin/sh\nset -e\nsystemctl daemon-reload\nsystemctl enable choria-server\n",
        "usr/bin/choria": "#!/bin/sh\nexec sleep infinity\n",
        "usr/lib/systemd/system/choria-server.service": unit.format(role="server"),
        "usr/lib/systemd/system/choria-broker.service": unit.format(role="broker"),
        "etc/choria/server.conf": "logfile = /var/log/choria.log\nloglevel = info\n",
        "etc/choria/broker.conf": "plugin.choria.broker_network = false\n", "etc/logrotate.d/choria": "/var/log/choria.log {\n}\n"}
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        path.chmod(0o755 if name in ("DEBIAN/postinst", "usr/bin/choria") else 0o644)
    made = folder / "choria_0.30.4-1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, made], check=True, capture_output=True)
    return made


def test_it_takes_over_from_the_go_package(site, node, tmp_path):
    node.put("/root/go.deb", go_package(tmp_path))
    node.run("dpkg", "-i", "/root/go.deb")
    for name, text in site.identity.items():
        node.put(f"/etc/choria/{name}", text, mode=0o640)
    node.run("systemctl", "start", "choria-server")
    assert "sleep" in node.run("readlink", f"/proc/{node.show('choria-server', 'MainPID')['MainPID']}/exe").stdout
    node.apt("update")
    node.apt("dist-upgrade")
    assert {"choria", "choria-server"} <= set(installed(node))
    assert node.active("choria-server") == "active"
    assert node.run("systemctl", "is-enabled", "choria-server").stdout.strip() == "enabled"
    assert node.run("readlink", f"/proc/{node.show('choria-server', 'MainPID')['MainPID']}/exe").stdout.strip() == "/usr/sbin/choria-server"
    assert node.get("/etc/choria/server.conf") == site.identity["server.conf"]
    joined(site, node)
