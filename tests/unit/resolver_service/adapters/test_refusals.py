from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from google.rpc import error_details_pb2, status_pb2

from resolver_service.adapters.grpc_api.refusals import MOST_BYTES, Refusal, status
from resolver_service.app.ports import ConflictError
from resolver_service.domain.config import ConfigError, Problem
from resolver_service.domain.config_changes import InUseError


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


@pytest.mark.parametrize("letter", ["x", "\u6c34"])
@pytest.mark.parametrize(
    "refusal",
    [
        lambda words: ConfigError([Problem("a", words)]),
        lambda words: ConfigError([Problem("a", words[:700])] * 9),
        ConflictError,
        lambda words: InUseError("p", tuple(words[:100] for _ in range(300))),
    ],
    ids=["one mistake", "several", "conflict", "in use"],
)
def test_no_refusal_is_longer_than_callers_take(refusal: Callable[[str], Refusal], letter: str) -> None:
    """Of longer trailers gRPC makes an error of its own, at random."""
    told = status(refusal(letter * 30_000))
    assert len(told.message) > 20
    trailers = quote(told.message), b64encode(told.SerializeToString())
    assert sum(map(len, trailers)) < 8192 - 250, "the others, and what they are called"
