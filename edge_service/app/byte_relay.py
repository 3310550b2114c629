"""The relay of streams that are passed on unread: images, audio, transcripts. An event may be as large as a file."""

from __future__ import annotations

from edge_service.app.relay import StreamFailedError
from edge_service.domain.outcome import Disposition, Outcome

_STATUS = 200
"""Every stream has it: responses with another status are read as errors."""


class ByteRelay:
    """A `Relay` for which any byte is content, and a stream is complete when its body ends properly."""

    __slots__ = ("complete", "has_content", "is_new_content")

    content_events = 0
    """Events are not counted."""

    def __init__(self) -> None:
        self.has_content = False
        self.is_new_content = False
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        """Returns the bytes to send to the client: the whole piece."""
        self.is_new_content = bool(data)
        self.has_content = self.has_content or self.is_new_content
        return data

    def rest(self) -> bytes:
        """Nothing is ever held back."""
        return b""

    def ended(self) -> bytes:
        """Raises `StreamFailedError` if nothing has come."""
        if not self.has_content:
            detail = "the provider's stream ended without content"
            raise StreamFailedError(Outcome(Disposition.EMPTY, status=_STATUS, detail=detail))
        self.complete = True
        return b""
