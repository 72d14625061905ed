"""Submits one message after the other on one connection: calls.py SOCKET SUBJECT FILE [GO]. FILE gets a line for each answer: an id, or
what went wrong, which ends it.

Waits for the file GO before the first call. Ends when FILE.stop appears, and says so in FILE.
"""
import base64
import json
import os
import socket
import sys
import time

path, subject, file, *go = sys.argv[1:]
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(60)
connection.connect(path)
while go and not os.path.exists(go[0]):
    time.sleep(0.05)
number = 0
with open(file, "a", buffering=1) as lines:
    while True:
        number += 1
        call = {"method": "io.choria.Submission.Submit",
                "parameters": {"subject": subject, "payload": base64.b64encode(str(number).encode()).decode(), "reliable": True}}
        try:
            connection.sendall(json.dumps(call).encode() + b"\0")
            answer = b""
            while not answer.endswith(b"\0"):
                piece = connection.recv(65536)
                if not piece:
                    raise OSError("closed")
                answer += piece
            answer = json.loads(answer[:-1])
        except OSError as error:
            print(f"lost {error}", file=lines)
            sys.exit(1)
        if "error" in answer:
            print(f"refused {answer}", file=lines)
            sys.exit(1)
        print(answer["parameters"]["id"], file=lines)
        time.sleep(0.1)  # fewer than a spool holds
        if os.path.exists(f"{file}.stop"):
            print("end", file=lines)
            sys.exit(0)
