"""This dialect on both sides of the gateway: bytes pass through, and only the model's name is touched.

Beyond that a stream is asked for its usage, where the client has not done so: it must be known. The client does not get
what it has not asked for. And thoughts that we have put into the conversation, or that a provider is known to refuse,
are taken out of it; ids of calls that one is known to refuse are replaced.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from edge_service.dialects import model_name, reasoning, surrogates
from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import (
    EmptyAnswerError,
    EventKind,
    MalformedAnswerError,
    ReportedError,
    Whole,
    Written,
)
from edge_service.dialects.openai_chat import call_ids, terms, thoughts
from edge_service.dialects.openai_chat.quirks import DEFAULT, Quirks
from edge_service.dialects.openai_chat.wire import PATH, decode_object, encode
from edge_service.dialects.surrogates import Hidden
from edge_service.dialects.values import NULL, encode_around, first_byte, is_null, request_fields
from edge_service.domain import sse
from edge_service.domain.bodies import Body
from edge_service.domain.errors import InvalidRequestError

_PREAMBLE, _CONTENT, _TERMINAL, _ERROR = EventKind

_string = msgspec.json.Decoder(str)
_optional_bool = msgspec.json.Decoder(bool | None)
_optional_list = msgspec.json.Decoder(list[msgspec.Raw] | None)
_anything = msgspec.json.Decoder()


class Opened(msgspec.Struct, frozen=True):
    """A client's request to any API of this family, read as far as routing needs."""

    model: str
    fields: dict[str, msgspec.Raw]
    """Every top-level field with its value byte for byte as it came, but for what is hidden."""
    hidden: Hidden | None = None

    @property
    def stream(self) -> bool:
        """Raises `InvalidRequestError`."""
        return bool(_typed(_optional_bool, self.fields.get("stream", NULL), "stream", "a boolean"))

    def body(self, model: str) -> bytes:
        """The request for a provider that calls the model by this name."""
        body = encode({**self.fields, "model": model})
        return body if self.hidden is None else self.hidden.shown(body)


class ChatRequest(msgspec.Struct, frozen=True):
    """A client's request, read as far as routing needs."""

    model: str
    stream: bool
    fields: dict[str, msgspec.Raw]
    """Every top-level field with its value byte for byte as it came, but for what is hidden."""
    hidden: Hidden | None = None
    wants_usage: bool = True
    """Whether the client gets the usage of a stream: it has asked for it, or we need not ask."""
    has_our_thoughts: bool = False
    """There may be some in the conversation that we have put there."""

    def body(self, model: str) -> Body:
        """The request for a provider that calls the model by this name, otherwise as it came."""
        return self._encoded({**self.fields, "model": model})

    def write(self, model: str, quirks: Quirks = DEFAULT) -> Written:
        """The request for a provider that calls the model by this name, with what we need to ask it for."""
        fields: dict[str, Any] = {**self.fields, "model": model}
        if not self.wants_usage and "stream_options" not in quirks.unknown:
            fields["stream_options"] = _asking(fields.get("stream_options", NULL))
        dropped: tuple[str, ...] = ()
        if self.has_our_thoughts or "messages.thinking" in quirks.unknown:
            fields["messages"], is_less = thoughts.taken(self.fields["messages"], quirks)
            dropped = ("messages.thinking",) if is_less else ()
        if quirks.call_id_chars:
            fields["messages"] = call_ids.taken(fields["messages"], quirks.call_id_chars)
        return Written(PATH, self._encoded(fields), dropped=dropped)

    def at_level(self, suffix: str, quirks: Quirks = DEFAULT) -> ChatRequest:
        """The request with the reasoning level from the model's name in place of the client's own."""
        asked = reasoning.of_suffix(suffix)
        effort = None if asked is None else reasoning.effort(asked)
        if effort is None:
            return self
        if quirks.efforts:
            effort = quirks.effort(effort)
        if not quirks.effort_within:
            return replace(self, fields={**self.fields, "reasoning_effort": msgspec.Raw(encode(effort))})
        fields = {name: value for name, value in self.fields.items() if name != "reasoning_effort"}
        return replace(self, fields={**fields, quirks.effort_within: msgspec.Raw(encode({"effort": effort}))})

    def reader(self) -> EventReader:
        """The reader of the answer, if it is streamed."""
        return EventReader(self.model, wants_usage=self.wants_usage)

    def _encoded(self, fields: dict[str, Any]) -> Body:
        body = encode_around("messages", fields)
        return body if self.hidden is None else self.hidden.shown(bytes(body))


def open_request(body: bytes) -> Opened:
    """Raises `InvalidRequestError`, which says what is wrong and where."""
    hidden = None
    try:
        fields = decode_object(body)
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        fields = request_fields(body if hidden is None else hidden.data)
    if "model" not in fields:
        raise InvalidRequestError("'model' is missing: name the model, pool or cluster to ask", param="model")
    model = _typed(_string, fields["model"], "model", "a string")
    if hidden is not None and hidden.mark in model:
        raise InvalidRequestError("'model' has half a surrogate pair in it", param="model")
    model_name.check(model)
    return Opened(model, fields, hidden)


def read_request(body: bytes) -> ChatRequest:
    """Raises `InvalidRequestError`, likewise."""
    opened = open_request(body)
    fields = opened.fields
    if "messages" not in fields:
        raise InvalidRequestError("'messages' is missing: it holds the conversation", param="messages")
    if first_byte(fields["messages"]) != b"[":
        raise InvalidRequestError("'messages' must be an array", param="messages")
    stream = "stream" in fields and bool(_typed(_optional_bool, fields["stream"], "stream", "a boolean"))
    wants_usage = not stream or _wants_usage(fields.get("stream_options", NULL))
    return ChatRequest(opened.model, stream, fields, opened.hidden, wants_usage, thoughts.are_ours(body))


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_stream_options = msgspec.json.Decoder(_StreamOptions | None)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def _wants_usage(options: msgspec.Raw) -> bool:
    """Whether the client wants usage. Malformed options stay as they are: the provider will say what is wrong."""
    try:
        said = _stream_options.decode(options)
    except (ValueError, RecursionError):
        return True
    return said is not None and bool(said.include_usage)


def _asking(options: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(encode({**(_object.decode(options) or {}), "include_usage": True}))


def _typed(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, name: str, kind: str) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"'{name}' must be {kind}", param=name) from error


def whole(body: bytes, model: str) -> Whole:
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
        found = whole(hidden.data, model)
        return Whole(hidden.shown(found.body), found.usage)
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
    return Whole(encode({**fields, "model": model}), _usage(fields.get("usage")))


_wire_usage = msgspec.json.Decoder(terms.WireUsage | None)


def _usage(raw: msgspec.Raw | None) -> Usage | None:
    """None too for what is none: the client gets it as it came."""
    if raw is None:
        return None
    try:
        said = _wire_usage.decode(raw)
    except (ValueError, RecursionError):
        return None
    return None if said is None else terms.usage(said)


class EventReader:
    """Reads a provider's stream event by event and rewrites the model's name."""

    __slots__ = ("_model", "_usage", "_wants_usage")

    def __init__(self, model: str, *, wants_usage: bool = True) -> None:
        self._model = msgspec.Raw(encode(model))
        self._wants_usage = wants_usage
        self._usage: msgspec.Raw | None = None

    @property
    def usage(self) -> Usage | None:
        """What the provider has told of it by now."""
        return _usage(self._usage)

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """What the event is, and its bytes for the client. Raises `MalformedAnswerError`."""
        if not event.isascii():
            _check_encoding(event)
        return self._read(event)

    def _read(self, event: bytes) -> tuple[EventKind, bytes]:
        data = sse.data_of(event)
        if data is None:
            return _PREAMBLE, event
        if data.startswith(b"[DONE]"):  # As OpenAI's own SDKs read it.
            return _TERMINAL, event
        try:
            fields = decode_object(data)
        except (ValueError, RecursionError):
            return self._read_odd(event, data)
        if _reports_error(fields):
            return _ERROR, event
        if "usage" in fields and _sees(fields["usage"]):
            # Some tell it with every event: it is read when it is asked for.
            self._usage = fields["usage"]
            if not self._wants_usage and _is_empty(fields.get("choices", NULL)):
                return _PREAMBLE, b""
        kind = _CONTENT if "choices" in fields and _has_content(fields["choices"]) else _PREAMBLE
        if "model" not in fields:
            return kind, event
        return kind, sse.replaced(event, data, encode({**fields, "model": self._model}))

    def _read_odd(self, event: bytes, data: bytes) -> tuple[EventKind, bytes]:
        """An event whose data the parser does not take."""
        if not data:
            return _PREAMBLE, event
        hidden = surrogates.hide(data)
        if hidden is None:
            raise MalformedAnswerError("not a JSON object") from None
        taken = sse.with_data(event, hidden.data)
        kind, sent = self._read(taken)
        return kind, event if sent is taken else hidden.shown(sent)


def _check_encoding(event: bytes) -> None:
    try:
        event.decode()
    except UnicodeDecodeError:
        raise MalformedAnswerError("not UTF-8") from None


def _reports_error(fields: dict[str, msgspec.Raw]) -> bool:
    return "error" in fields and not is_null(fields["error"])


def _sees(raw: msgspec.Raw) -> bool:
    return first_byte(raw) == b"{"


def _is_empty(choices: msgspec.Raw) -> bool:
    try:
        return not _optional_list.decode(choices)
    except (msgspec.DecodeError, RecursionError):
        return False


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
