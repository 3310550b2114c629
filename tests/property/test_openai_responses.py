"""Whatever a client or a provider sends, the dialect reads it or says why not; and what it reads it can say again."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.dialects import openai_responses
from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Choosing,
    Effort,
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
    Part,
    Reasoning,
    Refusal,
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
from edge_service.dialects.openai_responses import EventReader, passthrough
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.sse import EventSplitter
from tests.property import streamed
from tests.property.made_up import any_of, bodies_of, raws, schemas, streams_of, texts, values_of, words
from tests.property.made_up import seen as said
from tests.support import published_responses
from tests.support.golden import ROOT

# --- Anything at all

names = any_of(
    """
        type role content text id name delta output_index summary_index usage error response item part summary output
        encrypted_content arguments call_id model input tools tool_choice instructions reasoning metadata stream
        effort format schema status incomplete_details logprobs include sequence_number image_url file_data
        previous_response_id
        """
)
kinds = any_of(
    """
        input_text input_image input_file output_text refusal message function_call function_call_output reasoning
        item_reference image_generation_call web_search_call function custom allowed_tools auto json_schema user
        assistant system developer completed incomplete failed queued error response.created response.completed
        response.incomplete response.failed response.output_item.added response.output_item.done
        response.output_text.delta response.refusal.delta response.reasoning_summary_text.delta
        response.reasoning_summary_part.added response.reasoning_text.delta response.function_call_arguments.delta
        response.function_call_arguments.done response.content_part.done forebay~s~gemini~~x
        """
)
values = values_of(names, kinds)
objects = st.dictionaries(names, values, max_size=6)
items = st.fixed_dictionaries({"type": kinds}, optional=dict.fromkeys(["role", "content", "call_id", "output"], values))
requests = st.fixed_dictionaries(
    {"model": texts, "input": values | st.lists(items | values, max_size=3)},
    optional=dict.fromkeys(["tools", "tool_choice", "text", "reasoning", "metadata", "include", "new"], values),
)
answers = st.fixed_dictionaries(
    {"output": st.lists(items | values, max_size=3)}, optional=dict.fromkeys(["id", "usage", "status", "error"], values)
)


bodies = bodies_of(objects | requests | answers, "openai_responses")


@given(bodies)
@example(b'{"model":"m","input":"\\ud800"}')
@example(b'{"model":"m","input":' + b"[" * 100_000)
@example(b'{"model":"m","input":[{"role":"user","content":' + b"[" * 2000 + b"]" * 2000 + b"}]}")
@settings(max_examples=200)
def test_a_request_is_read_or_refused_as_invalid(body: bytes) -> None:
    try:
        request = openai_responses.CLIENT.read(body)
    except InvalidRequestError as error:
        published_responses.check_error(openai_responses.CLIENT.error_body(error))
        return
    with contextlib.suppress(InexpressibleError):
        msgspec.json.decode(openai_responses.PROVIDER.write(request, "m").body)


@given(bodies)
@settings(max_examples=150)
def test_a_request_that_passes_through_is_read_or_refused_as_invalid(body: bytes) -> None:
    try:
        request = passthrough.read(body)
    except InvalidRequestError:
        return
    assert json.loads(request.write("other").body) == {**json.loads(body), "model": "other"} or request.dropped


@given(bodies)
@settings(max_examples=200)
def test_an_answer_is_read_or_said_to_be_none(body: bytes) -> None:
    with contextlib.suppress(MalformedAnswerError, EmptyAnswerError, ReportedError):
        answer = openai_responses.PROVIDER.read(body)
        published_responses.check_answer(openai_responses.CLIENT.write(answer, Request("m", False, ())))
    with contextlib.suppress(MalformedAnswerError, EmptyAnswerError, ReportedError):
        assert json.loads(passthrough.whole(body, "m").body) == {**json.loads(body), "model": "m"}


streams = streams_of(objects, "openai_responses")


@given(streams)
@settings(max_examples=200)
def test_a_stream_is_read_until_it_is_none(stream: bytes) -> None:
    seen, _ = streamed.read(openai_responses.PROVIDER, [stream])
    streamed.write(openai_responses.CLIENT, seen)
    reader = EventReader("m")
    for event in EventSplitter().feed(stream):
        try:
            kind, _ = reader.read(event)
        except MalformedAnswerError:
            return
        if kind in (EventKind.TERMINAL, EventKind.ERROR):
            return


@given(st.sampled_from(sorted((ROOT / "openai_responses" / "streams").glob("*.sse"))), st.data())
@settings(max_examples=100)
def test_splitting_a_stream_changes_nothing(path: Any, data: st.DataObject) -> None:
    stream = path.read_bytes()
    seen, code = streamed.read(openai_responses.PROVIDER, streamed.cut(data, stream))
    assert (seen, code) == streamed.read(openai_responses.PROVIDER, [stream])
    assert streamed.write(openai_responses.CLIENT, seen) == streamed.write(openai_responses.CLIENT, seen, at_once=3)


# --- What both sides can say

details = st.sampled_from(["", "low", "high"])
images = (
    st.builds(Media, st.just(MediaKind.IMAGE), media_type=st.just("image/png"), data=words, detail=details)
    | st.builds(Media, st.just(MediaKind.IMAGE), url=words.map("https://{}".format), detail=details)
    | st.builds(Media, st.just(MediaKind.IMAGE), file_id=words, family=st.just(Family.OPENAI))
)
files = st.builds(
    Media, st.just(MediaKind.FILE), media_type=st.just("application/pdf"), data=words, name=words
) | st.builds(Media, st.just(MediaKind.FILE), url=words.map("https://{}".format))
thoughts = st.builds(Thinking, text=texts, encrypted=words, family=st.just(Family.OPENAI), id=words)
calls = st.builds(ToolCall, words, words, raws.map(lambda raw: bytes(raw).decode()))
results = st.lists(said.map(Text) | images, max_size=2).map(tuple)
users = st.lists(said.map(Text) | images | files, min_size=1, max_size=3)
spoken: st.SearchStrategy[Part] = st.one_of(thoughts, said.map(Text), said.map(Refusal), calls)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """As the dialect has them: what the assistant does in a row is one message, and so are results."""
    turns = [Message(Role.SYSTEM, (Text(text),)) for text in draw(st.lists(said, max_size=2))]
    turns.append(Message(Role.USER, tuple(draw(users))))
    called: dict[str, str] = {}
    for _ in range(draw(st.integers(0, 2))):
        parts = draw(st.lists(spoken, min_size=1, max_size=4))
        turns.append(Message(Role.ASSISTANT, tuple(parts)))
        now = [part for part in parts if isinstance(part, ToolCall)]
        called |= {part.id: part.name for part in now}
        if now:
            turns.append(Message(Role.USER, tuple(ToolResult(c.id, called[c.id], draw(results)) for c in now)))
        turns.append(Message(Role.USER, tuple(draw(users))))
    return tuple(turns)


outputs = st.sampled_from([Output(OutputKind.TEXT), Output(OutputKind.JSON)]) | st.builds(
    Output, st.just(OutputKind.SCHEMA), schemas, name=words, description=texts, strict=st.none() | st.booleans()
)


@st.composite
def sayable(draw: st.DrawFn) -> Request:
    tools = tuple(draw(st.lists(st.builds(Tool, words, texts, schemas, st.booleans()), max_size=2)))
    choices = st.sampled_from([ToolChoice(mode) for mode in Choosing if mode is not Choosing.NAMED]) | st.builds(
        ToolChoice, st.sampled_from([Choosing.AUTO, Choosing.REQUIRED]), words.map(lambda name: (name,))
    )
    logprobs = draw(st.sampled_from([None, True]))
    efforts = st.builds(Reasoning, st.sampled_from(Effort), summary=st.sampled_from(["", "auto", "detailed"]))
    return Request(
        model=draw(words.map("x-{}".format)),
        stream=draw(st.booleans()),
        messages=draw(conversations()),
        tools=tools,
        tool_choice=draw(st.none() | choices | st.just(ToolChoice(Choosing.NAMED, ("a",)))) if tools else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if tools else None,
        output=draw(st.none() | outputs),
        reasoning=draw(st.none() | efforts),
        max_tokens=draw(st.none() | st.integers(16, 9000)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        logprobs=logprobs,
        top_logprobs=draw(st.none() | st.integers(0, 20)) if logprobs else None,
        verbosity=draw(st.sampled_from(["", "low", "high"])),
        service_tier=draw(st.sampled_from(["", "auto", "default", "flex", "priority"])),
        user=draw(st.just("") | words),
        metadata=draw(st.dictionaries(words, texts, max_size=2)),
    )


@given(sayable())
@settings(max_examples=150)
def test_what_the_dialect_can_say_it_says_whole(request: Request) -> None:
    written = openai_responses.PROVIDER.write(request, request.model)
    assert written.dropped == ()
    published_responses.check_request(written.body)
    assert openai_responses.CLIENT.read(written.body) == request


finishes = st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.FILTERED])
usages = st.builds(
    lambda fresh, read, written, out, thought: Usage(fresh + read + written, out + thought, read, written, thought),
    *(st.integers(0, 1000) for _ in range(5)),
)
pictures = st.builds(Media, st.just(MediaKind.IMAGE), media_type=st.just("image/png"), data=words)
own_thoughts = st.builds(
    Thinking, text=texts, encrypted=words, family=st.just(Family.OPENAI), id=words.map("rs_{}".format)
)


@st.composite
def answered(draw: st.DrawFn) -> Answer:
    parts = draw(st.lists(st.one_of(texts.map(Text), texts.map(Refusal), own_thoughts, calls, pictures), max_size=4))
    finish = draw(finishes) if parts else Finish.LENGTH
    if finish is Finish.STOP and any(isinstance(part, ToolCall) for part in parts):
        finish = Finish.TOOL_CALLS
    elif finish is Finish.STOP and any(isinstance(part, Refusal) for part in parts):
        finish = Finish.REFUSED
    tier = draw(st.sampled_from(["", "default", "priority"]))
    return Answer(
        draw(words.map("resp_{}".format)),
        draw(st.integers(0, 2**40)),
        (Choice(tuple(parts), finish),),
        draw(usages),
        tier,
    )


@given(answered())
@settings(max_examples=100)
def test_an_answer_survives(answer: Answer) -> None:
    written = openai_responses.CLIENT.write(answer, Request("m", False, ()))
    published_responses.check_answer(written)
    assert openai_responses.PROVIDER.read(written) == answer


# --- Streams of other dialects

pieces = (
    st.builds(TextDelta, texts)
    | st.builds(RefusalDelta, texts)
    | st.builds(ThinkingDelta, texts)
    | st.builds(ThinkingDelta, texts, id=words)
    | st.builds(ThinkingDelta, texts, signature=words, family=st.sampled_from(Family))
    | st.builds(ThinkingDelta, encrypted=words, family=st.sampled_from(Family), id=st.just("") | words)
)


@st.composite
def told(draw: st.DrawFn) -> list[Event]:
    """Text and thoughts, then calls whose fragments come in turns."""
    seen: list[Event] = [Started("id"), *draw(st.lists(pieces, max_size=6))]
    fragments = [
        [ToolCallStarted(i, f"call{i}", "f", draw(st.just("") | words)), *(ToolCallDelta(i, text) for text in cut)]
        for i, cut in enumerate(
            draw(st.lists(st.sampled_from([["{}"], ['{"a"', ":1}"], ["", "{", "}"], ['{"a'], []]), max_size=3))
        )
    ]
    while any(fragments):
        rest = draw(st.sampled_from([events for events in fragments if events]))
        seen.append(rest.pop(0))
    return [*seen, Finished(Finish.TOOL_CALLS), UsageSeen(Usage(3, 4)), Ended()]


@given(told())
@settings(max_examples=150)
def test_a_stream_of_another_dialect_loses_nothing(seen: list[Event]) -> None:
    stream = streamed.write(openai_responses.CLIENT, seen)
    told = list(published_responses.events(stream))
    assert gathered(streamed.read(openai_responses.PROVIDER, [stream])[0]) == gathered(seen)
    whole: dict[int, Any] = {}
    deltas: dict[tuple[int, int], str] = {}
    for event in told:
        index = event.get("output_index", -1)
        match event["type"].removeprefix("response."):
            case "output_item.added":
                assert index == len(whole)
                whole[index] = None
            case "output_item.done":
                assert whole[index] is None
                whole[index] = event["item"]
            case str(kind) if kind.endswith(".delta"):
                assert whole[index] is None
                where = index, event.get("content_index", 0)
                deltas[where] = deltas.get(where, "") + event["delta"]
            case "output_text.done" | "refusal.done" | "reasoning_summary_text.done" | "function_call_arguments.done":
                everything = next(event[name] for name in ("text", "refusal", "arguments") if name in event)
                assert deltas[index, event.get("content_index", 0)] == everything
    assert told[-1]["response"]["output"] == list(whole.values())
    assert all(before["id"] != after["id"] for before, after in pairwise(whole.values()))


def gathered(seen: list[Event]) -> tuple[str, str, str, dict[str, str]]:
    """Text, refusals, thoughts and the arguments of calls."""
    ids = {event.index: event.id for event in seen if isinstance(event, ToolCallStarted)}
    arguments = dict.fromkeys(ids.values(), "")
    for event in seen:
        if isinstance(event, ToolCallDelta):
            arguments[ids[event.index]] += event.arguments
    return (
        "".join(event.text for event in seen if isinstance(event, TextDelta)),
        "".join(event.text for event in seen if isinstance(event, RefusalDelta)),
        "".join(event.text for event in seen if isinstance(event, ThinkingDelta)),
        {name: text.strip() or "{}" for name, text in arguments.items()},
    )
