"""This dialect on both sides of the gateway: bytes pass through, only the model's name is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from edge_service.dialects import surrogates
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_chat.wire import decode_object, encode
from edge_service.dialects.surrogates import Hidden
from edge_service.domain import sse
from edge_service.domain.errors import InvalidRequestError

PATH = "/chat/completions"
"""Behind a provider's base URL."""

MAX_MODEL_CHARS = 512
"""No name is as long; and what is sent to the resolver goes over a stream that all requests share."""

_string = msgspec.json.Decoder(str)
_optional_bool = msgspec.json.Decoder(bool | None)
_optional_list = msgspec.json.Decoder(list[msgspec.Raw] | None)
_anything = msgspec.json.Decoder()
_NULL = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A client's request, read as far as routing needs."""

    model: str
    stream: bool
    fields: dict[str, msgspec.Raw]
    """Every top-level field with its value byte for byte as it came, but for what is hidden."""
    hidden: Hidden | None = None

    def body(self, model: str) -> bytes:
        """The request for a provider that calls the model by this name."""
        body = encode({**self.fields, "model": model})
        return body if self.hidden is None else self.hidden.shown(body)


def read_request(body: bytes) -> ChatRequest:
    """Raises `InvalidRequestError`, which says what is wrong and where."""
    hidden = None
    try:
        try:
            fields = decode_object(body)
        except msgspec.DecodeError:
            hidden = surrogates.hide(body)
            if hidden is None:
                raise
            fields = decode_object(hidden.data)
    except msgspec.ValidationError as error:
        raise InvalidRequestError("the body must be a JSON object") from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error
    except UnicodeDecodeError as error:
        # From none: this error holds all of what it could not decode.
        raise InvalidRequestError(f"the body is not valid UTF-8 (byte {error.start})") from None
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error
    if "model" not in fields:
        raise InvalidRequestError("'model' is missing: name the model, pool or cluster to ask", param="model")
    model = _typed(_string, fields["model"], "model", "a string")
    if hidden is not None and hidden.mark in model:
        raise InvalidRequestError("'model' has half a surrogate pair in it", param="model")
    if not model.strip():
        raise InvalidRequestError("'model' is empty: name the model, pool or cluster to ask", param="model")
    if len(model) > MAX_MODEL_CHARS:
        raise InvalidRequestError(f"'model' is longer than {MAX_MODEL_CHARS} characters", param="model")
    if "messages" not in fields:
        raise InvalidRequestError("'messages' is missing: it holds the conversation", param="messages")
    if bytes(memoryview(fields["messages"])[:1]) != b"[":
        raise InvalidRequestError("'messages' must be an array", param="messages")
    stream = _typed(_optional_bool, fields.get("stream", _NULL), "stream", "a boolean")
    return ChatRequest(model, bool(stream), fields, hidden)


def _typed(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, name: str, kind: str) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"'{name}' must be {kind}", param=name) from error


def complete(body: bytes, model: str) -> bytes:
    """A provider's whole answer under the name that the client asked for. Raises `MalformedAnswerError`,
    `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    try:
        fields = decode_object(body)
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        if hidden is None:
            raise MalformedAnswerError("not a JSON object") from None
        return hidden.shown(complete(hidden.data, model))
    if _reports_error(fields):
        raise ReportedError("the provider reported an error")
    if "choices" not in fields:
        raise MalformedAnswerError("an answer without 'choices'")
    try:
        choices = _optional_list.decode(fields["choices"])
    except (msgspec.DecodeError, RecursionError):
        raise MalformedAnswerError("'choices' is not an array") from None
    if not choices:
        raise EmptyAnswerError("no choices")
    return encode({**fields, "model": model})


class EventReader:
    """Reads a provider's stream event by event and rewrites the model's name."""

    __slots__ = ("_model",)

    def __init__(self, model: str) -> None:
        self._model = msgspec.Raw(encode(model))

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """What the event is, and its bytes for the client. Raises `MalformedAnswerError`."""
        if not event.isascii():
            _check_encoding(event)
        data = sse.data_of(event)
        if data is None:
            return EventKind.PREAMBLE, event
        if data.startswith(b"[DONE]"):  # As OpenAI's own SDKs read it.
            return EventKind.TERMINAL, event
        try:
            fields = decode_object(data)
        except (ValueError, RecursionError):
            return self._read_odd(event, data)
        if _reports_error(fields):
            return EventKind.ERROR, event
        kind = EventKind.CONTENT if "choices" in fields and _has_content(fields["choices"]) else EventKind.PREAMBLE
        if "model" not in fields:
            return kind, event
        return kind, sse.with_data(event, encode({**fields, "model": self._model}))

    def _read_odd(self, event: bytes, data: bytes) -> tuple[EventKind, bytes]:
        """An event whose data the parser does not take."""
        if not data:
            return EventKind.PREAMBLE, event
        hidden = surrogates.hide(data)
        if hidden is None:
            raise MalformedAnswerError("not a JSON object") from None
        taken = sse.with_data(event, hidden.data)
        kind, sent = self.read(taken)
        return kind, event if sent is taken else hidden.shown(sent)


def _check_encoding(event: bytes) -> None:
    try:
        event.decode()
    except UnicodeDecodeError:
        raise MalformedAnswerError("not UTF-8") from None


def _reports_error(fields: dict[str, msgspec.Raw]) -> bool:
    return "error" in fields and bytes(fields["error"]) != b"null"


_NOT_CONTENT = frozenset({"role", "name"})


def _has_content(raw: msgspec.Raw) -> bool:
    """Whether any choice carries something for a reader. Unknown fields of a delta count: better a stream that can no
    longer move than content that was sent twice."""
    try:
        choices = _anything.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return True  # Whatever it is, it is not nothing.
    if not isinstance(choices, list):
        return False
    for choice in choices:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and any(v for k, v in delta.items() if k not in _NOT_CONTENT):
            return True
        if isinstance(choice, dict) and choice.get("text"):
            return True
    return False
