"""JSON and server-sent events as the Responses API has them. Everything that comes in is untrusted.

Source: https://platform.openai.com/docs/api-reference/responses, and the types of the official SDK (openai 3.54).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from edge_service.dialects.openai_chat.wire import without_halves
from edge_service.dialects.values import NULL as NULL
from edge_service.dialects.values import first_byte as first_byte
from edge_service.dialects.values import is_null as is_null
from edge_service.dialects.values import pairs as pairs
from edge_service.dialects.values import typed as typed
from edge_service.domain import sse
from edge_service.domain.errors import InvalidRequestError

PATH = "/responses"
"""Behind a provider's base URL."""

MAX_MODEL_CHARS = 512
"""No name is as long; and what is sent to the resolver goes over a stream that all requests share."""

MAX_ID_CHARS = 64
"""Of what a request names: an item, a call, a user."""


encode = msgspec.json.encode
_fields = msgspec.json.Decoder(dict[str, Raw])


def fields(data: bytes) -> dict[str, Raw]:
    """The fields of a JSON object. Raises `ValueError` or `RecursionError`."""
    if not data.isascii():
        data.decode()  # What stays raw is checked for everything but its encoding.
    return _fields.decode(data)


def translatable(data: bytes) -> bytes:
    """JSON without halves of surrogate pairs: they can be passed on, but not be translated."""
    return (without_halves(data) or data) if b"\\u" in data else data


def check_model(model: str) -> None:
    """Raises `InvalidRequestError`."""
    if not model.strip():
        raise InvalidRequestError("'model' is empty: name the model, pool or cluster to ask", param="model")
    if len(model) > MAX_MODEL_CHARS:
        raise InvalidRequestError(f"'model' is longer than {MAX_MODEL_CHARS} characters", param="model")


def check_encoding(body: bytes) -> None:
    """Raises `InvalidRequestError`. What stays raw is checked for everything but its encoding."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        # From none: this error holds all of what it could not decode.
        raise InvalidRequestError(f"the body is not valid UTF-8 (byte {error.start})") from None


def event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def data_of(sent: bytes) -> bytes | None:
    """The data of an event, as `sse.data_of` reads it. Nearly all events of this dialect are two lines, `event: ` and
    `data: `, which are read here without looking for more."""
    if sent.startswith(b"event: ") and sse.CR not in sent:
        start = sent.find(b"\n") + 1
        if sent.startswith(b"data: ", start) and sent.find(b"\n", start) == len(sent) - 2:
            return sent[start + 6 : -2]
    return sse.data_of(sent)
