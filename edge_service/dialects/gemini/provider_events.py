"""A provider's stream, as canonical events.

The stream has no terminal marker. The chunk with which the last candidate finishes is the end of it: until a reason
has been given for each, nothing says that the answer is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finish,
    Finished,
    MediaDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageSeen,
)
from edge_service.dialects.exchange import ReportedError
from edge_service.dialects.gemini import logprobs, usage, wire, words
from edge_service.dialects.gemini.provider_answer import CallIds, arguments, decoded, finish, is_blocked, media_of
from edge_service.domain import sse


class Endings:
    """Which candidates have begun, and which have finished."""

    __slots__ = ("_begun", "_expected", "_finished")

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def see(self, index: int, *, has_finished: bool) -> None:
        self._begun.add(index)
        if has_finished:
            self._finished.add(index)

    @property
    def complete(self) -> bool:
        return len(self._finished) >= self._expected and self._finished >= self._begun


class ProviderEvents:
    """Reads one stream of events with `candidates` answers in it."""

    __slots__ = ("_calls", "_endings", "_ids", "_spoken", "_started")

    def __init__(self, candidates: int = 1) -> None:
        self._endings = Endings(candidates)
        self._started = False
        self._ids = CallIds(None)
        self._calls: dict[int, int] = {}
        """By candidate: how many calls there have been."""
        self._spoken: set[int] = set()
        """Candidates that have said something."""

    def read(self, event: bytes) -> Sequence[Event]:
        """Raises `MalformedAnswerError` or `ReportedError`."""
        data = sse.data_of(event)
        if data is None:
            return ()
        chunk = decoded(data)
        events: list[Event] = []
        used = usage.read(chunk.usage_metadata) if chunk.usage_metadata is not None else None
        if not self._started:
            self._started = True
            self._ids = CallIds(chunk.response_id)
            events.append(Started(chunk.response_id or "", usage=used))
        for position, candidate in enumerate(chunk.candidates or ()):
            self._candidate(candidate, position if candidate.index is None else candidate.index, events)
        if used is not None:
            events.append(UsageSeen(used))
        if not chunk.candidates and is_blocked(chunk):
            events += (Finished(Finish.FILTERED), Ended())
        elif self._endings.complete:
            events.append(Ended())
        return events

    def _candidate(self, candidate: wire.Candidate, index: int, events: list[Event]) -> None:
        probabilities = logprobs.read(candidate.logprobs_result) if candidate.logprobs_result is not None else None
        before = len(events)
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                if part.text and not part.thought and part.thought_signature is None:  # As nearly all are.
                    events.append(TextDelta(part.text, index, probabilities))
                    probabilities = None
                else:
                    self._part(part, index, events)
        if len(events) > before:
            self._spoken.add(index)
        reason = candidate.finish_reason or ""
        has_finished = reason not in words.UNFINISHED
        self._endings.see(index, has_finished=has_finished)
        if has_finished:
            if reason in words.FAILURES and index not in self._spoken:
                raise ReportedError("the model has failed at the request")
            events.append(Finished(finish(reason, has_calls=index in self._calls), choice=index))

    def _part(self, part: wire.Part, index: int, events: list[Event]) -> None:
        signature = part.thought_signature or ""
        family = Family.GEMINI if signature else None
        if part.thought and part.text is not None:
            events.append(ThinkingDelta(part.text, signature, family=family, choice=index))
            return
        if part.text:
            events.append(TextDelta(part.text, index))
        if part.function_call is not None:
            call = part.function_call
            number = self._calls.get(index, 0)
            self._calls[index] = number + 1
            events.append(ToolCallStarted(number, self._ids.of(call), call.name, signature, index))
            events.append(ToolCallDelta(number, arguments(call), index))
            signature = ""
        media = media_of(part)
        if media is not None:
            events.append(MediaDelta(media, index))
        if signature:
            events.append(ThinkingDelta(signature=signature, family=family, choice=index))
