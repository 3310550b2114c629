"""Recognises by its bytes a provider's event that differs from the one before in nothing but its text.

Only the text is decoded then. It goes to the client's side as any other does: that side may count events, or keep what
has been said.
"""

from __future__ import annotations

import msgspec

from edge_service.dialects import stencil
from edge_service.dialects.canonical import TextDelta
from edge_service.dialects.exchange import ProviderEvents
from edge_service.domain.sse import MAX_EVENT_BYTES

MOST_TRIED = 8
"""In one stream: where no event is like the one before, looking for the text is a loss."""

_encode = msgspec.json.encode


class KnownText:
    """The bytes around the text of an event."""

    __slots__ = ("_before", "_behind", "_string", "_two_bytes", "choice")

    def __init__(self, before: bytes, behind: bytes, choice: int) -> None:
        """The bytes before and behind the text's quotation marks, and the answer that the text is of."""
        self._before = before
        self._behind = behind
        self._string = slice(len(before), -len(behind))
        self._two_bytes = min(2 * (len(before) + len(behind)), MAX_EVENT_BYTES)
        self.choice = choice

    def read(self, piece: bytes) -> str:
        """The text of an event like that one; empty if the piece is another, or large enough to be two."""
        if len(piece) >= self._two_bytes:
            return ""
        string = piece[self._string]
        return stencil.text_of(string) if self._before + string + self._behind == piece else ""

    def write(self, text: str) -> bytes:
        """An event like that one, with this text."""
        return self._before + _encode(text) + self._behind


def of(event: bytes, told: TextDelta, provider: ProviderEvents) -> KnownText | None:
    """What is known of an event which the provider's side has read as this text. None if it is not clear where in the
    event it stands: with another text there, that other one must be read."""
    around, texts = stencil.apart(event)
    if len(texts) != 1:
        return None
    known = KnownText(around[0][:-1], around[1][1:], told.choice)
    other = TextDelta(told.text + ".", told.choice)
    return known if list(provider.read(known.write(other.text))) == [other] else None
