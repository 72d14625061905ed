"""Tokens that no command makes: expired, foreign and forged ones, and those a chain issuer signs (specification 01)."""
import base64
import json
import secrets
import time

import ed25519

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KSUID_EPOCH = 1_400_000_000


class Key:
    """An ed25519 seed and what belongs to it."""

    def __init__(self, seed=None):
        self.seed = seed or secrets.token_bytes(32)
        self.public = ed25519.public_key(self.seed).hex()

    @classmethod
    def read(cls, path):
        return cls(bytes.fromhex(path.read_text()))

    def sign(self, data):
        """The signature in hexadecimal."""
        return ed25519.sign(self.seed, data.encode() if isinstance(data, str) else data).hex()

    def token(self, claims):
        """A token with these claims, signed by this key."""
        signed = f"{_segment({'alg': 'EdDSA', 'typ': 'JWT'})}.{_segment(claims)}"
        return f"{signed}.{_base64url(ed25519.sign(self.seed, signed.encode()))}"


def server_claims(identity, public, seconds=86400, now=None):
    """Claims of a server that may submit messages; negative `seconds` are in the past."""
    issued = int(now or time.time()) - (86400 if seconds < 0 else 0)
    expires = int(now or time.time()) + seconds
    return {"purpose": "choria_server", "identity": identity, "collectives": ["choria"], "ou": "choria",
            "permissions": {"submission": True}, "public_key": public, "iss": "Choria Tests",
            "exp": expires, "nbf": issued, "iat": issued, "jti": _ksuid(issued)}


def client_claims(caller, public, seconds=86400):
    """Claims of a client that may drive the fleet."""
    claims = server_claims("", public, seconds)
    claims.update({"purpose": "choria_client_id", "callerid": caller, "permissions": {"fleet_management": True}})
    del claims["identity"], claims["collectives"]
    return claims


def chain_issuer(organization, seconds=86400):
    """A key that the organization lets issue tokens, and the claims that say so."""
    key = Key()
    claims = client_claims("chain_issuer", key.public, seconds)
    claims["permissions"] = {}
    claims["iss"] = f"I-{organization.public}"
    claims["tcs"] = organization.sign(f"{claims['jti']}.{key.public}")
    return key, claims


def issue(key, issuer, claims):
    """A token that the chain issuer with these `issuer` claims signs."""
    claims = dict(claims, iss=f"C-{issuer['jti']}.{issuer['public_key']}", issexp=issuer["exp"])
    claims["exp"] = min(claims["exp"], issuer["exp"])
    own = key.sign(f"{claims['jti']}.{issuer['tcs']}")
    claims["tcs"] = f"{issuer['tcs']}.{own}"
    return key.token(claims)


def _segment(value):
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _ksuid(seconds):
    number = int.from_bytes((seconds - KSUID_EPOCH).to_bytes(4, "big") + secrets.token_bytes(16), "big")
    text = ""
    while number:
        number, digit = divmod(number, 62)
        text = ALPHABET[digit] + text
    return text.rjust(27, "0")
