"""The bodies with which providers say what went wrong. Their shapes do not contradict each other, so that one reader
takes them all: a provider of one dialect may well answer in the words of another that stands behind it.

- OpenAI: `{"error": {"message", "type", "param", "code"}}`, https://platform.openai.com/docs/guides/error-codes;
  some that speak its dialect leave out the outer object (vLLM, Mistral) or put a status into `code` (OpenRouter);
  in streams of the Responses API it stands in the event itself, or in its `response`
- Anthropic: `{"type": "error", "error": {"type", "message"}}`, https://docs.claude.com/en/api/errors
- Gemini: `{"error": {"code", "message", "status", "details"}}`, https://ai.google.dev/gemini-api/docs/troubleshooting,
  with details as in https://cloud.google.com/apis/design/errors#error_details; as the only element of an array at times
- what moderation refuses: OpenRouter adds `metadata` with `reasons` and `flagged_input`
  (https://openrouter.ai/docs/api/reference/errors-and-debugging#moderation-errors), xAI has a string for an error, in
  which it names team and key (https://github.com/UKGovernmentBEIS/inspect_ai/pull/2267); both with a 403
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
"""What an error is about stands at its beginning."""


def read(body: bytes) -> ProviderError:
    """What an error's body says; of one that cannot be read, nothing. Never raises."""
    try:
        said = _anything.decode(body)
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        return ProviderError() if hidden is None else read(hidden.data)
    if isinstance(said, list) and said:
        said = said[0]
    if not isinstance(said, dict):
        return ProviderError()
    error = said.get("error") or _of_response(said) or said
    if not isinstance(error, dict):
        words = _word(error)[:_MAX_MESSAGE_CHARS]
        names_account = _MODERATED.match(words) is not None
        return ProviderError(MODERATED if names_account else "", hint=hint(words), names_account=names_account)
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
"""At the very beginning: errors quote the request."""


def _is_flagged(metadata: Any) -> bool:
    return isinstance(metadata, dict) and ("flagged_input" in metadata or isinstance(metadata.get("reasons"), list))


def _of_response(said: dict[str, Any]) -> Any:
    """The error of an event that tells of a whole answer."""
    response = said.get("response")
    return response.get("error") if isinstance(response, dict) else None


def plain(body: bytes) -> bytes | None:
    """A JSON body without escapes and spaces, so that words can be searched for; None if it is not JSON. Never
    raises."""
    try:
        return msgspec.json.encode(_anything.decode(body))
    except (ValueError, RecursionError):
        return None


def message(body: bytes) -> str:
    """The message of an error, for the client whose request is at fault; empty if there is none."""
    try:
        said = _anything.decode(body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(said, list) and said:
        said = said[0]
    error = said.get("error") or said if isinstance(said, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    return _word(words)[:_MAX_MESSAGE_CHARS]


_Details: TypeAlias = tuple[str, Disposition | None, float | None]
_NO_DETAILS: _Details = ("", None, None)


def _of_details(said: Any) -> _Details:
    """The reason, what is used up, and the delay, each if there is a detail of it."""
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


def _quota(details: list[dict[str, Any]]) -> Disposition | None:
    """Whether `google.rpc.QuotaFailure` means that the account is used up. Google sends it for each limit, those by the
    minute too. It is only if the limit is by day or month and of no single model: with
    `GenerateRequestsPerDayPerProjectPerModel` all other models go on serving."""
    for detail in details:
        for violation in _list(detail.get("violations")):
            limit = _word(violation.get("quotaId")).lower() if isinstance(violation, dict) else ""
            if "permodel" not in limit and any(period in limit for period in _LASTING):
                return Disposition.QUOTA
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int and 0 <= value < 1000 else ""
