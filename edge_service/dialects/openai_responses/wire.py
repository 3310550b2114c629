"""JSON and server-sent events as the Responses API has them. Everything that comes in is untrusted.

Source: https://platform.openai.com/docs/api-reference/responses, and the types of the official SDK (openai 3.54).
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from edge_service.dialects.openai_chat.wire import without_halves
from edge_service.dialects.values import first_byte as first_byte
from edge_service.dialects.values import is_null as is_null
from edge_service.domain import sse
from edge_service.domain.errors import InvalidRequestError

PATH = "/responses"
"""Behind a provider's base URL."""

MAX_MODEL_CHARS = 512
"""No name is as long; and what is sent to the resolver goes over a stream that all requests share."""

MAX_ID_CHARS = 64
"""Of what a request names: an item, a call, a user."""

NULL = Raw(b"null")

encode = msgspec.json.encode
_fields = msgspec.json.Decoder(dict[str, Raw])

_T = TypeVar("_T")


def fields(data: bytes) -> dict[str, Raw]:
    """The fields of a JSON object. Raises `ValueError` or `RecursionError`."""
    if not data.isascii():
        data.decode()  # What stays raw is checked for everything but its encoding.
    return _fields.decode(data)


def translatable(data: bytes) -> bytes:
    """JSON without halves of surrogate pairs: they can be passed on, but not be translated."""
    return (without_halves(data) or data) if b"\\u" in data else data


_WHERE = re.compile(r" - at `\$\.?(?P<path>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")


def typed(decoder: msgspec.json.Decoder[_T], json: bytes | Raw, path: str = "") -> _T:
    """What a client has sent, all of it or the part at `path`. Raises `InvalidRequestError`, which names the field."""
    try:
        return decoder.decode(json)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), path) from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}", param=path or None) from error
    except RecursionError as error:
        where = f"'{path}'" if path else "the body"
        raise InvalidRequestError(f"{where} is nested too deeply", param=path or None) from error


def _wrong(said: str, path: str) -> InvalidRequestError:
    """In the parser's words, but with the path from the outside."""
    where = _WHERE.search(said)
    if where is not None:
        said, path = said[: where.start()], joined(path, where["path"])
    missing = _MISSING.match(said)
    if missing is not None:
        path = joined(path, missing["name"])
        return InvalidRequestError(f"'{path}' is missing", param=path)
    if not path:
        return InvalidRequestError("the body must be a JSON object")
    return InvalidRequestError(f"'{path}': {said[:1].lower()}{said[1:]}", param=path)


def joined(path: str, inner: str) -> str:
    return f"{path}{inner}" if not path or inner.startswith("[") else f"{path}.{inner}"


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
    if sent.startswith(b"event: ") and b"\r" not in sent:
        start = sent.find(b"\n") + 1
        if sent.startswith(b"data: ", start) and sent.find(b"\n", start) == len(sent) - 2:
            return sent[start + 6 : -2]
    return sse.data_of(sent)
