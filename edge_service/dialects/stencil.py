"""Recognises the events of a stream by their bytes.

Nearly all events of a stream differ from the one before in nothing but a few strings, such as `"content":"Hello"`. Once
one of them has been decoded and translated, a `Stencil` keeps the bytes around these strings (the *holes*), as they
came and as they were sent. Events with the same bytes around their holes are then translated by moving the strings,
without decoding them, however many come in one piece.

What stands in a hole is checked to be a string as JSON has it, and not empty. So such an event is as valid as the one
that was decoded, and means the same but for this string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import add
from typing import TypeAlias

import msgspec

from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import EventKind, EventReader
from edge_service.domain.sse import MAX_EVENT_BYTES

Known: TypeAlias = tuple[int, bytes, bytes]
"""What is known of a piece of a stream: the number of events with content that it begins with, what the client gets for
them, and what follows them."""

_CONTENT = EventKind.CONTENT
MAX_HOLES = 4
END_BYTES = 5
"""At which events are cut: a longer end is found in longer steps, as long as its bytes are rare."""
MOST_BEHIND = 5
"""How many event ends are looked at, from behind: a stream ends with some events that have no content."""
MOST_STENCILS = 16
"""In one stream. If no event is like the one before, making stencils is a loss."""

_HOLES = re.compile(
    rb'("(?<=[{,\s]")(?:content|reasoning_content|reasoning|arguments|text|obfuscation|thinking|partial_json)"\s*:\s*")'
    rb'((?:[^"\\\x00-\x1f]++|\\.)++)(?=")'
)
"""The holes: strings that differ from event to event. No quotation mark within a JSON string is bare, so that this
finds no text that only looks like one."""
_LF, _CRLF = b"\n\n", b"\r\n\r\n"
"""Two line ends: an event that ends with one of these ends there, whatever follows."""
_MARKS = [b"%c" % number for number in range(MAX_HOLES)]
"""Bytes that no JSON string contains. The first stands for what is between two events, the others for what is between
the holes of one."""
_ALL_MARKS = b"".join(_MARKS)
_STRING = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))++'


def _pattern(holes: int) -> re.Pattern[bytes]:
    event = _STRING + b"".join(mark + _STRING for mark in _MARKS[1:holes])
    return re.compile(b"%b(?:%b%b)*+" % (event, _MARKS[0], event))


_PATTERNS = [_pattern(holes) for holes in range(1, MAX_HOLES + 1)]
"""By the number of holes less one: what the texts of such events match."""
_PLAIN = bytes(range(0x20, 0x7F)).translate(None, b'"\\')
"""Any text of these bytes is a JSON string."""
_string = msgspec.json.Decoder(str).decode
_QUOTE = ord('"')


class Stencil:
    """The bytes that a number of events share, as they come and as they are sent."""

    __slots__ = (
        "_are_texts",
        "_before",
        "_behind",
        "_between",
        "_blank",
        "_end",
        "_first",
        "_last",
        "_of_event",
        "_sent_before",
        "_sent_behind",
        "_sent_between",
        "_sent_first",
        "_sent_last",
        "_string",
        "_texts",
        "_two_bytes",
    )

    def __init__(self, came: list[bytes], sent: list[bytes]) -> None:
        """The bytes around the holes, of which there is at least one; the holes of an event are in one line."""
        self._first, *self._between, self._last = came
        self._sent_first, *self._sent_between, self._sent_last = sent
        self._texts = slice(len(self._first), -len(self._last))
        """Of a piece: all but the bytes before the first hole and behind the last."""
        self._blank = _CRLF if self._last.endswith(_CRLF) else _LF
        self._end = self._last[-END_BYTES:]
        self._of_event = slice(len(self._first), len(self._end) - len(self._last) or None)
        """Of an event without this end: its holes and what is between them."""
        self._are_texts = _PATTERNS[len(self._between)].fullmatch
        # For a single event with one hole, as most come: the hole with its quotes, and what stands around these.
        self._before, self._behind = self._first[:-1], self._last[1:]
        self._sent_before, self._sent_behind = self._sent_first[:-1], self._sent_last[1:]
        self._string = slice(len(self._before), -len(self._behind))
        least = 0 if self._between else 2 * (len(self._first) + len(self._last))
        self._two_bytes = min(least, MAX_EVENT_BYTES)
        """A smaller piece cannot be two such events. 0 if an event has several holes."""

    def known(self, piece: bytes) -> Known | None:
        """What is known of a piece that begins with an event. None if this event is another one, another one stands
        between those like it, or the piece is large; also if two holes are followed by the same bytes."""
        if len(piece) < self._two_bytes:
            string = piece[self._string]
            if self._before + string + self._behind == piece and text_of(string):
                return 1, self._sent_before + string + self._sent_behind, b""
        if not piece.startswith(self._first) or len(piece) > MAX_EVENT_BYTES:
            return None
        behind = b""
        if not piece.endswith(self._last):
            end = self._end_in(piece)
            if not end:
                return None
            piece, behind = piece[:end], piece[end:]
        return self._known(piece[self._texts], piece, behind)

    def _end_in(self, piece: bytes) -> int:
        """The index behind the last event like it; 0 if there is none. To search for all of an event's end could be
        very slow if it is long and repeats itself."""
        end, blank = len(piece), self._blank
        for _ in range(MOST_BEHIND):
            end = piece.rfind(blank, 0, end - 1) + len(blank)
            if piece.endswith(self._last, 0, end):
                return end
        return 0

    def _known(self, inner: bytes, events: bytes, behind: bytes) -> Known | None:
        """The same for several events, or for one with several holes. `inner` is all but the bytes before the first
        hole and behind the last."""
        of_event = self._of_event
        texts = [event[of_event] for event in events.split(self._end)[:-1]]
        # Put together again it is what came, byte for byte, or else it is something else.
        if (self._last + self._first).join(texts) != inner:
            return None
        if not self._between and all(texts) and not b"".join(texts).translate(None, _PLAIN):
            sent = (self._sent_last + self._sent_first).join(texts)
            return len(texts), self._sent_first + sent + self._sent_last, behind
        if 0 in inner or not (inner.isascii() or _is_utf8(inner)):
            return None
        marked = _MARKS[0].join(texts)
        for mark, between in zip(_MARKS[1:], self._between, strict=False):
            if mark in marked:
                return None
            marked = marked.replace(between, mark)
        if not self._are_texts(marked):
            return None
        for mark, between in zip(_MARKS[1:], self._sent_between, strict=False):
            marked = marked.replace(mark, between)
        sent = marked.replace(_MARKS[0], self._sent_last + self._sent_first)
        return len(texts), self._sent_first + sent + self._sent_last, behind


def nothing_known(_: bytes) -> Known | None:
    """For streams without a stencil."""
    return None


class StencilReader:
    """An `EventReader` around another one: it recognises by their bytes the events that are like the last one that the
    other has read.

    The other reader must treat all events with content alike that differ in nothing but strings.
    """

    __slots__ = ("_made", "_reader", "known")

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._made = 0
        self.known: Callable[[bytes], Known | None] = nothing_known
        """What the stencil of the last event with content knows of a piece."""

    @property
    def usage(self) -> Usage | None:
        """As the protocol says."""
        return self._reader.usage

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """As the protocol says."""
        known = self.known(event)
        if known is not None:
            return _CONTENT, known[1]
        kind, sent = self._reader.read(event)
        if kind is _CONTENT and self._made < MOST_STENCILS:
            self._made += 1
            it = of(event, sent)
            self.known = nothing_known if it is None else it.known
        return kind, sent


def of(event: bytes, sent: bytes) -> Stencil | None:
    """The stencil of an event with content, and of what was sent for it. None if there is no hole, the data is on
    several lines, or it is not clear where the holes' texts go."""
    came, texts = apart(event)
    sent_apart, sent_texts = apart(sent)
    if not 0 < len(texts) <= MAX_HOLES or texts != sent_texts:
        return None
    if not event.endswith((_LF, _CRLF)) or _is_marked(event) or _is_marked(sent):
        return None
    if any(b"\n" in between for between in came[1:-1]):
        return None
    return Stencil(came, sent_apart)


def apart(event: bytes) -> tuple[list[bytes], list[bytes]]:
    """The bytes around the holes, and the holes' texts."""
    parts = _HOLES.split(event)  # What is around, the hole's name, the text, and so on.
    return [*map(add, parts[::3], [*parts[1::3], b""])], parts[2::3]


def _is_marked(event: bytes) -> bool:
    return event != event.translate(None, _ALL_MARKS)


def text_of(string: bytes) -> str:
    """The text of a string as JSON has it, with nothing around it: a line end there would be one of the event's. Empty
    if it is none, or has a lone surrogate in it."""
    try:
        text = _string(string)
    except ValueError:
        return ""
    return text if string[0] == _QUOTE == string[-1] else ""


def _is_utf8(texts: bytes) -> bool:
    try:
        texts.decode()
    except UnicodeDecodeError:
        return False
    return True
