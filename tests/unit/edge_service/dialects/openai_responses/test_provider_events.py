from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import openai_responses
from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finish,
    Finished,
    Media,
    MediaDelta,
    MediaKind,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.exchange import MalformedAnswerError, ReportedError


def read(*events: dict[str, Any]) -> list[Event]:
    reader = openai_responses.PROVIDER.events()
    return [
        each
        for event in events
        for each in reader.read(f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n".encode())
    ]


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return event("output_item.added", output_index=index, item=item)


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return event("output_item.done", output_index=index, item=item)


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}
STARTED = ToolCallStarted(0, "c", "f")
HI = {"type": "output_text", "text": "hi"}
NO = {"type": "refusal", "refusal": "no"}


def test_an_answer_begins_once() -> None:
    response = {"id": "resp_1", "created_at": 7.0}
    assert read(event("created", response=response), event("in_progress", response=response)) == [Started("resp_1", 7)]
    assert read(event("in_progress", response={})) == [Started("")]


def test_an_answer_may_have_failed_before_it_begins() -> None:
    with pytest.raises(ReportedError):
        read(event("created", response={"status": "failed", "error": {"code": "server_error"}}))


def test_text_and_refusals() -> None:
    assert read(
        event("output_text.delta", delta="a", logprobs=[]), event("refusal.delta", delta="no"), {"type": "keepalive"}
    ) == [TextDelta("a"), RefusalDelta("no")]


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    reader = openai_responses.PROVIDER.events()
    delta = b'data: {"type":"response.output_text.delta","delta":"a\\ud83d","output_index":1}\n\n'
    assert reader.read(delta) == (TextDelta("a\ufffd"),)
    item = b'{"type":"message","content":[{"type":"output_text","text":"\\ude00\\ud83d\\ude00"}]}'
    whole = b'data: {"type":"response.output_item.done","output_index":2,"item":' + item + b"}\n\n"
    assert reader.read(whole) == [TextDelta("\ufffd\U0001f600")]


def test_probabilities() -> None:
    (delta,) = read(event("output_text.delta", delta="a", logprobs=[{"token": "a", "logprob": -1}]))
    assert isinstance(delta, TextDelta)
    assert delta.logprobs is not None
    assert json.loads(bytes(delta.logprobs)) == {
        "content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}],
        "refusal": None,
    }
    assert read(event("output_text.delta", delta="a", logprobs=[7])) == [TextDelta("a")]


def test_the_parts_of_a_summary_stand_apart() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert read(
        added(thought),
        event("reasoning_summary_part.added", output_index=0, summary_index=0),
        event("reasoning_summary_text.delta", output_index=0, delta="a"),
        event("reasoning_summary_part.added", output_index=0, summary_index=1),
        event("reasoning_summary_text.delta", output_index=0, delta="b"),
        done({**thought, "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "g"}),
    ) == [
        ThinkingDelta(id="rs_1"),
        ThinkingDelta("a"),
        ThinkingDelta("\n\n"),
        ThinkingDelta("b"),
        ThinkingDelta(encrypted="g", family=Family.OPENAI, id="rs_1"),
    ]


def test_of_a_thought_and_its_summary_the_first_is_read() -> None:
    aloud = event("reasoning_text.delta", output_index=0, delta="a")
    summary = event("reasoning_summary_text.delta", output_index=0, delta="b")
    assert read(aloud, summary, aloud) == [ThinkingDelta("a")] * 2
    assert read(summary, aloud, {**aloud, "output_index": 1}) == [ThinkingDelta("b"), ThinkingDelta("a")]


def test_only_parts_of_a_summary_stand_apart() -> None:
    aloud = event("reasoning_text.delta", output_index=0, delta="a")
    summary = event("reasoning_summary_text.delta", output_index=0, delta="b")
    second = event("reasoning_summary_part.added", output_index=0, summary_index=1)
    assert read(aloud, second) == [ThinkingDelta("a")]
    assert read(second, summary) == [ThinkingDelta("b")]
    assert read(summary, {**second, "summary_index": 0}) == [ThinkingDelta("b")]
    assert read(summary, {**second, "output_index": 1}) == [ThinkingDelta("b")]
    assert read(added({"type": "reasoning", "summary": []})) == []


def test_calls() -> None:
    assert read(
        added(CALL, 1),
        event("function_call_arguments.delta", output_index=1, delta="{"),
        added({**CALL, "call_id": "d", "name": "g"}, 2),
        event("function_call_arguments.delta", output_index=2, delta="{}"),
        event("function_call_arguments.delta", output_index=1, delta="}"),
        event("function_call_arguments.done", output_index=1, arguments="{}"),
        done({**CALL, "arguments": "{}"}, 1),
        event("function_call_arguments.delta", output_index=9, delta="of none"),
    ) == [STARTED, ToolCallDelta(0, "{"), ToolCallStarted(1, "d", "g"), ToolCallDelta(1, "{}"), ToolCallDelta(0, "}")]


@pytest.mark.parametrize(
    "events",
    [
        [added({**CALL, "arguments": "{}"}), done({**CALL, "arguments": "{}"})],
        [added(CALL), event("function_call_arguments.done", output_index=0, arguments="{}"), done(CALL)],
        [added(CALL), done({**CALL, "arguments": "{}"})],
        [done({**CALL, "arguments": "{}"})],
        [added(CALL), done({**CALL, "arguments": "{}"}), done({**CALL, "arguments": "{}"})],
        [done({**CALL, "arguments": "{}"}), done({**CALL, "arguments": "{}"})],
        [
            added(CALL),
            event("function_call_arguments.done", output_index=0, arguments=""),
            event("function_call_arguments.done", output_index=1, arguments="{}"),
            done({**CALL, "arguments": ""}),
            done({**CALL, "arguments": "{}"}),
        ],
        [added({**CALL, "call_id": None, "id": "c"}), done({**CALL, "arguments": "{}"})],
    ],
)
def test_arguments_may_come_whole(events: list[dict[str, Any]]) -> None:
    assert read(*events) == [STARTED, ToolCallDelta(0, "{}")]


def test_what_came_bit_by_bit_is_not_told_again() -> None:
    message = {
        "type": "message",
        "content": [{"type": "output_text", "text": "ab"}, {"type": "refusal", "refusal": "c"}],
    }
    assert read(event("output_text.delta", output_index=0, delta="ab"), done(message)) == [TextDelta("ab")]
    assert read(done(message)) == [TextDelta("ab"), RefusalDelta("c")]
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "a"}]}
    assert read(done(thought)) == [ThinkingDelta("a", id="rs_1")]
    assert read(done({**thought, "summary": []})) == []


def test_what_the_provider_does_itself_is_left_out() -> None:
    search = {"type": "web_search_call", "id": {"odd": 1}}
    assert read(added(search), event("web_search_call.searching"), done(search), event("new", delta={"a": 1})) == []


def test_images() -> None:
    image = {"type": "image_generation_call", "result": "QQ==", "output_format": "png"}
    assert read(added({**image, "result": None}), done(image)) == [
        MediaDelta(Media(MediaKind.IMAGE, "image/png", data="QQ=="))
    ]


@pytest.mark.parametrize(
    ("before", "kind", "reason", "finish"),
    [
        ([], "completed", None, Finish.STOP),
        ([added(CALL)], "completed", None, Finish.TOOL_CALLS),
        ([event("refusal.delta", delta="no")], "completed", None, Finish.REFUSED),
        ([done({"type": "message", "content": [HI, NO]})], "completed", None, Finish.REFUSED),
        (
            [done({"type": "message", "content": [NO]}), done({"type": "message", "content": [HI]}, 1)],
            "completed",
            None,
            Finish.REFUSED,
        ),
        (
            [event("refusal.delta", delta="no"), done({"type": "message", "content": [HI]}, 1)],
            "completed",
            None,
            Finish.REFUSED,
        ),
        ([done({"type": "message", "content": [HI]})], "completed", None, Finish.STOP),
        ([added(CALL)], "incomplete", "max_output_tokens", Finish.LENGTH),
        ([], "incomplete", "content_filter", Finish.FILTERED),
    ],
)
def test_why_it_ends(before: list[dict[str, Any]], kind: str, reason: str | None, finish: Finish) -> None:
    response = {"incomplete_details": {"reason": reason}, "usage": {"input_tokens": 3, "output_tokens": 4}}
    assert read(*before, event(kind, response=response))[-3:] == [Finished(finish), UsageSeen(Usage(3, 4)), Ended()]


@pytest.mark.parametrize("sent", [b"data: [DONE]\n\n", b": ping\n\n", b"event: x\n\n"])
def test_what_is_no_event_ends_nothing(sent: bytes) -> None:
    assert openai_responses.PROVIDER.events().read(sent) == ()


@pytest.mark.parametrize(
    "told",
    [
        {"type": "error", "code": "server_error", "message": "m"},
        {"type": "error", "error": {"code": "server_error"}},
        {"error": {"message": "m"}},
        event("failed", response={"error": {"code": "server_error"}}),
        event("completed", response={"status": "failed"}),
    ],
)
def test_failures(told: dict[str, Any]) -> None:
    with pytest.raises(ReportedError):
        read(told)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b'{"type":"response.output_text.delta","delta":7}',
        b'{"type":"response.output_text.delta","delta":"\xff"}',
        b'{"type":"response.output_item.added"}',
        b'{"type":"response.output_item.added","item":{"type":"function_call","name":7}}',
        b'{"type":"response.output_item.done","item":{"type":"message","content":[7]}}',
        b'{"type":"response.output_item.done","item":{"type":"reasoning","content":[7]}}',
        b'{"type":"response.completed"}',
        b'{"type":"response.completed","response":' + b"[" * 100_000,
    ],
)
def test_what_is_no_event_of_the_dialect(data: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        openai_responses.PROVIDER.events().read(b"data: " + data + b"\n\n")


def test_an_end_without_usage() -> None:
    assert read(event("completed", response={})) == [Finished(Finish.STOP), Ended()]


def test_what_ends_with_a_word_of_others_is_read() -> None:
    reader = openai_responses.PROVIDER.events()
    assert reader.read(b"data: [DONE]\n\n") == ()
    assert reader.read(b'data: {"type":"response.output_text.delta","delta":"[DONE]"}\n\n') == (TextDelta("[DONE]"),)
