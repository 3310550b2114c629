"""A provider's stream, read into canonical events.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.anthropic import terms, wire
from edge_service.dialects.anthropic.provider_answer import StopDetails, finish
from edge_service.dialects.anthropic.terms import WireUsage
from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.exchange import MalformedAnswerError, ReportedError


class _Delta(Struct):
    """Of a block, or of the message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class _Block(Struct):
    """Some that speak the dialect put null where Anthropic puts an empty text."""

    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw(b"{}")


class _Head(Struct):
    type: str = ""


class _AnyDelta(Struct):
    delta: _Head


class _Message(Struct):
    id: str | None = None
    usage: WireUsage | None = None


class _Event(Struct):
    """Each kind has some of the fields. One struct for all is read in one pass, whatever order its fields come in."""

    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: Raw = wire.NULL
    message: _Message | None = None
    usage: WireUsage | None = None
    error: Raw = wire.NULL


_event = msgspec.json.Decoder(_Event)
_any_delta = msgspec.json.Decoder(_AnyDelta)
_head = msgspec.json.Decoder(_Head)
_block = msgspec.json.Decoder(_Block)


class Events:
    """Reads one stream."""

    __slots__ = ("_calls", "_usage")

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        """Which call a block is, by the block's index. Those of tools that the provider carries out are not here."""
        self._usage = Usage()

    def read(self, event: bytes) -> Sequence[Event]:
        """Raises `MalformedAnswerError`, or `ReportedError` for an event that reports a failure."""
        data = wire.data_of(event)
        if data is None:
            return ()
        try:
            said = _event.decode(data)
        except (ValueError, RecursionError):
            if _is_unknown(data):
                return ()
            raise MalformedAnswerError("not an event of this dialect") from None
        if said.type == "content_block_delta" and said.delta is not None:
            delta = _DELTAS.get(said.delta.type)
            return () if delta is None else delta(self, said.delta, said.index)
        if said.type == "error" or not wire.is_null(said.error):
            raise ReportedError("the provider reported an error")
        reader = _EVENTS.get(said.type)
        return () if reader is None else reader(self, said)

    def _start(self, said: _Event) -> Sequence[Event]:
        message = said.message or _Message()
        self._usage = terms.usage(message.usage or WireUsage())
        return (Started(message.id or "", usage=self._usage),)

    def _start_block(self, said: _Event) -> Sequence[Event]:
        try:
            reader = _BLOCKS.get(_head.decode(said.content_block).type)
            return () if reader is None else reader(self, _block.decode(said.content_block), said.index)
        except (ValueError, RecursionError):
            raise MalformedAnswerError("not a block of this dialect") from None

    def _start_thinking(self, block: _Block, _: int) -> Sequence[Event]:
        if not (block.thinking or block.signature):
            return ()
        family = Family.ANTHROPIC if block.signature else None
        return (ThinkingDelta(block.thinking or "", signature=block.signature or "", family=family),)

    def _start_call(self, block: _Block, index: int) -> Sequence[Event]:
        call = self._calls[index] = len(self._calls)
        started = ToolCallStarted(call, block.id or "", block.name or "")
        arguments = bytes(block.input)
        if arguments in (b"{}", b"null"):  # They come in fragments.
            return (started,)
        return (started, ToolCallDelta(call, arguments.decode()))

    def _go_on_call(self, delta: _Delta, index: int) -> Sequence[Event]:
        call = self._calls.get(index)
        return () if call is None else (ToolCallDelta(call, delta.partial_json),)

    def _go_on_message(self, said: _Event) -> Sequence[Event]:
        events: list[Event] = []
        delta = said.delta
        if delta is not None and delta.stop_reason is not None:
            details = delta.stop_details
            if details is not None and details.explanation:
                events.append(RefusalDelta(details.explanation))
            events.append(Finished(finish(delta.stop_reason), delta.stop_sequence or ""))
        if said.usage is not None:
            self._usage = terms.usage(said.usage, self._usage)
            events.append(UsageSeen(self._usage))
        return events


def _is_unknown(data: bytes) -> bool:
    """Whether it is an event, or a delta, of a type that is not known here: it may have any form."""
    try:
        kind = _head.decode(data).type
        if kind != "content_block_delta":
            return kind not in _KNOWN
        return _any_delta.decode(data).delta.type not in _DELTAS
    except (ValueError, RecursionError):
        return False


_DELTAS: Mapping[str, Callable[[Events, _Delta, int], Sequence[Event]]] = MappingProxyType(
    {
        "text_delta": lambda _, delta, __: (TextDelta(delta.text),),
        "thinking_delta": lambda _, delta, __: (ThinkingDelta(delta.thinking),),
        "signature_delta": lambda _, delta, __: (ThinkingDelta(signature=delta.signature, family=Family.ANTHROPIC),),
        "input_json_delta": Events._go_on_call,
    }
)
"""Citations are left out: only clients of this dialect can ask for them."""

_BLOCKS: Mapping[str, Callable[[Events, _Block, int], Sequence[Event]]] = MappingProxyType(
    {
        "text": lambda _, block, __: (TextDelta(block.text),) if block.text else (),
        "thinking": Events._start_thinking,
        "redacted_thinking": lambda _, block, __: (ThinkingDelta(encrypted=block.data or "", family=Family.ANTHROPIC),),
        "tool_use": Events._start_call,
    }
)

_EVENTS: Mapping[str, Callable[[Events, _Event], Sequence[Event]]] = MappingProxyType(
    {
        "message_start": Events._start,
        "content_block_start": Events._start_block,
        "message_delta": Events._go_on_message,
        "message_stop": lambda _, __: (Ended(),),
    }
)

_KNOWN = frozenset({*_EVENTS, "content_block_stop", "error", ""})
