"""What the answers of providers, and failed calls, amount to."""

from __future__ import annotations

import asyncio
import contextlib

from edge_service.app.ports import (
    BrokenError,
    CredentialError,
    SilentError,
    UnreachableError,
    UpstreamFailure,
    UpstreamResponse,
)
from edge_service.app.relay import StreamFailedError
from edge_service.app.rulings import NO_RULINGS, Rulings
from edge_service.dialects import provider_errors
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError, Voice
from edge_service.domain import headers
from edge_service.domain.classification import ProviderError, classify, reported, speaks_for_itself
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition, ErrorAnswer, Outcome
from edge_service.domain.retry_after import retry_after_headers, retry_after_s

MAX_ERROR_BYTES = 1024 * 1024
ERROR_BODY_S = 1.0
"""How long to wait for the body of an error answer: the status and the headers have told most of it."""

_DISPOSITIONS = {
    UnreachableError: Disposition.UNREACHABLE,
    SilentError: Disposition.TIMEOUT,
    BrokenError: Disposition.BROKEN,
}

_OF_THE_REQUEST = (Disposition.CLIENT_FAULT, Disposition.CONTEXT_LENGTH)


def failure(error: StreamFailedError | UpstreamFailure | CredentialError) -> Outcome:
    """What an attempt that came to no whole answer amounts to."""
    if isinstance(error, StreamFailedError):
        return error.outcome
    if isinstance(error, CredentialError):
        return Outcome(Disposition.CREDENTIAL)  # Where it was looked for is not the client's business.
    return Outcome(_DISPOSITIONS[type(error)], detail=str(error))


async def refusal(
    response: UpstreamResponse, now: float, voice: Voice | None, rulings: Rulings = NO_RULINGS
) -> Outcome:
    """What an answer with an error status amounts to; `now` is in seconds since the epoch. `voice` is the client's, or
    None if the provider speaks another dialect, so that nothing can be passed on."""
    body = None
    with contextlib.suppress(TimeoutError, UpstreamFailure):  # The status is enough.
        body = await read_whole(response, MAX_ERROR_BYTES, within_s=ERROR_BODY_S)
    error = ProviderError() if body is None else provider_errors.read(body)
    by_rule = rulings.of(response.status, body or b"")
    disposition = by_rule or classify(response.status, error)
    outcome = Outcome(
        disposition,
        status=response.status,
        retry_after_s=retry_after_s(response.headers, disposition, now, error.retry_after_s),
        detail=", ".join(filter(None, (f"HTTP {response.status}", error.name))),
        by_rule=by_rule is not None,
    )
    if body is None or error.names_account or not outcome.is_for_clients or not 400 <= response.status < 600:
        return outcome
    if by_rule and not speaks_for_itself(response.status, by_rule):
        return outcome
    if any(response.quotes_credential(text.encode()) for text in provider_errors.texts(body) if text):
        return outcome  # "Incorrect API key provided: sk-...", whatever the status.
    if voice is None:
        if disposition in _OF_THE_REQUEST and (said := provider_errors.message(body)):
            outcome.detail = said
        return outcome
    if disposition in _OF_THE_REQUEST or voice.is_error_body(body):
        outcome.answer = ErrorAnswer(tuple(_shown(response, outcome.retry_after_s)), body)
    return outcome


def unusable(
    error: EmptyAnswerError | MalformedAnswerError | ReportedError, status: int, body: bytes, rulings: Rulings
) -> Outcome:
    """What a success amounts to that has no answer in it."""
    by_rule = rulings.of(status, body)
    if isinstance(error, ReportedError):
        return reported(status, provider_errors.read(body), by_rule)
    disposition = Disposition.EMPTY if isinstance(error, EmptyAnswerError) else Disposition.BROKEN
    return Outcome(by_rule or disposition, status=status, detail=str(error), by_rule=by_rule is not None)


def _shown(response: UpstreamResponse, after_s: float | None) -> Headers:
    """The headers for the client."""
    return [*headers.to_client(response.headers), *retry_after_headers(response.headers, after_s)]


async def read_whole(response: UpstreamResponse, limit_bytes: int, within_s: float | None = None) -> bytes | None:
    """The body; None if it is larger than the limit. Raises `UpstreamFailure`, or `TimeoutError` if what is not there
    does not come in time."""
    rest = response.rest()  # As nearly all come: then there is nothing to wait for.
    if rest is not None:
        return rest if len(rest) <= limit_bytes else None
    parts: list[bytes] = []
    size = 0
    async with asyncio.timeout(within_s):
        async for part in response.chunks():
            parts.append(part)
            size += len(part)
            if size > limit_bytes:
                return None
    return b"".join(parts)
