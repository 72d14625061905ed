"""Finds and loads the C library, turns result codes into exceptions, and carries text across.

The library is $CHORIA_LIBRARY, else the one inside this package (wheels carry it), else what the system's loader finds
under the name libchoria.so.1.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from typing import Any, Callable, Optional, Union

from ._abi import ABI_VERSION, PROTOTYPES, Result
from .errors import InvalidArgument, LibraryUnavailable, error_for

NAME = "libchoria.so.1"

Text = Union[str, bytes]
Payload = Union[str, bytes, bytearray, memoryview]
Path = Union[str, "os.PathLike[str]"]


@functools.lru_cache(maxsize=None)
def library() -> Native:
    """The loaded library.

    Raises `LibraryUnavailable`, which tells where it was looked for.
    """
    place = where()
    try:
        native = Native(place)
    except OSError as error:
        raise LibraryUnavailable(
            f"cannot load the Choria library {place}: {error}; install the package libchoria1, or set CHORIA_LIBRARY"
        ) from error
    version = int(native.choria_abi_version())
    if version != ABI_VERSION:
        raise LibraryUnavailable(f"{place} has version {version} of the interface, this package needs {ABI_VERSION}")
    return native


class Native:
    """The functions of the loaded library; each gets its prototype when it is first used."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._loaded = ctypes.CDLL(place)

    def __getattr__(self, name: str) -> Any:
        result, arguments = PROTOTYPES[name]
        try:
            function = getattr(self._loaded, name)
        except AttributeError as error:
            raise LibraryUnavailable(f"the Choria library {self._place} is older than this package: {error}") from error
        function.restype = result
        function.argtypes = arguments
        setattr(self, name, function)
        return function


def where() -> str:
    """What is given to the loader: a path, or a name that it searches for."""
    chosen = os.environ.get("CHORIA_LIBRARY")
    if chosen:
        return chosen
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME)
    return bundled if os.path.exists(bundled) else NAME


def version() -> str:
    """The version of the library, such as 0.1.0."""
    return str(library().choria_version().decode())


def check(code: int) -> None:
    """Raises what a result code says; OK is silent."""
    if code != Result.OK:
        raise error_for(code, text(library().choria_last_error()))


def invalid(message: str) -> InvalidArgument:
    """The error of an argument that this package refuses by itself."""
    return InvalidArgument(message, Result.INVALID_ARGUMENT)


class Handle:
    """Owns one handle of the library and frees it once, when nothing refers to it any more.

    Calls hold a reference while they run, so closing an object in one thread never frees what another is using.
    """

    __slots__ = ("pointer", "__weakref__")

    def __init__(self, pointer: Any, free: Callable[[Any], None]) -> None:
        self.pointer = pointer
        # Not at exit: other threads may still be inside the library then, and the system frees everything anyway.
        weakref.finalize(self, free, pointer).atexit = False


class Closable:
    """What owns a handle: a context manager with `close`, after which every use is refused."""

    _handle: Optional[Handle]

    def close(self) -> None:
        """Frees what this holds as soon as no call uses it; closing twice is harmless."""
        self._handle = None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None

    def _use(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise invalid(f"this {type(self).__name__} is closed")
        return handle


def encode(value: Any, what: str) -> bytes:
    """Text for the library: UTF-8 without a zero byte, which would end it early."""
    if not isinstance(value, str):
        raise invalid(f"{what} is {type(value).__name__}, not text")
    try:
        data = value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise invalid(f"{what} cannot be written as UTF-8: {error.reason}") from None
    if b"\0" in data:
        raise invalid(f"{what} contains a zero character")
    return data


def encode_path(value: Optional[Path], what: str) -> Optional[bytes]:
    """A path for the library; None stays None, which is the library's default."""
    return None if value is None else encode(os.fspath(value), what)


def payload_bytes(value: Any, what: str = "the payload") -> bytes:
    """Bytes for the library; text becomes UTF-8."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise invalid(f"{what} cannot be written as UTF-8: {error.reason}") from None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise invalid(f"{what} is {type(value).__name__}, not bytes or text")


def milliseconds(seconds: Optional[float], what: str) -> int:
    """A time for the library; None is 0, which is the library's default."""
    if seconds is None:
        return 0
    if not 0 < seconds <= 4_000_000:
        raise invalid(f"{what} is {seconds} s: give a number of seconds above 0, at most 4000000")
    return max(1, int(seconds * 1000))


def text(data: Optional[bytes]) -> str:
    """Text that the library lent."""
    return "" if data is None else data.decode("utf-8", "replace")


def take(pointer: Any) -> str:
    """Text that the library gave away: copied and freed."""
    if not pointer:
        return ""
    try:
        return ctypes.string_at(pointer).decode("utf-8", "replace")
    finally:
        library().choria_string_free(pointer)
