"""The harness itself: what other tests stand on."""
import time

import pytest

from machines import Failed


@pytest.fixture(scope="module")
def machine(machines):
    yield machines.machine("harness")
    machines.remove("harness")


def test_a_machine_is_one(machine):
    assert machine.run("hostname --fqdn").stdout.strip() == "harness.example.net"
    assert machine.run("ps", "-p", "1", "-o", "comm=").stdout.strip() == "systemd"
    with pytest.raises(Failed, match="exited 3.*\nno\n"):
        machine.run("echo no >&2; exit 3")


def test_users_have_homes_sessions_and_managers(machine):
    machine.add_user("alice", lingering=True)
    assert machine.run("id -un; pwd", user="alice", cwd="/home/alice").stdout.split() == ["alice", "/home/alice"]
    assert "State: lingering" in machine.run("loginctl", "user-status", "alice").stdout


def test_a_reboot_keeps_the_disk(machine):
    machine.put("/etc/kept/note", "kept\n", mode=0o600)
    boots = machine.get("/proc/sys/kernel/random/boot_id")
    machine.reboot()
    assert machine.get("/etc/kept/note") == "kept\n"
    assert machine.run("stat", "-c", "%a", "/etc/kept/note").stdout.strip() == "600"
    assert machine.get("/proc/sys/kernel/random/boot_id") != boots


def test_cables_are_pulled_and_plugged_in(machine, machines, tmp_path):
    (tmp_path / "here").write_text("yes")
    address = machines.serve(tmp_path, 8080)
    ask = ["python3", "-c", f"import urllib.request as u; print(u.urlopen('{address}/here', timeout=1).read().decode())"]
    assert machine.run(*ask).stdout == "yes\n"
    machine.cut()
    assert "timed out" in machine.run(*ask, check=False).stderr
    machine.restore()
    machine.wait_for(lambda: machine.run(*ask, check=False).stdout == "yes\n")


def test_a_disk_gets_full(machine):
    machine.put("/srv/small/before", "x")
    machine.limit_disk("/srv/small", "1M")
    assert "No space left" in machine.run("dd if=/dev/zero of=/srv/small/big bs=64k", check=False).stderr
    assert machine.get("/srv/small/before") == "x"
    machine.run("rm /srv/small/big")
    machine.unlimit_disk("/srv/small")
    assert machine.run("dd if=/dev/zero of=/srv/small/big bs=64k count=32").returncode == 0


def test_a_unit_sees_another_time(machine):
    machine.put("/etc/systemd/system/clock.service", "[Service]\nExecStart=sh -c 'while :; do date +%%Y; sleep 0.1; done'\n")
    machine.run("systemctl", "daemon-reload")
    machine.shift_clock("clock", "+400d")
    year = time.gmtime().tm_year
    machine.wait_for(lambda: str(year + 1) in machine.log_of("clock"))
    machine.shift_clock("clock", "-400d")
    machine.wait_for(lambda: str(year - 1) in machine.log_of("clock") or str(year - 2) in machine.log_of("clock"))
    machine.shift_clock("clock", "")
    machine.wait_for(lambda: machine.log_of("clock", "-n", "1").strip() == str(year))
    machine.run("systemctl stop clock")


def test_memory_ends(machine):
    script = "import time; time.sleep(3); data = bytearray(200_000_000); time.sleep(1000)"
    machine.put("/etc/systemd/system/hog.service", f"[Service]\nExecStart=python3 -c '{script}'\n")
    machine.run("systemctl daemon-reload; systemctl start hog")
    machine.limit_memory("hog.service", 60_000_000)
    machine.wait_active("hog", "failed")
    assert machine.show("hog", "Result")["Result"] in ("oom-kill", "signal")
