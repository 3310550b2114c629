"""Halves of surrogate pairs, escaped in JSON: `"\\ud83d"`.

The grammar allows them (RFC 8259, 8.2), and they are sent: by servers that cut an emoji in two between two deltas, by
clients in JavaScript that cut a text. The parser here refuses them, so where it does they are hidden from it, behind a
character that no text has, and shown again in what it leaves as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BYTES = 2 * 1024 * 1024
"""What is larger is left to be refused: to look through it would keep everyone else waiting."""

_ANY = re.compile(rb"\\u[dD][89a-fA-F]")
# Behind no backslash or an even number of them, for an odd one would make the first backslash here a letter.
_RUN = re.compile(rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})+")
_PAIR_OR_HALF = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u(....)")

_NONCHARACTERS = range(0xFDD0, 0xFDF0)
"""Never to be assigned, and not to be interchanged: https://www.unicode.org/faq/private_use.html#nonchar1"""


@dataclass(frozen=True, slots=True)
class Hidden:
    """JSON without halves of surrogate pairs."""

    data: bytes
    mark: str
    """Stands in their places, with their digits behind it."""

    def shown(self, data: bytes) -> bytes:
        """`data`, which was made from parts of this one's, with the halves back in their places."""
        return data.replace(b"\\u%x" % ord(self.mark), rb"\u").replace(self.mark.encode(), rb"\u")


def hide(data: bytes) -> Hidden | None:
    """None if there is nothing to hide."""
    if len(data) > MAX_BYTES or not _ANY.search(data):
        return None
    lower = data.lower()
    free = (c for c in _NONCHARACTERS if b"%x" % c not in lower and chr(c).encode() not in data)
    mark = next(free, None)
    if mark is None:
        return None  # Whoever sends all of them does not mean to be understood.
    escaped = b"\\u%x" % mark
    hidden = _RUN.sub(lambda run: _PAIR_OR_HALF.sub(lambda it: escaped + it[1] if it[1] else it[0], run[0]), data)
    return None if hidden == data else Hidden(hidden, chr(mark))
