"""Submits a message every few milliseconds on a machine: load.py SUBJECT FILE. FILE gets a line for each: an id, or what went wrong.

Ends when FILE.stop appears, and says so in FILE. A connection for each message, as short programs have it.
"""
import base64
import json
import os
import socket
import sys
import time

SOCKET = "/run/choria/submit.sock"
FULL = "io.choria.Submission.SpoolFull"


def submit(subject, text):
    """The answer to one call: parameters or an error."""
    call = {"method": "io.choria.Submission.Submit",
            "parameters": {"subject": subject, "payload": base64.b64encode(text.encode()).decode(), "reliable": True}}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(SOCKET)
        connection.sendall(json.dumps(call).encode() + b"\0")
        answer = b""
        while not answer.endswith(b"\0"):
            part = connection.recv(65536)
            if not part:
                raise ConnectionError(f"closed after {len(answer)} bytes")
            answer += part
    return json.loads(answer[:-1])


def main(subject, path):
    number = 0
    with open(path, "w", buffering=1) as log:
        while not os.path.exists(f"{path}.stop"):
            number += 1
            try:
                answer = submit(subject, f"message {number}")
            except OSError as error:
                log.write(f"lost {number}: {error!r}\n")
                continue
            # A full spool is a refusal, and the caller keeps its message.
            if answer.get("error") == FULL:
                time.sleep(0.05)
            elif "error" in answer:
                log.write(f"lost {number}: {answer}\n")
            else:
                log.write(answer["parameters"]["id"] + "\n")
            time.sleep(0.003)
        log.write("end\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
