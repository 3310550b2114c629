"""Errors in the words of this dialect.

Source: https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from edge_service.dialects.anthropic import wire
from edge_service.domain.errors import ApiError

TYPES: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        408: "timeout_error",
        409: "conflict_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        503: "overloaded_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)
"""By status. Others of the client's are `invalid_request_error`, others of ours `api_error`."""


_INDEX = re.compile(r"\[(\d+)\]")


def error_body(error: ApiError) -> bytes:
    kind = TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    message = error.message
    if error.param:
        # The dialect has no field for it: it stands before the words, as `messages.3.content.0.source`.
        path = _INDEX.sub(r".\1", error.param)
        words = message.removeprefix(f"'{error.param}'").lstrip(": ")
        message = f"{path}: {words}"
    return wire.encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": None})


def error_event(error: ApiError) -> bytes:
    """The last event of a stream that broke off. No `message_stop` follows: the answer is not complete."""
    return wire.event("error", error_body(error))


def is_error_body(body: bytes) -> bool:
    """Whether a provider's error answer has this dialect's shape, so that it can be passed on as it is."""
    try:
        fields = wire.decode_object(body)
    except (ValueError, RecursionError):
        return False
    return "error" in fields and bytes(fields.get("type", b"")) == b'"error"'
