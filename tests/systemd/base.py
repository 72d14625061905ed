"""The Debian 13 tree that machines boot from: made once from the machine's own apt sources, cached, nothing of Choria in it."""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SUITE = "trixie"
# Machines have no way to the internet: whatever packages of ours depend on, and whatever tests call, is here. A changed list makes a new tree.
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "cron", "logrotate", "ca-certificates", "iproute2", "procps", "less",
    "openssl", "wget", "python3", "rpm", "ruby", "ruby-ffi", "ruby-json", "libfaketime", "man-db", "bash-completion",
)
# What makes installing quick and changes nothing that is tested; and no source but those that tests add.
HOOKS = (
    'echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/unsafe-io"',
    'rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/lib/apt/lists/* "$1"/etc/resolv.conf',
    'rm -f "$1/etc/hostname" && touch "$1/etc/resolv.conf"',
    'systemctl --root="$1" mask console-getty.service getty@.service apt-daily.timer apt-daily-upgrade.timer man-db.timer e2scrub_all.timer fstrim.timer',
)


class Trouble(Exception):
    """A machine cannot be made, started or asked; the text says why and what to do."""


def need(program, package):
    """Says what to install where a program is missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if not shutil.which(program, path=path):
        raise Trouble(f"{program} was not found, which boots machines (Debian: apt install {package})")


def tree():
    """The folder of the tree, made if there is none of this list yet."""
    need("mmdebstrap", "mmdebstrap")
    sources = "\n".join(apt_sources())
    key = hashlib.sha256("\0".join((SUITE, *PACKAGES, *HOOKS)).encode()).hexdigest()[:12]
    folder = pathlib.Path(os.environ.get("CHORIA_MACHINES", TARGET / "machines"))
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{SUITE}-{key}"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.is_dir():
            return made
        for old in folder.glob(f"{SUITE}-*"):
            # One that still serves a running test is kept: the next change of the list takes it away.
            if not in_use(old):
                shutil.rmtree(old)
        print(f"» making the {SUITE} tree of test machines in {made} (once, a few minutes)", flush=True)
        fresh = folder / f"{SUITE}-{key}.new"
        command = ["mmdebstrap", "--variant=minbase", "--quiet", f"--include={','.join(PACKAGES)}"]
        command += [f"--aptopt={option}" for option in acquire_options()]
        command += [f"--customize-hook={hook}" for hook in HOOKS]
        done = subprocess.run([*command, SUITE, fresh, "-"], input=sources, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise Trouble(f"mmdebstrap could not make a {SUITE} tree from {sources!r}: {done.stderr.strip()[-2000:]}")
        fresh.rename(made)
    return made


def in_use(folder):
    """Whether any process has the tree mounted as a lower layer."""
    for mounts in pathlib.Path("/proc").glob("[0-9]*/mounts"):
        try:
            if f"lowerdir={folder}" in mounts.read_text():
                return True
        except OSError:
            continue  # the process ended meanwhile
    return False


def apt_sources():
    """The machine's configured sources of its own Debian release, asked for the suite of the tree."""
    mirror = os.environ.get("CHORIA_DEBIAN_MIRROR")
    if mirror:
        return [f"deb {mirror} {SUITE} main"]
    codename = subprocess.run(["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"], capture_output=True, text=True).stdout.strip()
    found = set()
    for file in sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", file.read_text()):
            fields = {name.lower(): value for name, value in re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", paragraph, re.M)}
            if "deb" in fields.get("types", "").split() and codename in fields.get("suites", "").split():
                found.update(fields.get("uris", "").split())
    for file in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*.list"))]:
        if file.exists():
            found.update(re.findall(rf"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+{re.escape(codename)}\s", file.read_text(), re.M))
    if not found:
        raise Trouble(f"no apt source of this machine has the suite '{codename}': set CHORIA_DEBIAN_MIRROR to the address of a Debian mirror")
    return [f"deb {uri} {SUITE} main" for uri in sorted(found)]


def acquire_options():
    """What apt's configuration of this machine says about how to download: proxies, checks, retries."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return re.findall(r'^Acquire::(?:https?|Check|Retries|ForceIPv)[^\n]*;$', dump, re.M)
