"""Booted machines: Debian 13 with systemd as PID 1, each with its own network namespace on one bridge.

`Machines` is the room (bridge, names, what to clean up), `Machine` one of them. Everything has a deadline, and everything that was
started ends with the room: processes die with this one even when it is killed, names hold its number so that the next run can sweep.
"""
import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

import base
from base import Trouble, need

HERE = pathlib.Path(__file__).resolve().parent
PREFIX = "choria-test"
DOMAIN = "example.net"
NETWORK = "10.201.74"  # in namespaces of its own: no network of the host can be the same
# Generous: the machine that runs this may be busy with something else.
BOOT_SECONDS = 120
RUN_SECONDS = 120
WAIT_SECONDS = 90
# The memory controller's hierarchy, where the host has version 1 of control groups.
MEMORY = pathlib.Path("/sys/fs/cgroup/memory")


class Failed(Trouble):
    """A command in a machine ended with an error; `.done` has its exit code and output."""

    def __init__(self, text, done):
        super().__init__(text)
        self.done = done


def host(*command, check=True, **options):
    """Runs a command of the host."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, **options)
    if check and done.returncode:
        raise Trouble(f"`{shlex.join(str(word) for word in command)}` exited {done.returncode}: {done.stderr.strip()}")
    return done


class Machines:
    """The room of all machines of one run. A context manager: what it holds is gone afterwards."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Trouble("machines are booted by root only: run these tests as root")
        for program, package in (("systemd-nspawn", "systemd-container"), ("ip", "iproute2"), ("nsenter", "util-linux"),
                                 ("setpriv", "util-linux"), ("unshare", "util-linux")):
            need(program, package)
        sweep()
        self.tree = base.tree()
        self.prefix = f"{PREFIX}-{os.getpid()}"
        # Beside the cached tree, as the upper layers should be on a real file system with room for packages.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=self.tree.parent))
        if host("stat", "--file-system", "--format=%T", self.folder).stdout.strip() == "overlayfs":
            self.folder.rmdir()
            raise Trouble(f"{self.tree.parent} is on an overlay, on which no machine's disk can lie: set CHORIA_MACHINES to a folder elsewhere")
        self.machines = {}
        self.names = {"repository": f"{NETWORK}.1"}
        self.servers = []
        self.switch = f"{self.prefix}-switch"
        host("ip", "netns", "add", self.switch)
        self.inside("ip", "link", "add", "switch", "type", "bridge")
        self.inside("ip", "addr", "add", f"{NETWORK}.1/24", "dev", "switch")
        for link in ("lo", "switch"):
            self.inside("ip", "link", "set", link, "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def inside(self, *command, namespace=None, check=True):
        """Runs a program of the host in a network namespace, the bridge's unless told."""
        return host("ip", "netns", "exec", namespace or self.switch, *command, check=check)

    def machine(self, name, boot=True):
        """A new machine called NAME.example.net. `boot=False` gives it before its first boot: `put` and `cut` work already."""
        if name in self.machines:
            raise Trouble(f"there is a machine '{name}' already")
        self.names[name] = f"{NETWORK}.{len(self.names) + 1}"
        machine = self.machines[name] = Machine(self, name, self.names[name])
        for other in self.machines.values():
            other.write_hosts()
        if boot:
            machine.start()
            machine.wait_booted()
        return machine

    def boot(self, *names):
        """Several machines, booted at the same time."""
        booted = [self.machine(name, boot=False) for name in names]
        for machine in booted:
            machine.start()
        for machine in booted:
            machine.wait_booted()
        return booted

    def serve(self, folder, port=80):
        """Serves a folder by HTTP to all machines, as http://repository/; ends with the room."""
        command = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.switch, sys.executable, HERE / "serve.py", folder,
                   f"{NETWORK}.1", port]
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.servers.append(process)
        if process.stdout.readline().strip() != "ready":
            raise Trouble(f"{folder} cannot be served at {NETWORK}.1:{port}")
        return "http://repository" + ("" if port == 80 else f":{port}")

    def remove(self, name):
        """Ends a machine for good; its name is free again."""
        self.machines.pop(name).destroy()
        self.names.pop(name)

    def close(self):
        """Ends everything."""
        for machine in list(self.machines.values()):
            machine.destroy()
        self.machines.clear()
        for process in self.servers:
            process.kill()
            process.wait()
        host("ip", "netns", "del", self.switch, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Machine:
    """One machine. Its disk is an overlay on the tree: it stays over reboots and goes with the machine."""

    def __init__(self, room, name, address):
        self.room = room
        self.name = name
        self.fqdn = f"{name}.{DOMAIN}"
        self.address = address
        self.namespace = f"{room.prefix}-{name}"
        self.folder = room.folder / name
        self.upper = self.folder / "upper"
        self.link = f"p{address.rsplit('.', 1)[1]}"
        self.process = None
        self.leader = None
        self.groups = []
        for folder in (self.upper / "etc", self.folder / "work", self.folder / "root"):
            folder.mkdir(parents=True)
        (self.upper / "etc/hostname").write_text(self.fqdn + "\n")
        # With a machine id it is no first boot, which would apply all presets once more.
        (self.upper / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
        host("ip", "netns", "add", self.namespace)
        room.inside("ip", "link", "add", self.link, "type", "veth", "peer", "name", "host0", "netns", self.namespace)
        room.inside("ip", "link", "set", self.link, "master", "switch", "up")
        for words in ("link set lo up", f"addr add {address}/24 dev host0", "link set host0 up", f"route add default via {NETWORK}.1"):
            room.inside("ip", *words.split(), namespace=self.namespace)

    # Power

    def start(self):
        """Turns it on; `wait_booted` waits for it."""
        if self.process and self.process.poll() is None:
            raise Trouble(f"{self.name} runs already")
        self.close_log()
        self.log = open(self.folder / "console.log", "ab")
        shutil.rmtree(self.folder / "work/work/incompat", ignore_errors=True)
        environment = dict(os.environ, CGROUP=self.namespace, TREE=str(self.room.tree), FOLDER=str(self.folder),
                           NAMESPACE=self.namespace, NAME=self.fqdn)
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-eu", HERE / "boot"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment, start_new_session=True)
        self.leader = None

    def wait_booted(self, settled=True):
        """Waits until systemd has started everything (`settled`), else until it can be asked."""
        deadline = time.monotonic() + BOOT_SECONDS
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        state = "no PID 1 yet"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Trouble(f"{self.name} ended while booting (exit code {self.process.returncode}):\n{self.console()}")
            if not self.leader:
                found = [pid for pid in children.read_text().split() if pid_in_namespace(pid) == "1"]
                self.leader = found[0] if found else None
                self.groups = [make_group(place / self.namespace) for place in hierarchies()] if self.leader else []
            else:
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
                if state in ("running", "degraded") or (not settled and state in ("starting", "initializing")):
                    return self
            time.sleep(0.1)
        raise Trouble(f"{self.name} is not up after {BOOT_SECONDS} s: {state}\n{self.console()}")

    def reboot(self):
        """As an operator reboots it; returns when it is up again."""
        self.run("systemctl", "reboot", check=False)
        self.wait_ended()
        self.start()
        return self.wait_booted()

    def power_off(self):
        """Turns it off orderly; `start` turns it on again with the same disk."""
        self.run("systemctl", "poweroff", check=False)
        self.wait_ended()

    def cut_power(self):
        """Turns it off without warning."""
        self.process.kill()
        self.wait_ended()

    def wait_ended(self):
        try:
            self.process.wait(BOOT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Trouble(f"{self.name} does not end within {BOOT_SECONDS} s:\n{self.console()}") from None
        self.leader = None
        remove_cgroups(self.namespace)

    def running(self):
        return self.process is not None and self.process.poll() is None and self.leader is not None

    def destroy(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.close_log()
        remove_cgroups(self.namespace)
        host("ip", "netns", "del", self.namespace, check=False)
        self.room.inside("ip", "link", "del", self.link, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def close_log(self):
        if self.process:
            self.log.close()

    def console(self):
        return (self.folder / "console.log").read_text(errors="replace")[-3000:]

    # Commands and files

    def run(self, *command, user=None, check=True, input=None, timeout=RUN_SECONDS, env=None, cwd="/"):
        """Runs a program (several words) or a line of shell (one word) as root or `user`; gives returncode, stdout, stderr."""
        words = self.words(command, user, env, cwd)
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, input=input or "", errors="replace")
        except subprocess.TimeoutExpired as error:
            raise Trouble(f"{self.name}: `{shlex.join(command)}` did not end within {timeout} s; it said: "
                          f"{(error.stdout or b'').decode(errors='replace')[-2000:]} {(error.stderr or b'').decode(errors='replace')[-2000:]}") from None
        if check and done.returncode:
            raise Failed(f"{self.name}: `{shlex.join(command)}`{f' of {user}' if user else ''} exited {done.returncode}\n"
                         f"{done.stdout[-4000:]}{done.stderr[-4000:]}", done)
        return done

    def popen(self, *command, user=None, env=None, cwd="/", **options):
        """Starts a program in the background; ends with the test's process at the latest."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.words(command, user, env, cwd)], **options)

    def words(self, command, user, env, cwd):
        if not self.leader:
            raise Trouble(f"{self.name} is not running")
        # A control group of the machine, or its logind and others could not tell where the caller belongs.
        enter = f'for group in {" ".join(self.groups)}; do echo $$ >$group/cgroup.procs; done; exec "$@"'
        words = ["sh", "-c", enter, "enter", "nsenter", "--target", self.leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wdns=" + cwd]
        settings = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": f"/home/{user}" if user else "/root",
                    "USER": user or "root", "LOGNAME": user or "root", "LANG": "C.UTF-8", "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0", **(env or {})}
        words += ["env", "--ignore-environment", *(f"{name}={value}" for name, value in settings.items())]
        if user:
            words += ["setpriv", f"--reuid={user}", f"--regid={self.run('id', '-g', user).stdout.strip()}", "--init-groups"]
        return words + (["sh", "-c", command[0]] if len(command) == 1 else [str(word) for word in command])

    def put(self, path, content, mode=0o644, owner="root:root"):
        """Writes a file (text, bytes or a `Path` of this host), its folders too."""
        if isinstance(content, pathlib.Path):
            content = content.read_bytes()
        content = content.encode() if isinstance(content, str) else content
        path = str(path)
        if not self.leader:  # before the first boot: straight onto its disk
            target = self.upper / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode)
            return
        script = 'mkdir -p "$(dirname "$1")" && umask 077 && cat > "$1" && chown "$3" "$1" && chmod "$2" "$1"'
        done = subprocess.run(self.words(["sh", "-c", script, "put", path, f"{mode:o}", owner], None, None, "/"), input=content,
                              capture_output=True, timeout=RUN_SECONDS)
        if done.returncode:
            raise Trouble(f"{self.name}: {path} cannot be written: {done.stderr.decode(errors='replace').strip()}")

    def get(self, path):
        """A file's text."""
        return self.run("cat", path).stdout

    def files(self, *folders):
        """Everything below the folders (the whole disk unless told), without what the kernel shows."""
        found = self.run("find", *(folders or ("/",)), "-xdev", "-printf", "%p\n").stdout.splitlines()
        return {path for path in found if not path.startswith(("/proc", "/sys", "/dev", "/run/host", "/tmp"))}

    def write_hosts(self):
        text = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
        text += "".join(f"{address} {name}.{DOMAIN} {name}\n" for name, address in self.room.names.items())
        self.put("/etc/hosts", text)

    # What an operator looks at

    def wait_for(self, condition, deadline=WAIT_SECONDS, what=None, every=0.2):
        """Waits until the condition (a function, or a line of shell that succeeds) holds; gives what it gave."""
        until = time.monotonic() + deadline
        last = None
        while True:
            if callable(condition):
                last = condition()
                if last:
                    return last
            else:
                last = self.run(condition, check=False)
                if last.returncode == 0:
                    return last
            if time.monotonic() > until:
                raise Trouble(f"{self.name}: not within {deadline} s: {what or condition}; last seen: {last!r}")
            time.sleep(every)

    def show(self, unit, *properties):
        """`systemctl show` as a dictionary."""
        words = [f"--property={','.join(properties)}"] if properties else []
        lines = self.run("systemctl", "show", unit, *words).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def active(self, unit):
        """active, inactive, failed, activating, …"""
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip()

    def wait_active(self, unit, state="active", deadline=WAIT_SECONDS):
        return self.wait_for(lambda: self.active(unit) == state, deadline, f"{unit} is {state}")

    def journal(self, unit=None, *matches, **fields):
        """Journal entries as dictionaries: journal("choria-server", CHORIA_EVENT="connected"); further words go to journalctl."""
        words = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet", *matches]
        words += [f"--unit={unit}"] if unit else []
        words += [f"{name}={value}" for name, value in fields.items()]
        return [json.loads(line) for line in self.run(*words).stdout.splitlines()]

    def log_of(self, unit, *words):
        """What a unit logged, as text."""
        return self.run("journalctl", f"--unit={unit}", "--output=cat", "--no-pager", "--quiet", *words).stdout

    def varlink(self, socket, method, parameters=None, user=None):
        """Calls a method by varlinkctl; gives the answer."""
        done = self.run("varlinkctl", "call", "--json=short", socket, method, json.dumps(parameters or {}), user=user)
        return json.loads(done.stdout)

    def report(self, since=0, lines=25):
        """What went on, for the output of a failed test: failed units, and the journal since a time (seconds of the epoch)."""
        if not self.running():
            return f"not running\n{self.console()}"
        parts = [["systemctl", "--failed", "--no-legend", "--no-pager"],
                 ["journalctl", "--no-pager", f"--since=@{int(since)}", "-n", str(lines), "-o", "short-precise"]]
        with contextlib.suppress(Trouble, OSError):
            return "\n".join(self.run(*words, check=False, timeout=20).stdout for words in parts)
        return "cannot be asked"

    # Packages, users, faults

    def apt(self, *words):
        """apt as an operator calls it, without questions; gives its output."""
        done = self.run("apt-get", "--assume-yes", *words, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=300)
        return done.stdout + done.stderr

    def apt_install(self, *packages):
        self.apt("update")
        return self.apt("install", *packages)

    def add_user(self, name, lingering=False):
        """An unprivileged user; a lingering one has a user manager from now on."""
        self.run("useradd", "--create-home", "--user-group", "--shell", "/bin/sh", name)
        if lingering:
            self.run("loginctl", "enable-linger", name)
            uid = self.run("id", "-u", name).stdout.strip()
            self.wait_active(f"user@{uid}.service")
        return name

    def cut(self):
        """Pulls the network cable."""
        self.room.inside("ip", "link", "set", self.link, "down")

    def restore(self):
        """Plugs it in again."""
        self.room.inside("ip", "link", "set", self.link, "up")

    def limit_disk(self, folder, size):
        """Puts a file system of `size` ("8M") over a folder, with what was in it; until `unlimit_disk` or a reboot."""
        self.run(f"set -e; mkdir -p {folder}; t=$(mktemp -d); mount -t tmpfs -o size={size},mode=$(stat -c %a {folder}) limit $t; "
                 f"cp -a {folder}/. $t/; mount --move $t {folder} 2>/dev/null || {{ mount --bind $t {folder}; umount $t; }}; rmdir $t")

    def unlimit_disk(self, folder):
        """Takes the small file system away again; what was written to it is copied back first."""
        self.run(f"set -e; t=$(mktemp -d); cp -a {folder}/. $t/; umount --lazy {folder}; cp -a $t/. {folder}/; rm -rf $t")

    def limit_memory(self, unit, size):
        """Lets the kernel kill what is in the unit now when it has more than `size` bytes in memory.

        From outside, because a machine has no memory controller where the host still has version 1 of control groups; then
        `MemoryMax=` in a unit does nothing.
        """
        pids = self.run("cat", f"/sys/fs/cgroup/systemd{self.show(unit, 'ControlGroup')['ControlGroup']}/cgroup.procs", check=False)
        if pids.returncode:
            self.run("systemctl", "set-property", "--runtime", unit, f"MemoryMax={size}", "MemorySwapMax=0")
            return
        group = MEMORY / f"{self.namespace}-limit"
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(size))
        for pid in pids.stdout.split():
            (group / "cgroup.procs").write_text(self.host_pid(pid))

    def host_pid(self, pid):
        """The number that a process of the machine has on the host."""
        wanted = os.stat(f"/proc/{self.leader}/ns/pid").st_ino
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.stat(entry / "ns/pid").st_ino == wanted and pid_in_namespace(entry.name) == str(pid):
                    return entry.name
        raise Trouble(f"{self.name} has no process {pid}")

    def shift_clock(self, unit, offset):
        """Restarts a unit so that it sees another time: "+2h", "-30d"; later calls move it while the unit runs. "" ends that.

        The real clock belongs to the whole host, so that only this unit can be told another one (libfaketime). It reads the file
        anew for each look at the clock.
        """
        name = unit if "." in unit else f"{unit}.service"
        dropin = f"/etc/systemd/system/{name}.d/clock.conf"
        if not offset:
            self.run(f"rm -f {dropin}; systemctl daemon-reload; systemctl restart {name}")
            return
        self.put("/etc/choria-clock", offset + "\n")
        if self.run("test", "-e", dropin, check=False).returncode:
            library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
            self.put(dropin, f"[Service]\nEnvironment=LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE=/etc/choria-clock FAKETIME_NO_CACHE=1 "
                             "FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1\n")
            self.run(f"systemctl daemon-reload; systemctl restart {name}")


def pid_in_namespace(pid):
    """The innermost number of a process of the host."""
    try:
        return re.search(r"^NSpid:.*?(\d+)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1)
    except (OSError, AttributeError):
        return None


def hierarchies():
    """Where control groups of machines are made: version 2, and systemd's own hierarchy of version 1."""
    found = []
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(pathlib.Path(place))
    return found


def make_group(top):
    """A group for what operators run in a machine, beside those of its units."""
    group = (top / "payload" if (top / "payload").is_dir() else top) / "operator.scope"
    group.mkdir(exist_ok=True)
    return str(group)


def remove_cgroups(name):
    """Removes the control groups of an ended machine; what still runs in them is killed."""
    for place in [*hierarchies(), MEMORY]:
        for top in place.glob(f"{name}*"):
            groups = [pathlib.Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
            deadline = time.monotonic() + 10
            while groups and time.monotonic() < deadline:
                for group in list(groups):
                    with contextlib.suppress(OSError):
                        for pid in (group / "cgroup.procs").read_text().split():
                            os.kill(int(pid), 9)
                        group.rmdir()
                        groups.remove(group)
                if groups:
                    time.sleep(0.05)


def sweep():
    """Takes away what runs left behind whose process is gone (it was killed)."""
    pattern = re.compile(rf"{PREFIX}-(\d+)-")
    spaces = host("ip", "netns", "list").stdout.split()
    names = {name for place in hierarchies() for name in os.listdir(place)} | set(spaces)
    for name in sorted(names):
        found = pattern.match(name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            remove_cgroups(name)
            if name in spaces:
                host("ip", "netns", "del", name, check=False)
    folder = pathlib.Path(os.environ.get("CHORIA_MACHINES", base.TARGET / "machines"))
    for run in folder.glob("run-*-*"):
        if not os.path.exists(f"/proc/{run.name.split('-')[1]}"):
            shutil.rmtree(run, ignore_errors=True)
