"""Packages for the tests of this folder: those of the folder CHORIA_PACKAGES, else made once of this tree in Cargo's profile dev."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def made(command, suffix, place):
    """A folder with packages whose names end in `suffix`."""
    given = os.environ.get("CHORIA_PACKAGES")
    if given and any(pathlib.Path(given).glob(f"choria*{suffix}")):
        return pathlib.Path(given)
    done = subprocess.run([ROOT / command, "--output", place, "--profile", "dev"], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{command} exited {done.returncode}: {done.stderr[-3000:]}")
    return place


@pytest.fixture(scope="session")
def debs(tmp_path_factory):
    """The folder of our .deb files."""
    return made("debian/package", ".deb", tmp_path_factory.mktemp("debs"))


@pytest.fixture(scope="session")
def rpms(tmp_path_factory):
    """The folder of our .rpm files."""
    return made("rpm/package", ".rpm", tmp_path_factory.mktemp("rpms"))
