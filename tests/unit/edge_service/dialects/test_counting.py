from __future__ import annotations

import json

import pytest

from edge_service.dialects import counting
from edge_service.dialects.exchange import InexpressibleError, MalformedAnswerError
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.plan import Attempt

MESSAGE = b'{"model":"chat","messages":[{"role":"user","content":"hello"}],"later":null}'
CONTENTS = b'{"contents":[{"parts":[{"text":"hello"}]}],"later":null}'
HEAD = [(b"anthropic-version", b"2026-10-21")]


def target(dialect: str) -> Attempt:
    return Attempt("p/m#0", "p", dialect, "", "m", "")


def asked(by: str) -> counting.Countable:
    return counting.of_message(MESSAGE, HEAD) if by == "anthropic" else counting.of_contents(CONTENTS, "chat")


@pytest.mark.parametrize("by", ["anthropic", "gemini"])
def test_openais_dialect_cannot_count(by: str) -> None:
    assert asked(by).of(target("openai")) is None
    assert asked(by).of(target("one from tomorrow")) is None


def test_anthropics_own_passes_through() -> None:
    count = asked("anthropic").of(target("anthropic"))
    assert count is not None
    assert (count.is_translated, count.written.path, count.written.headers) == (False, "/v1/messages/count_tokens", [])
    assert json.loads(count.written.body) == {**json.loads(MESSAGE), "model": "m"}
    answer = b'{ "input_tokens": 3, "new": 1 }'
    assert count.complete(answer) == answer


def test_geminis_own_passes_through() -> None:
    count = asked("gemini").of(target("gemini"))
    assert count is not None
    assert (count.is_translated, count.written.path) == (False, "/v1beta/models/m:countTokens")
    assert count.written.body == CONTENTS
    answer = b'{ "totalTokens": 3, "new": 1 }'
    assert count.complete(answer) == answer


def test_what_is_left_out_is_named() -> None:
    body = {**json.loads(MESSAGE), "later": 1}
    count = counting.of_message(json.dumps(body).encode(), []).of(target("gemini"))
    assert count is not None
    assert count.written.dropped == ("later",)


def test_anthropics_at_gemini() -> None:
    count = asked("anthropic").of(target("gemini"))
    assert count is not None
    assert (count.is_translated, count.written.path) == (True, "/v1beta/models/m:countTokens")
    assert count.written.dropped == ()
    whole = json.loads(count.written.body)["generateContentRequest"]
    assert whole["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]
    assert count.complete(b'{"totalTokens": 3}') == b'{"input_tokens":3}'


def test_geminis_at_anthropic() -> None:
    count = asked("gemini").of(target("anthropic"))
    assert count is not None
    assert (count.is_translated, count.written.path) == (True, "/v1/messages/count_tokens")
    assert json.loads(count.written.body)["messages"] == [{"role": "user", "content": "hello"}]
    assert count.complete(b'{"input_tokens": 3}') == b'{"totalTokens":3}'


@pytest.mark.parametrize("answer", [b"", b"3", b"{", b'{"input_tokens": "3"}', b'{"input_tokens": -3}', b"{}"])
@pytest.mark.parametrize("by", ["anthropic", "gemini"])
def test_what_is_no_number_of_tokens_is_no_answer(by: str, answer: bytes) -> None:
    count = asked(by).of(target("anthropic"))
    assert count is not None
    with pytest.raises(MalformedAnswerError):
        count.complete(answer)


def test_what_only_one_dialect_can_say_is_counted_there_or_not_at_all() -> None:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "mcp_servers": [{"url": "x"}]}
    request = counting.of_message(json.dumps(body).encode(), [])
    assert request.of(target("anthropic")) is not None
    with pytest.raises(InexpressibleError):
        request.of(target("gemini"))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":"chat"}', b'{"model":"","messages":[]}', b"\xff"])
def test_what_is_wrong_is_found_before_anyone_is_asked(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        counting.of_message(body, [])


def test_geminis_are_read_once_it_is_known_by_whom() -> None:
    with pytest.raises(InvalidRequestError, match="names no model"):
        counting.of_contents(CONTENTS, " ")
    request = counting.of_contents(b"[]", "chat")
    for dialect in ("anthropic", "gemini"):
        with pytest.raises(InvalidRequestError):
            request.of(target(dialect))
    with pytest.raises(InvalidRequestError):
        _ = request.request
