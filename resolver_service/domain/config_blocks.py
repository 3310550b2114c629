"""A configuration's text, taken apart where its lists are, so that entries which are known need not be read again.

Thousands of pools take a second to read, and a change is to one of them. An entry begins with a hyphen at the start of
a line and ends before the next line that is not further in. Where that is not so, within a text of several lines or
brackets, taking apart fails or what comes of it does: `Parts` says how to see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"( *)-[ \n]")
_OTHER_BREAKS = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_PLACE = "the entries of list "


def place(number: int) -> str:
    """What stands in the frame for all entries of one list, as its only entry."""
    return f"{_PLACE}{number}"


@dataclass(frozen=True, slots=True)
class Parts:
    """They stand for the text if each can be read, each list's place is found in the frame once, as the only entry of a
    list, each entry comes to one, and nothing in one refers to something in another."""

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
