"""A provider's stream, read into canonical events.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finished,
    MediaDelta,
    RefusalDelta,
    Started,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageSeen,
)
from edge_service.dialects.exchange import MalformedAnswerError, ReportedError
from edge_service.dialects.openai_chat import details, terms, wire
from edge_service.dialects.openai_chat.details import Detail
from edge_service.dialects.openai_chat.provider_answer import (
    CallIds,
    Image,
    Piece,
    read_content,
    read_images,
    seconds,
)
from edge_service.dialects.openai_chat.terms import WireUsage
from edge_service.domain import sse


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Raw] | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | list[Piece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[_Call] | None = None
    images: list[Image] | None = None


class _Choice(Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = wire.NULL


class _Chunk(Struct):
    id: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: Raw = wire.NULL


_chunk = msgspec.json.Decoder(_Chunk)


class _Calls:
    """The calls of one choice, as its fragments come."""

    __slots__ = ("_ids", "_last", "_numbers", "begun")

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        """Ours, by the provider's index."""
        self._ids: list[str] = []
        self.begun: set[str] = set()
        """The ids that there have been."""
        self._last = -1

    def number(self, call: _Call) -> tuple[int, bool]:
        """Which call a fragment is of, and whether it begins here. Some give no index, or the same to all calls: then
        another id, or a name without one, begins another call."""
        function = call.function
        is_named = function is not None and bool(function.name)
        number = self._last if call.index is None else self._numbers.get(call.index, -1)
        if number >= 0:
            is_other = call.id != self._ids[number] if call.id else call.index is None and is_named
            if not (is_other and is_named):
                self._last = number
                return number, False
        number = self._last = len(self._ids)
        self._ids.append(call.id or "")
        self.begun.add(call.id or "")
        if call.index is not None:
            self._numbers[call.index] = number
        return number, True


class Events:
    """Reads one stream."""

    __slots__ = ("_calls", "_ids", "_started")

    def __init__(self) -> None:
        self._started = False
        self._calls: dict[int, _Calls] = {}
        """By choice."""
        self._ids = CallIds(None)

    def read(self, event: bytes) -> Sequence[Event]:
        """Raises `MalformedAnswerError`, or `ReportedError` for an event that reports a failure."""
        data = sse.data_of(event)
        if not data:
            return ()
        if data.startswith(b"[DONE]"):  # As OpenAI's own SDKs read it.
            return (Ended(),)
        try:
            said = wire.decoded(_chunk, data)
        except (ValueError, RecursionError):
            raise MalformedAnswerError("not a chunk of a chat completion") from None
        if not wire.is_null(said.error):
            raise ReportedError("the provider reported an error")
        events: list[Event] = []
        if not self._started:
            self._started = True
            self._ids = CallIds(said.id)
            events.append(Started(said.id or "", seconds(said.created)))
        for choice in said.choices or ():
            self._choice(choice, events)
        if said.usage is not None:
            events.append(UsageSeen(terms.usage(said.usage)))
        return events

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        index = choice.index or 0
        delta = choice.delta
        if delta is not None:
            signatures: Mapping[str, str] = _NO_SIGNATURES
            if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
                signatures = self._thoughts(delta, index, events)
            content = delta.content
            if isinstance(content, str):
                if content:
                    logprobs = None if wire.is_null(choice.logprobs) else choice.logprobs
                    events.append(TextDelta(content, index, logprobs))
            elif content is not None:
                for part in read_content(content):
                    is_thought = isinstance(part, Thinking)
                    events.append(ThinkingDelta(part.text, choice=index) if is_thought else TextDelta(part.text, index))
            if delta.refusal:
                events.append(RefusalDelta(delta.refusal, index))
            if delta.images:
                events += [MediaDelta(media, index) for media in read_images(delta.images)]
            if delta.tool_calls:
                self._fragments(delta.tool_calls, signatures, index, events)
        reason = choice.finish_reason
        if reason:
            if reason in terms.FAILURES:
                raise ReportedError("the provider has failed at the request")
            events.append(Finished(terms.finish(reason, has_calls=index in self._calls), choice=index))

    def _thoughts(self, delta: _Delta, index: int, events: list[Event]) -> Mapping[str, str]:
        """And the signatures of calls, by their ids."""
        plain = delta.reasoning_content or delta.reasoning
        calls = self._calls.get(index)
        starting = {call.id for call in delta.tool_calls or ()}
        signatures: dict[str, str] = {}
        told = False
        for detail in delta.reasoning_details or ():
            if detail.type == details.ENCRYPTED and detail.family is Family.GEMINI and detail.name:
                if detail.name in starting:
                    signatures[detail.name] = detail.data or ""
                    continue
                if calls is not None and detail.name in calls.begun:
                    continue  # It comes too late: the call has begun without it.
            thought = detail.thought()
            if thought.text or thought.signature or thought.encrypted:
                told = told or bool(thought.text)
                events.append(
                    ThinkingDelta(thought.text, thought.signature, thought.encrypted, thought.family, thought.id, index)
                )
        if plain and not told:
            events.append(ThinkingDelta(plain, choice=index))
        return signatures

    def _fragments(self, said: Sequence[_Call], signatures: Mapping[str, str], index: int, events: list[Event]) -> None:
        calls = self._calls.get(index)
        if calls is None:
            calls = self._calls[index] = _Calls()
        for call in said:
            number, is_new = calls.number(call)
            function = call.function or _NO_FUNCTION
            if is_new:
                call_id = self._ids.of(call.id)
                signature = signatures.get(call_id, "")
                events.append(ToolCallStarted(number, call_id, function.name or "", signature, index))
            arguments = function.arguments
            if arguments:
                if not isinstance(arguments, str):
                    arguments = wire.encode(arguments).decode()
                events.append(ToolCallDelta(number, arguments, index))


_NO_FUNCTION = _Function()
_NO_SIGNATURES: Mapping[str, str] = MappingProxyType({})
