"""The running network itself: it leaves nothing behind, however it ends."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "tests/bindings/network"
SECONDS = 30


def left(folder):
    """The folder itself, and processes that work in it."""
    found = [folder] if os.path.exists(folder) else []
    for process in pathlib.Path("/proc").iterdir():
        try:
            if process.name.isdigit() and os.readlink(process / "cwd").startswith(folder):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("ending", ["closed", signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(ending):
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "--servers", "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    folder = json.loads(process.stdout.readline())["folder"]
    assert len(left(folder)) > 3
    if ending == "closed":
        process.stdin.close()
    else:
        process.send_signal(ending)
    code = process.wait(SECONDS)
    assert code == {"closed": 0, signal.SIGTERM: 143, signal.SIGKILL: -9}[ending]
    deadline = time.monotonic() + SECONDS
    while left(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left(folder) == []
    process.stdout.close()
