"""JSON and server-sent events as the Messages API has them. Everything that comes in is untrusted.

Source: https://platform.claude.com/docs/en/api/messages, and the types of the official SDKs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from edge_service.dialects.exchange import MalformedAnswerError
from edge_service.dialects.values import NULL as NULL
from edge_service.dialects.values import decode_object as decode_object
from edge_service.dialects.values import first_byte as first_byte
from edge_service.dialects.values import is_null as is_null
from edge_service.dialects.values import typed as typed
from edge_service.domain import sse
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.headers import Headers

MESSAGES_PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
"""Both behind a provider's base URL, which for this dialect is the bare origin."""

VERSION_HEADER = b"anthropic-version"
VERSION = b"2023-06-01"
"""What requests of our own making follow. The one after it, 2026-10-21, takes no sampling parameters, from no model:
https://platform.claude.com/docs/en/api/versioning. And others than Anthropic that speak this dialect know this one."""

MAX_MODEL_CHARS = 512
"""No name is as long; and what is sent to the resolver goes over a stream that all requests share."""


encode = msgspec.json.encode
_string = msgspec.json.Decoder(str)
_flag = msgspec.json.Decoder(bool)


def version(shown: Headers) -> Headers:
    """The header that every request needs: the client's own, if it is among those that are passed on anyway."""
    return [] if any(name == VERSION_HEADER for name, _ in shown) else [(VERSION_HEADER, VERSION)]


def request_fields(body: bytes) -> dict[str, Raw]:
    """The fields of a client's request, without those that are null. Raises `InvalidRequestError`."""
    try:
        fields = decode_object(body)
    except msgspec.ValidationError as error:
        raise InvalidRequestError("the body must be a JSON object") from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error
    except UnicodeDecodeError as error:
        # From none: this error holds all of what it could not decode.
        raise InvalidRequestError(f"the body is not valid UTF-8 (byte {error.start})") from None
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error
    return fields


def routing(fields: dict[str, Raw]) -> tuple[str, bool]:
    """The model that a request names, and whether it wants a stream. Raises `InvalidRequestError`."""
    if "model" not in fields:
        raise InvalidRequestError("'model' is missing: name the model, pool or cluster to ask", param="model")
    model = typed(_string, fields["model"], "model")
    if not model.strip():
        raise InvalidRequestError("'model' is empty: name the model, pool or cluster to ask", param="model")
    if len(model) > MAX_MODEL_CHARS:
        raise InvalidRequestError(f"'model' is longer than {MAX_MODEL_CHARS} characters", param="model")
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


def event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def named_event(name: str, fields: dict[str, Any]) -> bytes:
    """An event whose data repeats its name, as all do."""
    return event(name, encode({"type": name, **fields}))


def data_of(sent: bytes) -> bytes | None:
    """The data of an event, as `sse.data_of` reads it. Nearly all events of this dialect are two lines, `event: ` and
    `data: `, which are read here without looking for more."""
    if sent.startswith(b"event: ") and sse.CR not in sent:
        start = sent.find(b"\n") + 1
        if sent.startswith(b"data: ", start) and sent.find(b"\n", start) == len(sent) - 2:
            return sent[start + 6 : -2]
    return sse.data_of(sent)
