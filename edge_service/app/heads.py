"""The heads of what a client gets: what kind of answer it is, who served, and what that took."""

from __future__ import annotations

from collections.abc import Callable

from edge_service.app.incoming import Incoming
from edge_service.app.record import Record
from edge_service.dialects import losses
from edge_service.dialects.exchange import EVENT_STREAM, JSON, Voice, Written
from edge_service.domain import headers
from edge_service.domain.headers import REQUEST_ID, Headers
from edge_service.domain.plan import Attempt


class Heads:
    """Of one request."""

    __slots__ = ("_clock", "_incoming", "_record", "is_stale")

    def __init__(self, clock: Callable[[], float], incoming: Incoming, record: Record) -> None:
        self._clock = clock
        self._incoming = incoming
        self._record = record
        self.is_stale = False
        """The plan is a remembered one."""

    def own(self, attempt: Attempt | None, opened: int) -> Headers:
        """Who served, or was tried last, if anyone was, after how many; and the gateway's share of the time by now,
        which is noted."""
        overhead_s = self._clock() - self._incoming.arrived_at - self._record.upstream_s
        self._record.overhead_s = overhead_s
        own = [] if attempt is None else [(b"x-forebay-target", attempt.target_id.encode())]
        return [
            *own,
            (b"x-forebay-attempts", b"%d" % opened),
            (b"x-forebay-overhead-ms", b"%.2f" % (overhead_s * 1000)),
            *self._common(),
        ]

    def losses(self, attempt: Attempt, written: Written) -> Headers:
        """What the target was not told, which is noted."""
        if not written.dropped:
            return []
        self._record.dropped, self._record.dialect = losses.told(written.dropped), attempt.dialect
        return [(b"x-forebay-dropped", ", ".join(self._record.dropped).encode())]

    def early(self, voice: Voice) -> Headers:
        """Of a stream that begins before a provider has said what it sends."""
        return [(b"content-type", voice.stream_type), (b"cache-control", b"no-cache"), *self._common()]

    def _common(self) -> Headers:
        """Those that are known before anyone has served."""
        common = [(REQUEST_ID, self._incoming.request_id.encode())]
        if self.is_stale:
            common.append((b"x-forebay-stale", b"1"))
        return common


def passed(answered: Headers, voice: Voice, *, stream: bool) -> Headers:
    """Of an answer in the provider's own dialect: it says what kind of content it is, unless the client reads streams
    in another framing."""
    head = headers.to_client(answered)
    if stream and voice.stream_type != EVENT_STREAM:
        return [(name, voice.stream_type if name == b"content-type" else value) for name, value in head]
    return head


def translated(voice: Voice, *, stream: bool) -> Headers:
    """Of an answer that is not the provider's any more."""
    return [(b"content-type", voice.stream_type if stream else JSON)]
