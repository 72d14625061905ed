"""What rpm's scriptlets do to a running system: installation, upgrade, downgrade, erasing, and taking over from the existing package.

There is no rpm distribution to boot here, so rpm is run in the Debian machines: it does not know what is installed there, hence
--nodeps. What our packages require is tested in tests/packages/test_rpm.py.
"""
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "packages"))

import rpms as built  # noqa: E402

NODE = ("choria", "choria-server")
BROKER = ("choria", "choria-broker")
UNITS = "/usr/lib/systemd/system"
WANTS = "/etc/systemd/system/multi-user.target.wants"


@pytest.fixture(scope="module")
def first():
    return built.folder()


@pytest.fixture(scope="module")
def second(first, tmp_path_factory):
    return built.second(first, tmp_path_factory.mktemp("second"))


@pytest.fixture(scope="module")
def existing(tmp_path_factory):
    return built.existing(tmp_path_factory.mktemp("existing"))


@pytest.fixture
def machine(machines, request):
    name = request.node.name.replace("test_", "").replace("_", "-")[:20].rstrip("-")
    machine = machines.machine(name)
    # As Fedora and RHEL have it: Debian enables what no preset names.
    machine.put("/usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n")
    yield machine
    machines.remove(name)


def rpm(machine, action, *files, check=True):
    """Runs rpm in a machine with package files of the host."""
    for file in files:
        machine.put(f"/var/tmp/rpms/{file.name}", file)
    done = machine.run("rpm", "--nodeps", *action.split(), *[f"/var/tmp/rpms/{file.name}" for file in files], check=check)
    machine.run("rm", "-rf", "/var/tmp/rpms")
    return done


def of(folder, names):
    return [built.of(folder, name) for name in names]


def enabled(machine, unit):
    return machine.run("systemctl", "is-enabled", unit, check=False).stdout.strip()


def started(machine, unit):
    return machine.show(unit, "MainPID")["MainPID"]


def make_server(machine):
    """Configuration of a server without a broker: it runs, and tries."""
    machine.run("mkdir -p /etc/choria; cd /etc/choria; choria jwt keys issuer.seed issuer.public; choria jwt keys server.seed server.public; "
                f"choria jwt server server.jwt {machine.fqdn} $(cat server.public) issuer.seed --collectives choria --validity 1d; "
                "chmod 600 server.jwt server.seed")
    issuer = machine.get("/etc/choria/issuer.public").strip()
    machine.put("/etc/choria/server.conf", settings(machine, "server", issuer) + "plugin.choria.middleware_hosts = 127.0.0.1:4222\n"
                "plugin.choria.use_srv = false\n", mode=0o640)


def settings(machine, role, issuer):
    return (f"# edited\nidentity = {machine.fqdn}\ncollectives = choria\nplugin.security.provider = choria\n"
            f"plugin.security.choria.token_file = /etc/choria/{role}.jwt\nplugin.security.choria.seed_file = /etc/choria/{role}.seed\n"
            f"plugin.security.issuer.names = choria\nplugin.security.issuer.choria.public = {issuer}\n")


def submit(machine, text):
    """An unprivileged user hands in a message; gives its id."""
    return machine.run("choria", "tool", "submit", "--reliable", "local.cron", "-", user="alice", input=text).stdout.strip()


def test_a_node_is_installed_upgraded_downgraded_and_erased(machine, first, second):
    rpm(machine, "-U", *of(first, NODE))
    # Nothing is enabled or started but the socket for submissions, which works at once.
    assert enabled(machine, "choria-submit.socket") == "enabled"
    machine.wait_active("choria-submit.socket")
    assert enabled(machine, "choria-server.service") == "disabled"
    assert machine.active("choria-server.service") == "inactive"
    assert machine.run("systemctl --failed --plain --no-legend").stdout == ""
    machine.add_user("alice")
    assert submit(machine, "one")
    assert machine.run("stat -c %a:%U:%n /etc/choria /run/choria /var/spool/choria/submission").stdout.split() == [
        "755:root:/etc/choria", "755:root:/run/choria", "700:root:/var/spool/choria/submission"]
    assert not machine.run("ls /etc/choria/server.conf", check=False).stdout

    make_server(machine)
    machine.run("systemctl enable --now choria-server")
    machine.run("mkdir -p /etc/choria/instances/two; cp /etc/choria/server.conf /etc/choria/instances/two/; systemctl enable --now choria-server@two")
    machine.put("/etc/sysconfig/choria-server", "# edited\n")
    edited = ("/etc/choria/server.conf", "/etc/choria/server.seed", "/etc/choria/server.jwt", "/etc/sysconfig/choria-server")
    before = {file: machine.get(file) for file in edited}

    # An upgrade restarts what ran, leaves the socket open, and touches nothing that was written. So does a downgrade.
    for action, folder, release in (("-U", second, "2"), ("-U --oldpackage", first, "1")):
        pids = {unit: started(machine, unit) for unit in ("choria-server.service", "choria-server@two.service")}
        socket = machine.show("choria-submit.socket", "ActiveEnterTimestampMonotonic")
        rpm(machine, action, *of(folder, NODE))
        assert machine.run("rpm -q --qf %{RELEASE} choria-server").stdout == release
        for unit, pid in pids.items():
            machine.wait_active(unit)
            assert started(machine, unit) not in (pid, "0"), f"{unit} was not restarted"
            assert enabled(machine, unit) == "enabled"
        assert machine.show("choria-submit.socket", "ActiveEnterTimestampMonotonic") == socket, "the socket was closed"
        assert {file: machine.get(file) for file in edited} == before
        assert machine.run("find /etc -name '*.rpm*'").stdout == ""
        assert machine.run("systemctl show -P NeedDaemonReload choria-server.service").stdout.strip() == "no"
    # What stood still is left standing.
    machine.run("systemctl stop choria-server")
    rpm(machine, "-U", *of(second, NODE))
    assert machine.active("choria-server.service") == "inactive"
    assert submit(machine, "two")

    machine.run("rpm --nodeps -e choria-server choria")
    assert machine.run("systemctl list-units --all --plain --no-legend 'choria*'").stdout == ""
    assert machine.run("find /etc/systemd -name '*choria*'").stdout == ""
    # Erasing keeps what somebody wrote: configuration, credentials, and messages that were not delivered.
    assert {file: machine.get(file) for file in edited[:3]} == {file: before[file] for file in edited[:3]}
    assert machine.get("/etc/sysconfig/choria-server.rpmsave") == "# edited\n"
    assert len(machine.run("find /var/spool/choria/submission -name '*.msg'").stdout.split()) == 2


def test_a_node_of_the_existing_package_goes_on(machine, first, existing):
    rpm(machine, "-i", existing)
    machine.run("systemctl enable --now choria-server")
    old = started(machine, "choria-server.service")
    # What a configured node of it has: files of root, in the same places.
    built.unpack(built.of(first, "choria"), machine.folder / "unpacked")
    machine.put("/var/tmp/bin/choria", machine.folder / "unpacked/usr/bin/choria", mode=0o755)
    machine.run("cd /etc/choria; PATH=/var/tmp/bin:$PATH; choria jwt keys issuer.seed issuer.public; choria jwt keys server.seed server.public; "
                f"choria jwt server server.jwt {machine.fqdn} $(cat server.public) issuer.seed --collectives choria --validity 1d")
    text = settings(machine, "server", machine.get("/etc/choria/issuer.public").strip()) + (
        "logfile = /var/log/choria.log\nplugin.choria.middleware_hosts = 127.0.0.1:4222\nplugin.choria.use_srv = false\n")
    machine.put("/etc/choria/server.conf", text, mode=0o640)
    machine.put("/etc/choria/broker.conf", "# a broker once\n", mode=0o640)
    machine.put("/etc/sysconfig/choria-server", '# edited\nEXTRA_OPTS=""\n')

    said = rpm(machine, "-U", *of(first, NODE))
    assert "choria-broker" not in said.stderr, "no broker is enabled here"
    assert machine.run("rpm -qa --qf '%{NAME} %{VERSION}\n' | sort").stdout.split("\n")[:2] == ["choria 0.1.0", "choria-server 0.1.0"]
    assert enabled(machine, "choria-server.service") == "enabled"
    machine.wait_active("choria-server.service")
    assert started(machine, "choria-server.service") not in (old, "0")
    assert "/usr/sbin/choria-server" in machine.show("choria-server", "ExecStart")["ExecStart"]
    assert machine.get("/etc/choria/server.conf") == text
    assert machine.get("/etc/choria/broker.conf") == "# a broker once\n"
    assert machine.get("/etc/sysconfig/choria-server") == '# edited\nEXTRA_OPTS=""\n'
    assert machine.run("find /etc -name '*.rpm*'").stdout.split() == ["/etc/sysconfig/choria-server.rpmnew"]
    assert enabled(machine, "choria-broker.service") in ("not-found", "")
    assert not machine.run("ls /var/lib/rpm-state/choria", check=False).stdout
    # A reboot starts it, as it did before.
    machine.reboot()
    machine.wait_active("choria-server.service")


def test_an_existing_node_that_was_disabled_stays_so(machine, first, existing):
    """Even where the site's presets would enable it: taking over is no first installation."""
    rpm(machine, "-i", existing)
    machine.run("systemctl disable --now choria-server")
    machine.put("/etc/systemd/system-preset/10-site.preset", "enable choria-server.service\n")
    rpm(machine, "-U", *of(first, NODE))
    assert enabled(machine, "choria-server.service") == "disabled"
    assert machine.active("choria-server.service") == "inactive"


def test_an_existing_broker_goes_on_as_root(machine, first, existing):
    server = pathlib.Path(os.environ.get("CHORIA_NATS_SERVER") or shutil.which("nats-server") or "nats-server")
    machine.put("/usr/bin/nats-server", server, mode=0o755)
    rpm(machine, "-i", existing)
    machine.run("systemctl enable --now choria-broker; systemctl disable --now choria-server")
    old = started(machine, "choria-broker.service")
    said = rpm(machine, "-U", *of(first, NODE))
    # The broker is a package of its own now. The operator is told, and the old one goes on until it is there.
    assert "choria-broker" in said.stderr
    assert started(machine, "choria-broker.service") == old
    machine.run("cd /etc/choria; choria jwt keys issuer.seed issuer.public; choria jwt keys broker.seed broker.public; "
                f"choria jwt server broker.jwt {machine.fqdn} $(cat broker.public) issuer.seed --collectives choria --validity 1d; "
                "chmod 600 broker.seed broker.jwt")
    machine.put("/etc/choria/broker.conf", settings(machine, "broker", machine.get("/etc/choria/issuer.public").strip())
                + "plugin.choria.broker_network = true\n", mode=0o640)
    said = rpm(machine, "-U", *of(first, BROKER[1:]))
    assert "run-as-root.conf" in said.stderr
    machine.wait_active("choria-broker.service")
    assert started(machine, "choria-broker.service") not in (old, "0")
    assert enabled(machine, "choria-broker.service") == "enabled"
    shown = machine.show("choria-broker.service", "User", "CapabilityBoundingSet")
    assert shown["User"] == "root" and not shown["CapabilityBoundingSet"].strip("0")
    assert machine.run("stat -c %U:%a /etc/choria/broker.conf").stdout.strip() == "root:640"


def test_the_other_daemons_have_users_and_wait_to_be_configured(machine, first):
    roles = ("broker", "provisioner", "aaasvc")
    rpm(machine, "-U", *of(first, ("choria", *(f"choria-{role}" for role in roles))))
    for role in roles:
        assert machine.run("getent", "passwd", f"choria-{role}").stdout.split(":")[5] == f"/var/lib/choria/{role}"
        assert enabled(machine, f"choria-{role}.service") == "disabled"
        assert machine.active(f"choria-{role}.service") == "inactive"
    assert machine.run("stat -c %a:%G /etc/choria-provisioner /etc/choria-provisioner/choria-provisioner.yaml").stdout.split() == [
        "750:choria-provisioner", "640:choria-provisioner"]
    assert not machine.run("ls /etc/systemd/system/choria-broker.service.d", check=False).stdout
    machine.put("/etc/choria-provisioner/choria-provisioner.yaml", "# edited\n")
    machine.run("rpm --nodeps -e choria choria-broker choria-provisioner choria-aaasvc")
    assert machine.get("/etc/choria-provisioner/choria-provisioner.yaml.rpmsave") == "# edited\n"
    assert machine.run("systemctl list-units --all --plain --no-legend 'choria*'").stdout == ""
