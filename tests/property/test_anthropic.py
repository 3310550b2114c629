"""Whatever a client or a provider sends, the dialect reads it or says why not; and what it reads it can say again."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.dialects import anthropic
from edge_service.dialects.anthropic import passthrough
from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Choosing,
    Ended,
    Event,
    Family,
    Finish,
    Finished,
    Media,
    MediaKind,
    Message,
    Output,
    OutputKind,
    Reasoning,
    RefusalDelta,
    Request,
    Role,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    Usage,
    UsageSeen,
)
from edge_service.dialects.exchange import (
    EmptyAnswerError,
    EventKind,
    InexpressibleError,
    MalformedAnswerError,
    ReportedError,
)
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.sse import EventSplitter
from tests.property import streamed
from tests.property.made_up import any_of, bodies_of, raws, schemas, streams_of, texts, values_of, words
from tests.property.made_up import seen as said
from tests.support import published_anthropic
from tests.support.golden import ROOT

# --- Anything at all

names = any_of(
    """
        type role content text source data id name input delta index usage error message content_block thinking
        signature partial_json stop_reason tool_use_id model messages max_tokens tools tool_choice system
        output_config metadata stream effort
        """
)
kinds = any_of(
    """
        text image document tool_use tool_result thinking redacted_thinking base64 url file content enabled adaptive
        auto tool any message error message_start message_delta content_block_start content_block_delta
        content_block_stop message_stop ping text_delta user assistant system custom input_json_delta thinking_delta
        signature_delta json_schema
        """
)
values = values_of(names, kinds)
objects = st.dictionaries(names, values, max_size=6)
requests = st.fixed_dictionaries(
    {
        "model": texts,
        "max_tokens": values | st.just(5),
        "messages": values | st.lists(st.fixed_dictionaries({"role": kinds, "content": values}), max_size=3),
    },
    optional=dict.fromkeys(
        ["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "new"], values
    ),
)


bodies = bodies_of(objects | requests, "anthropic")


@given(bodies)
@example(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\\ud800"}]}')
@example(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":' + b"[" * 100_000)
@example(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":' + b"[" * 2000 + b"]" * 2000 + b"}]}")
@settings(max_examples=200)
def test_a_request_is_read_or_refused_as_invalid(body: bytes) -> None:
    for read in (anthropic.CLIENT.read, anthropic.COUNTING_CLIENT.read):
        try:
            request = read(body)
        except InvalidRequestError as error:
            published_anthropic.check_error(anthropic.CLIENT.error_body(error))
            continue
        with contextlib.suppress(InexpressibleError):
            msgspec.json.decode(anthropic.PROVIDER.write(request, "m").body)


@given(bodies)
@settings(max_examples=150)
def test_a_request_that_passes_through_is_read_or_refused_as_invalid(body: bytes) -> None:
    try:
        request = passthrough.read(body)
    except InvalidRequestError:
        return
    sent = json.loads(body)
    assert json.loads(request.write("other", []).body) == {**sent, "model": "other"} or request.dropped


@given(bodies)
@settings(max_examples=200)
def test_an_answer_is_read_or_said_to_be_none(body: bytes) -> None:
    for read in (anthropic.PROVIDER.read, lambda body: passthrough.whole(body, "m").body):
        try:
            answer = read(body)
        except (MalformedAnswerError, EmptyAnswerError, ReportedError):
            continue
        if isinstance(answer, Answer):
            json.loads(anthropic.CLIENT.write(answer, Request("m", False, ())))
    with contextlib.suppress(MalformedAnswerError):
        assert isinstance(anthropic.COUNTING_PROVIDER.read(body), int)


streams = streams_of(objects, "anthropic")


@given(streams)
@settings(max_examples=200)
def test_a_stream_is_read_until_it_is_none(stream: bytes) -> None:
    seen, _ = streamed.read(anthropic.PROVIDER, [stream])
    streamed.write(anthropic.CLIENT, seen)
    reader = passthrough.EventReader("m")
    for event in EventSplitter().feed(stream):
        try:
            kind, _ = reader.read(event)
        except MalformedAnswerError:
            return
        if kind in (EventKind.TERMINAL, EventKind.ERROR):
            return


@given(st.sampled_from(sorted((ROOT / "anthropic" / "streams").glob("*.sse"))), st.data())
@settings(max_examples=100)
def test_splitting_a_stream_changes_nothing(path: Any, data: st.DataObject) -> None:
    stream = path.read_bytes()
    seen, code = streamed.read(anthropic.PROVIDER, streamed.cut(data, stream))
    assert (seen, code) == streamed.read(anthropic.PROVIDER, [stream])
    assert streamed.write(anthropic.CLIENT, seen) == streamed.write(anthropic.CLIENT, seen, at_once=3)


# --- What both sides can say

results = st.lists(said.map(Text), max_size=2).map(tuple)
images = st.builds(Media, st.just(MediaKind.IMAGE), media_type=st.just("image/png"), data=words) | st.builds(
    Media, st.just(MediaKind.IMAGE), url=words.map("https://{}".format)
)
documents = st.builds(
    Media, st.just(MediaKind.FILE), media_type=st.just("application/pdf"), data=words, name=st.just("") | words
) | st.builds(Media, st.just(MediaKind.FILE), file_id=words, family=st.just(Family.ANTHROPIC))
thoughts = st.builds(Thinking, text=texts, signature=words, family=st.just(Family.ANTHROPIC)) | st.builds(
    Thinking, encrypted=words, family=st.just(Family.ANTHROPIC)
)
calls = st.builds(ToolCall, words, words, raws.map(lambda raw: bytes(raw).decode()))
users = st.lists(said.map(Text) | images | documents, min_size=1, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """As the dialect has them: one system message, users and assistants in turns, results first."""
    turns = [Message(Role.USER, tuple(draw(users)))]
    for _ in range(draw(st.integers(0, 2))):
        parts = draw(st.lists(thoughts | said.map(Text), max_size=2)) + draw(
            st.lists(calls, max_size=2, unique_by=lambda c: c.id)
        )
        if not parts:
            break
        turns.append(Message(Role.ASSISTANT, tuple(parts)))
        found = {part.id: part.name for turn in turns for part in turn.parts if isinstance(part, ToolCall)}
        called = [part for part in parts if isinstance(part, ToolCall)]
        answered = [ToolResult(c.id, found[c.id], draw(results), draw(st.booleans())) for c in called]
        turns.append(Message(Role.USER, (*answered, *draw(users))))
    system = [Message(Role.SYSTEM, tuple(Text(text) for text in draw(st.lists(said, min_size=1, max_size=2))))]
    return (*(system if draw(st.booleans()) else []), *turns)


@st.composite
def sayable(draw: st.DrawFn) -> Request:
    tools = tuple(draw(st.lists(st.builds(Tool, words, texts, schemas, st.none() | st.booleans()), max_size=2)))
    forced = st.sampled_from([ToolChoice(Choosing.REQUIRED), ToolChoice(Choosing.NAMED, ("a",))])
    thinks = draw(st.booleans())
    choice = (
        draw(st.sampled_from([ToolChoice(Choosing.AUTO)]) | (st.nothing() if thinks else forced)) if tools else None
    )
    return Request(
        model=draw(words),
        stream=draw(st.booleans()),
        messages=draw(conversations()),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=draw(st.none() | st.booleans()) if choice is not None else None,
        output=draw(st.none() | st.builds(Output, st.just(OutputKind.SCHEMA), schemas, strict=st.just(True))),
        reasoning=draw(st.builds(Reasoning, budget_tokens=st.integers(1024, 4000), shown=st.none() | st.booleans()))
        if thinks
        else draw(st.none() | st.just(Reasoning(budget_tokens=0))),
        max_tokens=draw(st.integers(5000, 9000)),
        temperature=None if thinks else draw(st.none() | st.floats(0, 1)),
        top_p=None if thinks else draw(st.none() | st.floats(0, 1)),
        top_k=None if thinks else draw(st.none() | st.integers(0, 100)),
        stop=tuple(draw(st.lists(said, max_size=2))),
        service_tier=draw(st.sampled_from(["", "auto", "default"])),
        user=draw(st.just("") | words),
    )


@given(sayable())
@settings(max_examples=150)
def test_what_the_dialect_can_say_it_says_whole(request: Request) -> None:
    written = anthropic.PROVIDER.write(request, request.model)
    assert not set(written.dropped) - {"reasoning"}
    published_anthropic.check_request(written.body)
    again = anthropic.CLIENT.read(written.body)
    if "reasoning" in written.dropped:  # Calls without the thoughts before them.
        request = msgspec.structs.replace(request, reasoning=None)
    assert again == request


finishes = st.sampled_from([finish for finish in Finish if finish is not Finish.FILTERED])
usages = st.builds(
    lambda fresh, read, written, out, thought: Usage(fresh + read + written, out + thought, read, written, thought),
    *(st.integers(0, 1000) for _ in range(5)),
)


def _ends_signed(parts: list[Any]) -> bool:
    """With a signature by itself, behind something: that one is left out."""
    last = parts[-1] if parts[1:] else None
    return isinstance(last, Thinking) and bool(last.signature) and not last.text


answers = st.builds(
    Answer,
    id=words,
    created_at=st.just(0),
    choices=st.builds(
        Choice,
        parts=st.lists(texts.map(Text) | thoughts | calls, max_size=3)
        .filter(lambda parts: not _ends_signed(parts))
        .map(tuple),
        finish=finishes,
    ).map(lambda choice: (choice,)),
    usage=usages,
    service_tier=st.sampled_from(["", "default", "priority"]),
)


@given(answers)
@settings(max_examples=100)
def test_an_answer_survives(answer: Answer) -> None:
    written = anthropic.CLIENT.write(answer, Request("m", False, ()))
    published_anthropic.check_answer(written)
    assert anthropic.PROVIDER.read(written) == answer


# --- Streams of other dialects

pieces = (
    st.builds(TextDelta, texts)
    | st.builds(RefusalDelta, texts)
    | st.builds(ThinkingDelta, texts)
    | st.builds(ThinkingDelta, texts, signature=words, family=st.sampled_from(Family))
    | st.builds(ThinkingDelta, encrypted=words, family=st.sampled_from(Family), id=st.just("") | words)
)


@st.composite
def told(draw: st.DrawFn) -> list[Event]:
    """Text and thoughts, then calls whose fragments come in turns."""
    seen: list[Event] = [Started("id"), *draw(st.lists(pieces, max_size=6))]
    fragments = [
        [ToolCallStarted(i, f"call{i}", "f"), *(ToolCallDelta(i, text) for text in cut)]
        for i, cut in enumerate(
            draw(st.lists(st.sampled_from([["{}"], ['{"a"', ":1}"], ["", "{", "}"], []]), max_size=3))
        )
    ]
    while any(fragments):
        rest = draw(st.sampled_from([events for events in fragments if events]))
        seen.append(rest.pop(0))
    return [*seen, Finished(Finish.TOOL_CALLS), UsageSeen(Usage(3, 4)), Ended()]


@given(told())
@settings(max_examples=150)
def test_a_stream_of_another_dialect_loses_nothing(seen: list[Event]) -> None:
    stream = streamed.write(anthropic.CLIENT, seen)
    open_block = None
    for event in published_anthropic.events(stream):
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                open_block = event["index"]
            case "content_block_delta":
                assert event["index"] == open_block
            case "content_block_stop":
                assert event["index"] == open_block
                open_block = None
    assert open_block is None
    assert gathered(streamed.read(anthropic.PROVIDER, [stream])[0]) == gathered(seen)
    assert stream.endswith(b'{"type":"message_stop"}\n\n')


def gathered(seen: list[Event]) -> tuple[str, str, dict[str, str]]:
    """Text, thoughts and the arguments of calls."""
    ids = {event.index: event.id for event in seen if isinstance(event, ToolCallStarted)}
    arguments = dict.fromkeys(ids.values(), "")
    for event in seen:
        if isinstance(event, ToolCallDelta):
            arguments[ids[event.index]] += event.arguments
    return (
        "".join(event.text for event in seen if isinstance(event, TextDelta | RefusalDelta)),
        "".join(event.text for event in seen if isinstance(event, ThinkingDelta)),
        arguments,
    )
