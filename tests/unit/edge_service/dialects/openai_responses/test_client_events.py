from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import httpx2
import msgspec
import pytest
from openai import OpenAI

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
    Native,
    RefusalDelta,
    Request,
    Started,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolCallDelta,
    ToolCallStarted,
    ToolKind,
    Usage,
    UsageSeen,
)
from edge_service.domain.errors import UnavailableError
from tests.support import published_responses

STOP = (Finished(Finish.STOP), UsageSeen(Usage(3, 4)), Ended())


def stream(*events: Event) -> bytes:
    return openai_responses.CLIENT.events(Request("the-name", True, ())).write(events)


NATIVE = (
    Tool("patch", native=Native(ToolKind.CUSTOM, "patch")),
    Tool("crm__f", native=Native(ToolKind.FUNCTION, "f", "crm")),
    Tool("crm__c", native=Native(ToolKind.CUSTOM, "c", "crm")),
    Tool("tool_search", native=Native(ToolKind.SEARCH, "tool_search")),
)


def write(*events: Event) -> list[dict[str, Any]]:
    return list(published_responses.events(stream(*events)))


def told(*events: Event) -> list[str]:
    """What is told of the items, in short."""
    return [
        event["type"].removeprefix("response.") + (f" {event['delta']}" if "delta" in event else "")
        for event in write(Started("i"), *events, *STOP)[2:-1]
    ]


def output(*events: Event) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = write(Started("i"), *events, *STOP)[-1]["response"]["output"]
    return items


def test_a_text() -> None:
    assert told(TextDelta(""), TextDelta("a"), TextDelta(""), TextDelta("b")) == [
        "output_item.added",
        "content_part.added",
        "output_text.delta a",
        "output_text.delta ",
        "output_text.delta b",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]


def test_a_thought_a_text_and_a_refusal() -> None:
    assert told(ThinkingDelta("t"), ThinkingDelta("u"), TextDelta("a"), RefusalDelta("no"), ThinkingDelta("v")) == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta t",
        "reasoning_summary_text.delta u",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta a",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta no",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta v",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]


def test_about_the_answer() -> None:
    events = write(Started("i", 7), TextDelta("a"), *STOP)
    assert [event["type"] for event in (*events[:2], events[-1])] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    first, last = events[0]["response"], events[-1]["response"]
    assert (first["id"], first["created_at"], first["model"], first["status"]) == (
        "resp_i",
        7,
        "the-name",
        "in_progress",
    )
    assert (last["status"], last["usage"]["total_tokens"], len(last["output"])) == ("completed", 7, 1)


def test_whoever_does_not_begin_has_begun() -> None:
    assert [event["type"] for event in write(Ended())] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert write(TextDelta("a"))[0]["type"] == "response.created"
    assert len(write(Started("i"), Started("j"))) == 2


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (Finish.LENGTH, "incomplete", "max_output_tokens"),
        (Finish.FILTERED, "incomplete", "content_filter"),
        (Finish.REFUSED, "incomplete", "content_filter"),
        (Finish.TOOL_CALLS, "completed", None),
    ],
)
def test_why_it_ends(finish: Finish, status: str, reason: str | None) -> None:
    *_, done, last = write(TextDelta("a"), Finished(finish), Ended())
    assert last["type"] == f"response.{status}"
    assert (last["response"]["incomplete_details"] or {}).get("reason") == reason
    assert done["item"]["status"] == status


def test_whoever_says_that_it_would_not_has_said_all() -> None:
    assert write(RefusalDelta("no"), Finished(Finish.REFUSED), Ended())[-1]["type"] == "response.completed"


def test_without_its_end_an_answer_is_not_complete() -> None:
    events = write(Started("i"), TextDelta("a"), Finished(Finish.STOP), UsageSeen(Usage()))
    assert not {"response.completed", "response.incomplete"} & {event["type"] for event in events}


def test_an_error_has_the_next_number() -> None:
    writer = openai_responses.CLIENT.events(Request("m", True, ()))
    sent = writer.write([Started("i"), TextDelta("a")])
    *_, before, last = published_responses.events(sent + writer.error(UnavailableError("gone")))
    assert last == {
        "type": "error",
        "code": "unavailable",
        "message": "gone",
        "param": None,
        "sequence_number": before["sequence_number"] + 1,
    }


def test_calls_stand_one_after_the_other() -> None:
    assert told(
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"),
        ToolCallStarted(1, "d", "g"),
        ToolCallDelta(0, " late"),
        ToolCallDelta(7, "of none"),
    ) == [
        "output_item.added",
        'function_call_arguments.delta {"a"',
        "function_call_arguments.delta :1}",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta {}",
        "function_call_arguments.done",
        "output_item.done",
    ]


def test_calls_may_come_in_turns() -> None:
    items = output(
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallStarted(1, "", "g"),
        ToolCallDelta(1, '{"b"'),
        ToolCallDelta(0, ":1}"),
        ToolCallDelta(1, ":2}"),
    )
    assert [(item["call_id"], item["name"], item["arguments"]) for item in items] == [
        ("c", "f", '{"a":1}'),
        ("call_1", "g", '{"b":2}'),
    ]


def test_the_signature_of_a_call_stands_before_it() -> None:
    signature, call = output(ToolCallStarted(0, "", "f", signature="s"))
    assert signature["encrypted_content"] == "forebay~c~gemini~call_1~s"
    assert call["call_id"] == "call_1"


@pytest.mark.parametrize(
    ("deltas", "items"),
    [
        ([ThinkingDelta(id="rs_1")], []),
        ([ThinkingDelta("a", id="x")], [("rs_i_0", "a", "forebay~n~~x~")]),
        (
            [ThinkingDelta(id="rs_1"), ThinkingDelta("a"), ThinkingDelta(encrypted="g", family=Family.OPENAI)],
            [("rs_1", "a", "g")],
        ),
        (
            [ThinkingDelta("a"), ThinkingDelta("b"), ThinkingDelta(signature="s", family=Family.ANTHROPIC)],
            [("rs_i_0", "ab", "forebay~s~anthropic~~s")],
        ),
        (
            [ThinkingDelta("a", signature="s", family=Family.GEMINI), ThinkingDelta("b")],
            [("rs_i_0", "a", "forebay~s~gemini~~s"), ("rs_i_1", "b", "forebay~n~~~")],
        ),
        (
            [ThinkingDelta("a", id="rs_1"), ThinkingDelta("b", id="rs_2")],
            [("rs_1", "a", "forebay~n~~rs_1~"), ("rs_2", "b", "forebay~n~~rs_2~")],
        ),
        (
            # What is known of a thought comes bit by bit.
            [
                ThinkingDelta("a", id="rs_1"),
                ThinkingDelta(id="rs_1"),
                ThinkingDelta(signature="s", family=Family.ANTHROPIC),
                ThinkingDelta(id="rs_1"),
            ],
            [("rs_1", "a", "forebay~s~anthropic~rs_1~s")],
        ),
        (
            [ThinkingDelta("a"), ThinkingDelta("b", id="rs_2")],
            [("rs_i_0", "ab", "forebay~n~~rs_2~")],
        ),
        (
            [ThinkingDelta(encrypted="e", family=Family.ANTHROPIC), ThinkingDelta(encrypted="f", family=Family.OPENAI)],
            [("rs_i_0", "", "forebay~e~anthropic~~e"), ("rs_i_1", "", "f")],
        ),
    ],
)
def test_thoughts_are_sealed(deltas: Sequence[ThinkingDelta], items: list[tuple[str, str, str]]) -> None:
    found = output(*deltas, TextDelta("z"))[:-1]
    assert [
        (item["id"], "".join(part["text"] for part in item["summary"]), item["encrypted_content"]) for item in found
    ] == items


def test_an_id_is_of_the_thought_that_follows_it() -> None:
    first, _, second = output(ThinkingDelta("a"), TextDelta("b"), ThinkingDelta(id="rs_9"), ThinkingDelta("c"))
    assert (first["id"], second["id"]) == ("rs_i_0", "rs_9")


def test_media() -> None:
    made, said = output(
        MediaDelta(Media(MediaKind.IMAGE, "image/webp", data="QQ==")),
        TextDelta("a"),
        MediaDelta(Media(MediaKind.IMAGE, url="https://x")),
    )
    assert (made["result"], made["output_format"]) == ("QQ==", "webp")
    assert said["content"][0]["text"] == "a![image](https://x)"


def test_probabilities() -> None:
    said = msgspec.Raw(b'{"content":[{"token":"a","logprob":-1}]}')
    events = write(TextDelta("a", logprobs=said), TextDelta("b"), TextDelta("c", logprobs=said), *STOP)
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [len(event["logprobs"]) for event in deltas] == [1, 0, 1]
    assert len(events[-1]["response"]["output"][0]["content"][0]["logprobs"]) == 2


def test_of_several_answers_there_is_the_first() -> None:
    others = (
        TextDelta("b", 1),
        TextDelta("b", 1, msgspec.Raw(b'{"content":[{"token":"a","logprob":-1}]}')),
        RefusalDelta("c", 1),
        ThinkingDelta("d", choice=1),
        MediaDelta(Media(MediaKind.IMAGE, data="QQ=="), 1),
        ToolCallStarted(0, "c", "f", choice=1),
    )
    assert output(TextDelta("a"), *others) == output(TextDelta("a"))
    call = ToolCallStarted(0, "c", "f")
    assert output(call, ToolCallDelta(0, "x", 1), ToolCallDelta(0, "{}")) == output(call, ToolCallDelta(0, "{}"))


def test_a_call_begins_once() -> None:
    call = ToolCallStarted(0, "c", "f")
    assert [item["arguments"] for item in output(call, call, ToolCallDelta(0, "{}"))] == ["{}"]


def test_arguments_of_nothing_but_white_space_are_none() -> None:
    (item,) = output(ToolCallStarted(0, "c", "f"), ToolCallDelta(0, " \n"))
    assert item["arguments"].strip() == "{}"


def test_probabilities_without_a_text() -> None:
    said = msgspec.Raw(b'{"content":[{"token":"a","logprob":-1}]}')
    assert told(TextDelta("", logprobs=msgspec.Raw(b"{}"))) == []
    (item,) = output(TextDelta("", logprobs=said), TextDelta("b", logprobs=msgspec.Raw(b"{}")))
    assert (item["content"][0]["text"], len(item["content"][0]["logprobs"])) == ("b", 1)
    refused = output(RefusalDelta("no"), TextDelta("a", logprobs=said))
    assert [part["type"] for part in refused[0]["content"]] == ["refusal", "output_text"]


def test_usage_that_came_at_the_beginning_counts() -> None:
    told = write(Started("i", usage=Usage(5, 1)), TextDelta("a"), Ended())[-1]["response"]["usage"]
    assert (told["input_tokens"], told["output_tokens"]) == (5, 1)


def test_numbers_leave_none_out() -> None:
    events = write(Started("i"), TextDelta("a"), TextDelta("b"), ToolCallStarted(0, "c", "f"), *STOP)
    assert all(b["sequence_number"] == a["sequence_number"] + 1 for a, b in pairwise(events))


def test_the_sdk_gathers_what_was_meant() -> None:
    sent = stream(
        Started("i"),
        ThinkingDelta("t"),
        ThinkingDelta(signature="s", family=Family.ANTHROPIC),
        TextDelta("a"),
        TextDelta("b"),
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, '{"x"'),
        ToolCallStarted(1, "d", "g", signature="u"),
        ToolCallDelta(0, ":[1]}"),
        Finished(Finish.TOOL_CALLS),
        UsageSeen(Usage(103, 40, 100)),
        Ended(),
    )
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=sent)
    )
    with (
        OpenAI(api_key="k", http_client=httpx2.Client(transport=transport)) as client,
        client.responses.stream(model="the-name", input="?") as events,
    ):
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        answer = events.get_final_response()
    assert text == answer.output_text == "ab"
    assert [item.type for item in answer.output] == [
        "reasoning",
        "message",
        "function_call",
        "reasoning",
        "function_call",
    ]
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(call.call_id, call.arguments) for call in calls] == [("c", '{"x":[1]}'), ("d", "{}")]
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.cached_tokens == 100


def test_calls_are_turned_back_into_what_the_client_has_offered() -> None:
    """The text of a custom tool is told when all of it is known: the bits are of its JSON."""
    bits = (
        ToolCallStarted(0, "c0", "patch"),
        ToolCallDelta(0, '{"inp'),
        ToolCallDelta(0, 'ut":"a\\n"}'),
        ToolCallStarted(1, "c1", "crm__f"),
        ToolCallDelta(1, '{"x":1}'),
        ToolCallStarted(2, "c2", "crm__c"),
        ToolCallStarted(3, "c3", "tool_search"),
        ToolCallDelta(3, '{"query":"q"}'),
        ToolCallStarted(4, "c4", "tool_search"),
        ToolCallDelta(4, "{"),
    )
    events = openai_responses.CLIENT.events(Request("the-name", True, (), NATIVE))
    written = list(published_responses.events(events.write((Started("i"), *bits, *STOP))))
    output = written[-1]["response"]["output"]
    ids = {"id": "ctc_i_0", "call_id": "c0"}
    assert output[0] == {**ids, "type": "custom_tool_call", "name": "patch", "input": "a\n"}
    assert output[1]["id"] == "fc_i_1"
    assert (output[1]["namespace"], output[1]["name"], output[1]["arguments"]) == ("crm", "f", '{"x":1}')
    assert (output[2]["namespace"], output[2]["name"], output[2]["input"]) == ("crm", "c", "")
    assert (output[3]["type"], output[3]["execution"], output[3]["id"]) == ("tool_search_call", "client", "tsc_i_3")
    assert [item["arguments"] for item in output[3:]] == [{"query": "q"}, {}]
    deltas = [(event["type"], event["delta"]) for event in written if "delta" in event]
    assert deltas == [
        ("response.custom_tool_call_input.delta", "a\n"),
        ("response.function_call_arguments.delta", '{"x":1}'),
    ]
    assert [event["input"] for event in written if event["type"].endswith("input.done")] == ["a\n", ""]
