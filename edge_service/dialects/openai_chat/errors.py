"""Errors in the words of this dialect, which all of OpenAI's APIs share.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edge_service.dialects import surrogates
from edge_service.dialects.openai_chat.wire import decode_object, encode
from edge_service.domain.errors import ApiError

TYPES: Mapping[int, str] = MappingProxyType({429: "rate_limit_error"})
"""By status. Others of ours are `server_error`, others of the client's `invalid_request_error`."""


def error_body(error: ApiError) -> bytes:
    """The error in OpenAI's shape."""
    kind = TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    return encode({"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}})


def error_event(error: ApiError) -> bytes:
    """The error as the last event of a stream that broke off. No `[DONE]` follows: the answer is not complete."""
    return b"data: " + error_body(error) + b"\n\n"


def is_error_body(body: bytes) -> bool:
    """Whether a provider's error answer has this dialect's shape, so that it can be passed on as it is."""
    try:
        return "error" in decode_object(body)
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        return hidden is not None and is_error_body(hidden.data)
