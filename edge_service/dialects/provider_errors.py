"""Reads the error bodies of all providers. One reader serves for all dialects, since their shapes do not contradict one
another, and since a provider that speaks one dialect may pass on an error of another.

- OpenAI: `{"error": {"message", "type", "param", "code"}}`, https://platform.openai.com/docs/guides/error-codes. Some
  that speak its dialect leave out the outer object (vLLM, Mistral), or have an HTTP status as `code` (OpenRouter). In
  streams of the Responses API the error is the event itself, or in its `response`
- Anthropic: `{"type": "error", "error": {"type", "message"}}`, https://docs.claude.com/en/api/errors
- Gemini: `{"error": {"code", "message", "status", "details"}}`, https://ai.google.dev/gemini-api/docs/troubleshooting,
  with details as in https://cloud.google.com/apis/design/errors#error_details; at times as the only element of an array
- refused by moderation, both with a 403: OpenRouter adds `metadata` with `reasons` and `flagged_input`
  (https://openrouter.ai/docs/api/reference/errors-and-debugging#moderation-errors); xAI has a string as `error`, which
  names team and key (https://github.com/UKGovernmentBEIS/inspect_ai/pull/2267)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from edge_service.dialects import surrogates
from edge_service.domain.classification import MODERATED, ProviderError, hint
from edge_service.domain.outcome import Disposition
from edge_service.domain.retry_after import span_s

_anything = msgspec.json.Decoder()

_MAX_MESSAGE_CHARS = 1000
"""A message says at its beginning what is wrong; further on it may quote the request at any length."""


def read(body: bytes) -> ProviderError:
    """The facts that an error body states; empty ones for a body that cannot be read. Never raises."""
    try:
        error = _error_of(_anything.decode(body))
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        return ProviderError() if hidden is None else read(hidden.data)
    words = _word(error.get("message"))[:_MAX_MESSAGE_CHARS]
    names_account = _MODERATED.match(words) is not None
    is_moderated = names_account or _is_flagged(error.get("metadata"))
    reason, used_up, delay_s = _of_details(error["details"]) if "details" in error else _NO_DETAILS
    return ProviderError(
        code=MODERATED if is_moderated else reason or _word(error.get("code")),
        kind=_word(error.get("status")) or _word(error.get("type")),
        hint=used_up or hint(words, _word(error.get("param"))),
        retry_after_s=delay_s,
        names_account=names_account,
    )


_MODERATED = re.compile(r"content violates usage guidelines", re.IGNORECASE)
"""xAI's message. Matched at the very beginning: other errors may quote it as part of a request."""


def _is_flagged(metadata: Any) -> bool:
    """Whether this is what OpenRouter adds to a refusal by moderation."""
    return isinstance(metadata, dict) and ("flagged_input" in metadata or isinstance(metadata.get("reasons"), list))


def _error_of(said: Any) -> dict[str, Any]:
    """The error object in a decoded body; a string in its place is its message. Empty if there is neither."""
    if isinstance(said, list) and said:
        said = said[0]
    if not isinstance(said, dict):
        return {}
    response = said.get("response")
    error = said.get("error") or (response.get("error") if isinstance(response, dict) else None) or said
    return error if isinstance(error, dict) else {"message": error}


def plain(body: bytes) -> bytes | None:
    """A JSON body without spaces, and without escapes that it could do without, so that it can be searched for words;
    None if it is not JSON. Never raises."""
    try:
        return msgspec.json.encode(_anything.decode(body))
    except (ValueError, RecursionError):
        return None


def message(body: bytes) -> str:
    """The message in an error body, for the client whose request is at fault; empty if there is none. Never raises."""
    try:
        error = _error_of(_anything.decode(body))
    except (ValueError, RecursionError):
        return ""
    return _word(error.get("message"))[:_MAX_MESSAGE_CHARS]


_Details: TypeAlias = tuple[str, Disposition | None, float | None]
"""The reason, `Disposition.QUOTA` if a quota is used up, and the delay in seconds."""
_NO_DETAILS: _Details = ("", None, None)


def _of_details(said: Any) -> _Details:
    """The facts in Google's error details."""
    details = [detail for detail in _list(said) if isinstance(detail, dict)]
    return next(_reasons(details), ""), _quota(details), next(_delays(details), None)


def _reasons(details: list[dict[str, Any]]) -> Iterator[str]:
    """The reasons in `google.rpc.ErrorInfo`."""
    return (_word(detail["reason"]) for detail in details if "reason" in detail)


def _delays(details: list[dict[str, Any]]) -> Iterator[float]:
    """The delays in `google.rpc.RetryInfo`, in seconds."""
    for detail in details:
        seconds = span_s(_word(detail.get("retryDelay")))
        if seconds is not None:
            yield seconds


_LASTING = ("perday", "permonth")
"""In lower case, the periods of limits that will not pass while a request waits."""


def _quota(details: list[dict[str, Any]]) -> Disposition | None:
    """`Disposition.QUOTA` if a `google.rpc.QuotaFailure` means that the account's quota is used up. Google sends one
    also for limits by the minute, and for those of a single model, which leave all other models usable
    (`GenerateRequestsPerDayPerProjectPerModel`): neither counts."""
    for detail in details:
        for violation in _list(detail.get("violations")):
            limit = _word(violation.get("quotaId")).lower() if isinstance(violation, dict) else ""
            if "permodel" not in limit and any(period in limit for period in _LASTING):
                return Disposition.QUOTA
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: Any) -> str:
    """A string as it is, and a small number, such as an HTTP status, as a string; empty for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int and 0 <= value < 1000 else ""
