"""What goes wrong in the life of a machine, and that everything is as before afterwards without anybody's help."""
import json

import pytest

from faults import hang

SPOOL = "/var/spool/choria"


@pytest.fixture(scope="module", autouse=True)
def stream(site):
    site.login("admin")
    site.ask("broker", "stream", "add", "FAULTS", "--subjects", "choria.submission.in.local.faults.>", "--defaults", user="admin")
    yield
    site.ask("broker", "stream", "rm", "FAULTS", "--force", user="admin")


def arrived(site):
    done = site.ask("broker", "stream", "info", "FAULTS", "--json", user="admin", check=False)
    return json.loads(done.stdout)["state"]["messages"] if done.returncode == 0 else -1


def submit(node, check=True):
    return node.run("echo x | choria tool submit --reliable local.faults.x -", check=check)


def restarts(machine, unit):
    return int(machine.show(unit, "NRestarts")["NRestarts"])


def pid(machine, unit):
    return machine.show(unit, "MainPID")["MainPID"]


def where(site, unit):
    return site.node if unit in ("choria-server", "choria-submit") else site.broker


def came_back(site, machine, unit, before):
    """Waits until systemd restarted the unit by itself, once, and it is READY."""
    machine.wait_for(lambda: restarts(machine, unit) > before and machine.active(unit) == "active", what=f"{unit} was restarted")
    assert restarts(machine, unit) == before + 1


def works(site):
    """Everything that the site is for: a login, a request, a submission that arrives."""
    site.login("alice")
    site.wait_for_nodes()
    site.login("admin")
    before = site.client.wait_for(lambda: arrived(site) + 1, what="the streams answer")
    submit(site.node)
    site.client.wait_for(lambda: arrived(site) >= before, what="a submission arrives")


UNITS = ("choria-server", "choria-submit", "choria-broker", "choria-aaasvc", "choria-provisioner")


@pytest.fixture
def impatient(site):
    """All services with a watchdog that waits for seconds only."""
    for machine in (site.node, site.broker):
        for unit in UNITS:
            if where(site, unit) is machine:
                machine.put(f"/run/systemd/system/{unit}.service.d/watchdog.conf", "[Service]\nWatchdogSec=4s\nTimeoutAbortSec=5s\n")
        machine.run("systemctl", "daemon-reload")
    submit(site.node)  # starts choria-submit
    for unit in UNITS:
        where(site, unit).run("systemctl", "restart", unit)
    yield
    for machine in (site.node, site.broker):
        machine.run("rm /run/systemd/system/choria-*.service.d/watchdog.conf; systemctl daemon-reload; systemctl try-restart 'choria-*.service'")


def test_main_loops_that_hang_are_restarted(site, impatient):
    before = {}
    for unit in UNITS:
        machine = where(site, unit)
        before[unit] = restarts(machine, unit)
        hang(machine.host_pid(pid(machine, unit)))
    for unit in UNITS:
        came_back(site, where(site, unit), unit, before[unit])
        assert "Watchdog timeout" in where(site, unit).run("journalctl", "--no-pager", "-o", "cat", f"UNIT={unit}.service").stdout
    works(site)
    # A process that was stopped as a whole is no different.
    before = restarts(site.node, "choria-submit")
    site.node.run("kill", "-STOP", pid(site.node, "choria-submit"))
    came_back(site, site.node, "choria-submit", before)


def test_killed_everything_comes_back(site):
    submit(site.node)
    before = {unit: restarts(where(site, unit), unit) for unit in UNITS}
    nats = site.broker.run("pgrep", "-x", "nats-server").stdout.strip()
    for unit in UNITS:
        where(site, unit).run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)
    for unit in UNITS:
        came_back(site, where(site, unit), unit, before[unit])
    assert site.broker.run("pgrep", "-x", "nats-server").stdout.strip() not in ("", nats), "nats-server ended with its broker"
    works(site)


def test_nats_server_killed_under_the_broker_is_started_again(site):
    main = pid(site.broker, "choria-broker")
    before = site.broker.run("pgrep", "-x", "nats-server").stdout.strip()
    submit(site.node)
    site.broker.run("kill", "-KILL", before)
    ids = [submit(site.node).stdout.strip() for _ in range(5)]
    assert len(set(ids)) == 5, "submissions wait in the spool meanwhile"
    site.broker.wait_for(lambda: site.broker.run("pgrep", "-x", "nats-server", check=False).stdout.strip() not in ("", before),
                         what="another nats-server")
    works(site)
    assert pid(site.broker, "choria-broker") == main, "the broker itself went on"


# Four calls without an end, as large as a call may be: what the service must hold in memory for one user.
GREEDY = """
import socket, time
held = [socket.socket(socket.AF_UNIX) for _ in range(4)]
for one in held:
    one.settimeout(30)
    one.connect("/run/choria/submit.sock")
try:
    for one in held:
        one.sendall(b'{"method": "' + b"x" * 4_000_000)
    held[0].recv(1)
except OSError as error:
    print(error)
"""


def test_out_of_memory_one_unit_ends_and_comes_back(site):
    others = {unit: pid(where(site, unit), unit) for unit in ("choria-server", "choria-broker")}
    submit(site.node)
    before = restarts(site.node, "choria-submit")
    site.node.limit_memory("choria-submit.service", 8 << 20)
    site.node.run("python3", "-c", GREEDY)
    came_back(site, site.node, "choria-submit", before)
    site.node.run("rm -rf /run/systemd/system.control/choria-submit.service.d; systemctl daemon-reload")
    assert {unit: pid(where(site, unit), unit) for unit in others} == others
    works(site)


def test_a_full_disk_refuses_and_loses_nothing(site):
    node = site.node
    main = pid(node, "choria-server")
    before = arrived(site)
    node.run("systemctl", "stop", "choria-submit.service")
    node.limit_disk(SPOOL, "256k")
    node.run(f"systemctl restart choria-server; head -c 1M /dev/zero > {SPOOL}/filler", check=False)
    refused = submit(node, check=False)
    assert refused.returncode != 0
    assert "No space left" in refused.stderr
    assert "No space left" in node.log_of("choria-submit", "-n", "20")
    assert node.active("choria-server") == "active"
    node.run(f"rm {SPOOL}/filler")
    submit(node)
    site.client.wait_for(lambda: arrived(site) == before + 1, what="what was accepted arrives, and nothing else")
    node.run("systemctl stop choria-server choria-submit.service")
    node.unlimit_disk(SPOOL)
    node.run("systemctl", "start", "choria-server")
    assert pid(node, "choria-server") != main
    works(site)


def test_without_a_network_a_node_boots_all_the_same(site, capsys):
    node = site.node
    node.power_off()
    node.cut()
    node.start()
    node.wait_booted()
    node.wait_active("choria-server")
    assert node.run("systemctl", "is-system-running", check=False).stdout.strip() == "running"
    with capsys.disabled():
        blame = node.run("systemd-analyze", "blame", "--no-pager").stdout.splitlines()
        print("\nbooted without a network:", *(line.strip() for line in blame if "choria-server.service" in line))
    said = submit(node).stdout.strip()
    assert len(said) == 36
    node.run("systemctl", "stop", "choria-server")
    assert node.show("choria-server", "Result")["Result"] == "success"
    node.run("systemctl", "start", "choria-server")
    node.restore()
    works(site)


def test_stops_are_orderly_and_in_time(site):
    submit(site.node)
    ends = {}
    for unit in UNITS:
        machine = where(site, unit)
        machine.wait_active(unit)
        machine.run("systemctl", "stop", f"{unit}.service")
        ends[unit] = machine.show(unit, "Result", "ExecMainStatus", "ExecMainCode", "ActiveState")
        log = machine.run("journalctl", "--no-pager", "-o", "cat", f"UNIT={unit}.service", "-n", "5").stdout
        assert "SIGKILL" not in log and "timed out" not in log, (unit, log)
        machine.run("systemctl", "start", f"{unit}.service")
    bad = {unit: ended for unit, ended in ends.items() if ended != {"Result": "success", "ExecMainStatus": "0", "ExecMainCode": "1", "ActiveState": "inactive"}}
    assert not bad, bad
    works(site)


@pytest.mark.parametrize("offset", ["+3h", "-3h"])
def test_a_clock_that_jumps_disturbs_nothing(site, offset):
    """Only the server's clock: the machine's own is the host's."""
    node = site.node
    node.shift_clock("choria-server", "+0s")
    site.wait_for_nodes()
    main, before = pid(node, "choria-server"), restarts(node, "choria-server")
    node.shift_clock("choria-server", offset)
    submit(node)
    site.client.wait_for(lambda: node.active("choria-server") == "active")
    assert node.run("systemctl", "reload", "choria-server").returncode == 0
    node.shift_clock("choria-server", "+0s")
    works(site)
    assert (pid(node, "choria-server"), restarts(node, "choria-server")) == (main, before), "it went on through both"
    node.shift_clock("choria-server", "")
    site.wait_for_nodes()
