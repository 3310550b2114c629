from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from edge_service.dialects.openai_chat import Quirks, call_ids, read_request

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra": None}
NINE = call_ids.fitting("call_1", 9)


def conversation(call_id: str) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": 'say "tool_calls"'},
        {"role": "assistant", "content": None, "tool_calls": [CALL | {"id": call_id}]},
        {"role": "tool", "tool_call_id": call_id, "content": "1"},
    ]


def taken(messages: Any) -> Any:
    raw = Raw(json.dumps(messages).encode())
    new = call_ids.taken(raw, 9)
    return raw if new is raw else json.loads(bytes(new))


def test_a_call_and_its_result_keep_the_same_id() -> None:
    assert taken(conversation("call_1")) == conversation(NINE)
    assert (len(NINE), NINE.isalnum()) == (9, True)
    assert call_ids.fitting("call_2", 9) != NINE


@pytest.mark.parametrize(
    "messages",
    [
        conversation("abcdef123"),
        [{"role": "user", "content": "Hi"}],
        [{"role": "assistant", "tool_calls": None}],
        [{"role": "assistant", "tool_calls": [{"function": {}}]}],
        [{"role": "assistant", "tool_calls": {"id": "call_1"}}],
        [{"role": "assistant", "tool_calls": [{"id": 7}]}],
        [{"role": "tool", "tool_call_id": 7}],
        ["tool_calls", 1],
    ],
)
def test_what_fits_or_cannot_be_read_stays_as_it_came(messages: Any) -> None:
    assert isinstance(taken(messages), Raw)


def test_a_conversation_passes_through_with_ids_that_fit() -> None:
    request = read_request(json.dumps({"model": "m", "messages": conversation("call_1"), "top_k": 1}).encode())
    sent = json.loads(request.write("up", Quirks(call_id_chars=9)).body)
    assert sent == {"model": "up", "messages": conversation(NINE), "top_k": 1}
    assert request.write("up").body == request.body("up")


@pytest.mark.parametrize(("length", "is_kept"), [(0, False), (1, True), (40, True), (41, False)])
def test_ids_have_40_characters_at_most(length: int, is_kept: bool) -> None:
    fitting = call_ids.fitting("c" * length, 0)
    assert (fitting == "c" * length) is is_kept
    assert len(fitting) in (length, 29)


@pytest.mark.parametrize("call_id", ["abcd-1234", "abcdefgh\u00e9", "abcdefgh"])
def test_only_letters_and_digits_fit(call_id: str) -> None:
    fitting = call_ids.fitting(call_id, 9)
    assert (fitting != call_id, len(fitting), fitting.isascii(), fitting.isalnum()) == (True, 9, True, True)


def test_of_several_calls_those_that_fit_stay() -> None:
    messages = [{"role": "assistant", "tool_calls": [CALL, CALL | {"id": "abcdef123"}, {"function": {}}]}]
    (message,) = taken(messages)
    assert [call.get("id") for call in message["tool_calls"]] == [NINE, "abcdef123", None]
