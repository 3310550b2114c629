from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2

from resolver_service.adapters.grpc_api.refusals import MOST_BYTES, status
from resolver_service.domain.config import ConfigError, Problem


def violations(told: status_pb2.Status) -> list[tuple[str, str]]:
    bad = error_details_pb2.BadRequest()
    assert told.details[0].Unpack(bad)
    assert bad.ByteSize() <= MOST_BYTES + 200
    return [(each.field, each.description) for each in bad.field_violations]


@pytest.mark.parametrize("length", [1, 10, 100, 1000])
def test_of_very_many_problems_the_first_are_told_and_how_many_more_there_are(length: int) -> None:
    problems = [Problem(f"p[{n}]", "x" * length) for n in range(1000)]
    *told, (field, words) = violations(status(ConfigError(problems)))
    assert told == [(p.path, p.message) for p in problems[: len(told)]]
    assert len(told) > 0
    assert (field, words.partition(" that ")[0]) == ("", f"and {1000 - len(told)} more")


def test_what_fits_is_told_in_full() -> None:
    assert violations(status(ConfigError([Problem("a", "wrong"), Problem("b", "worse")]))) == [
        ("a", "wrong"),
        ("b", "worse"),
    ]
