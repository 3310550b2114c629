"""Whatever a client or a provider sends, the dialect reads it or says why not, and touches nothing but the model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.dialects import openai_chat
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_chat.passthrough import EventReader, read_request, whole
from edge_service.domain import sse
from edge_service.domain.errors import ApiError, InvalidRequestError

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=8)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["model", "messages", "stream", "choices", "error", "usage", "delta", "content"]) | texts
objects = st.dictionaries(names, values, max_size=6)
models = st.text(characters, min_size=1, max_size=12).filter(lambda model: bool(model.strip()))

# JSON with a byte or two of it changed, taken away or put in.
spoilt = st.builds(
    lambda fields, at, what, drop: (
        (body := json.dumps(fields, ensure_ascii=False).encode())[: at % (len(body) + 1)]
        + what
        + body[at % (len(body) + 1) + drop :]
    ),
    objects,
    st.integers(0, 500),
    st.binary(max_size=2) | st.sampled_from([b"\xff", b"\xed\xa0\x80", b'"', b"\\", b"\\ud800", b"{", b"[", b"\x00"]),
    st.integers(0, 2),
)
bodies = st.binary(max_size=40) | spoilt | objects.map(lambda fields: json.dumps(fields).encode())


@given(bodies)
@example(b'{"model":"m","messages":[],"\xff":1}')
@example(b'{"model":"\xff","messages":[]}')
@example(b'{"model":"\\ud800","messages":[]}')
@settings(max_examples=500)
def test_a_body_is_read_or_refused_as_invalid(body: bytes) -> None:
    try:
        request = read_request(body)
    except InvalidRequestError as error:
        openai_chat.error_body(error)
    else:
        body.decode()
        sent = request.body("m")
        assert read_request(sent).model == "m"
        request.model.encode()


@given(st.dictionaries(names, values, max_size=6), models, models, st.booleans(), st.integers(0, 3))
@settings(max_examples=300)
def test_the_body_for_a_provider_keeps_every_other_field_and_the_order(
    fields: dict[str, Any], asked: str, upstream: str, ascii_only: bool, indent: int
) -> None:
    fields |= {"model": asked, "messages": fields.get("messages") or [1], "stream": True}
    if not isinstance(fields["messages"], list):
        fields["messages"] = [fields["messages"]]
    # Each value in its own bytes, white space included.
    written = {
        name: json.dumps(value, ensure_ascii=ascii_only, indent=indent or None).encode()
        for name, value in fields.items()
    }
    body = b"{ " + b" , ".join(json.dumps(name).encode() + b" : " + value for name, value in written.items()) + b" }"
    request = read_request(body)
    assert (request.model, request.stream) == (asked, True)
    sent = request.body(upstream)
    written["model"] = json.dumps(upstream, ensure_ascii=False).encode()
    assert list(json.loads(sent).items()) == list((json.loads(body) | {"model": upstream}).items())
    again = read_request(sent).fields
    assert {name: bytes(raw) for name, raw in again.items() if name != "model"} == {
        name: value for name, value in written.items() if name != "model"
    }


@given(bodies)
@settings(max_examples=300)
def test_a_whole_answer_is_passed_on_or_found_wanting(body: bytes) -> None:
    openai_chat.is_error_body(body)
    try:
        answer = whole(body, "asked").body
    except (MalformedAnswerError, EmptyAnswerError, ReportedError):
        return
    given, sent = json.loads(body), json.loads(answer)
    assert sent == {**given, "model": "asked"}


prefixes = st.sampled_from([b"data: ", b"data:", b"", b"event: e\ndata: ", b": x\ndata: ", b"data: {\ndata: "])
events = st.builds(
    lambda prefix, data, end: prefix + data.replace(b"\n", b"\ndata: ") + end,
    prefixes,
    bodies | st.sampled_from([b"[DONE]", b'{"choices":[{"delta":{"content":"a"}}],"model":"m"}']),
    st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b""]),
)


@given(events, models)
@example(b'data: {"\xff":1}\n\n', "m")
@example(b'data: {"model":"m","choices":[\rdata: ]}\n\n', "m")
@settings(max_examples=500)
def test_an_event_is_read_or_malformed_and_the_model_alone_is_touched(event: bytes, model: str) -> None:
    try:
        kind, sent = EventReader(model).read(event)
    except MalformedAnswerError:
        return
    if sent == event:
        return
    assert kind in (EventKind.PREAMBLE, EventKind.CONTENT)
    before, after = sse.data_of(event), sse.data_of(sent)
    assert before is not None
    assert after is not None
    assert list(json.loads(after).items()) == list((json.loads(before) | {"model": model}).items())
    assert sse.EventSplitter().feed(sent) == [sent]
    assert EventReader(model).read(sent) == (kind, sent), "what was rewritten stays as it is"


@given(st.builds(ApiError, st.text(characters)))
@settings(max_examples=100)
def test_an_error_is_one_event_whatever_its_words(error: ApiError) -> None:
    event = openai_chat.error_event(error)
    assert sse.EventSplitter().feed(event) == [event]
    assert EventReader("m").read(event) == (EventKind.ERROR, event)
    assert json.loads(openai_chat.error_body(error))["error"]["message"] == error.message


halves = st.lists(
    st.sampled_from(
        [
            *(rb"\ud83d", rb"\uDE00", rb"\ud83d\ude00", rb"\\", rb"\n", rb"\"", rb"\u0041", rb"\ufdd0", rb"\\ud83d"),
            *(b"d83d", b"u", "\ufdd0d800".encode(), "\U0001f600".encode()),
        ]
    ),
    max_size=12,
).map(lambda parts: b'"' + b"".join(parts) + b'"')


@given(halves, halves)
@settings(max_examples=300)
def test_whatever_json_says_in_escapes_stays_as_it_is(value: bytes, other: bytes) -> None:
    sent = whole(b'{"a":%s,"model":"up","choices":[%s]}' % (value, other), "asked").body
    assert sent == b'{"a":%s,"model":"asked","choices":[%s]}' % (value, other)


@given(st.lists(st.sampled_from([b"\\", b"u", b"d83d", b"dE00", b'"', b"x"]), max_size=16).map(b"".join))
@settings(max_examples=300)
def test_what_is_no_json_stays_none(text: bytes) -> None:
    body = b'{"choices":["%s"]}' % text
    try:
        json.loads(body)
    except ValueError:
        with pytest.raises(MalformedAnswerError):
            whole(body, "asked")
