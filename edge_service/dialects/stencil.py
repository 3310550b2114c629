"""Translates the events of a stream without decoding each of them.

Most events of a stream differ from the one before only in the values of a few strings, such as `"content":"Hello"`.
Once one such event has been decoded and translated, a `Stencil` keeps the bytes around these values (the *holes*), both
as the provider sent them and as the client gets them. An event that has the same bytes around its holes is then
translated by copying its strings into the client's bytes; several such events in one piece are translated together.

Each value is checked to be a valid JSON string that is not empty. So an event that fits the stencil is as valid as the
one that was decoded, and differs from it in the values of these strings alone.
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
"""The events at the beginning of a piece that fit a stencil: how many they are, the bytes that the client gets for
them, and the bytes of the piece that follow them. All of them have content."""

_CONTENT = EventKind.CONTENT
MAX_HOLES = 4
"""In one event."""
END_BYTES = 5
"""How many of an event's last bytes a piece is split at. The search moves on by as many at a time, as long as these
bytes are rare in what is searched."""
MOST_BEHIND = 5
"""How many ends of events are looked at, from the end of a piece, to find the last event that fits: a stream ends with
a few events without content."""
MOST_STENCILS = 16
"""For one stream. If no event fits the stencil of the one before, making stencils only costs time."""

_HOLES = re.compile(
    rb'("(?<=[{,\s]")(?:content|reasoning_content|reasoning|arguments|text|obfuscation|thinking|partial_json)"\s*:\s*")'
    rb'((?:[^"\\\x00-\x1f]++|\\.)++)(?=")'
)
"""A hole: a field whose value differs from event to event. Quotation marks within a JSON string are escaped, so this
never matches inside of one."""
_LF, _CRLF = b"\n\n", b"\r\n\r\n"
"""The blank lines that end an event in any case. After a lone CR or a mixed one, what follows can matter."""
_MARKS = [b"%c" % number for number in range(MAX_HOLES)]
"""Bytes that cannot occur in a JSON string, used as placeholders: the first for the bytes between two events, the
others for the bytes between the holes of one event."""
_ALL_MARKS = b"".join(_MARKS)
_STRING = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))++'


def _pattern(holes: int) -> re.Pattern[bytes]:
    event = _STRING + b"".join(mark + _STRING for mark in _MARKS[1:holes])
    return re.compile(b"%b(?:%b%b)*+" % (event, _MARKS[0], event))


_PATTERNS = [_pattern(holes) for holes in range(1, MAX_HOLES + 1)]
"""By the number of holes less one: a piece of events with so many holes, reduced to its strings and placeholders."""
_PLAIN = bytes(range(0x20, 0x7F)).translate(None, b'"\\')
"""Bytes that need no escape: any sequence of them is a valid JSON string."""
_string = msgspec.json.Decoder(str).decode
_QUOTE = ord('"')


class Stencil:
    """The bytes that similar events share, as the provider sends them and as the client gets them."""

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
        """The bytes before, between and after the holes, as they came and as they were sent. There is at least one
        hole, and no line end between two of them."""
        self._first, *self._between, self._last = came
        self._sent_first, *self._sent_between, self._sent_last = sent
        self._texts = slice(len(self._first), -len(self._last))
        """The part of a piece from its first hole to its last."""
        self._blank = _CRLF if self._last.endswith(_CRLF) else _LF
        self._end = self._last[-END_BYTES:]
        self._of_event = slice(len(self._first), len(self._end) - len(self._last) or None)
        """The part of an event from its first hole to its last, once `_end` has been cut off."""
        self._are_texts = _PATTERNS[len(self._between)].fullmatch
        # For a single event with one hole, which is the most frequent case: the bytes around the string and its quotes.
        self._before, self._behind = self._first[:-1], self._last[1:]
        self._sent_before, self._sent_behind = self._sent_first[:-1], self._sent_last[1:]
        self._string = slice(len(self._before), -len(self._behind))
        least = 0 if self._between else 2 * (len(self._first) + len(self._last))
        self._two_bytes = min(least, MAX_EVENT_BYTES)
        """A piece with fewer bytes is one event at most. 0 if an event has several holes."""

    def known(self, piece: bytes) -> Known | None:
        """Translates the events that fit at the beginning of a piece, which starts with an event. None if the first one
        does not fit, if one between others that fit does not, or if the piece is large; the events then have to be
        decoded. Also None if the bytes after one hole occur after another one too, so that it is not clear which hole
        they end."""
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
        """The index after the last event that may fit; 0 if there is none. A search for all of `_last` could take
        quadratic time where it is long and repeats itself."""
        end, blank = len(piece), self._blank
        for _ in range(MOST_BEHIND):
            end = piece.rfind(blank, 0, end - 1) + len(blank)
            if piece.endswith(self._last, 0, end):
                return end
        return 0

    def _known(self, inner: bytes, events: bytes, behind: bytes) -> Known | None:
        """As `known`, for several events or one with several holes. `inner` is `events` from the first hole to the
        last."""
        of_event = self._of_event
        texts = [event[of_event] for event in events.split(self._end)[:-1]]
        # Every event fits if, and only if, their texts give the same bytes again when joined.
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
    """Takes the place of `Stencil.known` while there is no stencil."""
    return None


class StencilReader:
    """An `EventReader` around another one, which reads only the events that do not fit the stencil of the last event
    with content that it has read.

    The other reader must translate events alike that differ in the values of their holes alone.
    """

    __slots__ = ("_made", "_reader", "known")

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._made = 0
        self.known: Callable[[bytes], Known | None] = nothing_known
        """The `known` of the present stencil."""

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
    """A stencil made from an event with content, and from what was sent for it. None if it has no hole or too many, if
    its data is on several lines, or if the strings sent are not those that came, in their order."""
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
    """The bytes around the holes, and the strings in them."""
    parts = _HOLES.split(event)  # Alternating: the bytes before a hole, its field's name, its string.
    return [*map(add, parts[::3], [*parts[1::3], b""])], parts[2::3]


def _is_marked(event: bytes) -> bool:
    """Whether the event has one of the placeholder bytes in it already."""
    return event != event.translate(None, _ALL_MARKS)


def text_of(string: bytes) -> str:
    """The text of a JSON string that is given with its quotes and nothing around it: a line end there would be one of
    the event's. Empty if it is none, is empty, or has half of a surrogate pair, which JSON allows: that is left to the
    other reader."""
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
