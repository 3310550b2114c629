"""Applies the rules that the configuration has for a provider's error answers."""

from __future__ import annotations

from edge_service.dialects import provider_errors
from edge_service.domain.classification import ruled
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition
from edge_service.domain.plan import AnswerRule

LOOKED_AT_BYTES = 1024 * 1024
"""Of an answer's body that are searched: what is wrong stands at its beginning. And the most that a request may have
for words to be looked for: they may be quoted from it."""


class Rulings:
    """The rules of one provider, for one request."""

    __slots__ = ("_body", "_headers", "_rules")

    def __init__(self, rules: tuple[AnswerRule, ...], headers: Headers, body: bytes) -> None:
        """Headers and body are those of the request."""
        self._rules = rules
        self._headers = headers
        self._body = body

    def of(self, status: int, body: bytes) -> Disposition | None:
        """The disposition by the first rule that fits, for an error answer or a success without an answer in it; None
        if none fits."""
        if not self._rules:
            return None
        return ruled(self._rules, status, lambda: _said(body[:LOOKED_AT_BYTES]), self._asked)

    def _asked(self) -> str | None:
        if len(self._body) > LOOKED_AT_BYTES:
            return None  # To read all of it would hold up other requests.
        plain = provider_errors.plain(self._body)
        if plain is None:
            return None  # It cannot be decoded here, and may have the words in it.
        return _text(self._body, plain, *[value for _, value in self._headers])


def _said(body: bytes) -> str:
    return _text(body, provider_errors.plain(body) or b"")


def _text(*parts: bytes) -> str:
    return b"\n".join(parts).decode(errors="replace").casefold()


NO_RULINGS = Rulings((), [], b"")
