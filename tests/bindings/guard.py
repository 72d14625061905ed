"""Ends what a network left behind when whoever started it was killed: python3 guard.py FOLDER

Waits until its standard input closes, then ends every process that works inside the folder, and removes the folder.
"""
import os
import pathlib
import shutil
import signal
import sys
import time

PATIENCE_SECONDS = 5


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    os.chdir("/")
    sys.stdin.read()
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)


def end(folder):
    """Asks once, and ends for good what is still there when patience is over."""
    kill(inside(folder), signal.SIGCONT, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while inside(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    kill(inside(folder), signal.SIGKILL)


def inside(folder):
    """Processes whose working directory is in the folder."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and folder in [place := (entry / "cwd").readlink(), *place.parents]:
                found.append(int(entry.name))
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def kill(processes, *signals):
    for process in processes:
        for name in signals:
            try:
                os.kill(process, name)
            except ProcessLookupError:
                pass


if __name__ == "__main__":
    main()
