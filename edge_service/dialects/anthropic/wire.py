"""JSON and server-sent events as the Messages API has them. Everything that comes in is untrusted.

Source: https://platform.claude.com/docs/en/api/messages, and the types of the official SDKs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from edge_service.dialects import model_name
from edge_service.dialects.exchange import MalformedAnswerError
from edge_service.dialects.named_events import data_of as data_of
from edge_service.dialects.named_events import event as event
from edge_service.dialects.values import NULL as NULL
from edge_service.dialects.values import decode_object as decode_object
from edge_service.dialects.values import first_byte as first_byte
from edge_service.dialects.values import is_null as is_null
from edge_service.dialects.values import request_fields as request_fields
from edge_service.dialects.values import typed as typed
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.headers import Headers

MESSAGES_PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
"""Both behind a provider's base URL, which for this dialect is the bare origin."""

VERSION_HEADER = b"anthropic-version"
VERSION = b"2023-06-01"
"""What requests of our own making follow. The one after it, 2026-10-21, takes no sampling parameters, from no model:
https://platform.claude.com/docs/en/api/versioning. And others than Anthropic that speak this dialect know this one."""


encode = msgspec.json.encode
_string = msgspec.json.Decoder(str)
_flag = msgspec.json.Decoder(bool)


def version(shown: Headers) -> Headers:
    """The header that every request needs: the client's own, if it is among those that are passed on anyway."""
    return [] if any(name == VERSION_HEADER for name, _ in shown) else [(VERSION_HEADER, VERSION)]


def routing(fields: dict[str, Raw]) -> tuple[str, bool]:
    """The model that a request names, and whether it wants a stream. Raises `InvalidRequestError`."""
    if "model" not in fields:
        raise InvalidRequestError("'model' is missing: name the model, pool or cluster to ask", param="model")
    model = typed(_string, fields["model"], "model")
    model_name.check(model)
    if "messages" not in fields:
        raise InvalidRequestError("'messages' is missing: it holds the conversation", param="messages")
    if first_byte(fields["messages"]) != b"[":
        raise InvalidRequestError("'messages' must be an array", param="messages")
    stream = fields.get("stream")
    return model, stream is not None and not is_null(stream) and typed(_flag, stream, "stream")


def answer_fields(data: bytes) -> dict[str, Raw]:
    """The fields of what a provider has sent. Raises `MalformedAnswerError`."""
    try:
        return decode_object(data)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not a JSON object") from None


def named_event(name: str, fields: dict[str, Any]) -> bytes:
    """An event whose data repeats its name, as all do."""
    return event(name, encode({"type": name, **fields}))
