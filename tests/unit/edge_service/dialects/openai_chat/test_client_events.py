from __future__ import annotations

from typing import Any

import msgspec
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion

from edge_service.dialects import openai_chat
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
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolKind,
    Usage,
    UsageSeen,
)
from tests.support import published_openai_chat

DONE = b"data: [DONE]\n\n"


def write(*events: Event, wants_usage: bool = False) -> bytes:
    writer = openai_chat.CLIENT.events(Request("asked", True, (), wants_usage=wants_usage))
    return b"".join(writer.write([event]) for event in events)


def deltas(*events: Event) -> list[tuple[int, dict[str, Any], str | None]]:
    """Of the choices, behind the role of each."""
    chunks = [chunk.model_dump(exclude_unset=True) for chunk in published_openai_chat.chunks(write(*events))]
    said = [choice for chunk in chunks for choice in chunk["choices"]]
    return [(each["index"], each["delta"], each["finish_reason"]) for each in said if "role" not in each["delta"]]


def gathered(*events: Event) -> ChatCompletion:
    """What OpenAI's own SDK makes of a stream."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in published_openai_chat.chunks(write(*events, wants_usage=True)):
        state.handle_chunk(chunk)
    return state.get_final_completion()


def test_a_stream_as_a_whole() -> None:
    stream = write(Started("id", 7), TextDelta("a"), Finished(Finish.STOP), UsageSeen(Usage(1, 2)), Ended())
    head = b'data: {"id":"id","object":"chat.completion.chunk","created":7,"model":"asked","choices":['
    assert stream == b"".join(
        [
            head + b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
            head + b'{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n',
            head + b'{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
            DONE,
        ]
    )


def test_usage_comes_if_it_was_asked_for() -> None:
    events = (Started("id"), TextDelta("a"), Finished(Finish.STOP), UsageSeen(Usage(1, 2)), Ended())
    *_, last = chunks = list(published_openai_chat.chunks(write(*events, wants_usage=True)))
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.total_tokens) == (1, 3)
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])
    assert not any(chunk.usage for chunk in published_openai_chat.chunks(write(*events)))


def test_usage_that_nobody_knows_is_not_made_up() -> None:
    assert not any(c.usage for c in published_openai_chat.chunks(write(Started("i"), Ended(), wants_usage=True)))


def test_what_breaks_off_has_no_reason() -> None:
    stream = write(Started("id"), TextDelta("a"), Finished(Finish.STOP))
    assert b"[DONE]" not in stream
    assert b'"finish_reason":"' not in stream


def test_nothing_at_all_is_an_answer_too() -> None:
    assert deltas(Ended()) == [(0, {}, "stop")]
    assert write(Ended()).endswith(DONE)


def test_what_is_empty_is_not_sent() -> None:
    assert write(TextDelta(""), RefusalDelta(""), ToolCallDelta(0, ""), UsageSeen(Usage())) == b""


def test_choices_begin_with_their_role() -> None:
    stream = write(TextDelta("a", 1), RefusalDelta("b", 0), Finished(Finish.LENGTH, choice=1), Ended())
    said = [chunk.choices[0] for chunk in published_openai_chat.chunks(stream)]
    assert [(each.index, each.delta.role) for each in said[:3:2]] == [(1, "assistant"), (0, "assistant")]
    assert [(each.index, each.finish_reason) for each in said[-2:]] == [(0, "stop"), (1, "length")]


def test_logprobs_stay_as_they_came() -> None:
    raw = msgspec.Raw(b'{"content":[ ],"refusal":null}')
    assert b'"delta":{"content":"a"},"logprobs":{"content":[ ],"refusal":null},' in write(TextDelta("a", 0, raw))


def test_calls() -> None:
    assert deltas(
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, '{"a'),
        ToolCallDelta(0, '":1}'),
        ToolCallStarted(1, "", "g"),
        Ended(),
    ) == [
        (
            0,
            {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            None,
        ),
        (0, {"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}, None),
        (0, {"tool_calls": [{"index": 0, "function": {"arguments": '":1}'}}]}, None),
        (
            0,
            {
                "tool_calls": [
                    {"index": 1, "id": "call_1", "type": "function", "function": {"name": "g", "arguments": ""}}
                ]
            },
            None,
        ),
        (0, {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}, None),
        (0, {}, "stop"),
    ]


def test_what_the_official_sdk_makes_of_it() -> None:
    completion = gathered(
        Started("id", 7),
        ThinkingDelta("a"),
        ThinkingDelta("b"),
        ThinkingDelta(signature="s", family=Family.ANTHROPIC),
        ThinkingDelta(encrypted="e", family=Family.ANTHROPIC),
        TextDelta("c"),
        ThinkingDelta("d"),
        ToolCallStarted(0, "c1", "f", signature="g"),
        ToolCallDelta(0, "{}"),
        ToolCallStarted(1, "c2", "f"),
        ThinkingDelta(signature="h", family=Family.GEMINI),
        MediaDelta(Media(MediaKind.IMAGE, url="https://x")),
        MediaDelta(Media(MediaKind.AUDIO, url="https://y")),
        Finished(Finish.TOOL_CALLS),
        UsageSeen(Usage(1, 2)),
        Ended(),
    )
    message = completion.choices[0].message
    assert message.content == "c![audio](https://y)"
    assert completion.choices[0].finish_reason == "tool_calls"
    # Handed back as it is, it says what was said.
    sent = {"model": "m", "messages": [message.model_dump(exclude_none=True)]}
    request = openai_chat.CLIENT.read(msgspec.json.encode(sent))
    assert request.messages[0].parts[:4] == (
        Thinking("ab", signature="s", family=Family.ANTHROPIC),
        Thinking(encrypted="e", family=Family.ANTHROPIC),
        Thinking("d"),
        Thinking(signature="h", family=Family.GEMINI),
    )
    assert request.messages[0].parts[-2:] == (ToolCall("c1", "f", "{}", signature="g"), ToolCall("c2", "f", "{}"))
    assert message.reasoning_content == "abd"  # type: ignore[attr-defined]
    assert not request.unsaid


def test_a_signature_ends_a_thought() -> None:
    said = deltas(
        ThinkingDelta("a", signature="s", family=Family.GEMINI),
        ThinkingDelta("b"),
        ThinkingDelta(encrypted="e", family=Family.OPENAI, id="rs_1"),
        ThinkingDelta("c", encrypted="e", family=Family.OPENAI, id="rs_2"),
        ThinkingDelta(),
        ThinkingDelta("d", choice=1),
    )
    details = [(index, detail) for index, delta, _ in said for detail in delta["reasoning_details"]]
    assert [(index, each["type"], each["index"], each.get("id")) for index, each in details] == [
        (0, "reasoning.text", 0, "forebay~"),
        (0, "reasoning.text", 1, "forebay~"),
        (0, "reasoning.encrypted", 2, "forebay~rs_1"),
        (0, "reasoning.text", 3, "forebay~rs_2"),
        (0, "reasoning.encrypted", 4, "forebay~rs_2"),
        (1, "reasoning.text", 0, "forebay~"),
    ]


def test_an_answer_begins_once() -> None:
    assert write(Started("i"), Started("j"), TextDelta("a")) == write(Started("i"), TextDelta("a"))


def test_usage_that_came_at_the_beginning_counts() -> None:
    stream = write(Started("i", usage=Usage(5, 1)), Ended(), wants_usage=True)
    assert b'"prompt_tokens":5,"completion_tokens":1,' in stream


def test_whatever_stands_between_ends_a_thought() -> None:
    logprobs = msgspec.Raw(b'{"content":[],"refusal":null}')
    for between in (
        TextDelta("a"),
        TextDelta("a", logprobs=logprobs),
        RefusalDelta("no"),
        ToolCallStarted(0, "c", "f"),
    ):
        said = deltas(ThinkingDelta("a"), between, ThinkingDelta("b"))
        assert [detail["index"] for _, delta, _ in said for detail in delta.get("reasoning_details", ())] == [0, 1]
    said = deltas(ThinkingDelta("a"), TextDelta(""), ThinkingDelta("b"))
    assert [detail["index"] for _, delta, _ in said for detail in delta["reasoning_details"]] == [0, 0]


def test_images_are_numbered() -> None:
    image = MediaDelta(Media(MediaKind.IMAGE, url="https://x"))
    said = deltas(image, image, MediaDelta(Media(MediaKind.IMAGE, url="https://x"), 1))
    assert [(index, delta["images"][0]["index"]) for index, delta, _ in said] == [(0, 0), (0, 1), (1, 0)]


def test_a_signature_of_words_that_are_going_on_belongs_to_them() -> None:
    (_, (_, delta, _)) = deltas(ThinkingDelta("a"), ThinkingDelta(signature="s", family=Family.GEMINI))
    (detail,) = delta["reasoning_details"]
    assert (detail["type"], detail["signature"], detail["index"]) == ("reasoning.text", "s", 0)


def test_the_text_of_a_custom_tool_is_told_when_all_of_it_is_known() -> None:
    tools = (Tool("patch", native=Native(ToolKind.CUSTOM, "patch")),)
    writer = openai_chat.CLIENT.events(Request("asked", True, (), tools))
    stream = writer.write(
        (
            Started("id"),
            ToolCallStarted(0, "c0", "patch"),
            ToolCallDelta(0, '{"input":"a'),
            ToolCallStarted(1, "c1", "f"),
            ToolCallDelta(0, '\\n"}'),
            Finished(Finish.TOOL_CALLS),
            Ended(),
        )
    )
    told = [msgspec.json.decode(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    calls = [call for each in told for call in each["choices"][0]["delta"].get("tool_calls", ())]
    assert calls == [
        {"index": 0, "id": "c0", "type": "custom", "custom": {"name": "patch", "input": ""}},
        {"index": 1, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
        {"index": 0, "custom": {"input": "a\n"}},
    ]
