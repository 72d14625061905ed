"""Keys, whom to trust, and the tokens that say who somebody is."""

from __future__ import annotations

import ctypes
import json
from datetime import datetime, timezone
from typing import Any, Iterable, Mapping, Optional, Union

from ._abi import SeedPointer, TokenKind, TokenPointer, TrustPointer
from ._library import Closable, Handle, Path, Payload, check, encode, encode_path, invalid, library, payload_bytes, take, text

#: A moment: with a time zone, or Unix seconds.
When = Union[datetime, int, float]


class Trust(Closable):
    """Whose signatures on tokens count. Built in one thread; then any number of threads may verify with it."""

    def __init__(self, issuers: Optional[Mapping[str, str]] = None, signers: Iterable[Path] = ()) -> None:
        """`issuers`: public keys in hexadecimal by organization. `signers`: as for `add_signer`."""
        pointer = TrustPointer()
        check(library().choria_trust_new(ctypes.byref(pointer)))
        self._adopt(pointer)
        for organization, key in (issuers or {}).items():
            self.add_issuer(organization, key)
        for signer in signers:
            self.add_signer(signer)

    @classmethod
    def from_config(cls, config: Optional[Path] = None) -> Trust:
        """The issuers that a configuration names (plugin.security.issuer.*); default: the one the client finds."""
        pointer = TrustPointer()
        check(library().choria_trust_from_config(encode_path(config, "config"), ctypes.byref(pointer)))
        trust = cls.__new__(cls)
        trust._adopt(pointer)
        return trust

    def add_issuer(self, organization: str, public_key: str) -> None:
        """Trusts an organization's issuer, and the chain issuers that it signed for."""
        handle = self._use()
        check(
            self._library.choria_trust_add_issuer(
                handle.pointer, encode(organization, "organization"), encode(public_key, "public_key")
            )
        )

    def add_signer(self, key_or_file: Path) -> None:
        """Trusts tokens of any organization that a key signed itself: hexadecimal, or a file with hexadecimal or PEM."""
        handle = self._use()
        check(self._library.choria_trust_add_signer(handle.pointer, encode_path(key_or_file, "key_or_file")))

    def verify(self, token: str, now: Optional[When] = None) -> Token:
        """Verifies the text of a token: signature, chain and times at `now` (default: the clock).

        Raises `TokenInvalid`, `TokenUntrusted`, `TokenExpired`.
        """
        handle = self._use()
        pointer = TokenPointer()
        check(
            self._library.choria_token_verify(
                handle.pointer, encode(token, "the token"), unix_seconds(now), ctypes.byref(pointer)
            )
        )
        return Token(pointer)

    def verify_file(self, path: Path, now: Optional[When] = None) -> Token:
        """Verifies a token file; raises as `verify`, and `NotFound`, `InputOutput`."""
        handle = self._use()
        pointer = TokenPointer()
        check(
            self._library.choria_token_verify_file(
                handle.pointer, encode_path(path, "path"), unix_seconds(now), ctypes.byref(pointer)
            )
        )
        return Token(pointer)

    def __enter__(self) -> Trust:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _adopt(self, pointer: TrustPointer) -> None:
        self._library = library()
        self._handle = Handle(pointer, self._library.choria_trust_free)


class Token:
    """A token's claims. `verified` tells whether they were proven or only read."""

    def __init__(self, pointer: TokenPointer) -> None:
        """Made by `Trust.verify`, `verify_token` and `Token.read`."""
        native = library()
        self._library = native
        self._handle = Handle(pointer, native.choria_token_free)
        self.kind = TokenKind(native.choria_token_get_kind(pointer))
        self.verified = bool(native.choria_token_is_verified(pointer))
        #: A server's identity; a client's caller id, such as up=alice; empty for provisioning tokens.
        self.identity = text(native.choria_token_identity(pointer))
        self.organization = text(native.choria_token_organization(pointer))
        #: In hexadecimal; empty when the token has none.
        self.public_key = text(native.choria_token_public_key(pointer))
        seconds = native.choria_token_expires(pointer)
        #: When it ends, its chain included; None: never.
        self.expires = datetime.fromtimestamp(seconds, timezone.utc) if seconds else None

    @staticmethod
    def read(token: str) -> Token:
        """Reads the text of a token WITHOUT verifying it: whoever wrote it may claim anything."""
        pointer = TokenPointer()
        check(library().choria_token_read(encode(token, "the token"), ctypes.byref(pointer)))
        return Token(pointer)

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims as they are in the token."""
        length = ctypes.c_size_t()
        data = self._library.choria_token_claims(self._handle.pointer, ctypes.byref(length))
        claims: Mapping[str, Any] = json.loads(text(data))
        return claims

    def permits(self, permission: str) -> bool:
        """Whether the claims grant a permission, such as `submission`, `streams_user` or `fleet_management`."""
        return bool(self._library.choria_token_permits(self._handle.pointer, encode(permission, "permission")))

    def __repr__(self) -> str:
        proof = "verified" if self.verified else "NOT verified"
        return f"<Token {self.kind.name.lower()} {self.identity!r} of {self.organization!r}, {proof}>"


def verify_token(token: Path, trust: Optional[Trust] = None, now: Optional[When] = None) -> Token:
    """Verifies a token: its text (which always begins with eyJ), or the file of that name.

    `trust` is by default what the client's configuration names. Raises as `Trust.verify_file`.
    """
    judge = Trust.from_config() if trust is None else trust
    if isinstance(token, str) and token.startswith("eyJ"):
        return judge.verify(token, now)
    return judge.verify_file(token, now)


class Seed(Closable):
    """A private ed25519 key. Any number of threads may sign with one at once."""

    def __init__(self, pointer: SeedPointer) -> None:
        """Made by `open`, `from_hex` and `generate`."""
        self._library = library()
        self._handle = Handle(pointer, self._library.choria_seed_free)
        #: The public key in hexadecimal.
        self.public_key = text(self._library.choria_seed_public_key(pointer))

    @classmethod
    def open(cls, path: Path) -> Seed:
        """Reads a seed file: exactly 64 hexadecimal digits."""
        pointer = SeedPointer()
        check(library().choria_seed_open(encode_path(path, "path"), ctypes.byref(pointer)))
        return cls(pointer)

    @classmethod
    def from_hex(cls, digits: str) -> Seed:
        """A seed from 64 hexadecimal digits."""
        pointer = SeedPointer()
        check(library().choria_seed_from_hex(encode(digits, "the seed"), ctypes.byref(pointer)))
        return cls(pointer)

    @classmethod
    def generate(cls) -> Seed:
        """A new seed from the system's randomness."""
        pointer = SeedPointer()
        check(library().choria_seed_generate(ctypes.byref(pointer)))
        return cls(pointer)

    def sign(self, data: Payload) -> str:
        """The signature of `data` in hexadecimal, as in the header Choria-Signature."""
        handle = self._use()
        raw = payload_bytes(data, "the data")
        signature = ctypes.c_void_p()
        check(self._library.choria_seed_sign(handle.pointer, raw, len(raw), ctypes.byref(signature)))
        return take(signature)

    def __enter__(self) -> Seed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Seed of {self.public_key}>"


def verify_signature(public_key: str, data: Payload, signature: str) -> None:
    """Returns when `signature` (hexadecimal) of `data` was made with the key; raises `SignatureInvalid` otherwise."""
    raw = payload_bytes(data, "the data")
    check(library().choria_signature_verify(encode(public_key, "public_key"), raw, len(raw), encode(signature, "signature")))


def unix_seconds(now: Optional[When]) -> int:
    """A moment for the library; None is 0, which is the clock."""
    if now is None:
        return 0
    if isinstance(now, datetime):
        if now.tzinfo is None:
            raise invalid("now has no time zone: use datetime.now(timezone.utc)")
        now = now.timestamp()
    if not 0 < now < 2**62:
        raise invalid(f"now is {now}: give Unix seconds above 0")
    return int(now)
