"""Machines for the tests of this folder, booted once and shared; and what they said when a test fails."""
import signal

import pytest

import machines as rooms


def pytest_configure(config):
    # Being told to end, everything is taken down as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@pytest.fixture(scope="session")
def machines():
    """The room; `machines.machine("name")` boots one more."""
    with rooms.Machines() as room:
        ROOMS.append(room)
        yield room


ROOMS = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for room in ROOMS:
            for machine in room.machines.values():
                report.sections.append((f"machine {machine.name}", machine.report()))
    return report
