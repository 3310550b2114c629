"""What providers' answers, and calls that came to none, amount to."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from edge_service.app.ports import (
    BrokenError,
    CredentialError,
    SilentError,
    UnreachableError,
    UpstreamFailure,
    UpstreamResponse,
)
from edge_service.app.relay import StreamFailedError
from edge_service.dialects import openai_chat
from edge_service.domain import headers
from edge_service.domain.outcome import Disposition, ErrorAnswer, Outcome, retry_after_s

MAX_ERROR_BYTES = 1024 * 1024
ERROR_BODY_S = 1.0
"""How long the body of an error answer is waited for. What matters stands in its head."""

_DISPOSITIONS = {
    UnreachableError: Disposition.UNREACHABLE,
    SilentError: Disposition.TIMEOUT,
    BrokenError: Disposition.BROKEN,
}


def failure(error: StreamFailedError | UpstreamFailure | CredentialError) -> Outcome:
    """What an attempt that came to no whole answer amounts to."""
    if isinstance(error, StreamFailedError):
        return error.outcome
    if isinstance(error, CredentialError):
        return Outcome(Disposition.CREDENTIAL)  # Where it was looked for is not the client's business.
    return Outcome(_DISPOSITIONS[type(error)], detail=str(error))


async def refusal(response: UpstreamResponse, disposition: Disposition, now: float) -> Outcome:
    """What an answer with an error status amounts to; `now` is in seconds since the epoch."""
    after = headers.first(response.headers, b"retry-after")
    outcome = Outcome(
        disposition,
        status=response.status,
        retry_after_s=retry_after_s(after.decode("latin-1") if after else None, now),
        detail=f"HTTP {response.status}",
    )
    try:
        async with asyncio.timeout(ERROR_BODY_S):
            body = await read_whole(response, MAX_ERROR_BYTES)
    except (TimeoutError, UpstreamFailure):
        return outcome  # The status has said it.
    if body is not None and (disposition is Disposition.CLIENT_FAULT or openai_chat.is_error_body(body)):
        return replace(outcome, answer=ErrorAnswer(tuple(headers.to_client(response.headers)), body))
    return outcome


async def read_whole(response: UpstreamResponse, limit_bytes: int) -> bytes | None:
    """The body; None if it is larger than the limit. Raises `UpstreamFailure`."""
    parts: list[bytes] = []
    size = 0
    async for part in response.chunks():
        parts.append(part)
        size += len(part)
        if size > limit_bytes:
            return None
    return b"".join(parts)
