"""Events of one stream that differ in nothing but a text.

Nearly all events of a stream do: after the first one has been read as JSON, those that repeat it around the text are
known by their bytes, however many come at a time.

What stands in a hole is checked to be a string as JSON has it, so that the event is as valid as the first one was, and
means the same but for this string; and it is not empty, as it was not in the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import EventKind, EventReader

Known: TypeAlias = tuple[int, bytes, int]
"""Of a piece of a stream: with how many events that have content it begins, what the client gets for them, and where
they end in it."""

MAX_HOLES = 4
MOST_STENCILS = 16
"""In one stream. Where no event is like the one before, each of them would be a loss."""

_HOLES = re.compile(
    rb'[{,]\s*"(?:content|reasoning_content|reasoning|arguments|text|obfuscation|thinking|partial_json)"\s*:\s*'
    rb'"((?:[^"\\\x00-\x1f]++|\\.)++)"'
)
"""Where texts stand that differ from event to event. No quote within a string is bare, so what is found is no text."""
_ENDS = (b"\n\n", b"\r\n\r\n")
"""Whatever follows, an event with this at its end ends there."""
_MARKS = [b"%c" % number for number in range(MAX_HOLES)]
"""No string has one of them in it. The first stands for what is between two events, the others for what is between
the holes of one."""
_MARKED = re.compile(b"[" + b"".join(_MARKS) + b"]")
_STRING = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))++'


def _pattern(holes: int) -> re.Pattern[bytes]:
    event = _STRING + b"".join(mark + _STRING for mark in _MARKS[1:holes])
    return re.compile(b"%b(?:%b%b)*+" % (event, _MARKS[0], event))


_PATTERNS = [_pattern(holes) for holes in range(1, MAX_HOLES + 1)]
"""Of the texts of events with so many holes and one."""
_ONE_TEXT = re.compile(_STRING).fullmatch


def _never(_: bytes) -> None:
    """Instead of `_ONE_TEXT`."""


class Stencil:
    """What is the same in all of these events, as they come and as they are sent."""

    __slots__ = (
        "_are_texts",
        "_between",
        "_first",
        "_is_text",
        "_last",
        "_length",
        "_sent_first",
        "_sent_last",
        "_start",
    )

    def __init__(self, came: list[bytes], sent: list[bytes]) -> None:
        """What stands around the holes. There is at least one."""
        self._first, self._last = came[0], came[-1]
        self._start, self._length = len(self._first), len(self._last)
        self._sent_first, self._sent_last = sent[0], sent[-1]
        between = (came[-1] + came[0], *came[1:-1]), (sent[-1] + sent[0], *sent[1:-1])
        self._between = tuple(zip(_MARKS, *between, strict=False))
        self._are_texts = _PATTERNS[len(came) - 2].fullmatch
        self._is_text = _ONE_TEXT if len(came) == 2 else _never
        """Of one event with one hole, as most come."""

    def known(self, piece: bytes) -> Known | None:
        """Of a piece that begins where an event does; None if that is another one, or one stands between those like it.
        Where two holes are followed by the same, nothing is known."""
        end = piece.rfind(self._last)
        if end < 0 or not piece.startswith(self._first):
            return None
        texts = piece[self._start : end]
        if not (texts.isascii() or _is_utf8(texts)):
            return None
        events = 1
        if not self._is_text(texts):
            # What is put together from the marks is what came, byte for byte, if none of them was there before.
            for mark, came, _ in self._between:
                if mark in texts:
                    return None
                texts = texts.replace(came, mark)
            if not self._are_texts(texts):
                return None
            events += texts.count(_MARKS[0])
            for mark, _, sent in self._between:
                texts = texts.replace(mark, sent)
        return events, self._sent_first + texts + self._sent_last, end + self._length


def _nothing(_: bytes) -> Known | None:
    """What is known without a stencil."""
    return None


class StencilReader:
    """An `EventReader` that knows the events by their bytes of which another one has read the like.

    To that one, all events with content must mean the same that differ in nothing but texts.
    """

    __slots__ = ("_made", "_reader", "known")

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._made = 0
        self.known: Callable[[bytes], Known | None] = _nothing
        """By the stencil of the last event with content that was read: what `read` would tell of the events that a
        piece begins with."""

    @property
    def usage(self) -> Usage | None:
        """As the protocol says."""
        return self._reader.usage

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """As the protocol says."""
        known = self.known(event)
        if known is not None:
            return EventKind.CONTENT, known[1]
        kind, sent = self._reader.read(event)
        if kind is EventKind.CONTENT and self._made < MOST_STENCILS:
            self._made += 1
            it = of(event, sent)
            self.known = _nothing if it is None else it.known
        return kind, sent


def of(event: bytes, sent: bytes) -> Stencil | None:
    """Of an event with content that has its data in one line, and of what was sent for it; None if there is no hole, or
    it cannot be told what becomes of it."""
    came, texts = _apart(event)
    sent_apart, sent_texts = _apart(sent)
    if not 0 < len(texts) <= MAX_HOLES or texts != sent_texts:
        return None
    if not event.endswith(_ENDS) or _MARKED.search(event) or _MARKED.search(sent):
        return None
    return Stencil(came, sent_apart)


def _apart(event: bytes) -> tuple[list[bytes], list[bytes]]:
    """What stands around the holes, and what in them."""
    around, texts, at = [], [], 0
    for hole in _HOLES.finditer(event):
        start, end = hole.span(1)
        around.append(event[at:start])
        texts.append(hole[1])
        at = end
    return [*around, event[at:]], texts


def _is_utf8(texts: bytes) -> bool:
    try:
        texts.decode()
    except UnicodeDecodeError:
        return False
    return True
