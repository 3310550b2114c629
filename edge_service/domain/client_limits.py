"""What is left of a client's limits, and the headers that tell it, as the client's API has them.

Sources: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers,
https://docs.claude.com/en/api/rate-limits#response-headers
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_service.domain.headers import Headers


@dataclass(frozen=True, slots=True)
class Allowance:
    limit: int
    remaining: int
    reset_s: float
    """Until all of it is there again."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """None for what has no limit."""

    requests: Allowance | None
    tokens: Allowance | None


def headers(limits: ClientLimits, now: float) -> Headers:
    """In OpenAI's words, which are those of most. `now` is in seconds since the epoch."""
    told: Headers = []
    for what, allowance in _each(limits):
        told.append((b"x-ratelimit-limit-" + what, b"%d" % allowance.limit))
        told.append((b"x-ratelimit-remaining-" + what, b"%d" % allowance.remaining))
        told.append((b"x-ratelimit-reset-" + what, span(allowance.reset_s).encode()))
    return told


def anthropic_headers(limits: ClientLimits, now: float) -> Headers:
    """In Anthropic's words, and in OpenAI's."""
    told = headers(limits, now)
    for what, allowance in _each(limits):
        name = b"anthropic-ratelimit-" + what
        reset = datetime.fromtimestamp(math.ceil(now + allowance.reset_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told.append((name + b"-limit", b"%d" % allowance.limit))
        told.append((name + b"-remaining", b"%d" % allowance.remaining))
        told.append((name + b"-reset", reset.encode()))
    return told


def span(seconds: float) -> str:
    """As OpenAI writes it: `120ms`, `8.64s`, `6m0s`, `1h0m0s`."""
    milliseconds = max(0, math.ceil(seconds * 1000 - 1e-6))
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{milliseconds / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _each(limits: ClientLimits) -> Iterator[tuple[bytes, Allowance]]:
    if limits.requests is not None:
        yield b"requests", limits.requests
    if limits.tokens is not None:
        yield b"tokens", limits.tokens
