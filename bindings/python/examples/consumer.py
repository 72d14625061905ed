#!/usr/bin/env python3
"""Reads submissions from a stream and prints those that are what they claim to be.

  consumer.py [--durable NAME] [--max-age SECONDS] [--count N] [STREAM]

Each message is verified: a server whose token an issuer in the client's configuration signed has signed the payload, lately.
The signature covers the payload alone: whoever acts on a message once must remember what it acted on.
What does not verify is told on standard error; both are acknowledged, so that neither comes again.
"""

import argparse
import json
import sys

import choria


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", nargs="?", default="SUBMIT", metavar="STREAM")
    parser.add_argument("--durable", default="example", metavar="NAME", help="who reads; the stream remembers where (example)")
    parser.add_argument("--max-age", type=float, default=0, metavar="SECONDS", help="refuse older messages (0: any age)")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="stop after N messages (0: never)")
    arguments = parser.parse_args()
    with choria.Client() as client, choria.Trust.from_config() as trust:
        with client.consumer(arguments.stream, durable=arguments.durable) as messages:
            for number, message in enumerate(messages, 1):
                handle(message, trust, arguments.max_age)
                messages.ack(message)
                if number == arguments.count:
                    break
    return 0


def handle(message: choria.Received, trust: choria.Trust, max_age: float) -> None:
    """Prints a message that verifies, refuses any other."""
    try:
        message.verify(trust, max_age)
    except choria.ChoriaError as error:
        print(f"refused message {message.sequence} on {message.subject}: {error}", file=sys.stderr, flush=True)
        return
    print(
        json.dumps(
            {
                "id": message.id,
                "subject": message.subject,
                "identity": message.identity,
                "sender": message.sender,
                "payload": message.payload.decode("utf-8", "replace"),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except choria.ChoriaError as error:
        sys.exit(f"consumer: {error}")
