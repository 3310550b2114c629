"""This dialect on both sides: bytes pass through, with every field, event, order and null that is not known here. Only
the model's name is touched; and thoughts of other families, which Anthropic refuses, are taken out of a request."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.anthropic import sealing, terms, wire
from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import (
    EmptyAnswerError,
    EventKind,
    MalformedAnswerError,
    ReportedError,
    Whole,
    Written,
)
from edge_service.dialects.values import encode_around
from edge_service.domain import sse
from edge_service.domain.headers import Headers

_PREAMBLE, _CONTENT, _TERMINAL, _ERROR = EventKind

_MARK = sealing.MARK.encode()


class _Thought(Struct):
    type: str = ""
    signature: str = ""
    data: str = ""


_list = msgspec.json.Decoder(list[Raw])
_object = msgspec.json.Decoder(dict[str, Raw])
_thought = msgspec.json.Decoder(_Thought)


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request, read as far as routing needs."""

    model: str
    stream: bool
    path: str
    fields: dict[str, Raw]
    """Every top-level field with its value byte for byte as it came."""
    dropped: tuple[str, ...] = ()

    def write(self, model: str, shown: Headers) -> Written:
        """The request for a provider that calls the model by this name. `shown` are the client's headers that are
        passed on anyway: what a provider needs and is not among them is in the headers of what is written."""
        body = encode_around("messages", {**self.fields, "model": model})
        return Written(self.path, body, wire.version(shown), self.dropped)


def read(body: bytes, path: str = wire.MESSAGES_PATH) -> Request:
    """Raises `InvalidRequestError`, which says what is wrong and where."""
    fields = wire.request_fields(body)
    model, stream = wire.routing(fields)
    if _MARK not in body:
        return Request(model, stream, path, fields)
    messages, found = _without_foreign_thoughts(fields["messages"])
    if not found:
        return Request(model, stream, path, fields)
    return Request(model, stream, path, {**fields, "messages": messages}, ("messages.thinking",))


def _without_foreign_thoughts(raw: Raw) -> tuple[Raw, bool]:
    """The messages, and whether there were any. A message of nothing else goes with them."""
    kept: list[Raw] = []
    found = False
    for message in wire.typed(_list, raw, "messages"):
        blocks = _blocks(message)
        own = [block for block in blocks if not _is_foreign(block)]
        if len(own) == len(blocks):
            kept.append(message)
            continue
        found = True
        if own:
            kept.append(Raw(wire.encode({**_object.decode(message), "content": own})))
    return (Raw(wire.encode(kept)), True) if found else (raw, False)


def _blocks(message: Raw) -> list[Raw]:
    if _MARK in bytes(message):
        try:
            return _list.decode(_object.decode(message)["content"])
        except (KeyError, ValueError, RecursionError):
            pass  # The provider will say what is wrong with it.
    return []


def _is_foreign(block: Raw) -> bool:
    try:
        thought = _thought.decode(block)
    except (ValueError, RecursionError):
        return False
    sealed = {"thinking": thought.signature, "redacted_thinking": thought.data}.get(thought.type, "")
    return sealed.startswith(sealing.MARK)


def whole(body: bytes, model: str) -> Whole:
    """A provider's whole answer under the name that the client asked for. Raises `MalformedAnswerError`,
    `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    fields = wire.answer_fields(body)
    if _reports_error(fields):
        raise ReportedError("the provider reported an error")
    if "content" not in fields:
        raise MalformedAnswerError("an answer without 'content'")
    try:
        content = _list.decode(fields["content"])
    except (ValueError, RecursionError):
        raise MalformedAnswerError("'content' is not an array") from None
    if not content and ("stop_reason" not in fields or wire.is_null(fields["stop_reason"])):
        raise EmptyAnswerError("no content")
    return Whole(wire.encode({**fields, "model": model}), _usage(fields.get("usage")))


def _usage(raw: Raw | None, before: Usage | None = None) -> Usage | None:
    """What was said `before` too for what is none: the client gets it as it came."""
    if raw is None or wire.is_null(raw):
        return before
    try:
        return terms.usage(_wire_usage.decode(raw), before)
    except (ValueError, RecursionError):
        return before


def _reports_error(fields: dict[str, Raw]) -> bool:
    if "error" in fields and not wire.is_null(fields["error"]):
        return True
    return "type" in fields and bytes(fields["type"]) == b'"error"'


class _Delta(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _Block(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""


class _Head(Struct):
    type: str = ""


class _Event(_Head):
    delta: _Delta | None = None
    content_block: _Block | None = None
    error: Raw = wire.NULL
    usage: Raw = wire.NULL


_event = msgspec.json.Decoder(_Event)
_wire_usage = msgspec.json.Decoder(terms.WireUsage)
_head = msgspec.json.Decoder(_Head)


def _read_event(data: bytes) -> _Event:
    """One that has another form than is known here is read no further than its type, and counts as what it may be."""
    try:
        return _event.decode(data)
    except msgspec.ValidationError:
        return _Event(_head.decode(data).type, _UNKNOWN_DELTA, _UNKNOWN_BLOCK)


_UNKNOWN_DELTA = _Delta("unknown")
_UNKNOWN_BLOCK = _Block("unknown")

_SILENT_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", ""})
_SILENT_DELTAS = frozenset({"text_delta", "thinking_delta", "input_json_delta", "signature_delta", ""})
"""Of these a reader sees nothing but the text in them. What else there is, known or not, counts as content: better a
stream that can no longer move than content that was sent twice."""


class EventReader:
    """Reads a provider's stream event by event and rewrites the model's name."""

    __slots__ = ("_first", "_last", "_model")

    def __init__(self, model: str) -> None:
        self._model = Raw(wire.encode(model))
        self._first = wire.NULL
        """What was said of the usage at the stream's beginning, and in its last word about the message."""
        self._last = wire.NULL

    @property
    def usage(self) -> Usage | None:
        """As the protocol says."""
        return _usage(self._last, _usage(self._first))

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """What the event is, and its bytes for the client. Raises `MalformedAnswerError`."""
        data = wire.data_of(event)
        try:
            if not event.isascii():
                event.decode()
            if data is None:
                return _PREAMBLE, event
            said = _read_event(data)
        except (ValueError, RecursionError):
            raise MalformedAnswerError("not an event of this dialect") from None
        delta = said.delta
        if said.type == "content_block_delta" and delta is not None:
            seen = delta.text or delta.thinking or delta.partial_json or delta.type not in _SILENT_DELTAS
            return _CONTENT if seen else _PREAMBLE, event
        if said.type == "error" or not wire.is_null(said.error):
            return _ERROR, event
        if said.type == "content_block_start":
            block = said.content_block or _Block()
            seen = block.text or block.thinking or block.type not in _SILENT_BLOCKS
            return _CONTENT if seen else _PREAMBLE, event
        if said.type == "message_start":
            return _PREAMBLE, self._named(event, data)
        self._last = said.usage if said.type == "message_delta" else self._last
        return _TERMINAL if said.type == "message_stop" else _PREAMBLE, event

    def _named(self, event: bytes, data: bytes) -> bytes:
        fields = wire.answer_fields(data)
        if "message" not in fields:
            return event
        message = wire.answer_fields(bytes(fields["message"]))
        self._first = message.get("usage", wire.NULL)
        if "model" not in message:
            return event
        message["model"] = self._model
        return sse.with_data(event, wire.encode({**fields, "message": Raw(wire.encode(message))}))
