"""Classifies error responses: by the provider's configured rules, else by HTTP status, corrected by the error in the
body."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TypeAlias

from edge_service.domain.outcome import OF_THE_REQUEST, Disposition, Outcome
from edge_service.domain.plan import AnswerRule

_BY_STATUS: Mapping[int, Disposition] = MappingProxyType(
    {
        200: Disposition.OK,
        # No content, and the part of one that nobody has asked for a part of: RFC 9110, 15.3.
        204: Disposition.EMPTY,
        205: Disposition.EMPTY,
        206: Disposition.BROKEN,
        401: Disposition.CREDENTIAL,
        402: Disposition.QUOTA,
        403: Disposition.CREDENTIAL,
        404: Disposition.MODEL_MISSING,
        408: Disposition.TIMEOUT,
        429: Disposition.RATE_LIMITED,
        503: Disposition.OVERLOADED,
        504: Disposition.TIMEOUT,
        529: Disposition.OVERLOADED,
    }
)

_OK, _SERVER_ERROR, _BROKEN = Disposition.OK, Disposition.SERVER_ERROR, Disposition.BROKEN
_CLIENT_FAULT, _CONTEXT_LENGTH = Disposition.CLIENT_FAULT, Disposition.CONTEXT_LENGTH
_MODEL_MISSING = Disposition.MODEL_MISSING

_BY_CLASS: Mapping[int, Disposition] = MappingProxyType({2: _OK, 3: _SERVER_ERROR, 4: _CLIENT_FAULT, 5: _SERVER_ERROR})


@dataclass(slots=True)
class ProviderError:
    """The facts in the body of an error response. Its message is not kept: messages quote prompts and keys."""

    code: str = ""
    """OpenAI's `code`, Google's `reason`."""
    kind: str = ""
    """The `type` of OpenAI and Anthropic, Google's `status`."""
    hint: Disposition | None = None
    """The disposition that its message tells, where the code leaves it open; see `hint`."""
    retry_after_s: float | None = None
    names_account: bool = False
    """The error is about the request, and yet quotes what identifies the gateway's account."""

    @property
    def name(self) -> str:
        """The code or kind, if it is one known here and so may be shown to anyone; else empty."""
        if _is_known(self.code):
            return self.code
        return self.kind if _is_known(self.kind) else ""


MODERATED = "content_policy_violation"
"""For requests that a provider's moderation refuses. Some providers send a 403 without a code."""
_OF_MODERATION = (MODERATED, "content_filter")

_SPECIFIC: Mapping[str, Disposition] = MappingProxyType(
    {
        # OpenAI: https://platform.openai.com/docs/guides/error-codes
        "insufficient_quota": Disposition.QUOTA,
        "billing_hard_limit_reached": Disposition.QUOTA,
        "billing_not_active": Disposition.QUOTA,
        "credit_balance_exhausted": Disposition.QUOTA,
        "invalid_api_key": Disposition.CREDENTIAL,
        "account_deactivated": Disposition.CREDENTIAL,
        "model_not_found": Disposition.MODEL_MISSING,
        "context_length_exceeded": Disposition.CONTEXT_LENGTH,
        "previous_response_not_found": Disposition.CLIENT_FAULT,
        **dict.fromkeys(_OF_MODERATION, Disposition.CLIENT_FAULT),
        # Servers that speak OpenAI's dialect: Azure, Mistral, llama.cpp.
        "deploymentnotfound": Disposition.MODEL_MISSING,
        "invalid_model": Disposition.MODEL_MISSING,
        "exceed_context_size_error": Disposition.CONTEXT_LENGTH,
        # Anthropic: https://docs.claude.com/en/api/errors
        "billing_error": Disposition.QUOTA,
        "authentication_error": Disposition.CREDENTIAL,
        # Google: https://ai.google.dev/gemini-api/docs/troubleshooting, and the reasons of
        # https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
        "api_key_invalid": Disposition.CREDENTIAL,
        "api_key_service_blocked": Disposition.CREDENTIAL,
        "service_disabled": Disposition.CREDENTIAL,
        "billing_disabled": Disposition.QUOTA,
    }
)
"""Codes that say more than an HTTP status does."""

_VAGUE: Mapping[str, Disposition] = MappingProxyType(
    {
        "rate_limit_exceeded": Disposition.RATE_LIMITED,
        "rate_limit_error": Disposition.RATE_LIMITED,
        "resource_exhausted": Disposition.RATE_LIMITED,
        "slow_down": Disposition.OVERLOADED,
        "overloaded": Disposition.OVERLOADED,
        "overloaded_error": Disposition.OVERLOADED,
        "server_is_overloaded": Disposition.OVERLOADED,
        "service_unavailable_error": Disposition.OVERLOADED,
        "unavailable": Disposition.OVERLOADED,
        "permission_error": Disposition.CREDENTIAL,
        "permission_denied": Disposition.CREDENTIAL,
        "unauthenticated": Disposition.CREDENTIAL,
        "not_found_error": Disposition.MODEL_MISSING,
        "not_found": Disposition.MODEL_MISSING,
        "timeout_error": Disposition.TIMEOUT,
        "deadline_exceeded": Disposition.TIMEOUT,
        "server_error": Disposition.SERVER_ERROR,
        "api_error": Disposition.SERVER_ERROR,
        "internal": Disposition.SERVER_ERROR,
        "request_too_large": Disposition.CLIENT_FAULT,
        "invalid_request_error": Disposition.CLIENT_FAULT,
        "invalid_argument": Disposition.CLIENT_FAULT,
        "failed_precondition": Disposition.CLIENT_FAULT,
    }
)
"""Codes that say no more than a status does. They count where the status says nothing: in a success, and in a 500."""


def _is_known(word: str) -> bool:
    word = word.lower()
    return word in _SPECIFIC or word in _VAGUE


_NOTHING: frozenset[Disposition] = frozenset()
_MAY_BECOME: Mapping[Disposition, frozenset[Disposition]] = MappingProxyType(
    {
        Disposition.OK: frozenset(Disposition) - {Disposition.OK, Disposition.CANCELLED, Disposition.UNREACHABLE},
        Disposition.CLIENT_FAULT: frozenset(
            {Disposition.QUOTA, Disposition.CREDENTIAL, Disposition.MODEL_MISSING, Disposition.CONTEXT_LENGTH}
        ),
        Disposition.MODEL_MISSING: frozenset({Disposition.CLIENT_FAULT}),
        Disposition.RATE_LIMITED: frozenset({Disposition.QUOTA}),
        Disposition.CREDENTIAL: frozenset({Disposition.QUOTA, Disposition.MODEL_MISSING}),
        Disposition.SERVER_ERROR: frozenset({Disposition.QUOTA, Disposition.RATE_LIMITED, Disposition.OVERLOADED}),
    }
)
"""The dispositions that a body may change each status's into. A 404 counts as a missing model unless the body speaks of
something else."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


# What cools a target has to stand at the very beginning. Errors quote the request, and nobody is to be able to put a
# provider out of service by asking for "credit balance is too low".
_OF_THE_TARGET = (
    (
        _words(
            r"your credit balance is too low"
            r"|you have reached your specified (\w+ ){0,2}usage limits"
            r"|your prepayment credits are depleted"
            r"|your project has exceeded its \w+ spending cap"
        ),
        Disposition.QUOTA,
    ),
    (
        _words(
            r"(the )?api key (not valid|expired|not found)"
            r"|user location is not supported"
            r"|gemini api free tier is not available"
        ),
        Disposition.CREDENTIAL,
    ),
    (_words(r"[\w./:@-]+ is not a valid model id"), Disposition.MODEL_MISSING),
)
_OF_LENGTH = _words(
    r".{0,200}?\b(prompt is too long"
    r"|input length and `max_tokens` exceed context limit"
    r"|maximum context length\b"
    r"|input token count (\(\d+\) )?exceeds the maximum"
    r"|exceeds? the available context size)"
)
_OF_WHAT_IS_NAMED = _words(
    r"(the |no such |requested |referenced |an? )*"
    r"(file|image|audio|video|media|response|item|conversation|container|vector ?store|cached ?content)s?\b"
)


def hint(message: str, param: str = "") -> Disposition | None:
    """The disposition that an error's message, and the name of the field at fault, tell; None if they tell none. Only
    phrases of providers that send no code are known; the first that fits counts."""
    for pattern, disposition in _OF_THE_TARGET:
        if pattern.match(message):
            return disposition
    said = message.lower()
    # Each of the phrases about length contains one of these. Searching for them takes a tenth of the pattern's time.
    if ("context" in said or "exceed" in said or "too long" in said) and _OF_LENGTH.match(message):
        return _CONTEXT_LENGTH
    if _OF_WHAT_IS_NAMED.match(message):
        return _CLIENT_FAULT
    return _CLIENT_FAULT if param and param != "model" else None


_STATUS = re.compile(r"[45]\d\d\Z", re.ASCII)


def classify(status: int, error: ProviderError | None = None) -> Disposition:
    """The disposition of an answer with this status, and with this error in its body. A status that HTTP does not
    define counts as broken; an unknown error in a success as a server error."""
    by_status = _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, _BROKEN)
    if error is None:
        return by_status
    if by_status is _OK and _STATUS.match(error.code):
        # OpenRouter, vLLM and Google repeat in the body the status that the answer should have had.
        return classify(int(error.code), error)
    code, kind = error.code.lower(), error.kind.lower()
    if status == 403 and (code in _OF_MODERATION or kind in _OF_MODERATION):
        return _CLIENT_FAULT
    said = [_SPECIFIC.get(code), _SPECIFIC.get(kind)]
    if error.hint is not _CLIENT_FAULT or by_status is _MODEL_MISSING:
        said.append(error.hint)
    if by_status is _OK or by_status is _SERVER_ERROR:
        said += _VAGUE.get(code), _VAGUE.get(kind)
    may_become = _MAY_BECOME.get(by_status, _NOTHING)
    for disposition in said:
        if disposition in may_become:
            return disposition
    return _SERVER_ERROR if by_status is _OK else by_status


Text: TypeAlias = Callable[[], str | None]
"""Returns a case-folded text, which is read only when this is called; None if it cannot be read."""


def ruled(rules: Iterable[AnswerRule], status: int, said: Text, asked: Text) -> Disposition | None:
    """The disposition of the first rule that fits an error response; None if none fits. `said` and `asked` return the
    text of the response and of the request; each is read once."""
    are_kept = False
    for rule in rules:
        if rule.status not in (0, status):
            continue
        if not rule.body_contains:
            return rule.disposition
        if not are_kept:
            said, asked, are_kept = cache(said), cache(asked), True
        if _are_its_own(rule.body_contains.casefold(), said, asked):
            return rule.disposition
    return None


def _are_its_own(words: str, said: Text, asked: Text) -> bool:
    """Whether these words are the provider's own, not quoted from the request. Errors quote the request, and nobody is
    to be able to put a provider out of service by asking for "quota exhausted"."""
    if words not in (said() or ""):
        return False
    request = asked()
    return request is not None and words not in request


def speaks_for_itself(status: int, disposition: Disposition) -> bool:
    """Whether this status tells a client the same as the disposition that a rule gave the response."""
    by_status = classify(status)
    about_the_request = by_status is _CLIENT_FAULT or by_status is _MODEL_MISSING
    return by_status is disposition or (about_the_request and disposition in OF_THE_REQUEST)


def reported(status: int, error: ProviderError, by_rule: Disposition | None = None) -> Outcome:
    """The outcome of a response with a success status and an error in its body."""
    detail = f"the provider reported an error: {error.name}" if error.name else "the provider reported an error"
    disposition = by_rule or classify(status, error)
    return Outcome(
        disposition, status=status, retry_after_s=error.retry_after_s, detail=detail, by_rule=by_rule is not None
    )
