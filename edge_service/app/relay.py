"""The commit point: reads a provider's stream, holds back the events before its first content, and tells whether it
was complete."""

from __future__ import annotations

from collections.abc import Callable

from edge_service.app.rulings import NO_RULINGS, Rulings
from edge_service.dialects import provider_errors
from edge_service.dialects.exchange import EventKind, EventReader, MalformedAnswerError
from edge_service.dialects.stencil import Known, StencilReader, nothing_known
from edge_service.dialects.translation import TranslatedEvents
from edge_service.domain.classification import reported
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.sse import EventSplitter, EventTooLargeError, data_of, first_end

MAX_HELD_BYTES = 256 * 1024
MOST_ALONE = 8
"""The most events of a piece that are read one by one before the rest of the piece is split into events."""
_CONTENT = EventKind.CONTENT
_STATUS = 200
"""Every stream has it: responses with another status are read as errors."""


class StreamFailedError(Exception):
    """The stream cannot be used any further."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class Relay:
    """One provider's stream on its way to the client."""

    __slots__ = (
        "_held",
        "_held_bytes",
        "_knowing",
        "_known",
        "_reader",
        "_rulings",
        "_splitter",
        "complete",
        "content_events",
        "has_content",
        "is_new_content",
    )

    def __init__(self, reader: EventReader, rulings: Rulings = NO_RULINGS) -> None:
        self._reader = reader
        self._rulings = rulings
        self._knowing = reader if isinstance(reader, StencilReader | TranslatedEvents) else None
        self._known: Callable[[bytes], Known | None] = nothing_known
        """Recognises the events at the beginning of the next piece by their bytes; see `dialects.stencil`."""
        self._splitter = EventSplitter()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.has_content = False
        """Content has come: from here on the stream cannot move to another target."""
        self.content_events = 0
        """The number of events with content."""
        self.is_new_content = False
        """The last piece had content; pings and empty events are none."""
        self.complete = False
        """The terminal marker has come. What follows it is not relayed."""

    def feed(self, data: bytes) -> bytes:
        """Takes a piece of the stream and returns the bytes to send to the client: none before the first content,
        unless the stream is complete without any. Raises `StreamFailedError`."""
        known = self._known(data)
        if known is not None:
            events, content, data = known
            self.content_events += events
            if not data:  # As nearly always.
                self.is_new_content = True
                return content
            self._held.append(content)
        self.is_new_content = known is not None
        if self.complete:
            return b""
        before = self.content_events
        try:
            self._read(self._splitter.feed(self._read_first(data)))
        except EventTooLargeError as error:
            raise _failed(Disposition.BROKEN, f"the provider sent {error}") from error
        except MalformedAnswerError as error:
            raise _failed(Disposition.BROKEN, f"the provider sent an event that is {error}") from error
        if self._knowing is not None:
            self._known = nothing_known if self.complete or self._splitter.kept else self._knowing.known
        if self.content_events > before:
            self.is_new_content = True
        if not (self.has_content or self.complete):
            return b""
        return self.rest()

    def _read_first(self, data: bytes) -> bytes:
        """Reads events one by one until the bytes behind them are recognised, and returns what is left. At the start of
        a stream, and after an event that came in part, the next events are likely to be like the one just read."""
        if self._knowing is None or (self.has_content and not self._splitter.kept):
            return data
        for _ in range(MOST_ALONE):
            end = first_end(data)
            if not 0 < end < len(data):
                break
            self._read(self._splitter.feed(data[:end]))
            data = data[end:]
            if self.complete:
                return b""
            known = self._knowing.known(data)
            if known is not None:
                events, content, data = known
                self.content_events += events
                self._held.append(content)
                break
        return data

    def _read(self, events: list[bytes]) -> None:
        for event in events:
            kind, content = self._reader.read(event)
            if kind is _CONTENT:  # As nearly all are.
                self.content_events += 1
                self.has_content = True
                self._held.append(content)
            else:
                self._take(kind, event, content)
                if self.complete:
                    break

    def rest(self) -> bytes:
        """The bytes held back. After content they may be sent even if the stream has failed: they came before that."""
        held = b"".join(self._held)
        self._held.clear()
        return held

    def ended(self) -> bytes:
        """Called at the end of the response body; returns the bytes still to send. Raises `StreamFailedError` if the
        stream was not complete: that the connection was closed properly proves nothing."""
        tail = bytes(self._splitter.kept)
        if self.complete or self._is_terminal(tail):
            self.complete = True
            return self.rest()
        if self.has_content:
            raise _failed(Disposition.BROKEN, "the provider's stream ended without its terminal marker")
        if tail:
            raise _failed(Disposition.BROKEN, "the provider's stream ended within an event")
        raise _failed(Disposition.EMPTY, "the provider's stream ended without content")

    def _is_terminal(self, tail: bytes) -> bool:
        """Whether only the blank line after the terminal marker is missing. Then it is added: the official SDKs read a
        marker without one at the end of the body, but a browser does not."""
        try:
            kind, event = self._reader.read(tail.rstrip(b"\r\n") + b"\n\n")
        except MalformedAnswerError:
            return False
        if kind is not EventKind.TERMINAL:
            return False
        self._held.append(event)
        return True

    def _take(self, kind: EventKind, event: bytes, content: bytes) -> None:
        if kind is EventKind.ERROR:
            data = data_of(event) or b""
            raise StreamFailedError(reported(_STATUS, provider_errors.read(data), self._rulings.of(_STATUS, data)))
        if kind is EventKind.TERMINAL:
            self.complete = True
        self._held.append(content)
        if not self.has_content:
            self._held_bytes += len(content)
            if self._held_bytes > MAX_HELD_BYTES:
                raise _failed(Disposition.BROKEN, f"the provider sent more than {MAX_HELD_BYTES} bytes without content")


def _failed(disposition: Disposition, detail: str) -> StreamFailedError:
    return StreamFailedError(Outcome(disposition, status=_STATUS, detail=detail))
