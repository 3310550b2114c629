"""A stream for a client, in both of its forms: server-sent events, and one JSON array that grows.

A call is written when it is complete, and why the answer has finished when all of it has ended: what breaks off before
looks like nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from edge_service.dialects.canonical import (
    Ended,
    Event,
    Finish,
    Finished,
    MediaDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.gemini import client_answer, errors, logprobs, usage, words
from edge_service.dialects.gemini.signatures import STAND_IN
from edge_service.domain.errors import ApiError

_encode = msgspec.json.encode

_CANDIDATE = b'{"candidates":[{"content":{"parts":['
"""What a chunk with parts of one answer begins with."""


class Framing:
    """How chunks follow one another."""

    __slots__ = ("_before", "_between", "_is_array", "behind")

    def __init__(self, *, array: bool) -> None:
        self._is_array = array
        self._before, self._between, self.behind = (b"[", b",\r\n", b"") if array else (b"data: ", b"data: ", b"\n\n")
        """What stands before the next chunk, before those that follow it, and behind each."""

    def before(self) -> bytes:
        """What stands before the next chunk, which is about to be written."""
        before, self._before = self._before, self._between
        return before

    def chunk(self, data: bytes) -> bytes:
        return self.before() + data + self.behind

    def end(self) -> bytes:
        if not self._is_array:
            return b""
        return b"]" if self._before is self._between else b"[]"

    def error(self, error: ApiError) -> bytes:
        """The array's last element, with which it is well-formed JSON."""
        return self.chunk(errors.error_body(error)) + self.end()


class _Call:
    __slots__ = ("arguments", "id", "name", "signature")

    def __init__(self, started: ToolCallStarted) -> None:
        self.id, self.name, self.signature = started.id, started.name, started.signature
        self.arguments: list[str] = []


class ClientEvents:
    """Writes one stream."""

    __slots__ = ("_calls", "_ends", "_finishes", "_framing", "_malformed", "_refused", "_tail", "_tail_model", "_usage")

    def __init__(self, model: str, *, array: bool = False) -> None:
        self._framing = Framing(array=array)
        self._tail_model = b',"modelVersion":' + _encode(model)
        self._tail = self._tail_model + b"}"
        """What every chunk ends with."""
        self._ends: dict[int, bytes] = {}
        """By choice: what its chunks end with, behind the parts, and what stands behind them."""
        self._calls: dict[int, dict[int, _Call]] = {}
        """By choice and index: those that are not complete."""
        self._malformed: set[int] = set()
        self._refused: set[int] = set()
        self._finishes: dict[int, Finish] = {}
        self._usage: Usage | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        if len(events) == 1:
            return _WRITERS[type(events[0])](self, events[0])
        return b"".join([_WRITERS[type(event)](self, event) for event in events])

    def error(self, error: ApiError) -> bytes:
        """How the stream ends if it breaks off."""
        return self._framing.error(error)

    def _started(self, event: Started) -> bytes:
        if event.id:
            self._tail = self._tail_model + b',"responseId":' + _encode(event.id) + b"}"
            self._ends.clear()
        if event.usage is not None:
            self._usage = event.usage
        return b""

    def _text(self, event: TextDelta) -> bytes:
        if event.logprobs is not None:
            return self._with_logprobs(event, event.logprobs)
        if not event.text:
            return b""
        calls = self._complete(event.choice) if self._calls else b""
        return calls + self._part(b'{"text":' + _encode(event.text) + b"}", event.choice)

    def _with_logprobs(self, event: TextDelta, said: msgspec.Raw) -> bytes:
        result = logprobs.write(said)
        extra = b"" if result is None else b',"logprobsResult":' + _encode(result)
        part = b'{"text":' + _encode(event.text) + b"}"
        end = self._end(event.choice, extra)
        return self._complete(event.choice) + self._framing.before() + _CANDIDATE + part + end

    def _refusal(self, event: RefusalDelta) -> bytes:
        self._refused.add(event.choice)
        return self._text(TextDelta(event.text, event.choice))

    def _thinking(self, event: ThinkingDelta) -> bytes:
        return self._other(client_answer.thinking(event.text, event.signature, event.family), event.choice)

    def _media(self, event: MediaDelta) -> bytes:
        return self._other(client_answer.media(event.media), event.choice)

    def _other(self, part: dict[str, Any] | None, choice: int) -> bytes:
        if part is None:
            return b""
        return self._complete(choice) + self._part(_encode(part), choice)

    def _call_started(self, event: ToolCallStarted) -> bytes:
        self._calls.setdefault(event.choice, {})[event.index] = _Call(event)
        return b""

    def _call_goes_on(self, event: ToolCallDelta) -> bytes:
        call = self._calls.get(event.choice, {}).get(event.index)
        if call is not None:
            call.arguments.append(event.arguments)
        return b""

    def _complete(self, choice: int) -> bytes:
        """The choice's calls, all of which are complete once something else comes."""
        calls = self._calls.pop(choice, None)
        if not calls:
            return b""
        parts: list[bytes] = []
        for _, call in sorted(calls.items()):
            signature = call.signature or ("" if parts else STAND_IN)
            part = client_answer.call(call.id, call.name, "".join(call.arguments), signature)
            if part is None:
                self._malformed.add(choice)
            else:
                parts.append(_encode(part))
        return self._part(b",".join(parts), choice) if parts else b""

    def _part(self, parts: bytes, choice: int) -> bytes:
        end = self._ends.get(choice)
        if end is None:
            end = self._ends[choice] = self._end(choice)
        return self._framing.before() + _CANDIDATE + parts + end

    def _end(self, choice: int, extra: bytes = b"") -> bytes:
        return b'],"role":"model"},"index":%d%b}]%b%b' % (choice, extra, self._tail, self._framing.behind)

    def _finished(self, event: Finished) -> bytes:
        self._finishes[event.choice] = event.finish
        return self._complete(event.choice)

    def _usage_seen(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _ended(self, event: Ended) -> bytes:
        calls = b"".join([self._complete(choice) for choice in sorted(self._calls)])
        finishes = self._finishes or {0: Finish.STOP}
        candidates = [
            {
                "content": {"parts": [{"text": ""}], "role": "model"},
                "finishReason": words.MALFORMED_CALL
                if choice in self._malformed
                else words.reason(finish, refused=choice in self._refused),
                "index": choice,
            }
            for choice, finish in sorted(finishes.items())
        ]
        last = b'{"candidates":' + _encode(candidates)
        if self._usage is not None:
            last += b',"usageMetadata":' + _encode(usage.write(self._usage))
        return calls + self._framing.chunk(last + self._tail) + self._framing.end()


_WRITERS: dict[type[Any], Callable[[ClientEvents, Any], bytes]] = {
    Started: ClientEvents._started,
    TextDelta: ClientEvents._text,
    RefusalDelta: ClientEvents._refusal,
    ThinkingDelta: ClientEvents._thinking,
    ToolCallStarted: ClientEvents._call_started,
    ToolCallDelta: ClientEvents._call_goes_on,
    MediaDelta: ClientEvents._media,
    Finished: ClientEvents._finished,
    UsageSeen: ClientEvents._usage_seen,
    Ended: ClientEvents._ended,
}
