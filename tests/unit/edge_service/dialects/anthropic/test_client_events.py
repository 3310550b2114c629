from __future__ import annotations

from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from anthropic.types import ThinkingBlock

from edge_service.dialects import anthropic
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
    Request,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from tests.support import published_anthropic

STOP = (Finished(Finish.STOP), Ended())


def write(*events: Event) -> list[dict[str, Any]]:
    writer = anthropic.CLIENT.events(Request("the-name", True, ()))
    return list(published_anthropic.events(b"".join(writer.write([event]) for event in events)))


def blocks(*events: Event) -> list[str]:
    """What is written between the first event and the last two, in short."""
    return [_short(event) for event in write(Started("i"), *events, *STOP)[1:-2]]


def _short(event: dict[str, Any]) -> str:
    if event["type"] == "content_block_start":
        block = event["content_block"]
        return f"{event['index']} " + ":".join(
            [block["type"], *(str(block[name]) for name in ("id", "name", "data") if name in block)]
        )
    if event["type"] == "content_block_stop":
        return f"{event['index']} end"
    return f"{event['index']} " + "=".join(
        next((name, str(value)) for name, value in event["delta"].items() if name != "type")
    )


def test_a_whole_stream() -> None:
    start, opened, a, b, closed, delta, stop = write(
        Started("id", usage=Usage(103, 1, 100)),
        TextDelta("a"),
        TextDelta("é\n"),
        Finished(Finish.LENGTH),
        UsageSeen(Usage(123, 40, 100, 20, 30)),
        Ended(),
    )
    assert start["message"] == {
        "id": "id",
        "type": "message",
        "role": "assistant",
        "model": "the-name",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 100,
            "output_tokens": 1,
        },
    }
    assert opened == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert a == {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    assert b["delta"]["text"] == "é\n"
    assert closed == {"type": "content_block_stop", "index": 0}
    assert delta == {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 100,
            "output_tokens": 40,
            "output_tokens_details": {"thinking_tokens": 30},
        },
    }
    assert stop == {"type": "message_stop"}


def test_nothing_says_that_a_stream_is_complete_before_it_is() -> None:
    kinds = [event["type"] for event in write(Started("i"), TextDelta("a"), Finished(Finish.STOP), UsageSeen(Usage()))]
    assert kinds == ["message_start", "content_block_start", "content_block_delta", "content_block_stop"]


@pytest.mark.parametrize("events", [(Ended(),), (TextDelta("a"), Ended()), (ToolCallStarted(0, "i", "f"), Ended())])
def test_a_stream_that_does_not_begin_with_its_beginning(events: tuple[Event, ...]) -> None:
    kinds = [event["type"] for event in write(*events)]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])


def test_a_second_beginning_is_none() -> None:
    assert [event["type"] for event in write(Started("a"), Started("b"))] == ["message_start"]


def test_empty_text_opens_no_block() -> None:
    assert blocks(TextDelta(""), ThinkingDelta(""), ThinkingDelta(id="rs_1")) == []


def test_blocks_stand_one_after_the_other() -> None:
    assert blocks(
        ThinkingDelta("t"),
        ThinkingDelta(signature="s", family=Family.ANTHROPIC),
        TextDelta("a"),
        ToolCallStarted(0, "i", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"),
        ToolCallStarted(1, "", "g"),
        TextDelta("b"),
    ) == [
        "0 thinking",
        "0 thinking=t",
        "0 signature=s",
        "0 end",
        "1 text",
        "1 text=a",
        "1 end",
        "2 tool_use:i:f",
        '2 partial_json={"a"',
        "2 partial_json=:1}",
        "2 end",
        "3 tool_use:call_1:g",
        "3 end",
        "4 text",
        "4 text=b",
        "4 end",
    ]


def test_a_call_waits_for_the_one_before() -> None:
    assert blocks(
        ToolCallStarted(0, "i", "f"),
        ToolCallStarted(1, "j", "g"),
        ToolCallDelta(1, "{"),
        ToolCallDelta(0, "{}"),
        ToolCallStarted(2, "k", "h"),
        ToolCallDelta(2, "{}"),
        ToolCallDelta(1, "}"),
    ) == [
        "0 tool_use:i:f",
        "0 partial_json={}",
        "0 end",
        "1 tool_use:j:g",
        "1 partial_json={",
        "1 partial_json=}",
        "1 end",
        "2 tool_use:k:h",
        "2 partial_json={}",
        "2 end",
    ]


def test_a_call_begins_at_once_when_the_one_before_has_all_its_arguments() -> None:
    assert blocks(
        ToolCallStarted(0, "i", "f"), ToolCallDelta(0, '{"a":'), ToolCallDelta(0, "1}"), ToolCallStarted(1, "", "g")
    )[-3:] == ["0 end", "1 tool_use:call_1:g", "1 end"]
    writer = anthropic.CLIENT.events(Request("the-name", True, ()))
    writer.write([ToolCallStarted(0, "i", "f"), ToolCallDelta(0, '{"a":'), ToolCallDelta(0, "1}")])
    assert b'"name":"g"' in writer.write([ToolCallStarted(1, "", "g")])


def test_fragments_of_no_call_have_no_place() -> None:
    assert blocks(ToolCallStarted(0, "i", "f"), TextDelta("a"), ToolCallDelta(0, "{}"))[-2:] == ["1 text=a", "1 end"]
    assert blocks(ToolCallDelta(0, "{}"), TextDelta("a"), ToolCallDelta(0, "{}")) == ["0 text", "0 text=a", "0 end"]


def test_the_signature_of_a_call_stands_before_it() -> None:
    assert blocks(ToolCallStarted(0, "i", "f", "sig"))[:3] == [
        "0 redacted_thinking:forebay~c~gemini~i~sig",
        "0 end",
        "1 tool_use:i:f",
    ]


@pytest.mark.parametrize(
    ("deltas", "written"),
    [
        ((ThinkingDelta("a"),), ["0 thinking", "0 thinking=a", "0 signature=forebay~n~~~", "0 end"]),
        (
            # A thought that is signed is over.
            (
                ThinkingDelta("a"),
                ThinkingDelta(signature="s", family=Family.ANTHROPIC),
                ThinkingDelta(signature="t", family=Family.ANTHROPIC),
                ThinkingDelta("b"),
            ),
            [
                *("0 thinking", "0 thinking=a", "0 signature=s", "0 end"),
                *("1 thinking", "1 signature=t", "1 end"),
                *("2 thinking", "2 thinking=b", "2 signature=forebay~n~~~", "2 end"),
            ],
        ),
        (
            (ThinkingDelta("a"), ThinkingDelta(encrypted="e", family=Family.ANTHROPIC), ThinkingDelta("b")),
            [
                *("0 thinking", "0 thinking=a", "0 signature=forebay~n~~~", "0 end"),
                *("1 redacted_thinking:e", "1 end"),
                *("2 thinking", "2 thinking=b", "2 signature=forebay~n~~~", "2 end"),
            ],
        ),
        (
            # OpenAI says whose item it is, then the summary, then what is encrypted.
            (ThinkingDelta(id="rs_1"), ThinkingDelta("a"), ThinkingDelta(encrypted="e", family=Family.OPENAI)),
            ["0 thinking", "0 thinking=a", "0 signature=forebay~e~openai~rs_1~e", "0 end"],
        ),
        (
            (ThinkingDelta(id="rs_1"), ThinkingDelta(encrypted="e", family=Family.OPENAI)),
            ["0 redacted_thinking:forebay~e~openai~rs_1~e", "0 end"],
        ),
        (
            # The first is over; the id of the second comes with it.
            (
                ThinkingDelta("a"),
                ThinkingDelta(encrypted="e", family=Family.OPENAI, id="rs_1"),
                ThinkingDelta(encrypted="f", family=Family.OPENAI, id="rs_2"),
                ThinkingDelta("b"),
                ThinkingDelta(encrypted="g", family=Family.OPENAI),
                ThinkingDelta("c"),
            ),
            [
                *("0 thinking", "0 thinking=a", "0 signature=forebay~e~openai~rs_1~e", "0 end"),
                *("1 redacted_thinking:forebay~e~openai~rs_2~f", "1 end"),
                *("2 thinking", "2 thinking=b", "2 signature=forebay~e~openai~~g", "2 end"),
                *("3 thinking", "3 thinking=c", "3 signature=forebay~n~~~", "3 end"),
            ],
        ),
        (
            # What is encrypted with the words belongs to them.
            (ThinkingDelta("a", encrypted="e", family=Family.ANTHROPIC),),
            ["0 thinking", "0 thinking=a", "0 signature=e", "0 end"],
        ),
        (
            (ThinkingDelta("a", signature="s", family=Family.GEMINI),),
            ["0 thinking", "0 thinking=a", "0 signature=forebay~s~gemini~~s", "0 end"],
        ),
    ],
)
def test_thoughts_are_sealed(deltas: tuple[ThinkingDelta, ...], written: list[str]) -> None:
    assert blocks(*deltas) == written


def test_no_answer_ends_with_a_signature() -> None:
    """Gemini signs what it has said at the end, and some clients take the last block for what was said."""
    signed = ThinkingDelta(signature="s", family=Family.GEMINI)
    assert blocks(TextDelta("a"), signed) == ["0 text", "0 text=a", "0 end"]
    assert blocks(TextDelta("a"), signed, TextDelta("b")) == [
        *("0 text", "0 text=a", "0 end"),
        *("1 thinking", "1 signature=forebay~s~gemini~~s", "1 end"),
        *("2 text", "2 text=b", "2 end"),
    ]
    both = blocks(TextDelta("a"), signed, signed, ToolCallStarted(0, "i", "f"))
    assert [each for each in both if "signature" in each] == [f"{i} signature=forebay~s~gemini~~s" for i in (1, 2)]


def test_a_refusal_is_text_and_a_reason() -> None:
    events = write(Started("i"), RefusalDelta("n"), RefusalDelta("o"), *STOP)
    assert [event["delta"]["text"] for event in events[2:4]] == ["n", "o"]
    assert events[-2]["delta"]["stop_reason"] == "refusal"


def test_media_is_shown_as_text() -> None:
    image = Media(MediaKind.IMAGE, url="https://x")
    assert blocks(TextDelta("a"), MediaDelta(image))[2] == "0 text=![image](https://x)"


def test_the_sdk_gathers_what_was_meant() -> None:
    writer = anthropic.CLIENT.events(Request("the-name", True, ()))
    said: list[Event] = [
        Started("i"),
        ThinkingDelta("t"),
        ThinkingDelta(signature="s", family=Family.ANTHROPIC),
        TextDelta("a"),
        TextDelta("b"),
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, '{"x"'),
        ToolCallDelta(0, ":[1]}"),
        Finished(Finish.TOOL_CALLS),
        UsageSeen(Usage(103, 40, 100)),
        Ended(),
    ]
    stream = writer.write(said)
    answer = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    )
    with (
        Anthropic(api_key="k", http_client=httpx2.Client(transport=answer)) as client,
        client.messages.stream(max_tokens=9, model="the-name", messages=[{"role": "user", "content": "?"}]) as events,
    ):
        message = events.get_final_message()
    thought, text, call = message.content
    assert (thought.type, text.type, call.type) == ("thinking", "text", "tool_use")
    assert isinstance(thought, ThinkingBlock)
    assert (thought.thinking, thought.signature) == ("t", "s")
    assert text.to_dict()["text"] == "ab"
    assert call.to_dict()["input"] == {"x": [1]}
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("tool_use", 3, 40)


def test_a_stop_sequence_is_told() -> None:
    delta = write(Finished(Finish.STOP, "END"), Ended())[-2]["delta"]
    assert delta == {"stop_reason": "stop_sequence", "stop_sequence": "END"}
