from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import openai_responses
from edge_service.dialects.canonical import (
    Answer,
    Family,
    Finish,
    Media,
    MediaKind,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError

HI = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
NO = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}


def read(*output: Any, **fields: Any) -> Answer:
    return openai_responses.PROVIDER.read(json.dumps({"output": list(output), **fields}).encode())


def test_the_least_that_is_an_answer() -> None:
    answer = read(HI)
    assert answer.choices[0].parts == (Text("Hi"),)
    assert (answer.id, answer.created_at, answer.usage) == ("", 0, Usage())


@pytest.mark.parametrize(
    ("output", "status", "reason", "finish"),
    [
        ([HI], "completed", None, Finish.STOP),
        ([HI, CALL], "completed", None, Finish.TOOL_CALLS),
        ([NO], "completed", None, Finish.REFUSED),
        ([HI, CALL], "incomplete", "max_output_tokens", Finish.LENGTH),
        ([HI], "incomplete", "content_filter", Finish.FILTERED),
        ([HI], "incomplete", "steered", Finish.PAUSED),
        ([HI], "incomplete", "something_new", Finish.LENGTH),
        ([], "incomplete", None, Finish.LENGTH),
    ],
)
def test_why_it_ends(output: list[Any], status: str, reason: str | None, finish: Finish) -> None:
    answer = read(*output, status=status, incomplete_details=None if reason is None else {"reason": reason})
    assert answer.choices[0].finish is finish


def test_usage_includes_its_parts_here_too() -> None:
    said = {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 7},
    }
    assert read(HI, usage=said).usage == Usage(30, 12, 10, 5, 7)
    assert read(HI, usage={"input_tokens": 1}).usage == Usage(1)


def test_thoughts() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "a"}, {"text": "b"}]}
    assert read({**thought, "encrypted_content": "g"}, HI).choices[0].parts[0] == Thinking(
        "a\n\nb", encrypted="g", family=Family.OPENAI, id="rs_1"
    )
    aloud = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "c"}]}
    assert read(aloud, HI).choices[0].parts[0] == Thinking("c")
    assert read({"type": "reasoning", "id": "rs_1", "summary": []}, HI).choices[0].parts == (Text("Hi"),)


def test_a_call_without_its_id_has_the_items() -> None:
    assert read({**CALL, "call_id": None}).choices[0].parts == (ToolCall("fc_1", "f", "{}"),)


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    body = b'{"output":[{"type":"message","content":[{"type":"output_text","text":"a\\ud83d"}]}]}'
    assert openai_responses.PROVIDER.read(body).choices[0].parts == (Text("a\ufffd"),)


def test_what_the_provider_does_itself_is_left_out() -> None:
    assert read({"type": "web_search_call", "content": 7}, NO).choices[0].parts == (Refusal("no"),)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", EmptyAnswerError),
        (b'{"output":[]}', EmptyAnswerError),
        (b'{"output":[{"type":"reasoning","id":"rs_1","summary":[]}]}', EmptyAnswerError),
        (b"[]", MalformedAnswerError),
        (b"{}", MalformedAnswerError),
        (b'{"output":[{}]}', MalformedAnswerError),
        (b'{"output":[{"type":"message","content":[7]}]}', MalformedAnswerError),
        (b'{"output":[{"type":"function_call"}]}', MalformedAnswerError),
        (b'{"output":[],"status":"queued"}', MalformedAnswerError),
        (b'{"output":"\xff"}', MalformedAnswerError),
        (b'{"output":' + b"[" * 100_000, MalformedAnswerError),
        (b'{"error":{"message":"m"}}', ReportedError),
        (b'{"output":[],"status":"failed"}', ReportedError),
        (b'{"output":[],"status":"cancelled"}', ReportedError),
    ],
)
def test_what_is_no_answer(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        openai_responses.PROVIDER.read(body)


@pytest.mark.parametrize(
    ("said", "read_as"), [(1.7e9, 1_700_000_000), (-1, 0), (0.5, 0), (2.0**53 - 1, 2**53 - 1), (2.0**53, 0), (None, 0)]
)
def test_when_it_was_made(said: float | None, read_as: int) -> None:
    assert read(HI, created_at=said).created_at == read_as


def test_nothing_at_all() -> None:
    for body in (b"", b" \r\n"):
        with pytest.raises(EmptyAnswerError):
            openai_responses.PROVIDER.read(body)


def test_text_that_is_not_utf_8_is_no_answer() -> None:
    with pytest.raises(MalformedAnswerError):
        openai_responses.PROVIDER.read(b'{"output":[{"type":"x","y":"\xff"}],"status":"incomplete"}')


def test_parts_that_are_not_known_and_images_that_are_not_there_are_left_out() -> None:
    message = {"type": "message", "content": [{"type": "of tomorrow", "text": 5}, {"type": "output_text", "text": "a"}]}
    image = {"type": "image_generation_call", "result": "QQ=="}
    answer = read(message, {"type": "message", "content": None}, {**image, "result": None}, image)
    assert answer.choices[0].parts == (Text("a"), Media(MediaKind.IMAGE, data="QQ=="))
