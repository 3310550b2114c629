from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge_service.dialects import asked_plain, overrides
from edge_service.dialects.exchange import Asked, EventKind, InexpressibleError, MalformedAnswerError
from edge_service.dialects.openai_plain import APIS, Api
from edge_service.domain.errors import ApiError, InvalidRequestError
from edge_service.domain.plan import Attempt, Params
from tests.support.forms import Part, form

BY_PATH = {api.path: api for api in APIS}
SPEECH = BY_PATH["/audio/speech"]
FORM = [(b"content-type", b"multipart/form-data; boundary=b")]


def attempt(dialect: str) -> Attempt:
    return Attempt("t", "p", dialect, "", "up", "")


def passed_on(api: Api = SPEECH, **fields: object) -> Asked:
    return asked_plain.passed_on(api, json.dumps(fields).encode(), [])


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.path)
def test_a_request_goes_on_under_another_name(api: Api) -> None:
    call = passed_on(api, model="mine", x=None).of(attempt("openai"))
    assert (call.written.path, call.written.body) == (api.path, b'{"model":"up","x":null}')
    assert (call.written.content_type, call.is_translated, call.reader()) == (b"application/json", False, None)
    parts = [Part("x", b"\xff", "f"), Part("model", b"mine")]
    asked = asked_plain.passed_on(api, form(parts, b"b"), FORM)
    written = asked.of(attempt("openai")).written
    assert (asked.model, written.path, written.content_type) == ("mine", api.path, FORM[0][1])
    assert written.body == form([parts[0], Part("model", b"up")], b"b")
    for dialect in ("anthropic", "gemini", "another"):
        with pytest.raises(InexpressibleError, match=f"/v1{api.path}"):
            asked.of(attempt(dialect))


@pytest.mark.parametrize(
    ("fields", "stream"),
    [({}, False), ({"stream": True}, True), ({"stream_format": "sse"}, True), ({"stream_format": "audio"}, False)],
)
def test_what_is_streamed(fields: dict[str, object], stream: bool) -> None:
    asked = passed_on(model="m", **fields)
    assert asked.stream is stream
    assert asked.voice.heartbeat == b""  # Nothing may be put into what is not looked at.


@pytest.mark.parametrize(
    ("body", "head", "param"),
    [
        (b'{"input":"a"}', [], "model"),
        (b'{"model":7}', [], "model"),
        (b'{"model":"m","stream":7}', [], "stream"),
        (form([Part("x", b"y")], b"b"), FORM, "model"),
        (form([Part("model", b"y")], b"b"), [], None),
    ],
)
def test_what_cannot_be_routed(body: bytes, head: list[tuple[bytes, bytes]], param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        asked_plain.passed_on(SPEECH, body, head)
    assert raised.value.param == param


def test_an_error_in_the_middle_of_a_line_is_an_event_of_its_own() -> None:
    assert asked_plain.BYTES.error_event(ApiError("x")).startswith(b'\n\ndata: {"error":')


def test_streams_of_text_are_read() -> None:
    asked = asked_plain.text_completion(b'{"model":"mine","stream":true}', [])
    reader = asked.of(attempt("openai")).reader()
    assert reader is not None
    kind, event = reader.read(b'data: {"model":"up","choices":[{"text":"hi"}]}\n\n')
    assert (asked.stream, kind, b'"model":"mine"' in event) == (True, EventKind.CONTENT, True)


def test_vectors_are_as_many_as_were_asked_for() -> None:
    call = asked_plain.embeddings(b'{"model":"e","input":["a","b"]}', []).of(attempt("gemini"))
    vector = b'{"values":[1]}'
    assert json.loads(call.complete(b'{"embeddings":[%s,%s]}' % (vector, vector)))["model"] == "e"
    with pytest.raises(MalformedAnswerError, match="1 vectors for 2 inputs"):
        call.complete(b'{"embeddings":[%s]}' % vector)


def test_vectors_have_no_streams() -> None:
    asked = asked_plain.embeddings(b'{"model":"e","input":"a","stream":true}', [])
    assert (asked.stream, asked.of(attempt("openai")).reader()) == (False, None)


def test_a_path_without_a_model() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        asked_plain.embedded_content(b'{"content":{}}', " ", many=False)
    assert raised.value.param == "model"


def test_what_members_override_is_for_json() -> None:
    target = replace(attempt("openai"), params=Params(default_json=b'{"n":2}'))
    asked = passed_on(model="mine", prompt="a cat").of(target)
    assert json.loads(overrides.applied(target, asked.written)) == {"n": 2, "model": "up", "prompt": "a cat"}
    sent = asked_plain.passed_on(SPEECH, form([Part("model", b"mine")], b"b"), FORM).of(target)
    assert overrides.applied(target, sent.written) == sent.written.body
