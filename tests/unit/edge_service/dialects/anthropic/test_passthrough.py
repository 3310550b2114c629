from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.anthropic import passthrough, wire
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError, ReportedError
from edge_service.domain.errors import InvalidRequestError

PREAMBLE, CONTENT, TERMINAL, ERROR = EventKind.PREAMBLE, EventKind.CONTENT, EventKind.TERMINAL, EventKind.ERROR


def test_a_request_passes_byte_for_byte_but_for_the_model() -> None:
    body = (
        b' {"new": {"b" : 1.50, "a":null},"model":"name(high)" , "messages":[ {"content":"\xc3\xa9\\u00e9"} ],'
        b'"stream":true,"max_tokens":1e2,"thinking":null}'
    )
    request = passthrough.read(body)
    assert (request.model, request.stream) == ("name(high)", True)
    written = request.write("claude", [])
    assert written.body == (
        b'{"new":{"b" : 1.50, "a":null},"model":"claude","messages":[ {"content":"\xc3\xa9\\u00e9"} ],'
        b'"stream":true,"max_tokens":1e2,"thinking":null}'
    )
    assert (written.path, written.dropped) == ("/v1/messages", ())


def test_a_client_says_its_own_version() -> None:
    request = passthrough.read(b'{"model":"m","messages":[]}', wire.COUNT_PATH)
    assert request.write("m", [(b"anthropic-beta", b"x")]).headers == [(b"anthropic-version", b"2023-06-01")]
    assert request.write("m", [(b"anthropic-version", b"2026-10-21")]).headers == []
    assert request.write("m", []).path == "/v1/messages/count_tokens"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":{}}', "messages"),
        (b'{"messages":[]}', "model"),
        (b'{"model":null,"messages":[]}', "model"),
        (b'{"model":"","messages":[]}', "model"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream"),
        (b'{"model":"m","messages":["\xff"]}', None),
    ],
)
def test_what_cannot_be_routed(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        passthrough.read(body)
    assert caught.value.param == param


FOREIGN: list[Any] = [
    {"type": "thinking", "thinking": "a", "signature": "forebay~n~~~"},
    {"type": "redacted_thinking", "data": "forebay~e~openai~rs_1~gAAA"},
]
OWN: list[Any] = [
    {"type": "thinking", "thinking": "forebay~", "signature": "EqQB"},
    {"type": "text", "text": "forebay~n~~~"},
    {"type": "tool_use", "id": "i", "name": "f", "input": {"signature": "forebay~"}},
    {"type": "thinking", "signature": 5},
]


def test_thoughts_of_others_are_taken_out() -> None:
    messages = [
        {"role": "user", "content": "forebay~"},
        {"role": "assistant", "content": [OWN[0], FOREIGN[0], *OWN[1:], FOREIGN[1]], "extra": 1},
        {"role": "assistant", "content": FOREIGN},
        {"role": "user", "content": "b"},
    ]
    request = passthrough.read(json.dumps({"messages": messages, "model": "m"}).encode())
    written = request.write("m", [])
    assert written.dropped == ("messages.thinking",)
    assert json.loads(written.body)["messages"] == [
        messages[0],
        {"role": "assistant", "content": OWN, "extra": 1},
        messages[3],
    ]


@pytest.mark.parametrize(
    "messages", [OWN, [{"role": "user", "content": OWN}], [{"content": {"forebay~": 1}}], ["forebay~"]]
)
def test_what_only_looks_like_one_stays(messages: Any) -> None:
    body = json.dumps({"messages": messages, "model": "m"}, separators=(",", ":")).encode()
    written = passthrough.read(body).write("m", [])
    assert (written.body, written.dropped) == (body, ())


def test_an_answer_passes_byte_for_byte_but_for_the_model() -> None:
    body = b'{"new":{"b" : null},"model":"claude","content":[{"type" : "x"}],"usage":{"a":1.0}}'
    assert passthrough.whole(body, "name").body == body.replace(b"claude", b"name")
    assert passthrough.whole(b'{"content":[],"stop_reason":"end_turn"}', "m").body.endswith(b'"model":"m"}')


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b" ", EmptyAnswerError),
        (b'{"content":[]}', EmptyAnswerError),
        (b'{"content":[],"stop_reason":null}', EmptyAnswerError),
        (b'{"type":"error","error":{"type":"api_error"}}', ReportedError),
        (b'{"error":{}}', ReportedError),
        (b"{}", MalformedAnswerError),
        (b"[]", MalformedAnswerError),
        (b'{"content":"x"}', MalformedAnswerError),
        (b'{"content":["\xff"]}', MalformedAnswerError),
    ],
)
def test_what_is_no_answer(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        passthrough.whole(body, "m")


def sent(**fields: Any) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b": comment\n\n", PREAMBLE),
        (b"event: ping\n\n", PREAMBLE),
        (sent(type="ping"), PREAMBLE),
        (sent(type="message_start", message={"usage": {}}), PREAMBLE),
        (sent(type="message_start"), PREAMBLE),
        (sent(type="of tomorrow", delta=5), PREAMBLE),
        (sent(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}), PREAMBLE),
        (sent(type="message_delta", delta={"stop_reason": "refusal", "text": 5}), PREAMBLE),
        (sent(type="content_block_stop", index=0), PREAMBLE),
        (sent(type="content_block_start", content_block={"type": "text", "text": ""}), PREAMBLE),
        (sent(type="content_block_start", content_block={"type": "thinking", "thinking": ""}), PREAMBLE),
        (sent(type="content_block_start", content_block={"type": "redacted_thinking", "data": "x"}), PREAMBLE),
        (sent(type="content_block_start", content_block={"type": "text", "text": "a"}), CONTENT),
        (sent(type="content_block_start", content_block={"type": "tool_use", "name": "f"}), CONTENT),
        (sent(type="content_block_start", content_block={"type": "server_tool_use"}), CONTENT),
        (sent(type="content_block_start", content_block={"type": "of tomorrow", "text": []}), CONTENT),
        (sent(type="content_block_delta", delta={"type": "text_delta", "text": ""}), PREAMBLE),
        (sent(type="content_block_delta", delta={"type": "signature_delta", "signature": "s"}), PREAMBLE),
        (sent(type="content_block_delta", delta={"type": "text_delta", "text": "a"}), CONTENT),
        (sent(type="content_block_delta", delta={"type": "thinking_delta", "thinking": "a"}), CONTENT),
        (sent(type="content_block_delta", delta={"type": "input_json_delta", "partial_json": "{"}), CONTENT),
        (sent(type="content_block_delta", delta={"type": "citations_delta", "citation": {}}), CONTENT),
        (sent(type="content_block_delta", delta={"type": "of tomorrow", "thinking": 5}), CONTENT),
        (sent(type="message_stop"), TERMINAL),
        (sent(type="error", error={"type": "overloaded_error"}), ERROR),
        (sent(type="error"), ERROR),
        (b'data: {"error":{"message":"x"}}\n\n', ERROR),
    ],
)
def test_events_pass_as_they_are(event: bytes, kind: EventKind) -> None:
    assert passthrough.EventReader("name").read(event) == (kind, event)


def test_the_model_is_named_where_the_stream_begins() -> None:
    event = (
        b"id: 1\nevent: message_start\n"
        b'data: {"message":{"a":{"b" : 1.0},"model":"claude","c":null},"type":"message_start"}\n\n'
    )
    kind, written = passthrough.EventReader("é").read(event)
    assert kind is PREAMBLE
    assert written == event.replace(b"claude", "é".encode())


@pytest.mark.parametrize(
    "event",
    [
        b"data: [DONE]\n\n",
        b"data: {\n\n",
        b"data: 5\n\n",
        b'data: {"type":5}\n\n',
        b'data: {"new":"\xff"}\n\n',
        b'data: {"type":"message_start","message":5}\n\n',
    ],
)
def test_what_is_no_event(event: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        passthrough.EventReader("m").read(event)
