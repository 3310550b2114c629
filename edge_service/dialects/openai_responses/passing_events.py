"""A stream of this dialect on both sides: what each event is to the relay, and the model's name in it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects import canonical, surrogates
from edge_service.dialects.exchange import EventKind, MalformedAnswerError
from edge_service.dialects.openai_responses import errors, passthrough, wire
from edge_service.domain import sse
from edge_service.domain.errors import ApiError


class _Event(Struct):
    """Each kind has some of the fields."""

    type: str = ""
    sequence_number: Raw = wire.NULL
    delta: Raw = wire.NULL
    item: Raw = wire.NULL
    part: Raw = wire.NULL
    text: Raw = wire.NULL
    refusal: Raw = wire.NULL
    arguments: Raw = wire.NULL
    response: Raw = wire.NULL
    error: Raw = wire.NULL


class _Part(Struct):
    text: str | None = None
    refusal: str | None = None


class _Item(Struct):
    type: str = ""
    content: list[_Part] | None = None
    summary: list[_Part] | None = None


_event = msgspec.json.Decoder(_Event)
_part = msgspec.json.Decoder(_Part)
_item = msgspec.json.Decoder(_Item)
_number = msgspec.json.Decoder(int)

_NOTHING = frozenset({b"null", b'""', b"{}", b"[]"})

_ABOUT: Mapping[str, EventKind] = MappingProxyType(
    {
        "response.created": EventKind.PREAMBLE,
        "response.queued": EventKind.PREAMBLE,
        "response.in_progress": EventKind.PREAMBLE,
        "response.completed": EventKind.TERMINAL,
        "response.incomplete": EventKind.TERMINAL,
        "response.failed": EventKind.ERROR,
    }
)
"""Events about the whole answer, which is in them."""

_SILENT_ITEMS = frozenset({"message", "reasoning", ""})
"""Of these a reader sees nothing but the text in them. What else there is, known or not, counts as content, for
something is done then: better a stream that can no longer move than a tool that runs twice."""


class EventReader:
    """Reads a provider's stream event by event and rewrites the model's name."""

    __slots__ = ("_last", "_model", "response_id", "usage")

    def __init__(self, model: str) -> None:
        self._model = Raw(wire.encode(model))
        self._last = wire.NULL
        self.response_id = ""
        """Of the answer, once it has come."""
        self.usage: canonical.Usage | None = None
        """Likewise, which is at the end; None if it is never told."""

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """What the event is, and its bytes for the client. Raises `MalformedAnswerError`."""
        data = wire.data_of(event)
        try:
            if not event.isascii():
                event.decode()
            if not data or data.startswith(b"[DONE]"):  # Some end with it, but it proves nothing here.
                return EventKind.PREAMBLE, event
            said = _event.decode(data)
        except UnicodeDecodeError:
            raise MalformedAnswerError("not UTF-8") from None
        except (ValueError, RecursionError):
            return self._read_odd(event, data or b"")
        self._last = said.sequence_number
        if said.type.endswith(".delta"):
            return EventKind.CONTENT if bytes(said.delta) not in _NOTHING else EventKind.PREAMBLE, event
        kind = _ABOUT.get(said.type)
        if kind is not None:
            self._learn(said.response)
            return kind, self._named(event, data, said.response)
        if said.type == "error" or not wire.is_null(said.error):
            return EventKind.ERROR, event
        return EventKind.CONTENT if _has_content(said) else EventKind.PREAMBLE, event

    def error(self, error: ApiError) -> bytes:
        """How the stream ends if it breaks off."""
        try:
            number = _number.decode(self._last) + 1
        except ValueError:
            number = 0
        return errors.error_event(error, number)

    def _read_odd(self, event: bytes, data: bytes) -> tuple[EventKind, bytes]:
        """An event whose data the parser does not take."""
        hidden = surrogates.hide(data)
        if hidden is None:
            raise MalformedAnswerError("not an event of this dialect")
        taken = sse.with_data(event, hidden.data)
        kind, sent = self.read(taken)
        return kind, event if sent is taken else hidden.shown(sent)

    def _learn(self, response: Raw) -> None:
        if wire.is_null(response):
            return
        response_id, usage = passthrough.about(response)
        self.response_id = response_id or self.response_id
        self.usage = usage or self.usage

    def _named(self, event: bytes, data: bytes, response: Raw) -> bytes:
        if wire.first_byte(response) != b"{":
            return event
        try:
            fields = wire.decode_object(bytes(response))
            if "model" not in fields:
                return event
            fields["model"] = self._model
            return sse.with_data(event, wire.encode({**wire.decode_object(data), "response": fields}))
        except (ValueError, RecursionError):
            raise MalformedAnswerError("not an event of this dialect") from None


class RetoldReader:
    """Reads the stream of a response that was made before: all of it is for the client at once, since nothing can move,
    and that the response has failed is what it is told."""

    __slots__ = ("_reader", "error")

    usage = None
    """What it costs was told when it was made."""

    def __init__(self, model: str) -> None:
        self._reader = EventReader(model)
        self.error = self._reader.error

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """As of an `EventReader`."""
        kind, sent = self._reader.read(event)
        if kind is EventKind.ERROR:
            return EventKind.TERMINAL, sent
        if kind is EventKind.PREAMBLE and wire.data_of(event):
            return EventKind.CONTENT, sent
        return kind, sent


def _has_content(said: _Event) -> bool:
    """What is done counts too: some send no deltas."""
    if any(bytes(all_of_it) not in _NOTHING for all_of_it in (said.text, said.refusal, said.arguments)):
        return True
    try:
        if not wire.is_null(said.part):
            part = _part.decode(said.part)
            return bool(part.text or part.refusal)
        if wire.is_null(said.item):
            return False
        item = _item.decode(said.item)
    except (ValueError, RecursionError):
        return True  # Whatever it is, it is not nothing.
    texts = (*(item.content or ()), *(item.summary or ()))
    return item.type not in _SILENT_ITEMS or any(part.text or part.refusal for part in texts)
