"""The heads of what a client gets: what kind of answer it is, who served, and what that took."""

from __future__ import annotations

from edge_service.app.record import Record
from edge_service.dialects import losses
from edge_service.dialects.exchange import EVENT_STREAM, JSON, Voice, Written
from edge_service.domain import headers
from edge_service.domain.headers import REQUEST_ID, Headers
from edge_service.domain.plan import Attempt


def own(record: Record, now: float, attempt: Attempt | None, opened: int) -> Headers:
    """Who served, or was tried last, if anyone was, after how many; and the gateway's share of the time by now, which
    is noted."""
    record.overhead_s = overhead_s = now - record.arrived_at - record.upstream_s
    named = [] if attempt is None else [(b"x-forebay-target", attempt.target_id.encode())]
    return [
        *named,
        (b"x-forebay-attempts", b"%d" % opened),
        (b"x-forebay-overhead-ms", b"%.2f" % (overhead_s * 1000)),
        *_common(record),
    ]


def losses_of(record: Record, attempt: Attempt, written: Written) -> Headers:
    """What the target was not told, which is noted."""
    if not written.dropped:
        return []
    record.dropped, record.dialect = losses.told(written.dropped), attempt.dialect
    return [(b"x-forebay-dropped", ", ".join(record.dropped).encode())]


def early(record: Record, voice: Voice) -> Headers:
    """Of a stream that begins before a provider has said what it sends."""
    return [(b"content-type", voice.stream_type), (b"cache-control", b"no-cache"), *_common(record)]


def _common(record: Record) -> Headers:
    """Those that are known before anyone has served."""
    common = [(REQUEST_ID, record.request_id.encode())]
    if record.is_stale:
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
