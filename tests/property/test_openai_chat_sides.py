"""Whatever a client or a provider sends, the dialect reads it or says why not; and what it reads it can say again."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.dialects import openai_chat
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
from edge_service.dialects.exchange import EmptyAnswerError, InexpressibleError, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_chat import Quirks
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.sse import EventSplitter
from tests.property import streamed
from tests.property.made_up import any_of, bodies_of, raws, said, schemas, streams_of, texts, values_of, words
from tests.support import published_openai_chat
from tests.support.golden import ROOT

FULL = Quirks(unknown=frozenset(), efforts=tuple(Effort), thoughts=("reasoning_content", "reasoning_details"))


# --- Anything at all

names = any_of(
    """
        role content type text image_url url detail file file_data file_id input_audio data format refusal name
        tool_calls tool_call_id function arguments index id choices delta message finish_reason usage error logprobs
        prompt_tokens completion_tokens reasoning_content reasoning reasoning_details signature thinking images
        function_call mode allowed_tools json_schema schema strict effort
        """
)
kinds = any_of(
    """
        system developer user assistant tool function text image_url input_audio file refusal thinking json_schema
        json_object allowed_tools custom stop length tool_calls error auto none required high low
        """
) | st.sampled_from(
    ["reasoning.text", "reasoning.encrypted", "google-gemini-v1", "anthropic-claude-v1", "forebay~", "data:,", "data:"]
)
values = values_of(names, kinds)
objects = st.dictionaries(names, values, max_size=6)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": kinds, "content": values},
        optional=dict.fromkeys(["tool_calls", "tool_call_id", "reasoning_details", "name", "function_call"], values),
    ),
    max_size=3,
)
requests = st.fixed_dictionaries(
    {"model": texts, "messages": values | messages},
    optional=dict.fromkeys(
        ["tools", "tool_choice", "response_format", "reasoning", "stream_options", "metadata", "stop", "new"], values
    )
    | {"stream": st.booleans()},
)


bodies = bodies_of(objects | requests, "openai_chat")


@given(bodies)
@example(b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}')
@example(b'{"model":"m","messages":[{"role":"user","content":' + b"[" * 100_000)
@example(b'{"model":"m","messages":[{"role":"user","content":' + b"[" * 2000 + b"]" * 2000 + b"}]}")
@settings(max_examples=300)
def test_a_request_is_read_or_refused_as_invalid(body: bytes) -> None:
    try:
        request = openai_chat.CLIENT.read(body)
    except InvalidRequestError as error:
        json.loads(openai_chat.CLIENT.error_body(error))
        return
    for quirks in (openai_chat.DEFAULT, FULL):
        with contextlib.suppress(InexpressibleError):
            msgspec.json.decode(openai_chat.PROVIDER.write(request, "m", quirks).body)


@given(bodies)
@settings(max_examples=200)
def test_a_request_that_passes_through_is_read_or_refused_as_invalid(body: bytes) -> None:
    try:
        request = openai_chat.read_request(body)
    except InvalidRequestError:
        return
    sent = json.loads(body)
    for quirks in (openai_chat.DEFAULT, Quirks(unknown=frozenset({"messages.thinking"})), FULL):
        written = json.loads(request.write("other", quirks).body)
        if request.wants_usage:
            expected = {**sent, "model": "other"}
        else:
            expected = {**sent, "model": "other", "stream_options": written["stream_options"]}
        assert {**written, "messages": None} == {**expected, "messages": None}
        assert len(written["messages"]) == len(sent["messages"])


@given(bodies)
@settings(max_examples=200)
def test_an_answer_is_read_or_said_to_be_none(body: bytes) -> None:
    with contextlib.suppress(MalformedAnswerError, EmptyAnswerError, ReportedError):
        json.loads(openai_chat.CLIENT.write(openai_chat.PROVIDER.read(body), Request("m", False, ())))


streams = streams_of(objects, "openai_chat")


@given(streams)
@settings(max_examples=200)
def test_a_stream_is_read_until_it_is_none(stream: bytes) -> None:
    seen, _ = streamed.read(openai_chat.PROVIDER, [stream])
    for event in EventSplitter().feed(streamed.write(openai_chat.CLIENT, seen)):
        assert event == b"data: [DONE]\n\n" or json.loads(event[6:])["object"] == "chat.completion.chunk"


@given(st.sampled_from(sorted((ROOT / "openai_chat" / "streams").glob("*.sse"))), st.data())
@settings(max_examples=100)
def test_splitting_a_stream_changes_nothing(path: Any, data: st.DataObject) -> None:
    stream = path.read_bytes()
    seen, code = streamed.read(openai_chat.PROVIDER, streamed.cut(data, stream))
    assert (seen, code) == streamed.read(openai_chat.PROVIDER, [stream])
    assert streamed.write(openai_chat.CLIENT, seen) == streamed.write(openai_chat.CLIENT, seen, at_once=3)


# --- What both sides can say

images = st.builds(
    Media, st.just(MediaKind.IMAGE), media_type=st.just("image/png"), data=words, detail=st.sampled_from(["", "low"])
) | st.builds(Media, st.just(MediaKind.IMAGE), url=words.map("https://{}".format))
files = st.builds(
    Media, st.just(MediaKind.FILE), media_type=st.just("application/pdf"), data=words, name=words
) | st.builds(Media, st.just(MediaKind.FILE), file_id=words, family=st.just(Family.OPENAI))
sounds = st.builds(Media, st.just(MediaKind.AUDIO), media_type=st.just("audio/wav"), data=words)
thoughts = (
    st.builds(Thinking, text=texts, signature=words, family=st.just(Family.ANTHROPIC))
    | st.builds(Thinking, encrypted=words, family=st.just(Family.ANTHROPIC))
    | st.builds(Thinking, text=said)
)
calls = st.builds(ToolCall, words, words, raws.map(lambda raw: bytes(raw).decode()))


@st.composite
def users(draw: st.DrawFn) -> tuple[Text | Media, ...]:
    """One text, or more with something among them that is none."""
    if draw(st.booleans()):
        return (Text(draw(said)),)
    parts: list[Text | Media] = draw(st.lists(said.map(Text) | images | files | sounds, max_size=2))
    return (*parts, draw(images))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    turns = [Message(Role.SYSTEM, (Text(draw(said)),)), Message(Role.USER, draw(users()))]
    for _ in range(draw(st.integers(0, 2))):
        thought = draw(st.lists(thoughts, max_size=2))
        spoken: list[Any] = draw(st.lists(said.map(Text) | said.map(Refusal), max_size=1))
        called = draw(st.lists(calls, max_size=2, unique_by=lambda call: call.id))
        if not (spoken or called):
            break
        turns.append(Message(Role.ASSISTANT, (*thought, *spoken, *called)))
        turns += [Message(Role.USER, (ToolResult(call.id, call.name, (Text(draw(said)),)),)) for call in called]
        turns.append(Message(Role.USER, draw(users())))
    return tuple(turns)


@st.composite
def sayable(draw: st.DrawFn) -> Request:
    tools = tuple(draw(st.lists(st.builds(Tool, words, texts, schemas, st.none() | st.booleans()), max_size=2)))
    choices = st.sampled_from([*map(ToolChoice, [Choosing.AUTO, Choosing.NONE, Choosing.REQUIRED])])
    stream = draw(st.booleans())
    small = st.floats(-2, 2)
    return Request(
        model=draw(words),
        stream=stream,
        messages=draw(conversations()),
        tools=tools,
        tool_choice=draw(st.none() | choices | st.just(ToolChoice(Choosing.NAMED, ("a",)))) if tools else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if tools else None,
        output=draw(
            st.none()
            | st.just(Output(OutputKind.JSON))
            | st.builds(Output, st.just(OutputKind.SCHEMA), schemas, words, texts, st.none() | st.booleans())
        ),
        reasoning=draw(st.none() | st.builds(Reasoning, st.sampled_from(Effort))),
        max_tokens=draw(st.none() | st.integers(0, 9000)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(0, 100)),
        seed=draw(st.none() | st.integers(-(2**63), 2**63)),
        presence_penalty=draw(st.none() | small),
        frequency_penalty=draw(st.none() | small),
        stop=tuple(draw(st.lists(said, max_size=4))),
        n=draw(st.none() | st.integers(1, 9)),
        logprobs=draw(st.just(True)),
        top_logprobs=draw(st.none() | st.integers(0, 20)),
        verbosity=draw(st.sampled_from(["", "low"])),
        service_tier=draw(st.sampled_from(["", "auto", "flex"])),
        user=draw(st.just("") | words),
        metadata=draw(st.dictionaries(words, texts, max_size=2)),
        wants_usage=stream,
    )


@given(sayable())
@settings(max_examples=200)
def test_what_the_dialect_can_say_it_says_whole(request: Request) -> None:
    # A provider whose models are Anthropic's takes back what they have signed.
    model = f"anthropic/{request.model}"
    written = openai_chat.PROVIDER.write(request, model, FULL)
    assert not written.dropped
    published_openai_chat.check_request(written.body)
    assert openai_chat.CLIENT.read(written.body) == msgspec.structs.replace(request, model=model)


usages = st.builds(
    lambda fresh, read, written, out, thought: Usage(fresh + read + written, out + thought, read, written, thought),
    *(st.integers(0, 1000) for _ in range(5)),
)
answered = st.builds(
    lambda thought, text, refusal, called, finish: Choice(
        (*thought, *map(Text, text), *map(Refusal, refusal), *called),
        Finish.TOOL_CALLS if called and finish is Finish.STOP else finish,
    ),
    st.lists(
        thoughts
        | st.builds(Thinking, text=said, encrypted=words, family=st.just(Family.OPENAI), id=words)
        | st.builds(Thinking, signature=words, family=st.just(Family.GEMINI)),
        max_size=3,
    ),
    st.lists(said, max_size=1),
    st.lists(said, max_size=1),
    st.lists(
        calls | calls.map(lambda call: msgspec.structs.replace(call, signature="s")),
        max_size=3,
        unique_by=lambda call: call.id,
    ),
    st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.FILTERED]),
)
answers = st.builds(
    Answer,
    id=words,
    created_at=st.integers(0, 2**40),
    choices=st.lists(answered, min_size=1, max_size=3).map(tuple),
    usage=usages,
    service_tier=st.sampled_from(["", "default", "priority"]),
)


@given(answers)
@settings(max_examples=150)
def test_an_answer_survives(answer: Answer) -> None:
    written = openai_chat.CLIENT.write(answer, Request("m", False, ()))
    published_openai_chat.check_answer(written)
    again = openai_chat.PROVIDER.read(written)
    # Where the details are of a call they stand behind the thoughts, and those of the conversation are read alike.
    assert again == answer
    message = json.loads(written)["choices"][0]["message"]
    sent = {"model": "m", "messages": [{"role": "user", "content": "x"}, message]}
    read = openai_chat.CLIENT.read(json.dumps(sent).encode()).messages[1].parts
    assert read == answer.choices[0].parts


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
    """Text and thoughts, then calls whose fragments come in turns; of two answers at once."""
    seen: list[Event] = [Started("id", 7)]
    for choice in range(draw(st.integers(1, 2))):
        seen += [msgspec.structs.replace(piece, choice=choice) for piece in draw(st.lists(pieces, max_size=6))]
        fragments: list[list[Event]] = [
            [ToolCallStarted(i, f"call{i}", "f", choice=choice), *(ToolCallDelta(i, text, choice) for text in cut)]
            for i, cut in enumerate(
                draw(st.lists(st.sampled_from([["{}"], ['{"a"', ":1}"], ["", "{", "}"]]), max_size=3))
            )
        ]
        while any(fragments):
            rest = draw(st.sampled_from([events for events in fragments if events]))
            seen.append(rest.pop(0))
        seen.append(Finished(Finish.TOOL_CALLS, choice=choice))
    return [*seen, UsageSeen(Usage(3, 4)), Ended()]


@given(told())
@settings(max_examples=150)
def test_a_stream_of_another_dialect_loses_nothing(seen: list[Event]) -> None:
    stream = streamed.write(openai_chat.CLIENT, seen)
    assert list(published_openai_chat.chunks(stream))
    again, code = streamed.read(openai_chat.PROVIDER, [stream])
    assert not code
    for choice in range(2):
        assert gathered(again, choice) == gathered(seen, choice)
    assert again[-2:] == seen[-2:]
    assert [e.choice for e in again if isinstance(e, Finished)] == [e.choice for e in seen if isinstance(e, Finished)]


def gathered(seen: list[Event], choice: int) -> tuple[str, str, str, dict[str, str], list[str]]:
    """Text, refusal, thoughts, the arguments of calls, and what is signed or encrypted."""
    own = [event for event in seen if getattr(event, "choice", None) == choice]
    ids = {event.index: event.id for event in own if isinstance(event, ToolCallStarted)}
    arguments = dict.fromkeys(ids.values(), "")
    for event in own:
        if isinstance(event, ToolCallDelta):
            arguments[ids[event.index]] += event.arguments
    return (
        "".join(event.text for event in own if isinstance(event, TextDelta)),
        "".join(event.text for event in own if isinstance(event, RefusalDelta)),
        "".join(event.text for event in own if isinstance(event, ThinkingDelta)),
        arguments,
        [f"{e.family}{e.signature}{e.encrypted}" for e in own if isinstance(e, ThinkingDelta) and e.family],
    )
