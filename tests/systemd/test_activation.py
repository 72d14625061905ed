"""Sockets and restarts: whoever calls is served, whatever is started, stopped, restarted or upgraded meanwhile."""
import json
import pathlib

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SOCKET = "/run/choria/submit.sock"
SPOOL = "/var/spool/choria/submission"
RESTARTS = 20


@pytest.fixture(scope="module", autouse=True)
def stream(site):
    """A stream for what these tests submit, a user of the node, and the program that submits on one connection."""
    site.login("admin")
    site.ask("broker", "stream", "add", "CALLS", "--subjects", "choria.submission.in.local.calls.>", "--defaults", user="admin")
    site.node.add_user("caller")
    site.node.put("/var/tmp/calls/calls.py", HERE / "calls.py")
    site.node.run("chmod 777 /var/tmp/calls")
    yield
    site.node.run("systemctl start choria-server; rm -rf /var/tmp/calls")
    site.ask("broker", "stream", "rm", "CALLS", "--force", user="admin")


class Caller:
    """An unprivileged user's program that submits one message after the other on the only connection it ever opens."""

    def __init__(self, node, name):
        self.node = node
        self.file = f"/var/tmp/calls/{name}"
        self.program = node.popen("python3", "/var/tmp/calls/calls.py", SOCKET, f"local.calls.{name}", self.file, user="caller")
        self.more()

    def lines(self):
        return self.node.run("cat", self.file, check=False).stdout.splitlines()

    def more(self, count=3):
        """Waits for so many more answers."""
        wanted = len(self.lines()) + count
        self.node.wait_for(lambda: len(self.lines()) >= wanted or self.program.poll() is not None, what="answers on the connection")

    def end(self):
        """The ids of all answers; anything else that happened to the connection fails the test."""
        self.node.run("touch", f"{self.file}.stop")
        self.program.wait(60)
        *ids, end = self.lines()
        assert end == "end", end
        assert len(set(ids)) == len(ids)
        return ids


def arrived(site):
    return json.loads(site.ask("broker", "stream", "info", "CALLS", "--json", user="admin").stdout)["state"]["messages"]


WAITING = f"""
import glob, json
for file in glob.glob("{SPOOL}/P*/*.msg"):
    try:
        message = json.load(open(file))
    except FileNotFoundError:
        continue  # delivered meanwhile
    if message["subject"].startswith("local.calls."):
        print(message["id"])
"""


def waiting(node):
    """The ids of the messages of these tests that are in the spool."""
    return node.run("python3", "-c", WAITING).stdout.split()


def kept(node):
    """Connections in the service manager's store."""
    return int(node.show("choria-submit.service", "NFileDescriptorStore")["NFileDescriptorStore"])


def test_one_connection_lasts_over_restarts_and_an_upgrade(site, capsys):
    node = site.node
    node.run("systemctl", "stop", "choria-server")  # so that everything is still in the spool at the end
    before = arrived(site)
    busy, idle = Caller(node, "busy"), node.popen("python3", "/var/tmp/calls/calls.py", SOCKET, "local.calls.idle", "/var/tmp/calls/idle",
                                                  "/var/tmp/calls/idle.go", user="caller")
    pids = set()
    for _ in range(RESTARTS):
        busy.more(1)
        node.run("systemctl restart choria-submit && systemctl reset-failed choria-submit")
        pids.add(node.show("choria-submit", "MainPID")["MainPID"])
    assert len(pids) == RESTARTS
    busy.more()
    assert kept(node) == 0, "what was taken up is held by nobody else"
    node.apt("install", "--reinstall", "choria-server")
    busy.more()
    assert node.show("choria-submit", "MainPID")["MainPID"] not in pids, "the upgrade restarted it"
    node.run("touch /var/tmp/calls/idle.go /var/tmp/calls/idle.stop")
    idle.wait(60)
    *answers, end = node.get("/var/tmp/calls/idle").split("\n")[:-1]
    assert (len(answers), end) == (1, "end"), "a connection without any call before it goes on, too"
    ids = busy.end() + answers
    with capsys.disabled():
        print(f"\n{len(ids)} answers on two connections over {RESTARTS} restarts and an upgrade")
    assert sorted(waiting(node)) == sorted(ids)
    node.run("systemctl", "start", "choria-server")
    node.wait_for(lambda: not waiting(node), what="everything is delivered")
    site.client.wait_for(lambda: arrived(site) - before >= len(ids), what=f"{len(ids)} messages are in the stream")
    assert arrived(site) - before == len(ids)


def test_a_stop_releases_connections(site):
    node = site.node
    caller = Caller(node, "stopped")
    # The socket stays: what was asked for is that nobody serves, which holds until the next one calls.
    node.run("systemctl", "stop", "choria-submit.service")
    caller.program.wait(60)
    assert caller.lines()[-1].startswith("lost "), caller.lines()[-1]
    assert kept(node) == 0
    assert node.show("choria-submit.service", "Result", "ExecMainStatus", "ExecMainCode") == \
        {"Result": "success", "ExecMainStatus": "0", "ExecMainCode": "1"}


def test_a_stopped_server_is_sent_messages_and_not_started(site):
    node = site.node
    node.run("systemctl stop choria-server choria-submit.service")
    before = arrived(site)
    said = node.run("echo hi | choria tool submit --reliable local.calls.stopped -", user="caller").stdout.strip()
    assert len(said) == 36
    assert node.active("choria-submit.service") == "active", "started by its socket"
    assert node.active("choria-server.service") == "inactive"
    assert node.run("test", "-e", "/run/choria/server.sock", check=False).returncode, "nobody can wake it by asking, either"
    assert waiting(node) == [said]
    assert arrived(site) == before
    node.run("systemctl", "start", "choria-server")
    site.client.wait_for(lambda: arrived(site) == before + 1, what="the message arrives")
