"""Machines for the tests of this folder, booted once and shared; and what they said when a test fails."""
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import machines as rooms
from base import ROOT, TARGET
from fleet import Site
from repository import Repository


def pytest_configure(config):
    # Being told to end, everything is taken down as after Ctrl-C.
    signal.signal(signal.SIGTERM, stop)
    config.addinivalue_line("markers", "late: runs after everything else, as something takes its time meanwhile")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("late") is not None)


def stop(*_):
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def machines():
    """The room; `machines.machine("name")` boots one more."""
    with rooms.Machines() as room:
        ROOMS.append(room)
        yield room


@pytest.fixture(scope="session")
def packages():
    """The .deb files that are tested: those of the folder CHORIA_PACKAGES, else those of this tree, built for tests."""
    folder = pathlib.Path(os.environ.get("CHORIA_PACKAGES") or TARGET / "machines/packages")
    if "CHORIA_PACKAGES" not in os.environ:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([ROOT / "debian/package", "--output", folder, "--profile", "dev"], check=True)
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    if not any(folder.glob("nats-server_*.deb")):
        subprocess.run([ROOT / "debian/repo/nats-server", "--output", folder, "--only", "deb", "--arch", architecture], check=True)
    found = sorted(folder.glob("*.deb"))
    if not any(file.name.startswith("choria-server_") for file in found):
        pytest.fail(f"{folder} has no packages: CHORIA_PACKAGES must name a folder that debian/package wrote")
    return found


@pytest.fixture(scope="session")
def repository(machines, packages):
    """The repository, served to all machines as http://repository/."""
    repository = Repository(machines, packages)
    yield repository
    repository.close()


@pytest.fixture(scope="session")
def site(machines, repository):
    """A working site of three machines, `.broker`, `.node` and `.client`, shared by all files: leave it as it was."""
    three = machines.boot("broker", "node", "client")
    for machine in three:
        repository.paste(machine, nats=machine.name == "broker")
    site = Site(*three).set_up()
    site.before_login = site.broker.active("choria-aaasvc.service")
    site.login()
    site.wait_for_nodes()
    return site


ROOMS = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for room in ROOMS:
            for machine in room.machines.values():
                report.sections.append((f"machine {machine.name}", machine.report(call.start)))
    return report
