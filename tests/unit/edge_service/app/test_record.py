from __future__ import annotations

import pytest

from edge_service.app.record import MOST_TOKENS, Record, Tokens, Tried, tokens
from edge_service.dialects.canonical import Usage
from edge_service.domain.needs import Operation
from edge_service.domain.outcome import Disposition


def tried(told: Tokens | None, disposition: Disposition = Disposition.OK) -> Tried:
    return Tried("p/m#0", disposition, 0, 0.1, tokens=told)


def test_what_a_provider_says_stays_within_bounds() -> None:
    assert tokens(Usage(3, 2, 1, 9, 9)) == Tokens(3, 2, 1)
    assert tokens(Usage(-3, 10**30)) == Tokens(0, MOST_TOKENS)


def test_what_attempts_have_cost_is_added_up() -> None:
    record = Record("r", 0.0)
    sums = []
    for told in (Tokens(3, 2, 1), None, Tokens(4, 0, 0)):
        record.tried.append(tried(told))
        sums.append(record.tokens)
    assert sums == [Tokens(3, 2, 1), Tokens(3, 2, 1), Tokens(7, 2, 1)]


def test_where_no_provider_tells_the_cost_is_not_known() -> None:
    record = Record("r", 0.0)
    assert record.tokens is None
    record.tried += [tried(None)] * 2
    assert record.tokens is None


@pytest.mark.parametrize(
    ("dispositions", "operation", "duplicates"),
    [
        ([], Operation.GENERATE, 0),
        ([Disposition.TIMEOUT], Operation.GENERATE, 0),
        ([Disposition.TIMEOUT, Disposition.OK], Operation.GENERATE, 1),
        ([Disposition.OVERLOADED, Disposition.BROKEN, Disposition.TIMEOUT], Operation.EMBED, 1),
        ([Disposition.OVERLOADED, Disposition.OK], Operation.GENERATE, 0),
        ([Disposition.TIMEOUT, Disposition.OK], Operation.COUNT, 0),
    ],
)
def test_what_may_have_run_twice_is_what_was_moved_on_from(
    dispositions: list[Disposition], operation: Operation, duplicates: int
) -> None:
    record = Record("r", 0.0)
    record.operation = operation
    record.tried = [tried(None, disposition) for disposition in dispositions]
    assert record.possible_duplicates == duplicates
