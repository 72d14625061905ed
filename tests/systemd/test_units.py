"""The units as they are installed: whether systemd likes them, what they may do, who starts and stops what."""
import json
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("choria", "choria-server", "choria-broker", "choria-provisioner", "choria-aaasvc")
UNITS = "/usr/lib/systemd/system"

# `systemd-analyze security`, ten times as much. The server manages the node: README.md of systemd/ has what it keeps and why.
EXPOSURE = {"choria-submit": 10, "choria-broker": 16, "choria-provisioner": 16, "choria-aaasvc": 16, "choria-server": 93, "choria-server@": 93}

# What programs ask systemd for, by name: libchoria/daemon/src/sockets.rs has who asks.
SOCKETS = {
    "choria-submit.socket": ("varlink", "/run/choria/submit.sock", "choria-submit.service"),
    "choria-server.socket": ("varlink", "/run/choria/server.sock", "choria-server.service"),
    "choria-server@one.socket": ("varlink", "/run/choria/server-one.sock", "choria-server@one.service"),
    "choria-broker.socket": ("varlink", "/run/choria/broker.sock", "choria-broker.service"),
    "choria-provisioner.socket": ("varlink", "/run/choria/provisioner.sock", "choria-provisioner.service"),
    "choria-aaasvc-varlink.socket": ("varlink", "/run/choria/aaasvc.sock", "choria-aaasvc.service"),
    "choria-aaasvc.socket": ("https", "[::]:8080", "choria-aaasvc.service"),
    "choria-server-metrics.socket": ("metrics", "127.0.0.1:8221", "choria-server.service"),
    "choria-broker-metrics.socket": ("metrics", "127.0.0.1:8222", "choria-broker.service"),
    "choria-provisioner-metrics.socket": ("metrics", "127.0.0.1:8223", "choria-provisioner.service"),
    "choria-aaasvc-metrics.socket": ("metrics", "127.0.0.1:8224", "choria-aaasvc.service"),
}

ENABLED = {"choria-submit.socket"}

# folder: mode, owner
FOLDERS = {
    "/etc/choria": "755 root:root",
    "/etc/choria/instances": "755 root:root",
    "/etc/choria-provisioner": "750 root:choria-provisioner",
    "/etc/choria-provisioner/choria-provisioner.yaml": "640 root:choria-provisioner",
    "/run/choria": "755 root:root",
    "/var/lib/choria": "755 root:root",
    "/var/spool/choria": "755 root:root",
    "/var/spool/choria/submission": "700 root:root",
}

NODE = """\
identity = {name}
plugin.choria.middleware_hosts = 127.0.0.1:4
plugin.choria.use_srv = false
plugin.choria.server.provision = false
plugin.choria.submission.spool = /var/spool/choria/{name}
plugin.security.provider = choria
plugin.security.choria.token_file = {folder}/server.jwt
plugin.security.choria.seed_file = {folder}/server.seed
plugin.security.issuer.names = choria
plugin.security.issuer.choria.public = {issuer}
"""


@pytest.fixture(scope="module")
def machine(machines, repository):
    """A machine with every role, none of which runs."""
    machine = machines.machine("units")
    repository.paste(machine, nats=True)
    machine.apt_install(*PACKAGES)
    machine.run("set -e; mkdir -m 700 /root/office; cd /root/office; choria jwt keys issuer.seed issuer.public")
    machine.issuer = machine.get("/root/office/issuer.public").strip()
    yield machine
    machines.remove("units")


@pytest.fixture
def node(machine):
    """The same machine with a server that no broker listens to."""
    make_node(machine, "/etc/choria", "units.example.net")
    machine.run("systemctl start choria-server")
    yield machine
    machine.run("systemctl stop choria-server; rm /etc/choria/server.*; systemctl reset-failed")


@pytest.fixture
def broker(machine):
    machine.run("set -e; cd /etc/choria; choria jwt keys broker.seed broker.public; choria jwt server broker.jwt units.example.net broker.public "
                "/root/office/issuer.seed --collectives choria --validity 1d; chmod 600 broker.*")
    yield machine
    machine.run("systemctl stop choria-broker; rm -rf /etc/choria/broker.* /srv/streams; systemctl reset-failed")


def write_broker(machine, store, group):
    machine.put("/etc/choria/broker.conf", f"identity = units.example.net\nplugin.choria.broker_network = true\n"
                f"plugin.choria.network.stream.store = {store}\nplugin.choria.use_srv = false\nplugin.security.provider = choria\n"
                "plugin.security.choria.token_file = /etc/choria/broker.jwt\nplugin.security.choria.seed_file = /etc/choria/broker.seed\n"
                f"plugin.security.issuer.names = choria\nplugin.security.issuer.choria.public = {machine.issuer}\n", mode=0o640)
    machine.run(f"chgrp {group} /etc/choria/broker.*; chmod g+r /etc/choria/broker.*")


def make_node(machine, folder, name):
    machine.run(f"set -e; mkdir -p {folder}; cd {folder}; choria jwt keys server.seed server.public --force; "
                f"choria jwt server server.jwt {name} server.public /root/office/issuer.seed --collectives mcollective --validity 1d")
    machine.put(f"{folder}/server.conf", NODE.format(name=name, folder=folder, issuer=machine.issuer))


def drop_in(machine, unit, text):
    """Puts a drop-in in force; an empty text takes it away."""
    path = f"/run/systemd/system/{unit}.d/test.conf"
    if text:
        machine.put(path, text)
    else:
        machine.run("rm", path)
    machine.run("systemctl", "daemon-reload")


def ping(machine, socket="/run/choria/server.sock"):
    return machine.varlink(socket, "io.choria.Server.Ping")["identity"]


# What is installed


def test_systemd_has_nothing_to_say_about_the_units(machine):
    done = machine.run(f"systemd-analyze verify --man=no {UNITS}/choria*")
    assert done.stdout + done.stderr == ""
    machine.put("/root/bad.service", "[Service]\nExecStart=/bin/true\nProtectEverything=yes\n")
    assert "ProtectEverything" in machine.run("systemd-analyze verify --man=no /root/bad.service", check=False).stderr


@pytest.mark.parametrize("name", EXPOSURE)
def test_units_give_up_what_they_can(machine, name):
    machine.run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE[name]}", "--no-pager", f"{UNITS}/{name}.service")


def test_the_limit_is_a_limit(machine):
    machine.put("/root/open.service", "[Service]\nExecStart=/bin/true\n")
    assert machine.run("systemd-analyze", "security", "--offline=true", "--threshold=93", "/root/open.service", check=False).returncode


@pytest.mark.parametrize("unit", SOCKETS)
def test_sockets_have_the_names_that_programs_ask_for(machine, unit):
    shown = machine.show(unit, "FileDescriptorName", "Listen", "Triggers", "LoadState")
    name, listen, service = SOCKETS[unit]
    assert shown == {"FileDescriptorName": name, "Listen": f"{listen} (Stream)", "Triggers": service, "LoadState": "loaded"}


def test_every_socket_is_looked_at(machine):
    there = {path.rsplit("/", 1)[1] for path in machine.run(f"ls {UNITS}/choria*.socket").stdout.split()}
    assert there == {unit.replace("@one", "@") for unit in SOCKETS}


@pytest.mark.parametrize("path", FOLDERS)
def test_folders_are_there(machine, path):
    assert machine.run("stat", "-c", "%a %U:%G", path).stdout.strip() == FOLDERS[path]


@pytest.mark.parametrize("user", ["choria-broker", "choria-provisioner", "choria-aaasvc"])
def test_users_are_there(machine, user):
    entry = machine.run("getent", "passwd", user).stdout.strip().split(":")
    assert int(entry[2]) < 1000 and entry[5].startswith("/var/lib/choria/") and entry[6].endswith("/nologin")


def test_only_the_socket_of_submissions_is_enabled(machine):
    files = json.loads(machine.run("systemctl", "list-unit-files", "choria*", "--output=json").stdout)
    installable = [unit for unit in files if unit["state"] in ("enabled", "disabled")]
    assert len(installable) >= 10
    assert {unit["unit_file"] for unit in installable if unit["state"] == "enabled"} == ENABLED
    assert {unit["unit_file"] for unit in installable if unit["preset"] == "enabled"} == ENABLED
    assert machine.active("choria-submit.socket") == "active"


def test_older_systemd_gets_what_it_knows(tmp_path):
    """RHEL 9 has 252: no notify-reload, no credentials by pattern, no growing delays."""
    for package in PACKAGES:
        subprocess.run([ROOT / "systemd/install", "--package", package, "--destdir", tmp_path, "--systemd", "252"], check=True)
    for unit in (tmp_path / UNITS.lstrip("/")).glob("*.service"):
        lines = unit.read_text().splitlines()
        assert not [line for line in lines if line.startswith(("Type=notify-reload", "ImportCredential=", "RestartSteps=", "RestartMaxDelaySec="))]
        assert "Type=notify" in lines and "ExecReload=/bin/kill -HUP $MAINPID" in lines
    broker = (tmp_path / UNITS.lstrip("/") / "choria-broker.service").read_text()
    assert "LoadCredential=choria.broker.tls.key\n" in broker


def test_names_are_those_of_the_build(tmp_path):
    subprocess.run([ROOT / "systemd/install", "--package", "choria-server", "--destdir", tmp_path, "--name", "acme", "--sbindir", "/opt/acme/sbin",
                    "--etcdir", "/opt/acme/etc"], check=True)
    unit = (tmp_path / UNITS.lstrip("/") / "acme-server.service").read_text()
    assert "ExecStart=/opt/acme/sbin/acme-server $EXTRA_OPTS" in unit and "Slice=acme.slice" in unit
    assert "ImportCredential=choria.server.*" in unit and "https://choria.io" in unit


@pytest.mark.parametrize("words", [["--package", "choria-x"], ["--bogus"], ["--package"], ["--package", "choria"],
                                   ["--package", "choria", "--destdir", "/nowhere", "--systemd", "247"]])
def test_wrong_arguments_install_nothing(words):
    done = subprocess.run([ROOT / "systemd/install", *words], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("systemd/install: ")


# Who starts and stops what


def test_asking_a_stopped_server_does_not_start_it(node):
    assert ping(node) == "units.example.net"
    node.run("systemctl stop choria-server")
    node.wait_active("choria-server.socket", "inactive")
    assert node.run("varlinkctl call /run/choria/server.sock io.choria.Server.Ping {}", check=False).returncode
    assert node.run("test -e /run/choria/server.sock", check=False).returncode
    assert node.active("choria-server") == "inactive"
    # Submissions are taken all the same, and do not start it either.
    node.run("choria tool submit local.stopped -", input="x")
    assert node.active("choria-server") == "inactive"
    node.run("systemctl start choria-server")
    assert ping(node) == "units.example.net"


def test_the_socket_of_a_server_stays_open_over_restarts_and_crashes(node):
    opened = node.show("choria-server.socket", "InvocationID")
    node.run("systemctl restart choria-server")
    node.run("systemctl kill --signal=KILL choria-server")
    # The question waits in the socket's queue meanwhile.
    assert ping(node) == "units.example.net"
    assert node.show("choria-server.socket", "InvocationID") == opened
    node.wait_active("choria-server")


def test_a_scraper_does_not_start_a_stopped_server(node):
    node.run("systemctl enable choria-server-metrics.socket && systemctl restart choria-server")
    node.wait_active("choria-server-metrics.socket")
    node.run("systemctl stop choria-server")
    node.wait_active("choria-server-metrics.socket", "inactive")
    connect = ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 8221), 5)"]
    assert "refused" in node.run(*connect, check=False).stderr
    assert node.active("choria-server") == "inactive"
    node.run("systemctl disable choria-server-metrics.socket")


def test_a_server_without_configuration_tries_on_and_does_not_spin(machine):
    machine.run("systemctl start choria-server", check=False)
    machine.wait_for(lambda: int(machine.show("choria-server", "NRestarts")["NRestarts"]) >= 2)
    shown = machine.show("choria-server", "RestartUSec", "RestartUSecNext", "ActiveState")
    assert shown["ActiveState"] == "activating" and shown["RestartUSecNext"] != shown["RestartUSec"] == "1s"
    assert "was not found and provisioning is disabled" in machine.log_of("choria-server")
    make_node(machine, "/etc/choria", "units.example.net")
    machine.wait_active("choria-server")
    machine.run("systemctl stop choria-server; rm /etc/choria/server.*")


def test_options_of_the_site_are_used(machine):
    machine.put("/etc/default/choria-server", "EXTRA_OPTS=--no-such-option\n")
    assert machine.run("systemctl start choria-server", check=False).returncode
    assert machine.active("choria-server") == "failed"  # no restart: it would not help
    assert "unexpected argument '--no-such-option'" in machine.log_of("choria-server")
    machine.run("rm /etc/default/choria-server; systemctl reset-failed")


def test_instances_run_side_by_side(node):
    names = ("one", "two")
    for name in names:
        make_node(node, f"/etc/choria/instances/{name}", f"{name}.example.net")
    node.run("systemctl start choria-server@one choria-server@two")
    assert [ping(node, f"/run/choria/server-{name}.sock") for name in names] == ["one.example.net", "two.example.net"]
    assert ping(node) == "units.example.net"
    node.run("systemctl stop choria-server@one")
    node.wait_active("choria-server@one.socket", "inactive")
    assert ping(node, "/run/choria/server-two.sock") == "two.example.net"
    assert ping(node) == "units.example.net"
    node.run("systemctl stop choria-server@two; rm -r /etc/choria/instances/*")


def test_metrics_are_where_they_are_enabled(broker):
    write_broker(broker, "/var/lib/choria/broker/streams", "choria-broker")
    broker.run("systemctl enable choria-broker-metrics.socket; systemctl start choria-broker")
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8222/choria/prometheus', timeout=10).read().decode())"
    assert "choria_broker" in broker.run("python3", "-c", ask).stdout
    broker.run("systemctl disable choria-broker-metrics.socket; systemctl stop choria-broker; rm -r /var/lib/choria/broker/streams")


# What agents may do


COMMANDS = """\
umask
cp /bin/true /usr/local/bin/suid && chmod 4755 /usr/local/bin/suid && stat -c %a /usr/local/bin/suid
useradd --create-home agent-user && su agent-user -c 'id -un' && runuser -u agent-user -- id -un; userdel --force --remove agent-user 2>/dev/null
mkdir -p /srv/mounted && mount -t tmpfs agent /srv/mounted && findmnt -no SOURCE /srv/mounted --task 1; umount /srv/mounted
echo x >/tmp/of-agent && nsenter --target 1 --mount cat /tmp/of-agent
echo x >/home/of-agent && echo x >/usr/of-agent && echo x >/etc/of-agent && rm /home/of-agent /usr/of-agent /etc/of-agent && echo written
systemctl daemon-reload && systemctl restart systemd-journald && echo restarted
dpkg --configure -a && apt-get check >/dev/null && echo packages
unshare --mount true && unshare --user true && echo namespaces
setarch i386 uname -m
mknod /srv/device c 1 3 && rm /srv/device && echo device
renice -n -5 $$ >/dev/null && echo nice
ls -d /proc/1/root/etc
"""


def test_what_agents_run_does_what_it_does_in_a_shell_of_root(machine):
    machine.put("/root/commands", COMMANDS)
    expected = machine.run("systemd-run --quiet --wait --pipe bash /root/commands 2>&1").stdout.splitlines()
    assert len(expected) > 12, expected
    drop_in(machine, "choria-server.service", "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\n"
            "ExecStart=bash /root/commands\nStandardOutput=truncate:/root/said\nStandardError=truncate:/root/said\n")
    machine.run("systemctl start choria-server; systemctl stop choria-server")
    drop_in(machine, "choria-server.service", "")
    assert machine.get("/root/said").splitlines() == expected


def test_what_agents_started_outlives_the_server(node):
    """An agent that upgrades this package restarts the server from within."""
    node.run("systemctl show choria-server -P ControlGroup > /root/group; setsid sleep 1000 >/dev/null 2>&1 & echo $! > /root/sleep; "
             "for place in /sys/fs/cgroup /sys/fs/cgroup/systemd; do f=$place$(cat /root/group)/cgroup.procs; if [ -e $f ]; then cat /root/sleep > $f; fi; done")
    assert "choria-server.service" in node.run("cat /proc/$(cat /root/sleep)/cgroup").stdout
    node.run("systemctl restart choria-server")
    node.run("kill $(cat /root/sleep)")


HELPER = """\
python3 -c 'import ctypes, json, socket, ssl; socket.if_nameindex(); ctypes.CDLL(None).getpid(); print("python")'
ruby -e 'require "socket"; require "json"; Socket.getifaddrs; puts "ruby"'
python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC); print("compiles")'
ruby -e 'require "ffi"; puts FFI::Function.new(:int, [:int]) { |x| x + 1 }.call(41)'
getent hosts repository >/dev/null && echo resolves
cd ~ && echo x >note && pwd
echo x >/tmp/note && echo /tmp
id -un
head -c 1 /etc/choria-provisioner/choria-provisioner.yaml
echo
touch /etc/choria-provisioner/x /etc/x /usr/x /var/lib/choria/x 2>/dev/null || echo read-only
ls /home 2>/dev/null | wc -l
"""
HELPER_SAID = ["python", "ruby", "compiles", "42", "resolves", "/var/lib/choria/provisioner", "/tmp", "choria-provisioner", "#", "read-only", "0"]


def test_helpers_of_the_site_run_in_the_provisioners_sandbox(machine):
    machine.run("mkdir -p /home/somebody")
    machine.put("/etc/choria-provisioner/helper", HELPER)
    drop_in(machine, "choria-provisioner.service", "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\n"
            "ExecStart=bash /etc/choria-provisioner/helper\nStandardOutput=truncate:/root/said\nStandardError=truncate:/root/said\n")
    machine.run("systemctl start choria-provisioner")
    drop_in(machine, "choria-provisioner.service", "")
    machine.run("rm -r /home/somebody /etc/choria-provisioner/helper")
    assert machine.get("/root/said").splitlines() == HELPER_SAID


# The broker's places


def test_streams_elsewhere_need_one_line(broker):
    write_broker(broker, "/srv/streams", "choria-broker")
    broker.run("install -d -o choria-broker /srv/streams")
    assert broker.run("systemctl start choria-broker", check=False).returncode
    assert "ReadWritePaths=/srv/streams" in broker.log_of("choria-broker")
    drop_in(broker, "choria-broker.service", "[Service]\nReadWritePaths=/srv/streams\n")
    broker.run("systemctl restart choria-broker")
    drop_in(broker, "choria-broker.service", "")
    assert broker.run("ls /srv/streams").stdout.split() == ["jetstream"]
    group = broker.run("ps", "-o", "user:20=,comm=", "-C", "choria-broker,nats-server").stdout
    assert sorted(group.split()) == ["choria-broker", "choria-broker", "choria-broker", "nats-server"]


def test_a_broker_whose_files_are_roots_runs_as_root_without_capabilities(broker):
    write_broker(broker, "/srv/streams", "root")
    broker.run("chmod 600 /etc/choria/broker.*")
    broker.put("/etc/systemd/system/choria-broker.service.d/run-as-root.conf", ROOT / "systemd/examples/run-as-root.conf")
    broker.run("systemctl daemon-reload; systemctl start choria-broker")
    pid = broker.show("choria-broker", "MainPID")["MainPID"]
    status = dict(line.split(":\t", 1) for line in broker.get(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    assert status["Uid"].split()[0] == "0" and status["CapBnd"] == status["CapEff"] == "0000000000000000"
    broker.run("systemd-analyze", "security", "--threshold=20", "choria-broker.service")
    broker.run("systemctl stop choria-broker; rm -r /etc/systemd/system/choria-broker.service.d; systemctl daemon-reload")


def test_secrets_come_as_credentials(node):
    """The seed is in plain text, the token encrypted for this machine; the configuration names neither."""
    settings = "".join(line for line in node.get("/etc/choria/server.conf").splitlines(keepends=True) if "_file = " not in line)
    node.put("/etc/choria/server.conf", settings)
    node.run("set -e; cd /etc/choria; mkdir -p -m 700 /etc/credstore /etc/credstore.encrypted; mv server.seed /etc/credstore/choria.server.seed; "
             "systemd-creds encrypt --name=choria.server.jwt server.jwt /etc/credstore.encrypted/choria.server.jwt 2>&1; rm server.jwt")
    node.run("systemctl restart choria-server")
    assert ping(node) == "units.example.net"
    given = node.run("ls", "/run/credentials/choria-server.service").stdout.split()
    assert given == ["choria.server.jwt", "choria.server.seed"]
    node.add_user("nosy")
    assert node.run("cat /run/credentials/choria-server.service/choria.server.seed", user="nosy", check=False).returncode
    node.run("rm /etc/credstore/choria.server.seed")
    assert node.run("systemctl restart choria-server", check=False).returncode
    node.run("rm /etc/credstore.encrypted/choria.server.jwt")


def test_other_roles_answer_on_their_sockets(broker):
    write_broker(broker, "/var/lib/choria/broker/streams", "choria-broker")
    broker.run("systemctl enable choria-broker-metrics.socket; systemctl start choria-broker")
    assert "io.choria" in broker.run("varlinkctl info /run/choria/broker.sock").stdout
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8222/choria/prometheus', timeout=10).read().decode())"
    assert "choria_" in broker.run("python3", "-c", ask).stdout
    broker.run("systemctl disable choria-broker-metrics.socket; systemctl stop choria-broker; rm -r /var/lib/choria/broker/streams")
