"""Splits a configuration's text at its lists, so that entries which are known need not be parsed again.

Thousands of pools take a second to parse, and a change is to one of them. An entry is taken to begin with a hyphen at
the start of a line, and to end before the next line that is not indented further. Where that is wrong, within a text of
several lines or brackets, splitting fails, or its result does: `Parts` says how to tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"( *)-[ \n]")
_OTHER_BREAKS = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_PLACE = "the entries of list "


def place(number: int) -> str:
    """The placeholder that stands in the frame for the entries of one list."""
    return f"{_PLACE}{number}"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a text. They are equal to it if each can be parsed, each placeholder is found once in the frame, as
    the only entry of a list, each text is one entry, and nothing in one refers to another."""

    frame: str
    lists: tuple[tuple[str, ...], ...]
    """The texts of their entries, with the comments that follow."""
    starts: tuple[int, ...]
    """Where in the text each list's first entry begins."""


def parts(text: str) -> Parts | None:
    """None where lines may end in other ways, or there is no list."""
    if _OTHER_BREAKS.search(text) or _PLACE in text:
        return None
    frame: list[str] = []
    lists: list[list[list[str]]] = []
    starts: list[int] = []
    at = 0
    column = -1  # Of the list that the line before belongs to, if it does.
    for line in text.splitlines(keepends=True):
        start, at = at, at + len(line)
        said = line.lstrip(" ")
        is_nothing = not said or said[0] in "#\n"
        indent = len(line) - len(said)
        if column >= 0 and (is_nothing or indent > column):
            lists[-1][-1].append(line)
            continue
        begins = _ENTRY.match(line)
        if begins and indent == column:
            lists[-1].append([line])
        elif begins:
            column = indent
            frame.append(f"{begins[1]}- {place(len(lists))}\n")
            lists.append([[line]])
            starts.append(start)
        else:
            column = -1
            frame.append(line)
    if not lists:
        return None
    return Parts("".join(frame), tuple(tuple(map("".join, entries)) for entries in lists), tuple(starts))
