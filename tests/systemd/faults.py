"""What is done to processes from outside the machine: a main loop that hangs for real, by way of ptrace."""
import ctypes
import os
import platform
import time

from machines import Trouble

SEIZE, INTERRUPT, PEEK, GETREGS, SETREGS, DETACH = 0x4206, 0x4207, 1, 12, 13, 17
# Indexes in struct user_regs_struct of x86_64.
RAX, ORIG_RAX, RIP, COUNT = 10, 15, 16, 27
PAUSE = 34  # pause(2): waits for a signal, as a read from a dead disk waits for the disk
SYSCALL = b"\x0f\x05"
WALL = 0x40000000


def ptrace(request, pid, address=0, data=0):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ctypes.set_errno(0)
    result = libc.ptrace(request, pid, address, data)
    if ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace {request} of {pid}: {os.strerror(ctypes.get_errno())}")
    return result


def hang(pid):
    """Makes the main thread of a process (its number on this host) wait for ever in a system call; other threads go on.

    The thread waits for something to do; in place of that call it makes another one, whose end does not come.
    """
    if platform.machine() != "x86_64":
        raise Trouble("only on x86_64 it is known how to hang another process")
    deadline = time.monotonic() + 10
    while not attempt(int(pid)):
        if time.monotonic() > deadline:
            raise Trouble(f"the main thread of process {pid} is never found waiting")
        time.sleep(0.02)


def attempt(pid):
    ptrace(SEIZE, pid)
    ptrace(INTERRUPT, pid)
    os.waitpid(pid, WALL)
    registers = (ctypes.c_ulonglong * COUNT)()
    ptrace(GETREGS, pid, 0, ctypes.addressof(registers))
    before = registers[RIP] - 2
    word = ptrace(PEEK, pid, before) & 0xFFFF
    waits = word.to_bytes(2, "little") == SYSCALL
    if waits:
        registers[RIP], registers[RAX], registers[ORIG_RAX] = before, PAUSE, 0xFFFFFFFFFFFFFFFF
        ptrace(SETREGS, pid, 0, ctypes.addressof(registers))
    ptrace(DETACH, pid)
    return waits
