"""As much of the NATS protocol as tests need: log in with a token, publish with headers, ask and wait for the answer."""
import base64
import hashlib
import json
import secrets
import socket
import ssl

import ed25519

SECONDS = 10


class NatsError(Exception):
    """The broker refused, closed the connection or did not answer."""


class Connection:
    """A connection of the holder of `token`, whose caller id is `caller`."""

    def __init__(self, port, token, seed, caller):
        plain = socket.create_connection(("127.0.0.1", port), SECONDS)
        greeting = json.loads(_first_line(plain).split(b" ", 1)[1])
        # A broker without a certificate makes itself one, which nobody can verify.
        self.socket = ssl._create_unverified_context().wrap_socket(plain)
        self.reader = self.socket.makefile("rb")
        self.inbox = f"choria.reply.{hashlib.md5(caller.encode()).hexdigest()}.{secrets.token_hex(8)}"
        nonce = ed25519.sign(seed, greeting["nonce"].encode())
        self._send("CONNECT " + json.dumps({
            "verbose": False, "pedantic": False, "lang": "python", "version": "1", "name": "tests", "headers": True,
            "no_responders": True, "auth_token": token, "sig": base64.urlsafe_b64encode(nonce).decode().rstrip("=")}))
        self._send(f"SUB {self.inbox} 1")
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()

    def publish(self, subject, payload, headers=None, reply=""):
        """Publishes; `headers` are pairs, so that a name can come twice."""
        block = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers or []) + "\r\n"
        head = block.encode() if headers else b""
        sizes = f"{len(head)} {len(head) + len(payload)}" if headers else str(len(payload))
        verb = "HPUB" if headers else "PUB"
        self._send(f"{verb} {subject} {reply} {sizes}".replace("  ", " "), head + payload)

    def request(self, subject, payload, headers=None):
        """The answer as JSON; an error that it tells of is raised."""
        self.publish(subject, payload, headers, self.inbox)
        answer = json.loads(self._read())
        if "error" in answer:
            raise NatsError(f"{subject}: {answer['error'].get('description', answer['error'])}")
        return answer

    def flush(self):
        """Returns when the broker has seen all that was sent."""
        self._send("PING")
        while not self._line().startswith(b"PONG"):
            pass

    def _read(self):
        while True:
            words = self._line().split()
            if words[0] in (b"MSG", b"HMSG"):
                data = self.reader.read(int(words[-1]) + 2)[:-2]
                if words[0] == b"HMSG":
                    headers = int(words[-2])
                    if b" 503" in data[:headers].split(b"\r\n")[0]:
                        raise NatsError("nobody answers; does the broker have streams?")
                    data = data[headers:]
                return data

    def _line(self):
        line = self.reader.readline()
        if not line or line.startswith(b"-ERR"):
            raise NatsError(line.decode().strip() or "the broker closed the connection")
        if line.startswith(b"PING"):
            self._send("PONG")
        return line

    def _send(self, line, data=None):
        self.socket.sendall(line.encode() + b"\r\n" + (b"" if data is None else data + b"\r\n"))


def _first_line(plain):
    # Byte by byte: what follows belongs to TLS.
    line = b""
    while not line.endswith(b"\n"):
        byte = plain.recv(1)
        if not byte:
            raise NatsError("the broker closed the connection")
        line += byte
    return line
