from __future__ import annotations

from edge_service.app.record import MOST_TOKENS, Record, Tokens, Tried, tokens
from edge_service.dialects.canonical import Usage
from edge_service.domain.outcome import Disposition


def tried(told: Tokens | None) -> Tried:
    return Tried("p/m#0", Disposition.OK, 0, 0.1, tokens=told)


def test_what_a_provider_says_stays_within_bounds() -> None:
    assert tokens(Usage(3, 2, 1, 9, 9)) == Tokens(3, 2, 1)
    assert tokens(Usage(-3, 10**30)) == Tokens(0, MOST_TOKENS)


def test_what_attempts_have_cost_is_added_up() -> None:
    record = Record("r", 0.0)
    assert record.tokens is None
    record.tried += [tried(None), tried(Tokens(3, 2, 1)), tried(Tokens(4, 0, 0))]
    assert record.tokens == Tokens(7, 2, 1)
