"""The C interface as `ctypes` sees it: handles, numbers and prototypes of include/choria.h.

Nothing is decided here; `tests/test_abi.py` compares every line with the header.
"""

from __future__ import annotations

import ctypes
import enum
from ctypes import POINTER, c_bool, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, Tuple

ABI_VERSION = 1


class Result(enum.IntEnum):
    """How a call of the C library ended; the numbers never change."""

    OK = 0
    END = 1
    TIMEOUT = 2
    CANCELLED = 3
    INVALID_ARGUMENT = 10
    INVALID_CONFIGURATION = 11
    NOT_FOUND = 12
    IO = 13
    INVALID_MESSAGE = 20
    REFUSED = 21
    SPOOL_FULL = 22
    TOO_LARGE = 23
    UNAVAILABLE = 24
    TOKEN_INVALID = 30
    TOKEN_UNTRUSTED = 31
    TOKEN_EXPIRED = 32
    SIGNATURE_INVALID = 33
    STALE = 34
    NOT_CONNECTED = 40
    UNAUTHORIZED = 41
    INVALID_REQUEST = 42
    FORKED = 90
    INTERNAL = 99


class TokenKind(enum.IntEnum):
    """Whom a token is for."""

    CLIENT = 1
    SERVER = 2
    PROVISIONING = 3


class EventKind(enum.IntEnum):
    """What a request brought."""

    REPLY = 1
    PONG = 2
    UNEXPECTED = 3
    INVALID = 4
    DONE = 5


# A type for each handle, so that ctypes refuses a draft where a token belongs.
class DraftPointer(c_void_p):
    """choria_draft *"""


class SubmitterPointer(c_void_p):
    """choria_submitter *"""


class TrustPointer(c_void_p):
    """choria_trust *"""


class TokenPointer(c_void_p):
    """choria_token *"""


class SeedPointer(c_void_p):
    """choria_seed *"""


class ReceivedPointer(c_void_p):
    """choria_received *"""


class ClientPointer(c_void_p):
    """choria_client *"""


class RequestPointer(c_void_p):
    """choria_request *"""


class RepliesPointer(c_void_p):
    """choria_replies *"""


class EventPointer(c_void_p):
    """choria_event *"""


class ConsumerPointer(c_void_p):
    """choria_consumer *"""


EventCallback = ctypes.CFUNCTYPE(c_bool, EventPointer, c_void_p)

# Results are numbers of 32 bits; `char *` that the caller frees is a plain address, or ctypes would lose it.
_R = c_int32
_TEXT = c_char_p
_BYTES = c_char_p
_OWNED_TEXT = c_void_p
_OWNED_TEXT_OUT = POINTER(c_void_p)
_LENGTH_OUT = POINTER(c_size_t)

# Name: (what it returns, what it takes), in the order of the header.
PROTOTYPES: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "choria_version": (_TEXT, ()),
    "choria_abi_version": (c_uint32, ()),
    "choria_last_error": (_TEXT, ()),
    "choria_result_name": (_TEXT, (_R,)),
    "choria_string_free": (None, (_OWNED_TEXT,)),
    # submission
    "choria_draft_new": (_R, (_TEXT, _BYTES, c_size_t, POINTER(DraftPointer))),
    "choria_draft_free": (None, (DraftPointer,)),
    "choria_draft_set_reliable": (_R, (DraftPointer, c_bool)),
    "choria_draft_set_priority": (_R, (DraftPointer, c_uint32)),
    "choria_draft_set_ttl": (_R, (DraftPointer, c_double)),
    "choria_draft_set_max_tries": (_R, (DraftPointer, c_uint32)),
    "choria_draft_set_sign": (_R, (DraftPointer, c_bool)),
    "choria_draft_set_sender": (_R, (DraftPointer, _TEXT)),
    "choria_draft_add_header": (_R, (DraftPointer, _TEXT, _TEXT)),
    "choria_submitter_open": (_R, (_TEXT, _TEXT, POINTER(SubmitterPointer))),
    "choria_submitter_free": (None, (SubmitterPointer,)),
    "choria_submitter_error": (_OWNED_TEXT, (SubmitterPointer,)),
    "choria_submitter_submit": (_R, (SubmitterPointer, DraftPointer, _OWNED_TEXT_OUT)),
    "choria_submitter_submit_many": (
        _R,
        (SubmitterPointer, POINTER(DraftPointer), c_size_t, _OWNED_TEXT_OUT, _LENGTH_OUT),
    ),
    "choria_submitter_status": (_R, (SubmitterPointer, _OWNED_TEXT_OUT)),
    # this machine's server
    "choria_server_status": (_R, (_TEXT, _OWNED_TEXT_OUT)),
    # keys, trust, tokens
    "choria_trust_new": (_R, (POINTER(TrustPointer),)),
    "choria_trust_from_config": (_R, (_TEXT, POINTER(TrustPointer))),
    "choria_trust_add_issuer": (_R, (TrustPointer, _TEXT, _TEXT)),
    "choria_trust_add_signer": (_R, (TrustPointer, _TEXT)),
    "choria_trust_free": (None, (TrustPointer,)),
    "choria_token_verify": (_R, (TrustPointer, _TEXT, c_int64, POINTER(TokenPointer))),
    "choria_token_verify_file": (_R, (TrustPointer, _TEXT, c_int64, POINTER(TokenPointer))),
    "choria_token_read": (_R, (_TEXT, POINTER(TokenPointer))),
    "choria_token_free": (None, (TokenPointer,)),
    "choria_token_get_kind": (_R, (TokenPointer,)),
    "choria_token_is_verified": (c_bool, (TokenPointer,)),
    "choria_token_identity": (_TEXT, (TokenPointer,)),
    "choria_token_organization": (_TEXT, (TokenPointer,)),
    "choria_token_public_key": (_TEXT, (TokenPointer,)),
    "choria_token_expires": (c_int64, (TokenPointer,)),
    "choria_token_permits": (c_bool, (TokenPointer, _TEXT)),
    "choria_token_claims": (_TEXT, (TokenPointer, _LENGTH_OUT)),
    "choria_seed_open": (_R, (_TEXT, POINTER(SeedPointer))),
    "choria_seed_from_hex": (_R, (_TEXT, POINTER(SeedPointer))),
    "choria_seed_generate": (_R, (POINTER(SeedPointer),)),
    "choria_seed_public_key": (_TEXT, (SeedPointer,)),
    "choria_seed_sign": (_R, (SeedPointer, _BYTES, c_size_t, _OWNED_TEXT_OUT)),
    "choria_seed_free": (None, (SeedPointer,)),
    "choria_signature_verify": (_R, (_TEXT, _BYTES, c_size_t, _TEXT)),
    # received submissions
    "choria_received_new": (_R, (_TEXT, _BYTES, c_size_t, POINTER(ReceivedPointer))),
    "choria_received_add_header": (_R, (ReceivedPointer, _TEXT, _TEXT)),
    "choria_received_verify": (_R, (ReceivedPointer, TrustPointer, c_double, c_int64)),
    "choria_received_free": (None, (ReceivedPointer,)),
    "choria_received_subject": (_TEXT, (ReceivedPointer,)),
    "choria_received_payload": (c_void_p, (ReceivedPointer, _LENGTH_OUT)),
    "choria_received_id": (_TEXT, (ReceivedPointer,)),
    "choria_received_sender": (_TEXT, (ReceivedPointer,)),
    "choria_received_identity": (_TEXT, (ReceivedPointer,)),
    "choria_received_is_verified": (c_bool, (ReceivedPointer,)),
    "choria_received_created": (c_double, (ReceivedPointer,)),
    "choria_received_header": (_TEXT, (ReceivedPointer, _TEXT)),
    "choria_received_sequence": (c_uint64, (ReceivedPointer,)),
    # the fleet
    "choria_client_open": (_R, (_TEXT, c_uint32, POINTER(ClientPointer))),
    "choria_client_free": (None, (ClientPointer,)),
    "choria_client_error": (_OWNED_TEXT, (ClientPointer,)),
    "choria_client_caller": (_TEXT, (ClientPointer,)),
    "choria_request_new": (_R, (_TEXT, _TEXT, POINTER(RequestPointer))),
    "choria_request_free": (None, (RequestPointer,)),
    "choria_request_set_input": (_R, (RequestPointer, _TEXT, _TEXT)),
    "choria_request_set_input_text": (_R, (RequestPointer, _TEXT, _TEXT)),
    "choria_request_set_collective": (_R, (RequestPointer, _TEXT)),
    "choria_request_add_fact": (_R, (RequestPointer, _TEXT)),
    "choria_request_add_class": (_R, (RequestPointer, _TEXT)),
    "choria_request_add_identity": (_R, (RequestPointer, _TEXT)),
    "choria_request_add_agent": (_R, (RequestPointer, _TEXT)),
    "choria_request_set_compound": (_R, (RequestPointer, _TEXT)),
    "choria_request_add_node": (_R, (RequestPointer, _TEXT)),
    "choria_request_set_timeout": (_R, (RequestPointer, c_uint32)),
    "choria_request_set_discovery_timeout": (_R, (RequestPointer, c_uint32)),
    "choria_client_discover": (_R, (ClientPointer, RequestPointer, _OWNED_TEXT_OUT)),
    "choria_client_request": (_R, (ClientPointer, RequestPointer, POINTER(RepliesPointer))),
    "choria_client_ping": (_R, (ClientPointer, RequestPointer, POINTER(RepliesPointer))),
    "choria_client_call": (_R, (ClientPointer, RequestPointer, EventCallback, c_void_p)),
    "choria_replies_next": (_R, (RepliesPointer, c_int32, POINTER(EventPointer))),
    "choria_replies_fd": (c_int, (RepliesPointer,)),
    "choria_replies_cancel": (None, (RepliesPointer,)),
    "choria_replies_error": (_OWNED_TEXT, (RepliesPointer,)),
    "choria_replies_request_id": (_TEXT, (RepliesPointer,)),
    "choria_replies_free": (None, (RepliesPointer,)),
    "choria_event_get_kind": (_R, (EventPointer,)),
    "choria_event_sender": (_TEXT, (EventPointer,)),
    "choria_event_status": (c_int32, (EventPointer,)),
    "choria_event_message": (_TEXT, (EventPointer,)),
    "choria_event_data": (_TEXT, (EventPointer, _LENGTH_OUT)),
    "choria_event_is_verified": (c_bool, (EventPointer,)),
    "choria_event_free": (None, (EventPointer,)),
    # reading submissions from a stream
    "choria_consumer_open": (_R, (ClientPointer, _TEXT, _TEXT, _TEXT, POINTER(ConsumerPointer))),
    "choria_consumer_next": (_R, (ConsumerPointer, c_int32, POINTER(ReceivedPointer))),
    "choria_consumer_ack": (_R, (ConsumerPointer, ReceivedPointer)),
    "choria_consumer_fd": (c_int, (ConsumerPointer,)),
    "choria_consumer_error": (_OWNED_TEXT, (ConsumerPointer,)),
    "choria_consumer_free": (None, (ConsumerPointer,)),
}
