"""The headers of answers to clients: the content type, the target that served, and the time that it took."""

from __future__ import annotations

from edge_service.app.record import Record
from edge_service.dialects import losses
from edge_service.dialects.exchange import EVENT_STREAM, JSON, Voice, Written
from edge_service.domain import headers
from edge_service.domain.headers import REQUEST_ID, Headers
from edge_service.domain.plan import Attempt


def own(record: Record, now: float, attempt: Attempt | None, opened: int) -> Headers:
    """The gateway's own headers: the target that served or was tried last, if any; the number of attempts; the
    gateway's share of the time so far, which is also put into the record."""
    record.overhead_s = overhead_s = now - record.arrived_at - record.upstream_s
    named = [] if attempt is None else [(b"x-forebay-target", attempt.target_id.encode())]
    return [
        *named,
        (b"x-forebay-attempts", b"%d" % opened),
        (b"x-forebay-overhead-ms", b"%.2f" % (overhead_s * 1000)),
        *_common(record),
    ]


def losses_of(record: Record, attempt: Attempt, written: Written) -> Headers:
    """The header with the request's fields that were left out for this target. They are also put into the record."""
    if not written.dropped:
        return []
    record.dropped, record.dialect = losses.told(written.dropped), attempt.dialect
    return [(b"x-forebay-dropped", ", ".join(record.dropped).encode())]


def early(record: Record, voice: Voice) -> Headers:
    """The headers of a stream that begins before a provider has answered."""
    return [(b"content-type", voice.stream_type), (b"cache-control", b"no-cache"), *_common(record)]


def _common(record: Record) -> Headers:
    """The headers that are known before a target has served."""
    common = [(REQUEST_ID, record.request_id.encode())]
    if record.is_stale:
        common.append((b"x-forebay-stale", b"1"))
    return common


def passed(answered: Headers, voice: Voice, *, stream: bool) -> Headers:
    """The headers of an answer that is passed through: as the provider sent them, but for the content type of a stream
    that the client reads in another framing."""
    head = headers.to_client(answered)
    if stream and voice.stream_type != EVENT_STREAM:
        return [(name, voice.stream_type if name == b"content-type" else value) for name, value in head]
    return head


def translated(voice: Voice, *, stream: bool) -> Headers:
    """The headers of an answer that was translated."""
    return [(b"content-type", voice.stream_type if stream else JSON)]
