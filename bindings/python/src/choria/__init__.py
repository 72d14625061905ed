"""Choria from Python: submit messages, verify tokens, ask the fleet.

    import choria

    print(choria.submit("local.backup", b'{"ok": true}', reliable=True))

The work is done by libchoria; see the README for examples, and `choria.aio` for asyncio.
"""

from ._abi import EventKind, Result, TokenKind
from ._library import version
from .client import Client
from .consumer import Consumer, Received
from .errors import (
    Cancelled,
    ChoriaError,
    End,
    Forked,
    InputOutput,
    Internal,
    InvalidArgument,
    InvalidConfiguration,
    InvalidMessage,
    InvalidRequest,
    LibraryUnavailable,
    NotConnected,
    NotFound,
    Refused,
    SignatureInvalid,
    SpoolFull,
    Stale,
    Timeout,
    TokenExpired,
    TokenInvalid,
    TokenUntrusted,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from .replies import Replies, Reply, Statistics
from .submission import Draft, PriorityStatus, SpoolStatus, Submitter, server_status, submission_status, submit
from .tokens import Seed, Token, Trust, verify_signature, verify_token

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "ChoriaError",
    "Client",
    "Consumer",
    "Draft",
    "End",
    "EventKind",
    "Forked",
    "InputOutput",
    "Internal",
    "InvalidArgument",
    "InvalidConfiguration",
    "InvalidMessage",
    "InvalidRequest",
    "LibraryUnavailable",
    "NotConnected",
    "NotFound",
    "PriorityStatus",
    "Received",
    "Refused",
    "Replies",
    "Reply",
    "Result",
    "Seed",
    "SignatureInvalid",
    "SpoolFull",
    "SpoolStatus",
    "Stale",
    "Statistics",
    "Submitter",
    "Timeout",
    "Token",
    "TokenExpired",
    "TokenInvalid",
    "TokenKind",
    "TokenUntrusted",
    "TooLarge",
    "Trust",
    "Unauthorized",
    "Unavailable",
    "server_status",
    "submission_status",
    "submit",
    "verify_signature",
    "verify_token",
    "version",
]
