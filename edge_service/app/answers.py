"""Turns providers' error responses, and failed calls, into outcomes."""

from __future__ import annotations

import asyncio
from functools import partial

from edge_service.app.ports import (
    BrokenError,
    CredentialError,
    ShortageError,
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
from edge_service.domain.outcome import OF_THE_REQUEST, Disposition, ErrorAnswer, Outcome
from edge_service.domain.retry_after import retry_after_headers, retry_after_s

MAX_ERROR_BYTES = 1024 * 1024
ERROR_BODY_S = 1.0
"""How long to wait for the body of an error response: the status and the headers have told most of it."""

_DISPOSITIONS = {
    UnreachableError: Disposition.UNREACHABLE,
    ShortageError: Disposition.UNREACHABLE,
    SilentError: Disposition.TIMEOUT,
    BrokenError: Disposition.BROKEN,
}


def failure(error: StreamFailedError | UpstreamFailure | CredentialError) -> Outcome:
    """The outcome of an attempt that got no complete response."""
    if isinstance(error, StreamFailedError):
        return error.outcome
    if isinstance(error, CredentialError):
        return Outcome(Disposition.CREDENTIAL)  # Where it was looked for is not the client's business.
    is_blameless = isinstance(error, ShortageError)
    return Outcome(_DISPOSITIONS[type(error)], detail=str(error), is_blameless=is_blameless)


async def refusal(
    response: UpstreamResponse, now: float, voice: Voice | None, rulings: Rulings = NO_RULINGS
) -> Outcome:
    """The outcome of a response with an error status; `now` is in seconds since the epoch. `voice` is the client's, or
    None if the provider speaks another dialect, so that nothing can be passed on."""
    try:
        body = await read_whole(response, MAX_ERROR_BYTES, within_s=ERROR_BODY_S)
    except (TimeoutError, UpstreamFailure):
        body = None  # The status is enough.
    status = response.status
    error = ProviderError() if body is None else provider_errors.read(body)
    by_rule = rulings.of(status, body or b"")
    disposition = by_rule or classify(status, error)
    outcome = Outcome(
        disposition,
        status=status,
        retry_after_s=retry_after_s(response.headers, disposition, now, error.retry_after_s),
        detail=f"HTTP {status}, {error.name}" if error.name else f"HTTP {status}",
        by_rule=by_rule is not None,
    )
    if body is None or error.names_account or not outcome.is_for_clients or not 400 <= status < 600:
        return outcome
    if by_rule and not speaks_for_itself(status, by_rule):
        return outcome
    if voice is not None:
        outcome.answer = partial(_passed_on, response, body, voice, disposition, outcome.retry_after_s)
    elif disposition in OF_THE_REQUEST and not _quotes_credential(response, body):
        outcome.detail = provider_errors.message(body) or outcome.detail
    return outcome


def _passed_on(
    response: UpstreamResponse, body: bytes, voice: Voice, disposition: Disposition, after_s: float | None
) -> ErrorAnswer | None:
    """The provider's response, if it is of the client's dialect and may be passed on as it came."""
    if _quotes_credential(response, body) or not (disposition in OF_THE_REQUEST or voice.is_error_body(body)):
        return None
    shown = [*headers.to_client(response.headers), *retry_after_headers(response.headers, after_s)]
    return ErrorAnswer(tuple(shown), body)


def _quotes_credential(response: UpstreamResponse, body: bytes) -> bool:
    """Whether the body quotes the credential, as in `Incorrect API key provided: sk-...`, whatever the status."""
    return response.quotes_credential(body) or response.quotes_credential(provider_errors.plain(body) or b"")


def unusable(
    error: EmptyAnswerError | MalformedAnswerError | ReportedError, status: int, body: bytes, rulings: Rulings
) -> Outcome:
    """The outcome of a response with a success status but no answer in it."""
    by_rule = rulings.of(status, body)
    if isinstance(error, ReportedError):
        return reported(status, provider_errors.read(body), by_rule)
    disposition = Disposition.EMPTY if isinstance(error, EmptyAnswerError) else Disposition.BROKEN
    return Outcome(by_rule or disposition, status=status, detail=str(error), by_rule=by_rule is not None)


async def read_whole(response: UpstreamResponse, limit_bytes: int, within_s: float | None = None) -> bytes | None:
    """Reads the body; None if it is larger than the limit. Raises `UpstreamFailure`, or `TimeoutError` if the rest of
    it does not arrive within `within_s`."""
    rest = response.rest()  # Nearly always the whole body is there: nothing to wait for.
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
