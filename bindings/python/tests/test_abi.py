"""Every prototype and number of this package is that of include/choria.h."""

import ctypes
from ctypes import POINTER

import header
import pytest

from choria import _abi

ENUMS, PROTOTYPES = header.load()
PLAIN = {
    "void": None,
    "bool": ctypes.c_bool,
    "double": ctypes.c_double,
    "int": ctypes.c_int,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "uintptr_t": ctypes.c_size_t,
    "size_t *": POINTER(ctypes.c_size_t),
    "uintptr_t *": POINTER(ctypes.c_size_t),
    "void *": ctypes.c_void_p,
    "const char *": ctypes.c_char_p,
    "char *": ctypes.c_void_p,
    "char **": POINTER(ctypes.c_void_p),
    "choria_event_callback": _abi.EventCallback,
}


def expected(kind, is_result):
    """What ctypes must say where the header says `kind`."""
    if kind == "const uint8_t *":
        return ctypes.c_void_p if is_result else ctypes.c_char_p
    if kind in PLAIN:
        return PLAIN[kind]
    if kind in ENUMS:
        return ctypes.c_int32
    stars = kind.count("*")
    name = kind.replace("*", "").replace("const ", "").strip()
    pointer = getattr(_abi, name.replace("choria_", "").title() + "Pointer")
    return POINTER(pointer) if stars == 2 else pointer


def test_the_header_was_read():
    assert len(PROTOTYPES) > 80
    assert "choria_event_callback" not in PROTOTYPES
    assert set(ENUMS) == {"choria_result", "choria_token_kind", "choria_event_kind"}


@pytest.mark.parametrize("name", sorted(set(PROTOTYPES) | set(_abi.PROTOTYPES)))
def test_prototype(name):
    assert name in PROTOTYPES, f"{header.PATH} does not declare {name}"
    assert name in _abi.PROTOTYPES, f"_abi.py does not declare {name}"
    result, arguments = PROTOTYPES[name]
    ours, takes = _abi.PROTOTYPES[name]
    assert ours == expected(result, True), f"{name} returns {result}"
    assert list(takes) == [expected(kind, False) for kind in arguments], f"{name} takes {arguments}"


@pytest.mark.parametrize(
    ("kind", "prefix", "ours"),
    [
        ("choria_result", "CHORIA_", _abi.Result),
        ("choria_token_kind", "CHORIA_TOKEN_", _abi.TokenKind),
        ("choria_event_kind", "CHORIA_EVENT_", _abi.EventKind),
    ],
)
def test_enum(kind, prefix, ours):
    assert {f"{prefix}{member.name}": member.value for member in ours} == ENUMS[kind]


def test_the_library_has_every_function():
    from choria._library import library

    native = library()
    assert native.choria_abi_version() == _abi.ABI_VERSION
    for result in _abi.Result:
        assert native.choria_result_name(result).decode() == f"CHORIA_{result.name}"
    assert native.choria_result_name(12345) == b"unknown"
