"""What every part needs: refusals, programs, hashes, files that appear whole."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

# Which package of Debian / Fedora brings a program.
PACKAGES = {
    "apt-ftparchive": ("apt-utils", "apt-utils"),
    "createrepo_c": ("createrepo-c", "createrepo_c"),
    "dpkg": ("dpkg", "dpkg"),
    "dpkg-deb": ("dpkg", "dpkg"),
    "gpg": ("gnupg", "gnupg2"),
    "gpgv": ("gpgv", "gnupg2"),
    "rpm": ("rpm", "rpm"),
    "rpmbuild": ("rpm", "rpm-build"),
    "rpmkeys": ("rpm", "rpm"),
    "rpmsign": ("rpm", "rpm-sign"),
}
# No program that is called here works longer on what a repository holds.
PATIENCE = 1800


class Refused(Exception):
    """Nothing was published; the text names the input, the rule and what to do."""


def say(text):
    """Progress, for people: on stderr, so that stdout stays the result."""
    print(text, file=sys.stderr, flush=True)


def need(*programs):
    """Refuses when a program is missing, and names what to install."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        debian = " ".join(sorted({PACKAGES[name][0] for name in missing}))
        fedora = " ".join(sorted({PACKAGES[name][1] for name in missing}))
        raise Refused(f"{', '.join(missing)} is not installed here; on Debian: apt install {debian}; on Fedora: dnf install {fedora}")


def run(*command, cwd=None, stdin=None, env=None, what=None):
    """Runs a program and gives its standard output as bytes; a failure carries its last words."""
    words = [str(word) for word in command]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        done = subprocess.run(words, cwd=cwd, input=stdin, env=environment, capture_output=True, timeout=PATIENCE)
    except FileNotFoundError:
        need(words[0])
        raise
    except subprocess.TimeoutExpired:
        raise Refused(f"{what or words[0]} did not end within {PATIENCE} s")
    if done.returncode:
        lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise Refused(f"{what or words[0]} failed: {' / '.join(lines[-3:]) or f'exit code {done.returncode}'}")
    return done.stdout


def sha256(path):
    """The SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def now():
    """The time that goes into indexes: SOURCE_DATE_EPOCH when a reproducible run is wanted, else the clock."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return int(time.time())
    if not text.isdigit():
        raise Refused(f"SOURCE_DATE_EPOCH={text} is no number of seconds; correct or unset it")
    return int(text)


def write_whole(path, content, mode=0o644):
    """Writes a file beside its place and renames it: a reader sees the former or the new content."""
    path = pathlib.Path(path)
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def copy_whole(source, path):
    """Copies a file into its place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(source, "rb") as reader, open(beside, "wb") as writer:
        os.fchmod(writer.fileno(), 0o644)
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
    os.replace(beside, path)


def point(link, target):
    """Makes the symbolic link name `target`, in one step."""
    beside = link.with_name(f".{link.name}.{os.getpid()}.link")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    os.replace(beside, link)


def generation(folder, name):
    """A new empty folder `.NAME.TIME` in `folder`, for an index that is not valid yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1000):
        made = folder / f".{name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.{number:03d}"
        if not made.exists():
            made.mkdir()
            return made
    raise Refused(f"{folder} holds a thousand unfinished indexes of this second; remove its hidden folders")


def drop_generations(folder, name, keep):
    """Removes all index folders of `name` but those in `keep`."""
    for old in folder.glob(f".{name}.*Z.[0-9][0-9][0-9]"):
        if old.name not in keep and old.is_dir():
            shutil.rmtree(old)
