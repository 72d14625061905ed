"""rpms for tests: ours, a second packaging of the same programs to upgrade to, and stand-ins built on the fly."""
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PACKAGES = ("choria", "choria-server", "choria-broker", "choria-provisioner", "choria-aaasvc", "libchoria", "libchoria-devel",
            "python3-choria", "ruby-choria")
NODE = ("choria-server", "choria-submit")  # the daemons of a node
BUILD_SECONDS = 1800  # a cold build of everything on a busy machine


class Trouble(Exception):
    """Something that tests need is missing, or an rpm cannot be made; the text says what to do."""


def run(*command, **options):
    """Runs a program; gives what it printed."""
    words = [str(word) for word in command]
    if not shutil.which(words[0]):
        raise Trouble(f"{words[0]} was not found: install your distribution's package of it")
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if done.returncode:
        raise Trouble(f"{' '.join(words)[:400]} exited {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def folder():
    """The folder of our rpms: $CHORIA_PACKAGES if it has some, else built from this tree in Cargo's profile dev."""
    ready = os.environ.get("CHORIA_PACKAGES")
    if ready and list(pathlib.Path(ready).glob("*.rpm")):
        return pathlib.Path(ready)
    made = TARGET / "packages" / "rpm"
    shutil.rmtree(made, ignore_errors=True)
    package("--output", made)
    return made


def package(*options, **environment):
    """rpm/package in the profile of tests."""
    run(ROOT / "rpm/package", "--profile", "dev", *options, timeout=BUILD_SECONDS, env={**os.environ, **environment})


def of(place, name):
    """The one file of a binary package in a folder."""
    found = [file for file in pathlib.Path(place).glob(f"{name}-[0-9]*.rpm") if not file.name.endswith(".src.rpm")]
    if len(found) != 1:
        raise Trouble(f"{place} has {len(found)} files of the package {name}: {found}")
    return found[0]


def ask(file, *query):
    """What rpm says about a package file, as lines."""
    return run("rpm", "-qp", "--nosignature", *query, file).splitlines()


def unpack(file, into):
    """Puts a package's files below a folder, as they are in it."""
    pathlib.Path(into).mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["rpm2cpio", str(file)], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["cpio", "-idm", "--quiet", "--no-absolute-filenames"], input=archive, cwd=into, check=True, stderr=subprocess.PIPE)


def programs(place, into, real=("choria-server", "choria-submit", "choria-broker", "choria-provisioner", "choria-aaasvc")):
    """The programs of packages as Cargo's target directory has them, so that they can be packaged again without a build.

    Daemons that are not in `real` are replaced by a tiny program, where packaging is tested and they are not run.
    """
    unpacked = into / "unpacked"
    for name in PACKAGES[:7]:
        unpack(of(place, name), unpacked)
    for folder, names in (("debug", ("usr/bin/choria", "usr/sbin/choria-*")), ("packaged/debug", ("usr/lib*/libchoria.so.1", "usr/lib*/pkgconfig/choria.pc"))):
        (into / folder).mkdir(parents=True)
        for name in names:
            for file in unpacked.glob(name):
                file.rename(into / folder / file.name)
    shutil.rmtree(unpacked)
    for daemon in (into / "debug").glob("choria-*"):
        if daemon.name not in real:
            shutil.copy(shutil.which("true"), daemon)
    return into


def second(place, work):
    """The same programs as release 2 of the same version."""
    package("--output", work / "second", "--release", "2", "--no-build", CARGO_TARGET_DIR=str(programs(place, work / "ready", NODE)))
    return work / "second"


def build(spec, output, *defines):
    """Builds a spec that needs no sources; gives the files."""
    output = pathlib.Path(output)
    options = [word for define in defines for word in ("--define", define)]
    run("rpmbuild", "-bb", "--quiet", *options, "--define", f"_topdir {output / 'build'}", "--define", f"_rpmdir {output}",
        "--define", "_rpmfilename %{name}-%{version}-%{release}.%{arch}.rpm", spec)
    shutil.rmtree(output / "build")
    return sorted(output.glob("*.rpm"))


def existing(work):
    """The stand-in of the existing package."""
    return build(HERE / "existing-choria.spec", work)[0]
