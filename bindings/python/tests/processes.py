"""Runs something in a forked child and brings back what it gives."""

import os
import pickle
import select
import signal
import traceback

SECONDS = 60


def in_child(function):
    """What `function` gives in a fork of this process; its failure is raised here, and it has a minute."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = 1
        try:
            try:
                answer = (function(), None)
            except BaseException:
                answer = (None, traceback.format_exc())
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(answer, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        if not select.select([pipe], [], [], SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"the child gave no answer within {SECONDS} s")
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    assert data, f"the child ended with status {status} and without an answer"
    value, failure = pickle.loads(data)
    assert failure is None, failure
    return value
