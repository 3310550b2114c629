"""The relay of streams into which nobody looks: images, audio, transcripts. Their events may be as large as a file."""

from __future__ import annotations

from edge_service.app.relay import StreamFailedError
from edge_service.domain.outcome import Disposition, Outcome

_STATUS = 200
"""Of all streams: others are read as refusals."""


class ByteRelay:
    """A `Relay` to which any byte is content, and the proper end of the body the end of the stream."""

    __slots__ = ("complete", "has_content", "is_new_content")

    content_events = 0
    """Nobody knows of any."""

    def __init__(self) -> None:
        self.has_content = False
        self.is_new_content = False
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        """What may be sent now: all of it."""
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
