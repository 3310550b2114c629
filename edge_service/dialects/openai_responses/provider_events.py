"""A provider's stream, read into canonical events.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finished,
    MediaDelta,
    Refusal,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageSeen,
)
from edge_service.dialects.exchange import MalformedAnswerError, ReportedError
from edge_service.dialects.openai_responses import logprobs, provider_answer, terms, wire
from edge_service.dialects.openai_responses.provider_answer import Item, Response


class _Event(Struct):
    """Each kind has some of the fields. One struct for all is read in one pass, whatever order its fields come in."""

    type: str = ""
    delta: str = ""
    output_index: int = 0
    summary_index: int = 0
    arguments: str = ""
    logprobs: list[Raw] | None = None
    item: Raw = wire.NULL
    response: Raw = wire.NULL
    error: Raw = wire.NULL


class _Head(Struct):
    type: str = ""


_event = msgspec.json.Decoder(_Event)
_head = msgspec.json.Decoder(_Head)
_item = msgspec.json.Decoder(Item)
_response = msgspec.json.Decoder(Response)

_NOWHERE = -1
_T = TypeVar("_T")


class Events:
    """Reads one stream."""

    __slots__ = ("_called", "_calls", "_has_begun", "_refused", "_shown", "_spoke", "_thinks_aloud")

    def __init__(self) -> None:
        self._has_begun = False
        self._calls: dict[int, int] = {}
        """Which call an item is, by the item's index, until it is done."""
        self._called = 0
        self._spoke: set[int] = set()
        """The calls of which arguments have come."""
        self._shown = _NOWHERE
        """The last item of which text has come."""
        self._thinks_aloud: bool | None = None
        """Whether what is shown of the last thought is itself, and not a summary. Some show both."""
        self._refused = False

    def read(self, event: bytes) -> Sequence[Event]:
        """Raises `MalformedAnswerError`, or `ReportedError` for an event that reports a failure."""
        data = wire.data_of(event)
        if data is None or data.startswith(b"[DONE]"):  # Some end with it, but it proves nothing here.
            return ()
        try:
            data = wire.translatable(data)
            said = _event.decode(data)
        except (ValueError, RecursionError):
            if _is_unknown(data):
                return ()
            raise MalformedAnswerError("not an event of this dialect") from None
        reader = _EVENTS.get(said.type)
        if reader is None:
            return () if wire.is_null(said.error) else self._fail(said)
        return reader(self, said)

    def _begin(self, said: _Event) -> Sequence[Event]:
        response = _read(_response, said.response)
        provider_answer.check(response)
        if self._has_begun:
            return ()
        self._has_begun = True
        return (Started(response.id or "", response.created, terms.usage(response.usage)),)

    def _text(self, said: _Event) -> Sequence[Event]:
        self._shown = said.output_index
        if said.logprobs:
            return (TextDelta(said.delta, logprobs=logprobs.read(said.logprobs)),)
        return (TextDelta(said.delta),)

    def _refusal(self, said: _Event) -> Sequence[Event]:
        self._shown = said.output_index
        self._refused = True
        return (RefusalDelta(said.delta),)

    def _summary(self, said: _Event) -> Sequence[Event]:
        return self._think(said, aloud=False)

    def _thought(self, said: _Event) -> Sequence[Event]:
        return self._think(said, aloud=True)

    def _think(self, said: _Event, *, aloud: bool) -> Sequence[Event]:
        if self._thinks_aloud is None or self._shown != said.output_index:
            self._thinks_aloud = aloud
        self._shown = said.output_index
        return (ThinkingDelta(said.delta),) if self._thinks_aloud is aloud else ()

    def _next_summary(self, said: _Event) -> Sequence[Event]:
        if said.summary_index == 0 or self._shown != said.output_index or self._thinks_aloud:
            return ()
        return (ThinkingDelta("\n\n"),)

    def _arguments(self, said: _Event) -> Sequence[Event]:
        call = self._calls.get(said.output_index)
        if call is None:
            return ()
        self._spoke.add(call)
        return (ToolCallDelta(call, said.delta),)

    def _all_arguments(self, said: _Event) -> Sequence[Event]:
        """They have come in fragments, nearly always."""
        call = self._calls.get(said.output_index)
        if call is None or call in self._spoke or not said.arguments:
            return ()
        self._spoke.add(call)
        return (ToolCallDelta(call, said.arguments),)

    def _begin_item(self, said: _Event) -> Sequence[Event]:
        item = self._item(said)
        if item is None:
            return ()
        if item.type == "reasoning":
            return (ThinkingDelta(id=item.id),) if item.id else ()
        return self._begin_call(item, said.output_index) if item.type == "function_call" else ()

    def _begin_call(self, item: Item, index: int) -> Sequence[Event]:
        call = self._calls[index] = self._called
        self._called += 1
        started = ToolCallStarted(call, item.call_id or item.id or "", item.name or "")
        if not item.arguments:
            return (started,)
        self._spoke.add(call)
        return (started, ToolCallDelta(call, item.arguments))

    def _end_item(self, said: _Event) -> Sequence[Event]:
        """What has come of it in bits is not told again."""
        item = self._item(said)
        reader = None if item is None else _ITEMS.get(item.type)
        return () if reader is None or item is None else reader(self, item, said)

    def _end_message(self, item: Item, said: _Event) -> Sequence[Event]:
        if self._shown == said.output_index:
            return ()
        try:
            parts = provider_answer.read_message(item, [])
        except (ValueError, RecursionError):
            raise MalformedAnswerError("not an event of this dialect") from None
        self._refused = self._refused or any(isinstance(part, Refusal) for part in parts)
        return [RefusalDelta(part.text) if isinstance(part, Refusal) else TextDelta(part.text) for part in parts]

    def _end_thought(self, item: Item, said: _Event) -> Sequence[Event]:
        text = ""
        if self._shown != said.output_index:
            try:
                text = provider_answer.shown(item)
            except (ValueError, RecursionError):
                raise MalformedAnswerError("not an event of this dialect") from None
        encrypted = item.encrypted_content or ""
        family = Family.OPENAI if encrypted else None
        return (ThinkingDelta(text, encrypted=encrypted, family=family, id=item.id or ""),) if text or encrypted else ()

    def _end_call(self, item: Item, said: _Event) -> Sequence[Event]:
        begun = () if said.output_index in self._calls else self._begin_call(item, said.output_index)
        call = self._calls[said.output_index]
        if begun or call in self._spoke or not item.arguments:
            return begun
        self._spoke.add(call)
        return (ToolCallDelta(call, item.arguments),)

    def _end_image(self, item: Item, _: _Event) -> Sequence[Event]:
        return [MediaDelta(image) for image in provider_answer.read_image(item, [])]

    def _item(self, said: _Event) -> Item | None:
        """None for items that are not known: they may have any form."""
        kind = _read(_head, said.item).type
        return _read(_item, said.item) if kind in _ITEMS else None

    def _end(self, said: _Event) -> Sequence[Event]:
        response = _read(_response, said.response)
        provider_answer.check(response)
        status = said.type.removeprefix("response.")
        finish = terms.finish(status, response.reason, called=self._called > 0, refused=self._refused)
        usage = terms.usage(response.usage)
        seen = () if usage is None else (UsageSeen(usage),)
        return (Finished(finish), *seen, Ended())

    def _fail(self, _: _Event) -> Sequence[Event]:
        raise ReportedError("the provider reported an error")


def _read(decoder: msgspec.json.Decoder[_T], raw: Raw) -> _T:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not an event of this dialect") from None


def _is_unknown(data: bytes) -> bool:
    """Whether it is an event of a type that is not known here: it may have any form."""
    try:
        return _head.decode(data).type not in _EVENTS
    except (ValueError, RecursionError):
        return False


_ITEMS: Mapping[str, Callable[[Events, Item, _Event], Sequence[Event]]] = MappingProxyType(
    {
        "message": Events._end_message,
        "reasoning": Events._end_thought,
        "function_call": Events._end_call,
        "image_generation_call": Events._end_image,
    }
)

_EVENTS: Mapping[str, Callable[[Events, _Event], Sequence[Event]]] = MappingProxyType(
    {
        "response.created": Events._begin,
        "response.in_progress": Events._begin,
        "response.output_item.added": Events._begin_item,
        "response.output_text.delta": Events._text,
        "response.refusal.delta": Events._refusal,
        "response.reasoning_summary_part.added": Events._next_summary,
        "response.reasoning_summary_text.delta": Events._summary,
        "response.reasoning_text.delta": Events._thought,
        "response.function_call_arguments.delta": Events._arguments,
        "response.function_call_arguments.done": Events._all_arguments,
        "response.output_item.done": Events._end_item,
        "response.completed": Events._end,
        "response.incomplete": Events._end,
        "response.failed": Events._fail,
        "error": Events._fail,
    }
)
