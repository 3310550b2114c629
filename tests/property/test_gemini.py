"""Gemini's dialect: what both sides can say survives the way there and back, cuts change nothing, and nothing that
comes in is a surprise."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Choosing,
    Effort,
    Event,
    Family,
    Finish,
    Media,
    MediaKind,
    Message,
    Output,
    OutputKind,
    Reasoning,
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
    ToolChoice,
    ToolResult,
    Usage,
)
from edge_service.dialects.exchange import EmptyAnswerError, InexpressibleError, MalformedAnswerError, ReportedError
from edge_service.dialects.gemini import CLIENT, PROVIDER, counting, embedding, passthrough
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.sse import EventSplitter
from tests.support import golden

MODEL = "gemini-3-flash"
"""Takes everything."""

# --- There and back

texts = st.text(min_size=1, max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
values = st.none() | st.booleans() | st.integers(-9, 9) | texts | st.lists(texts, max_size=2)
objects = st.dictionaries(texts, values, max_size=3).map(lambda value: msgspec.json.encode(value).decode())
base64 = st.binary(min_size=1, max_size=9).map(lambda data: json.loads(msgspec.json.encode(data)))
signatures = st.just("") | base64

plain = st.builds(Text, texts)
inline = st.builds(
    lambda kind, data: Media(
        MediaKind(kind.partition("/")[0]) if "pdf" not in kind else MediaKind.FILE, kind, data=data
    ),
    st.sampled_from(["image/png", "audio/wav", "video/mp4", "application/pdf"]),
    base64,
)
linked = st.sampled_from(
    [
        Media(MediaKind.IMAGE, "image/png", url="https://example.org/a.png"),
        Media(MediaKind.FILE, "application/pdf", file_id="gs://bucket/a", family=Family.GEMINI),
    ]
)
thoughts = st.builds(Thinking, st.just("") | texts, base64, family=st.just(Family.GEMINI))
calls = st.builds(ToolCall, names, names, objects, base64)
results = st.builds(
    ToolResult,
    names,
    names,
    st.tuples(st.builds(Text, st.text(max_size=12) | objects)) | st.tuples(plain, inline),
    st.booleans(),
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """In turns: neighbours of one role would become one."""
    messages = (
        [Message(Role.SYSTEM, tuple(draw(st.lists(plain, min_size=1, max_size=2))))] if draw(st.booleans()) else []
    )
    for turn in range(draw(st.integers(1, 4))):
        said = plain | thoughts | calls if turn % 2 else plain | inline | linked | results
        parts = tuple(draw(st.lists(said, min_size=1, max_size=4)))
        messages.append(Message(Role.ASSISTANT if turn % 2 else Role.USER, parts))
    return tuple(messages)


schemas = objects.map(lambda text: msgspec.Raw(text.encode()))
requests = st.builds(
    Request,
    model=st.just(MODEL),
    stream=st.booleans(),
    messages=conversations(),
    tools=st.lists(st.builds(Tool, names, st.just("") | texts, st.none() | schemas), min_size=1, max_size=3).map(tuple),
    tool_choice=st.none()
    | st.sampled_from(
        [
            ToolChoice(Choosing.AUTO),
            ToolChoice(Choosing.NONE),
            ToolChoice(Choosing.REQUIRED),
            ToolChoice(Choosing.REQUIRED, ("a", "b")),
            ToolChoice(Choosing.NAMED, ("a",)),
            ToolChoice(Choosing.AUTO, ("a",)),
        ]
    ),
    output=st.none() | st.just(Output(OutputKind.JSON)) | st.builds(Output, st.just(OutputKind.SCHEMA), schemas),
    reasoning=st.none()
    | st.builds(
        Reasoning,
        effort=st.sampled_from([Effort.MINIMAL, Effort.LOW, Effort.MEDIUM, Effort.HIGH]),
        shown=st.none() | st.booleans(),
    ),
    max_tokens=st.none() | st.integers(1, 99999),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 99),
    seed=st.none() | st.integers(-(2**31) + 1, 2**31 - 1),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    stop=st.lists(texts, max_size=5).map(tuple),
    n=st.none() | st.integers(1, 8),
    logprobs=st.just(True),
    top_logprobs=st.none() | st.integers(0, 20),
    service_tier=st.sampled_from(["", "default", "flex", "priority"]),
    metadata=st.dictionaries(names, names, max_size=2),
)


def comparable(value: Any) -> str:
    return golden._json(golden.shown(value)).decode()


@given(requests)
@settings(max_examples=50)
def test_a_request_is_the_same_there_and_back(request: Request) -> None:
    written = PROVIDER.write(request, MODEL)
    back = CLIENT.read(written.body, MODEL, request.stream)
    assert comparable(back) == comparable(request)
    assert written.dropped == ()


choices = st.lists(
    st.builds(
        Choice,
        st.lists(plain | inline | thoughts | calls, max_size=4).map(tuple),
        st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.FILTERED]),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
usages = st.builds(
    lambda fresh, cached, said, thought: Usage(fresh + cached, said + thought, cached, 0, thought),
    *[st.integers(0, 999)] * 4,
)


@settings(max_examples=50)
@given(st.builds(Answer, names, st.just(0), choices, usages))
def test_an_answer_is_the_same_there_and_back(answer: Answer) -> None:
    back = PROVIDER.read(CLIENT.write(answer, Request("chat", False, ())))
    expected = tuple(
        msgspec.structs.replace(choice, finish=Finish.TOOL_CALLS)
        if choice.finish is Finish.STOP and any(isinstance(part, ToolCall) for part in choice.parts)
        else choice
        for choice in answer.choices
    )
    assert back == msgspec.structs.replace(answer, choices=expected)


# --- Cuts

STREAMS = sorted((golden.ROOT / "gemini" / "streams").glob("*.sse"))


def heard(pieces: list[bytes]) -> tuple[list[Event], bytes, bytes]:
    """Of a stream: the events, and what two kinds of clients get for them. Those that make no sense are left out."""
    splitter, reader = EventSplitter(), PROVIDER.events()
    client, straight = CLIENT.events(Request("chat", True, ())), passthrough.EventReader("chat", array=True)
    events: list[Event] = []
    written = passed = b""
    for piece in pieces:
        for event in splitter.feed(piece):
            passed += straight.read(event)[1]
            with suppress(ReportedError):
                read = reader.read(event)
                events += read
                written += client.write(read)
    return events, written, passed


@given(st.sampled_from(STREAMS), st.data())
def test_a_stream_is_the_same_wherever_it_is_cut(path: Any, data: st.DataObject) -> None:
    stream = path.read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert heard(pieces) == heard([stream])


deltas = st.lists(
    st.builds(TextDelta, st.text(max_size=8))
    | st.builds(ThinkingDelta, texts)
    | st.builds(ToolCallDelta, st.just(0), st.just(" ")),
    max_size=8,
)


@given(deltas)
def test_both_forms_of_a_stream_say_the_same(events: list[Event]) -> None:
    request = Request("chat", True, ())
    as_events, as_array = CLIENT.events(request), CLIENT.events(request, array=True)
    chunks = b"".join(as_events.write([event]) for event in events)
    array = b"".join(as_array.write([event]) for event in events) + b"]"
    elements = [msgspec.json.decode(chunk[6:]) for chunk in chunks.split(b"\n\n") if chunk]
    assert msgspec.json.decode(array if elements else b"[]") == elements
    reader = PROVIDER.events()
    back = [each for event in EventSplitter().feed(chunks) for each in reader.read(event)]
    for kind in (TextDelta, ThinkingDelta):
        texts_of = [[each.text for each in some if isinstance(each, kind)] for some in (events, back)]
        assert "".join(texts_of[0]) == "".join(texts_of[1])


said = st.builds(TextDelta, st.text(max_size=8), st.integers(0, 2)) | st.builds(
    ThinkingDelta, texts, choice=st.integers(0, 2)
)


@given(st.lists(said | st.builds(Started, st.just("") | names), max_size=8))
def test_what_is_written_does_not_depend_on_what_was_written_before(events: list[Event]) -> None:
    request = Request("50% chat", True, ())
    client, started = CLIENT.events(request), Started("")
    for event in events:
        if isinstance(event, Started):
            started = event if event.id else started
        anew = CLIENT.events(request)
        anew.write([started])
        assert client.write([event]) == anew.write([event])


# --- Anything

KEYS = [
    "contents",
    "parts",
    "role",
    "text",
    "thought",
    "thoughtSignature",
    "thought_signature",
    "inlineData",
    "inline_data",
    "mimeType",
    "data",
    "fileData",
    "fileUri",
    "functionCall",
    "function_call",
    "functionResponse",
    "name",
    "id",
    "args",
    "response",
    "output",
    "error",
    "tools",
    "functionDeclarations",
    "parameters",
    "parametersJsonSchema",
    "type",
    "properties",
    "items",
    "anyOf",
    "nullable",
    "enum",
    "minItems",
    "toolConfig",
    "mode",
    "functionCallingConfig",
    "allowedFunctionNames",
    "generationConfig",
    "topK",
    "candidateCount",
    "stopSequences",
    "thinkingConfig",
    "thinkingLevel",
    "thinkingBudget",
    "responseSchema",
    "responseMimeType",
    "systemInstruction",
    "labels",
    "serviceTier",
    "candidates",
    "content",
    "finishReason",
    "index",
    "usageMetadata",
    "promptTokenCount",
    "promptFeedback",
    "blockReason",
    "logprobsResult",
    "chosenCandidates",
    "topCandidates",
    "requests",
    "generateContentRequest",
    "totalTokens",
    "embeddings",
    "values",
    "modelVersion",
]
WORDS = [
    "user",
    "model",
    "OBJECT",
    "STRING",
    "ANY",
    "STOP",
    "SAFETY",
    "LOW",
    "application/json",
    "https://a.b/c",
    "f",
    "",
]
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=3)
)
jsons = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)
SENT = [
    json.loads(data)
    for kind in ("requests", "answers", "streams")
    for path in sorted((golden.ROOT / "gemini" / kind).glob("*.*"))
    for data in (re.findall(rb"data: (.*)", path.read_bytes()) if kind == "streams" else [path.read_bytes()])
]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """What is good, but for one value in it."""
    sent = copy.deepcopy(draw(st.sampled_from(SENT)))
    place: Any = sent
    while True:
        keys = [*place] if isinstance(place, dict) else [*range(len(place))]
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not inner or not isinstance(inner, dict | list) or not draw(st.integers(0, 5)):
            place[key] = draw(jsons)
            return json.dumps(sent).encode()
        place = inner


bodies = st.binary(max_size=60) | jsons.map(lambda value: json.dumps(value).encode()) | spoilt() | spoilt() | spoilt()


def translated(body: bytes) -> None:
    request = CLIENT.read(body, "chat", True)
    with suppress(InexpressibleError):
        PROVIDER.write(request, MODEL)


@given(bodies)
@settings(max_examples=300)
def test_no_request_is_a_surprise(body: bytes) -> None:
    readers: list[Callable[[bytes], Any]] = [
        translated,
        lambda body: passthrough.read_request(body, "chat", True),
        lambda body: counting.read_request(body, "chat"),
        lambda body: counting.pass_on(body, "chat"),
        lambda body: embedding.read_request(body, "chat", many=True),
        lambda body: embedding.read_request(body, "chat", many=False),
        lambda body: embedding.pass_on(body, "chat", many=True),
        lambda body: embedding.pass_on(body, "chat", many=False),
        lambda body: embedding.check(body, many=True),
    ]
    for read in readers:
        with suppress(InvalidRequestError):
            read(body)


@given(bodies)
@settings(max_examples=300)
def test_no_answer_is_a_surprise(body: bytes) -> None:
    readers: list[Callable[[bytes], Any]] = [
        lambda body: CLIENT.write(PROVIDER.read(body), Request("chat", False, ())),
        lambda body: CLIENT.events(Request("chat", True, ())).write(PROVIDER.events().read(b"data: " + body + b"\n\n")),
        lambda body: passthrough.whole(body, "chat"),
        lambda body: passthrough.EventReader("chat").read(b"data: " + body + b"\n\n"),
        counting.read_answer,
        embedding.whole,
    ]
    for read in readers:
        with suppress(MalformedAnswerError, EmptyAnswerError, ReportedError):
            read(body)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"contents":' * 100_000, b'{"a":[' * 100_000])
def test_no_depth_is_a_surprise(deep: bytes) -> None:
    test_no_request_is_a_surprise.hypothesis.inner_test(deep)  # type: ignore[attr-defined]
    test_no_answer_is_a_surprise.hypothesis.inner_test(deep)  # type: ignore[attr-defined]
