from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_responses import EventReader, passthrough
from edge_service.domain import sse
from edge_service.domain.errors import InvalidRequestError, UnavailableError

USAGE = {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 2}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def read(sent: bytes) -> tuple[EventKind, bytes]:
    return EventReader("the-name").read(sent)


# --- Requests


def test_only_the_model_is_touched() -> None:
    body = b'{ "new":1e0, "model":"the-name","input" : [ {"id":"msg_1"}],"store":null,"stream":true }'
    request = passthrough.read(body)
    assert (request.model, request.stream, request.previous_response_id) == ("the-name", True, "")
    written = request.write("gpt-5")
    assert written.body == b'{"new":1e0,"model":"gpt-5","input":[ {"id":"msg_1"}],"store":null,"stream":true}'
    assert (written.path, written.headers, written.dropped) == ("/responses", [], ())


def test_what_it_goes_on_from_is_told() -> None:
    assert passthrough.read(b'{"model":"m","previous_response_id":"resp_1"}').previous_response_id == "resp_1"
    assert passthrough.read(b'{"model":"m","previous_response_id":null}').previous_response_id == ""


def test_thoughts_of_other_families_are_taken_out() -> None:
    items = [
        {"role": "user", "content": "forebay~ is a mark"},
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_2", "encrypted_content": "forebay~s~anthropic~~x"},
        {"type": "reasoning", "id": "rs_3", "encrypted_content": "forebay~n~~~"},
        {"type": "reasoning", "id": "rs_4", "encrypted_content": "forebay~c~gemini~c~x"},
        7,
    ]
    request = passthrough.read(json.dumps({"model": "m", "input": items}).encode())
    written = request.write("m")
    assert json.loads(written.body)["input"] == [*items[:2], 7]
    assert written.dropped == ("messages.thinking",)


@pytest.mark.parametrize("said", ['"forebay~"', '{"forebay~":1}', '[{"content":"forebay~"}]', "7"])
def test_a_mark_elsewhere_means_nothing(said: str) -> None:
    body = f'{{"model":"m","input":{said}}}'.encode()
    assert passthrough.read(body).write("m").body == body


def test_halves_of_surrogate_pairs_pass() -> None:
    body = b'{"model":"m","\\ud83d":"\\udc00","input":"a\\ud83d"}'
    assert passthrough.read(body).write("gpt").body == body.replace(b'"m"', b'"gpt"')


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'{"model":"\xff"}', None),
        (b'{"a":' + b"[" * 100_000, None),
        (b"{}", "model"),
        (b'{"model":""}', "model"),
        (b'{"model":7}', "model"),
        (b'{"model":"\\ud800"}', "model"),
        (b'{"model":"' + b"m" * 513 + b'"}', "model"),
        (b'{"model":"m","stream":1}', "stream"),
        (b'{"model":"m","previous_response_id":1}', "previous_response_id"),
    ],
)
def test_what_is_no_request(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        passthrough.read(body)
    assert caught.value.param == param


# --- Whole answers


def test_an_answer_gets_the_name_that_was_asked_for() -> None:
    said = b'{"id":"resp_1","model" : "gpt-5","new":1e0,"output":[{"type":"new"}],"usage":' + json.dumps(USAGE).encode()
    answer = passthrough.whole(said + b"}", "the-name")
    assert answer.body.startswith(b'{"id":"resp_1","model":"the-name","new":1e0,"output":[{"type":"new"}]')
    assert (answer.response_id, answer.usage) == ("resp_1", Usage(3, 2, 1))


def test_an_answer_passes_whatever_it_says_of_its_cost() -> None:
    answer = passthrough.whole(b'{"id":7,"output":[1],"usage":"free"}', "m")
    assert answer == passthrough.Whole(b'{"id":7,"output":[1],"usage":"free","model":"m"}', "", None)


@pytest.mark.parametrize("status", ["incomplete", "queued", "in_progress"])
def test_an_answer_may_have_nothing_in_it_yet(status: str) -> None:
    answer = passthrough.whole(json.dumps({"output": [], "status": status}).encode(), "m")
    assert (answer.response_id, answer.usage) == ("", None)


def test_halves_of_surrogate_pairs_pass_in_answers() -> None:
    answer = passthrough.whole(b'{"id":"resp_\\ud83d","output":[{"text":"\\ud83d"}]}', "m")
    assert answer.body == b'{"id":"resp_\\ud83d","output":[{"text":"\\ud83d"}],"model":"m"}'


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b" ", EmptyAnswerError),
        (b'{"output":[]}', EmptyAnswerError),
        (b'{"output":[],"status":"completed"}', EmptyAnswerError),
        (b"{}", MalformedAnswerError),
        (b"[]", MalformedAnswerError),
        (b'{"output":{}}', MalformedAnswerError),
        (b'{"output":["\xff"]}', MalformedAnswerError),
        (b'{"output":' + b"[" * 100_000, MalformedAnswerError),
        (b'{"error":{"message":"m"}}', ReportedError),
        (b'{"output":[1],"status":"failed"}', ReportedError),
    ],
)
def test_what_is_no_answer(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        passthrough.whole(body, "m")


# --- Streams


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (event("response.created", response={}), EventKind.PREAMBLE),
        (event("response.queued"), EventKind.PREAMBLE),
        (event("response.output_text.delta", delta="a"), EventKind.CONTENT),
        (event("response.output_text.delta", delta=""), EventKind.PREAMBLE),
        (event("response.output_text.delta"), EventKind.PREAMBLE),
        (event("response.new.delta", delta={"a": 1}), EventKind.CONTENT),
        (event("response.output_text.done", text="a"), EventKind.CONTENT),
        (event("response.output_text.done", text=""), EventKind.PREAMBLE),
        (event("response.refusal.done", refusal="a"), EventKind.CONTENT),
        (event("response.function_call_arguments.done", arguments="{}"), EventKind.CONTENT),
        (event("response.content_part.added", part={"type": "output_text", "text": ""}), EventKind.PREAMBLE),
        (event("response.content_part.done", part={"type": "refusal", "refusal": "a"}), EventKind.CONTENT),
        (event("response.content_part.done", part=7), EventKind.CONTENT),
        (event("response.output_item.added", item={"type": "message", "content": []}), EventKind.PREAMBLE),
        (event("response.output_item.added", item={"type": "reasoning", "summary": []}), EventKind.PREAMBLE),
        (event("response.output_item.added", item={"type": "function_call"}), EventKind.CONTENT),
        (event("response.output_item.added", item={"type": "mcp_call"}), EventKind.CONTENT),
        (event("response.output_item.done", item={"type": "reasoning", "encrypted_content": "g"}), EventKind.PREAMBLE),
        (event("response.output_item.done", item={"type": "reasoning", "summary": [{"text": "a"}]}), EventKind.CONTENT),
        (event("response.output_item.done", item={"type": "message", "content": [{"text": "a"}]}), EventKind.CONTENT),
        (event("response.completed", response={}), EventKind.TERMINAL),
        (event("response.incomplete", response=None), EventKind.TERMINAL),
        (event("response.failed", response={}), EventKind.ERROR),
        (event("error", message="m"), EventKind.ERROR),
        (b'data: {"error":{"message":"m"}}\n\n', EventKind.ERROR),
        (event("response.something.new", a=1), EventKind.PREAMBLE),
        (event("keepalive"), EventKind.PREAMBLE),
        (b": ping\n\n", EventKind.PREAMBLE),
        (b"data:\n\n", EventKind.PREAMBLE),
        (b"data: [DONE]\n\n", EventKind.PREAMBLE),
    ],
)
def test_what_an_event_is(sent: bytes, kind: EventKind) -> None:
    assert read(sent) == (kind, sent)


@pytest.mark.parametrize("kind", ["created", "queued", "in_progress", "completed", "incomplete", "failed"])
def test_the_name_in_every_event_that_has_one(kind: str) -> None:
    sent = event(f"response.{kind}", new=1, response={"a": None, "model": "gpt-5", "b": 1.0})
    assert (
        read(sent)[1]
        == (
            f'event: response.{kind}\ndata: {{"type":"response.{kind}","new":1,'
            '"response":{"a":null,"model":"the-name","b":1.0}}\n\n'
        ).encode()
    )


def test_id_and_usage_are_told() -> None:
    reader = EventReader("m")
    assert (reader.response_id, reader.usage) == ("", None)
    reader.read(event("response.created", response={"id": "resp_1", "usage": None}))
    assert (reader.response_id, reader.usage) == ("resp_1", None)
    reader.read(event("response.completed", response={"id": 7, "usage": USAGE}))
    assert (reader.response_id, reader.usage) == ("resp_1", None)
    reader.read(event("response.completed", response={"usage": USAGE}))
    assert (reader.response_id, reader.usage) == ("resp_1", Usage(3, 2, 1))


def test_an_error_has_the_next_number() -> None:
    reader = EventReader("m")
    for sent, number in ((event("a", sequence_number=6), 7), (event("a", sequence_number="x"), 0), (event("a"), 0)):
        reader.read(sent)
        told = json.loads(sse.data_of(reader.error(UnavailableError("gone"))) or b"")
        assert (told["type"], told["code"], told["sequence_number"]) == ("error", "unavailable", number)


def test_halves_of_surrogate_pairs_pass_in_events() -> None:
    sent = b'data: {"type":"response.output_text.delta","delta":"\\ud83d"}\n\n'
    assert read(sent) == (EventKind.CONTENT, sent)
    kind, named = read(b'data: {"type":"response.completed","response":{"model":"x","a":"\\ud83d"}}\n\n')
    assert kind is EventKind.TERMINAL
    assert named == b'data: {"type":"response.completed","response":{"model":"the-name","a":"\\ud83d"}}\n\n'


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"type":7}', b'{"a":"\xff"}', b'{"type":"x","item":' + b"[" * 100_000])
def test_what_is_no_event(data: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read(b"data: " + data + b"\n\n")
