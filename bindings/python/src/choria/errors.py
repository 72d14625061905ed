"""Exceptions: one class for each result code of the C library, so that callers catch what they can act on."""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Type, Union

from ._abi import Result


class ChoriaError(Exception):
    """The library could not do what was asked; the text says why and what to do.

    `code` is a `Result`, or a plain number when the library is newer than this package.
    """

    #: Set by `Submitter.submit_many`: for each draft that was handed in its id, or None if it was not taken.
    ids: Sequence[Optional[str]] = ()

    def __init__(self, message: str, code: Union[Result, int]) -> None:
        super().__init__(message)
        self.code = code

    @property
    def message(self) -> str:
        """What happened, as one sentence."""
        return str(self.args[0])

    def __reduce__(self) -> "tuple[Type[ChoriaError], tuple[str, Union[Result, int]]]":
        return (type(self), (self.message, self.code))


class LibraryUnavailable(ImportError):
    """The C library cannot be loaded, or is of another interface version than this package."""


class End(ChoriaError):
    """Nothing more will come. Iteration ends instead of raising it."""


class Timeout(ChoriaError, TimeoutError):
    """Nothing came in the time given; ask again."""


class Cancelled(ChoriaError):
    """The request was cancelled, or its client was closed."""


class InvalidArgument(ChoriaError, ValueError):
    """An argument breaks a rule of this function, or the object is closed."""


class InvalidConfiguration(ChoriaError):
    """The configuration cannot be read or says something impossible."""


class NotFound(ChoriaError):
    """A file, agent, action or stream does not exist."""


class InputOutput(ChoriaError):
    """The system could not read or write."""


class InvalidMessage(ChoriaError, ValueError):
    """A draft breaks a rule of submission."""


class Refused(ChoriaError):
    """This user may not do that."""


class SpoolFull(ChoriaError):
    """The spool holds as much as it may; try again when some of it was delivered."""


class TooLarge(ChoriaError, ValueError):
    """The payload is larger than messages may be."""


class Unavailable(ChoriaError):
    """Neither the socket nor the spool can be used."""


class TokenInvalid(ChoriaError, ValueError):
    """Not a token, or one with malformed claims."""


class TokenUntrusted(ChoriaError):
    """No trusted issuer signed the token, or its chain does not hold."""


class TokenExpired(ChoriaError):
    """The token is not valid any more, or not yet."""


class SignatureInvalid(ChoriaError):
    """The signature is missing or does not fit."""


class Stale(ChoriaError):
    """Older than the caller accepts, or from the future."""


class NotConnected(ChoriaError):
    """There is no connection to a broker."""


class Unauthorized(ChoriaError):
    """The broker, or the AAA service, refused the login or the request."""


class InvalidRequest(ChoriaError, ValueError):
    """The inputs do not satisfy the agent's description."""


class Forked(ChoriaError):
    """The object was made before a fork and uses the network: make a new one in the child."""


class Internal(ChoriaError):
    """A fault inside the library; please report it."""


#: The class of each result code; OK is no error.
CLASSES: Dict[Result, Type[ChoriaError]] = {
    Result.END: End,
    Result.TIMEOUT: Timeout,
    Result.CANCELLED: Cancelled,
    Result.INVALID_ARGUMENT: InvalidArgument,
    Result.INVALID_CONFIGURATION: InvalidConfiguration,
    Result.NOT_FOUND: NotFound,
    Result.IO: InputOutput,
    Result.INVALID_MESSAGE: InvalidMessage,
    Result.REFUSED: Refused,
    Result.SPOOL_FULL: SpoolFull,
    Result.TOO_LARGE: TooLarge,
    Result.UNAVAILABLE: Unavailable,
    Result.TOKEN_INVALID: TokenInvalid,
    Result.TOKEN_UNTRUSTED: TokenUntrusted,
    Result.TOKEN_EXPIRED: TokenExpired,
    Result.SIGNATURE_INVALID: SignatureInvalid,
    Result.STALE: Stale,
    Result.NOT_CONNECTED: NotConnected,
    Result.UNAUTHORIZED: Unauthorized,
    Result.INVALID_REQUEST: InvalidRequest,
    Result.FORKED: Forked,
    Result.INTERNAL: Internal,
}


def error_for(code: int, message: str) -> ChoriaError:
    """The exception of a result code."""
    try:
        known = Result(code)
    except ValueError:
        return ChoriaError(message, code)
    return CLASSES.get(known, ChoriaError)(message or known.name, known)
