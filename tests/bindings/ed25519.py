"""Ed25519 (RFC 8032) in plain Python: enough to make keys, tokens and forgeries for tests where no library is installed.

Not for anything else: it takes its time, and how long depends on the secret.
"""
import hashlib

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME


def public_key(seed):
    """The 32 bytes of the public key of a 32 byte seed."""
    return _encode(_multiply(_expand(seed)[0], _BASE))


def sign(seed, message):
    """The 64 bytes of the signature of `message`."""
    scalar, prefix = _expand(seed)
    nonce = _number(hashlib.sha512(prefix + message).digest()) % ORDER
    point = _encode(_multiply(nonce, _BASE))
    challenge = _number(hashlib.sha512(point + public_key(seed) + message).digest()) % ORDER
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def _expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = _number(digest[:32]) & ((1 << 254) - 8) | (1 << 254)
    return scalar, digest[32:]


def _number(data):
    return int.from_bytes(data, "little")


def _add(one, other):
    # Extended coordinates (X, Y, Z, T), RFC 8032 section 5.1.4.
    a = (one[1] - one[0]) * (other[1] - other[0]) % PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % PRIME
    c = 2 * one[3] * other[3] * D % PRIME
    d = 2 * one[2] * other[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME)


def _multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _encode(point):
    inverse = pow(point[2], -1, PRIME)
    x, y = point[0] * inverse % PRIME, point[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_Y = 4 * pow(5, -1, PRIME) % PRIME
_BASE = (_X, _Y, 1, _X * _Y % PRIME)
