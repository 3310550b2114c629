"""A text that is known by the bytes around it comes to what it would come to if its event were read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.app.relay import Relay, StreamFailedError
from edge_service.dialects import anthropic, gemini, openai_chat, openai_responses
from edge_service.dialects.canonical import Ended, Request
from edge_service.dialects.exchange import EventKind, MalformedAnswerError, ReportedError
from edge_service.dialects.translation import TranslatedEvents

PROVIDERS: dict[str, Any] = {
    "chat": openai_chat.PROVIDER,
    "responses": openai_responses.PROVIDER,
    "anthropic": anthropic.PROVIDER,
    "gemini": gemini.PROVIDER,
}
CLIENTS: dict[str, Callable[[], Any]] = {
    "chat": lambda: openai_chat.CLIENT.events(REQUEST),
    "responses": lambda: openai_responses.CLIENT.events(REQUEST),
    "anthropic": lambda: anthropic.CLIENT.events(REQUEST),
    "gemini": lambda: gemini.CLIENT.events(REQUEST),
    "gemini, an array": lambda: gemini.CLIENT.events(REQUEST, array=True),
}
REQUEST = Request("100% chat", True, ())

_CHAT = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
_GEMINI = b'data: {"candidates":[{"content":{"parts":[{"text":"%s"}]}}]}\n\n'
_ANTHROPIC = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":%s}}\n\n'
SHAPES: dict[str, list[bytes]] = {
    "chat": [
        _CHAT,
        _CHAT.replace(b"\n", b"\r\n"),
        _CHAT.replace(b'"index":0', b'"index":1'),
        _CHAT.replace(b"content", b"reasoning_content"),
        _CHAT.replace(b"content", b"refusal"),
        _CHAT.replace(b'"content"', rb'"conten\u0074"').replace(b'"1"', b'"1","text":"a"'),
        _CHAT.replace(b'"1"', b'"1","text":"%s"'),
        _CHAT.replace(b'"%s"', b'[{"type":"text","text":"%s"}]'),
        _CHAT.replace(b"{", b'\ndata:{"text":"%s"', 1).replace(b"data: \n", b": "),
        _CHAT.replace(b"]}", b'],"usage":{"prompt_tokens":1}}'),
        _CHAT.replace(b"}}]", b'},"logprobs":{"content":[]}}]'),
        _CHAT.replace(b"}}]", b'},"finish_reason":"stop"}]'),
        _CHAT.replace(b'"content":"%s"', b'"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]'),
        _CHAT.replace(b'"content"', b'"tool_calls":[{"index":0,"function":{"arguments"').replace(b"}}]", b"}}]}}]"),
        b"data: [DONE]\n\n",
    ],
    "responses": [
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"%s"}\n\n',
        b'data: {"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":'
        b'[{"type":"output_text","text":"%s"}]}}\n\n',
    ],
    "anthropic": [
        _ANTHROPIC.replace(b"%s", b'"text_delta","text":"%s"'),
        _ANTHROPIC.replace(b"%s", b'"thinking_delta","thinking":"%s"'),
        _ANTHROPIC.replace(b"%s", b'"input_json_delta","partial_json":"%s"'),
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"%s"}}\n\n',
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"c","name":"f"}}\n\n',
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}\n\n',
    ],
    "gemini": [
        _GEMINI,
        _GEMINI.replace(b"[{", b'[{"index":1,', 1),
        _GEMINI.replace(b'"}]', b'"},{"text":"%s"}]'),
        _GEMINI.replace(b'"}]', b'","thought":true}]'),
        _GEMINI.replace(b'{"text":"%s"}', b'{"functionCall":{"name":"f","args":{"text":"%s"}}}'),
        _GEMINI.replace(b"]}\n", b'],"usageMetadata":{"promptTokenCount":1}}\n'),
        _GEMINI.replace(b"}]}\n", b',"finishReason":"STOP"}]}\n'),
    ],
}
PINGS = [b": ping\n\n", b"event: ping\ndata: {}\n\n"]

texts = st.lists(
    st.sampled_from(
        [
            *(b"a", b" word", "é\U0001f600".encode(), rb"\n", rb"\"", rb"\\", rb"\/", rb"\u0041"),
            *(rb"\ud83d", rb"\ud83d\ude00", b'"', b"\\", b"\xff", b"\n\n", b"\t", b'","content":"b', b'"}]}\n\n'),
        ]
    ),
    max_size=3,
).map(b"".join)


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """A provider, and what it sends: events of a few shapes, so that many are like the one before."""
    provider = draw(st.sampled_from([*PROVIDERS]))
    few = draw(st.lists(st.sampled_from(SHAPES[provider]), min_size=1, max_size=3))
    events = []
    for shape in draw(st.lists(st.sampled_from(few) | st.sampled_from(PINGS), max_size=14)):
        for text in [draw(texts) for _ in range(shape.count(b"%s"))]:
            shape = shape.replace(b"%s", text, 1)
        events.append(shape)
    return provider, events


def anew(provider: str, client: str, events: list[bytes]) -> list[bytes | str]:
    """What the client gets for each, if all of them are read."""
    reads, writes = PROVIDERS[provider].events(), CLIENTS[client]()
    written: list[bytes | str] = []
    for event in events:
        try:
            said = reads.read(event)
        except (MalformedAnswerError, ReportedError) as error:
            return [*written, error.code]
        written.append(writes.write(said))
        if any(isinstance(each, Ended) for each in said):
            break
    return written


def known(provider: str, client: str, events: list[bytes]) -> list[bytes | str]:
    reader = TranslatedEvents(PROVIDERS[provider].events(), CLIENTS[client]())
    written: list[bytes | str] = []
    for event in events:
        try:
            kind, sent = reader.read(event)
        except MalformedAnswerError as error:
            return [*written, error.code]
        if kind is EventKind.ERROR:
            return [*written, ReportedError.code]
        written.append(sent)
        if kind is EventKind.TERMINAL:
            break
    return written


@given(streams(), st.sampled_from([*CLIENTS]))
@example(("chat", [_CHAT % text for text in (b"a", b"b", rb"\u00e9", b"")]), "gemini")
@settings(max_examples=300)
def test_a_text_that_is_known_is_written_as_if_it_were_read(stream: tuple[str, list[bytes]], client: str) -> None:
    provider, events = stream
    assert known(provider, client, events) == anew(provider, client, events)


def relayed(provider: str, client: str, pieces: list[bytes]) -> tuple[bytes, int, str]:
    relay, sent, failed = Relay(TranslatedEvents(PROVIDERS[provider].events(), CLIENTS[client]())), b"", ""
    try:
        for piece in pieces:
            sent += relay.feed(piece)
    except StreamFailedError as error:
        failed = error.outcome.disposition
        sent += relay.rest()
    return sent, relay.content_events, failed


@given(streams(), st.sampled_from([*CLIENTS]), st.lists(st.integers(0, 2000), max_size=6))
@settings(max_examples=100)
def test_it_makes_no_difference_how_the_stream_is_cut(
    stream: tuple[str, list[bytes]], client: str, at: list[int]
) -> None:
    provider, events = stream
    whole = b"".join(events)
    places = [0, *sorted(min(place, len(whole)) for place in at), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places)]
    expected = relayed(provider, client, [whole[i : i + 1] for i in range(len(whole))])
    assert relayed(provider, client, events) == expected
    assert relayed(provider, client, pieces) == expected
