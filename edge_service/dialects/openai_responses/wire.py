"""JSON and server-sent events as the Responses API has them. Everything that comes in is untrusted.

Source: https://platform.openai.com/docs/api-reference/responses, and the types of the official SDK (openai 3.54).
"""

from __future__ import annotations

import msgspec

from edge_service.dialects.named_events import data_of as data_of
from edge_service.dialects.named_events import event as event
from edge_service.dialects.openai_chat.wire import without_halves
from edge_service.dialects.values import NULL as NULL
from edge_service.dialects.values import decode_object as decode_object
from edge_service.dialects.values import first_byte as first_byte
from edge_service.dialects.values import is_null as is_null
from edge_service.dialects.values import pairs as pairs
from edge_service.dialects.values import typed as typed
from edge_service.domain.errors import InvalidRequestError

PATH = "/responses"
"""Behind a provider's base URL."""

MAX_ID_CHARS = 64
"""Of what a request names: an item, a call, a user."""


encode = msgspec.json.encode


def translatable(data: bytes) -> bytes:
    """JSON without halves of surrogate pairs: they can be passed on, but not be translated."""
    return (without_halves(data) or data) if b"\\u" in data else data


def check_encoding(body: bytes) -> None:
    """Raises `InvalidRequestError`. What stays raw is checked for everything but its encoding."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        # From none: this error holds all of what it could not decode.
        raise InvalidRequestError(f"the body is not valid UTF-8 (byte {error.start})") from None
