"""Events of one stream that differ in nothing but a text.

Nearly all events of a stream do: after the first one has been read as JSON, those that repeat it around the text are
known by their bytes, at a tenth of the cost.

What stands in a hole is checked to be a string as JSON has it, so that the event is as valid as the first one was, and
means the same but for this string; and it is not empty, as it was not in the first.
"""

from __future__ import annotations

import re

MAX_HOLES = 4

_HOLES = re.compile(
    rb'[{,]\s*"(?:content|reasoning_content|reasoning|arguments|text|obfuscation)"\s*:\s*'
    rb'"((?:[^"\\\x00-\x1f]++|\\.)++)"'
)
"""Where texts stand that differ from event to event. No quote within a string is bare, so what is found is no text."""
_STRING = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))++')


class Stencil:
    """What is the same in all of these events, as they come and as they are sent."""

    __slots__ = ("_between", "_first", "_is_simple", "_last", "_rest", "_sent", "_sent_first", "_start", "_text")

    def __init__(self, came: list[bytes], sent: list[bytes]) -> None:
        """What stands around the holes. There is at least one."""
        self._first, *self._between, self._last = came
        self._start = len(self._first)
        self._text, self._rest = slice(self._start, -len(self._last)), slice(self._start, None)
        """Where the only hole is, and it and all behind it."""
        self._sent_first = sent[0]
        self._sent = None if sent[1:] == came[1:] else sent[1:]
        """None if nothing differs behind the first hole."""
        self._is_simple = not self._between and self._sent is None

    def filled(self, event: bytes) -> bytes | None:
        """What is sent for the event; None if it is another one."""
        if not event.startswith(self._first) or not event.endswith(self._last):
            return None
        if self._is_simple:  # As most are.
            return self._sent_first + event[self._rest] if _STRING.fullmatch(event[self._text]) else None
        at = self._start
        texts = []
        for literal in self._between:
            end = event.find(literal, at)
            if end < 0 or not _STRING.fullmatch(event, at, end):
                return None
            texts.append(event[at:end])
            at = end + len(literal)
        end = len(event) - len(self._last)
        if not _STRING.fullmatch(event, at, end):
            return None
        if self._sent is None:
            return self._sent_first + event[self._rest]
        texts.append(event[at:end])
        pairs = zip(texts, self._sent, strict=True)
        return self._sent_first + b"".join([part for pair in pairs for part in pair])


def of(event: bytes, sent: bytes) -> Stencil | None:
    """Of an event with content that has its data in one line, and of what was sent for it; None if there is no hole, or
    it cannot be told what becomes of it."""
    came, texts = _apart(event)
    sent_apart, sent_texts = _apart(sent)
    if not 0 < len(texts) <= MAX_HOLES or texts != sent_texts:
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
