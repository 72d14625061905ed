"""Measures processes from outside, with the kernel's own accounting: CPU seconds, memory, context switches."""
import os
import shutil
import statistics
import subprocess
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


class Sample:
    """What one finished command cost."""

    def __init__(self, wall, cpu, code):
        self.wall, self.cpu, self.code = wall, cpu, code


def command(arguments, environment, folder):
    """Runs a command to its end: wall and CPU seconds."""
    began = time.perf_counter()
    process = subprocess.Popen(arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return Sample(wall, usage.ru_utime + usage.ru_stime, process.returncode)


def peak_memory(arguments, environment, folder):
    """Peak resident memory of a command in KiB, by GNU time: a child of this process would inherit this one's peak."""
    gnu_time = shutil.which("time")
    if not gnu_time:
        raise SystemExit("bench: GNU time was not found: apt install time")
    with tempfile.NamedTemporaryFile("r") as file:
        subprocess.run([gnu_time, "-q", "-f", "%M", "-o", file.name, *arguments], cwd=folder, env=environment,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return int(file.read())


def cpu_seconds(pid):
    """User and system CPU seconds of a running process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    """Resident and anonymous memory in KiB, and the number of threads."""
    values = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            words = line.split()
            if len(words) == 3:
                values[words[0].rstrip(":")] = int(words[1])
    return values["Rss"], values["Anonymous"], len(os.listdir(f"/proc/{pid}/task"))


def idle(pids, seconds):
    """CPU milliseconds and voluntary context switches a minute of each process over a window."""
    before = [scheduling(pid) for pid in pids]
    began = time.perf_counter()
    time.sleep(seconds)
    minutes = (time.perf_counter() - began) / 60
    after = [scheduling(pid) for pid in pids]
    return [((a[0] - b[0]) / 1e6 / minutes, (a[1] - b[1]) / minutes) for a, b in zip(after, before)]


def scheduling(pid):
    """Nanoseconds on a processor and voluntary context switches, over all threads."""
    nanoseconds = switches = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                nanoseconds += int(file.read().split()[0])
            with open(f"/proc/{pid}/task/{task}/status") as file:
                switches += next(int(line.split()[1]) for line in file if line.startswith("voluntary"))
        except OSError:
            pass  # the thread ended between the listing and the reading
    return nanoseconds, switches


def spread(values, digits=None):
    """`median (min-max)` of some values."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{number(middle, digits)} ({number(low, digits)}-{number(high, digits)})"


def number(value, digits=None):
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
