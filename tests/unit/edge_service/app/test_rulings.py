from __future__ import annotations

import json

import pytest

from edge_service.app.rulings import LOOKED_AT_BYTES, NO_RULINGS, Rulings
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition
from edge_service.domain.plan import AnswerRule

ASKED = b'{"model": "chat", "messages": [{"role": "user", "content": "hello"}]}'


def fits(words: str, said: bytes, asked: bytes = ASKED, headers: Headers | None = None) -> bool:
    rule = AnswerRule(Disposition.QUOTA, 400, words)
    return Rulings((rule,), headers or [], asked).of(400, said) is Disposition.QUOTA


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("quota exhausted", b'{"error": {"message": "Your QUOTA Exhausted."}}'),
        ("quota exhausted", b"<h1>quota exhausted</h1>"),
        ("quota exhausted", b"\xff quota exhausted"),
        ("\u914d\u989d\u5df2\u7528\u5b8c", json.dumps({"msg": "\u914d\u989d\u5df2\u7528\u5b8c"}).encode()),
        ('"code":1302', b'{\n  "code": 1302\n}'),
        ('"code": 1302', b'{\n  "code": 1302\n}'),
        ("a/b", b'{"message": "a\\/b"}'),
    ],
)
def test_words_are_found_however_the_body_is_written(words: str, said: bytes) -> None:
    assert fits(words, said)
    assert not fits(words, b'{"error": {"message": "no"}}')


@pytest.mark.parametrize(
    "asked",
    [
        b'{"messages": [{"role": "user", "content": "quota exhausted"}]}',
        b'{"tool_choice": "QUOTA exhausted"}',
        b'{"tool_choice": "\\u0071uota\\u0020exhausted"}',
        b'{"quota exhausted": 1}',
        # What no one here can read, the provider may.
        b'{"tool_choice": "\\u0071uota exhausted", "x": "\\ud800"}',
        b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
    ids=lambda asked: repr(asked[:40]),
)
def test_nobody_talks_a_provider_out_of_service(asked: bytes) -> None:
    said = b'{"error": {"message": "Unknown value: \'quota exhausted\'"}}'
    assert fits("quota exhausted", said)
    assert not fits("quota exhausted", said, asked)


def test_nor_with_a_header() -> None:
    said = b"unexpected beta: quota exhausted"
    assert not fits("quota exhausted", said, headers=[(b"openai-beta", b"Quota exhausted")])
    assert fits("quota exhausted", said, headers=[(b"openai-beta", b"exhausted")])


def test_nor_with_a_copy_of_the_whole_answer() -> None:
    said = b'{"detail": [{"input": {"error": {"message": "quota exhausted"}}}]}'
    words = '{"error":{"message":"quota exhausted'
    assert fits(words, said)
    assert not fits(words, said, b'{"error" : {"message" : "quota exhausted"}}')


def test_a_huge_answer_is_read_as_far_as_an_error_would_be() -> None:
    assert fits("exhausted", b"x" * (LOOKED_AT_BYTES - 9) + b"exhausted")
    assert not fits("exhausted", b"x" * LOOKED_AT_BYTES + b"exhausted")


@pytest.mark.parametrize(("more", "counts"), [(0, True), (1, False)])
def test_what_a_huge_request_says_is_not_looked_at_so_that_no_words_count(more: int, counts: bool) -> None:
    asked = b'{"x": "%s"}' % (b"y" * (LOOKED_AT_BYTES - 9 + more))
    assert fits("quota exhausted", b"quota exhausted", asked) is counts


def test_without_rules_nothing_is_ruled() -> None:
    assert NO_RULINGS.of(400, b"quota exhausted") is None
