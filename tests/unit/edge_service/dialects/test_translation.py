from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge_service.dialects.asked import chat_completion, message
from edge_service.dialects.exchange import EventKind, InexpressibleError
from edge_service.domain.plan import NO_QUIRKS, Attempt, Quirks

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}


def attempt(dialect: str, quirks: Quirks = NO_QUIRKS, *, responses: bool = False) -> Attempt:
    return Attempt("p/m#0", "p", dialect, "http://p", "upstream", "", quirks=quirks, responses=responses)


def chunk(index: int, text: str, reason: str | None = None) -> bytes:
    candidate = {"index": index, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reason}
    return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n"


def test_a_stream_of_several_answers_ends_with_the_last_of_them() -> None:
    asked = chat_completion(json.dumps({**CHAT, "n": 2, "stream": True}).encode(), [])
    reader = asked.of(attempt("gemini")).reader()
    kinds = [reader.read(event)[0] for event in (chunk(0, "a", "STOP"), chunk(1, "b"), chunk(1, "c", "STOP"))]
    assert kinds == [EventKind.CONTENT, EventKind.CONTENT, EventKind.TERMINAL]


def test_what_is_bound_to_its_dialect_goes_nowhere_else() -> None:
    asked = chat_completion(json.dumps({**CHAT, "web_search_options": {}}).encode(), [])
    assert asked.of(attempt("openai")).is_translated is False
    with pytest.raises(InexpressibleError, match="web_search_options"):
        asked.of(attempt("anthropic"))


def test_a_dialect_that_is_not_known_cannot_be_spoken() -> None:
    with pytest.raises(InexpressibleError):
        chat_completion(json.dumps(CHAT).encode(), []).of(attempt("martian"))


def test_the_next_target_gets_what_the_last_one_got_if_that_is_the_same() -> None:
    asked = chat_completion(json.dumps({**CHAT, "stream": True}).encode(), [])
    first = attempt("openai")
    written = asked.of(first).written
    assert asked.of(replace(first, target_id="q/m#1", provider="q", credential_ref="env:Q")).written is written
    for other in (
        replace(first, upstream_model="other"),
        replace(first, reasoning="high"),
        replace(first, quirks=Quirks(lacks=frozenset({"stream_options"}))),
    ):
        assert (
            asked.of(other).written
            == chat_completion(json.dumps({**CHAT, "stream": True}).encode(), []).of(other).written
        )
        assert asked.of(other).written.body != written.body
    assert asked.of(first).written == written


def test_quirks_name_the_fields() -> None:
    body = {"model": "m", "max_tokens": 7, "system": "be brief", "messages": CHAT["messages"]}
    quirks = Quirks(max_tokens_field="max_completion_tokens", system_role="developer")
    call = message(json.dumps(body).encode(), []).of(attempt("openai", quirks))
    sent = json.loads(call.written.body)
    assert (sent["max_completion_tokens"], sent["messages"][0]["role"]) == (7, "developer")
    assert "max_tokens" not in sent


MESSAGE = {"model": "m", "max_tokens": 20, "messages": CHAT["messages"]}


def test_a_provider_with_the_responses_api_is_spoken_to_in_it() -> None:
    call = message(json.dumps(MESSAGE).encode(), []).of(attempt("openai", responses=True))
    assert call.written.path == "/responses"
    assert json.loads(call.written.body)["max_output_tokens"] == 20
    output = [{"type": "message", "content": [{"type": "output_text", "text": "well met"}]}]
    answer = json.loads(call.complete(json.dumps({"status": "completed", "output": output}).encode()))
    assert answer["content"] == [{"type": "text", "text": "well met"}]


def test_what_the_responses_api_lacks_is_said_by_chat_completions() -> None:
    call = message(json.dumps({**MESSAGE, "stop_sequences": ["END"]}).encode(), []).of(
        attempt("openai", responses=True)
    )
    assert (call.written.path, json.loads(call.written.body)["stop"]) == ("/chat/completions", ["END"])
    answer = json.loads(call.complete(b'{"choices":[{"message":{"content":"well"},"finish_reason":"stop"}]}'))
    assert answer["content"] == [{"type": "text", "text": "well"}]


def test_the_responses_api_is_one_of_openais_dialect() -> None:
    call = message(json.dumps(MESSAGE).encode(), []).of(attempt("gemini", responses=True))
    assert call.written.path == "/v1beta/models/upstream:generateContent"


@pytest.mark.parametrize(
    ("asked", "known", "said"),
    [({}, 0, 8192), ({}, 64_000, 64_000), ({}, 100, 100), ({"max_tokens": 7}, 64_000, 7), ({"max_tokens": 9}, 0, 9)],
)
def test_where_a_limit_is_demanded_and_none_is_said_it_is_what_the_model_can_write(
    asked: dict[str, int], known: int, said: int
) -> None:
    target = replace(attempt("anthropic"), max_output_tokens=known)
    sent = json.loads(chat_completion(json.dumps({**CHAT, **asked}).encode(), []).of(target).written.body)
    assert sent["max_tokens"] == said


def test_a_budget_for_thinking_does_not_go_beyond_what_the_model_can_write() -> None:
    target = replace(attempt("anthropic"), max_output_tokens=16_000, upstream_model="claude-sonnet-4-5")
    body = {**CHAT, "reasoning_effort": "high"}
    sent = json.loads(chat_completion(json.dumps(body).encode(), []).of(target).written.body)
    assert sent["max_tokens"] == 16_000
    assert sent["thinking"]["budget_tokens"] < 16_000
