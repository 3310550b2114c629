from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import model_name, openai_chat
from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_chat import Quirks
from edge_service.dialects.openai_chat.passthrough import EventReader, read_request, whole
from edge_service.domain.errors import ApiError, InvalidRequestError, LimitedError, UnavailableError, UpstreamError
from edge_service.domain.outcome import Disposition, Outcome


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b'{"model":"m","messages":[]}', "m", False),
        (b'{"model":"m","messages":[],"stream":true}', "m", True),
        (b'{"model":"m","messages":[],"stream":false}', "m", False),
        (b'{"model":"m","messages":[],"stream":null}', "m", False),
        (b' \r\n{ "stream" : true , "messages" : \t[ ] , "model" : "m" } \n', "m", True),
        (b'{"model":" m ","messages":[]}', " m ", False),
        (b'{"model":"m(high)","messages":[]}', "m(high)", False),
        (b'{"model":"a\\u0000\\n\\"b","messages":[]}', 'a\x00\n"b', False),
        ('{"model":"modèle","messages":["é"]}'.encode(), "modèle", False),
        (b'{"model":"\\ud83d\\ude00","messages":[]}', "\U0001f600", False),
        (b'{"mod\\u0065l":"m","messages":[]}', "m", False),
        # Of repeated fields the last counts, as with every JSON parser that providers use.
        (b'{"model":"a","messages":[],"model":"b","stream":true,"stream":false}', "b", False),
    ],
)
def test_a_request_is_read_as_far_as_routing_needs(body: bytes, model: str, stream: bool) -> None:
    request = read_request(body)
    assert (request.model, request.stream) == (model, stream)


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"", "the body is not valid JSON: ", None),
        (b"hello", "the body is not valid JSON: ", None),
        (b'{"model":"m"', "the body is not valid JSON: ", None),
        (b'{"model":"m","messages":[]} x', "the body is not valid JSON: ", None),
        (b'{"model":"m","messages":[],"n":NaN}', "the body is not valid JSON: ", None),
        (b'{"model":"m","messages":[{"role":}]}', "the body is not valid JSON: ", None),
        (b'{"model":"m","messages":["\n"]}', "the body is not valid JSON: ", None),
        (b'{"model":"\\ud800","messages":[]}', "'model' has half a surrogate pair in it", "model"),
        (b'{"model":"a\\udc00","messages":[]}', "'model' has half a surrogate pair in it", "model"),
        (b'{"messages":["\\ud800]}', "the body is not valid JSON: ", None),
        (b'{"messages":["\\ud80"]}', "the body is not valid JSON: ", None),
        ('{"model":"m","messages":[]}'.encode("utf-16"), "the body is not valid UTF-8 (byte 0)", None),
        (b'{"model":"\xff","messages":[]}', "the body is not valid UTF-8 (byte 10)", None),
        (b'{"model":"m","messages":["\xff"]}', "the body is not valid UTF-8 (byte 26)", None),
        (b'{"model":"m","messages":["\xed\xa0\x80"]}', "the body is not valid UTF-8 (byte 26)", None),
        (b'{"model":"m","messages":[],"\xff":1}', "the body is not valid UTF-8 (byte 28)", None),
        (b"[]", "the body must be a JSON object", None),
        (b"null", "the body must be a JSON object", None),
        (b'"model"', "the body must be a JSON object", None),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "the body is nested too deeply", None),
        (b'{"a":' * 200_000, "the body is nested too deeply", None),
        (b"{}", "'model' is missing: ", "model"),
        (b'{"Model":"m","messages":[]}', "'model' is missing: ", "model"),
        (b'{"model":null,"messages":[]}', "'model' must be a string", "model"),
        (b'{"model":7,"messages":[]}', "'model' must be a string", "model"),
        (b'{"model":["m"],"messages":[]}', "'model' must be a string", "model"),
        (b'{"model":"","messages":[]}', "'model' is empty: ", "model"),
        (b'{"model":" \\n\\t","messages":[]}', "'model' is empty: ", "model"),
        (
            b'{"model":"%s","messages":[]}' % (b"x" * (model_name.MAX_CHARS + 1)),
            f"'model' is longer than {model_name.MAX_CHARS} characters",
            "model",
        ),
        (b'{"model":"m"}', "'messages' is missing: ", "messages"),
        (b'{"model":"m","messages":null}', "'messages' must be an array", "messages"),
        (b'{"model":"m","messages":"[]"}', "'messages' must be an array", "messages"),
        (b'{"model":"m","messages":{}}', "'messages' must be an array", "messages"),
        (b'{"model":"m","messages":[],"stream":"true"}', "'stream' must be a boolean", "stream"),
        (b'{"model":"m","messages":[],"stream":1}', "'stream' must be a boolean", "stream"),
        (b'{"model":"m","messages":[],"stream":[]}', "'stream' must be a boolean", "stream"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_a_request_that_is_none_is_refused_with_what_is_wrong_and_where(
    body: bytes, message: str, param: str | None
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_request(body)
    if message.endswith(": "):
        assert raised.value.message.startswith(message)
    else:
        assert raised.value.message == message
    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize("body", [b'{"model":"m","messages":["my secret prompt\xff"]}', b'{"my secret prompt": ['])
def test_nothing_of_a_prompt_is_in_the_error(body: bytes) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_request(body)
    error: BaseException | None = raised.value
    while error is not None:
        assert "secret" not in repr(error)
        error = error.__cause__


def test_the_longest_name_is_read() -> None:
    assert (
        len(read_request(b'{"model":"%s","messages":[]}' % (b"x" * model_name.MAX_CHARS)).model) == model_name.MAX_CHARS
    )


def test_the_body_for_a_provider_differs_in_the_model_alone() -> None:
    body = (
        b'{"temperature": 1.00, "model": "chat", "messages": [ {"role" : "user", "content": "\\u00e9\xc3\xa9"} ],'
        b'"big":123456789012345678901234567890,"tiny":1e-999,"future":{"b":1,"a":[null, true]},"stream":true}'
    )
    assert read_request(body).body('up"stream') == (
        b'{"temperature":1.00,"model":"up\\"stream","messages":[ {"role" : "user", "content": "\\u00e9\xc3\xa9"} ],'
        b'"big":123456789012345678901234567890,"tiny":1e-999,"future":{"b":1,"a":[null, true]},"stream":true}'
    )


def test_a_field_that_came_twice_goes_out_once() -> None:
    request = read_request(b'{"model":"cheap","messages":[1],"messages":[2],"mod\\u0065l":"dear"}')
    assert request.body("m") == b'{"model":"m","messages":[2]}'


HALVES = (
    b'"\\ud83d","\\uDE00","\\\\ud83d","\\\\\\ud83d","\\ud83d\\ude00","\\ud83d\\u0041","fdd0 \\ufdd1d83d","\xef\xb7\x92"'
)


def test_halves_of_surrogate_pairs_pass_as_they_came() -> None:
    request = read_request(b'{"model":"chat","messages":[%s],"stream":true}' % HALVES)
    assert (request.model, request.stream) == ("chat", True)
    assert request.body("up") == b'{"model":"up","messages":[%s],"stream":true}' % HALVES
    assert whole(b'{"choices":[%s],"model":"up"}' % HALVES, "chat").body == b'{"choices":[%s],"model":"chat"}' % HALVES
    event = b'id: 1\ndata: {"a":[%s],"model":"%s"}\n\n'
    assert EventReader("chat").read(event % (HALVES, b"up")) == (EventKind.PREAMBLE, event % (HALVES, b"chat"))
    assert openai_chat.is_error_body(b'{"error":[%s]}' % HALVES)


CHOICE = b'{"index":0,"message":{"content":"hi"}}'


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"model":"up","choices":[%s]}' % CHOICE, b'{"model":"chat","choices":[%s]}' % CHOICE),
        (b'{"choices":[%s]}' % CHOICE, b'{"choices":[%s],"model":"chat"}' % CHOICE),
        (
            b'{"id": "1", "model": "up", "choices": [ 1 ], "usage": {"a": 1.0}}\n',
            b'{"id":"1","model":"chat","choices":[ 1 ],"usage":{"a": 1.0}}',
        ),
    ],
)
def test_a_whole_answer_goes_out_under_the_name_that_was_asked_for(body: bytes, answer: bytes) -> None:
    assert whole(body, "chat").body == answer


@pytest.mark.parametrize("body", [b"", b" \r\n", b'{"choices":[]}', b'{"choices":[ ]}', b'{"choices":null}'])
def test_a_whole_answer_without_choices_is_empty(body: bytes) -> None:
    with pytest.raises(EmptyAnswerError):
        whole(body, "chat")


def test_a_whole_answer_may_report_an_error_though_it_is_a_success() -> None:
    with pytest.raises(ReportedError):
        whole(b'{"error":{"message":"no"}}', "chat")
    assert whole(b'{"error":null,"choices":[{}]}', "chat").body == b'{"error":null,"choices":[{}],"model":"chat"}'


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"<html></html>",
        b'{"choices":[1]',
        b'{"choices":"x"}',
        b'{"choices":{"0":1}}',
        b'{"choices":7}',
        b'{"choices":["\xff"]}',
        b'{"\xff":1,"choices":[1]}',
        b'{"choices":[' + b"[" * 200_000 + b"]" * 200_000 + b"]}",
        b"data: [DONE]\n\n",
        b"\x1f\x8b\x08\x00",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_whole_answer_of_another_shape_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        whole(body, "chat")


def event(delta: object, **fields: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}], **fields}).encode() + b"\n\n"


PREAMBLE: list[Any] = [
    {},
    {"role": "assistant"},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": None, "refusal": None, "tool_calls": []},
    {"name": "someone"},
    {"content": ""},
    {"reasoning_content": ""},
    None,
    "text",
]
CONTENT: list[Any] = [
    {"content": "a"},
    {"content": " "},
    {"content": "\n"},
    {"role": "assistant", "content": "0"},
    {"reasoning_content": "hm"},
    {"reasoning": "hm"},
    {"refusal": "no"},
    {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}]},
    {"function_call": {"name": "f"}},
    {"audio": {"id": "1"}},
    {"images": [{"image_url": {"url": "data:"}}]},
    {"something_new": "x"},
]


@pytest.mark.parametrize(
    ("delta", "kind"), [(d, EventKind.PREAMBLE) for d in PREAMBLE] + [(d, EventKind.CONTENT) for d in CONTENT]
)
def test_content_is_what_a_reader_would_see(delta: object, kind: EventKind) -> None:
    given = event(delta)
    assert EventReader("chat").read(given) == (kind, given)


def test_the_content_of_any_choice_counts() -> None:
    choices = [{"delta": {}}, {"delta": {"content": "x"}}]
    assert EventReader("c").read(b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n")[0] is (
        EventKind.CONTENT
    )


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (b": ping\n\n", EventKind.PREAMBLE),
        (b"data:\n\n", EventKind.PREAMBLE),
        (b"data: \r\n\r\n", EventKind.PREAMBLE),
        (b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', EventKind.CONTENT),
        (b'data: {"choices":[{"delta":{"content":"","role":"\\ud83d"}}]}\n\n', EventKind.PREAMBLE),
        (b'id: 1\ndata: {"error":"\\ud83d"}\nevent: e\n\n', EventKind.ERROR),
        (b"event: ping\n\n", EventKind.PREAMBLE),
        (b"retry: 5\n\n", EventKind.PREAMBLE),
        (b"data: {}\n\n", EventKind.PREAMBLE),
        (b'data: {"choices":[]}\n\n', EventKind.PREAMBLE),
        (b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n', EventKind.PREAMBLE),
        (b'data: {"choices":null}\n\n', EventKind.PREAMBLE),
        (b'data: {"choices":{}}\n\n', EventKind.PREAMBLE),
        (b'data: {"choices":[1,null,"x",[]]}\n\n', EventKind.PREAMBLE),
        (b'data: {"error":null,"choices":[]}\n\n', EventKind.PREAMBLE),
        (b'data: {"choices":[{"index":0,"text":""}]}\n\n', EventKind.PREAMBLE),
        (b'data: {"choices":[{"index":0,"text":"a"}]}\n\n', EventKind.CONTENT),
        (b"data: [DONE]\n\n", EventKind.TERMINAL),
        (b"data:[DONE]\n\n", EventKind.TERMINAL),
        (b"data: [DONE] \r\n\r\n", EventKind.TERMINAL),
        (b"event: done\ndata: [DONE]\n\n", EventKind.TERMINAL),
        (b'data: {"error":{"message":"no"}}\n\n', EventKind.ERROR),
        (b'data: {"error":"no"}\n\n', EventKind.ERROR),
        (b'data: {"model":"m","error":{}}\n\n', EventKind.ERROR),
        (b'event: error\ndata: {"error":{"message":"no"}}\n\n', EventKind.ERROR),
    ],
)
def test_an_event_without_a_model_passes_as_it_came(given: bytes, kind: EventKind) -> None:
    assert EventReader("chat").read(given) == (kind, given)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b'data: {"model":"up"}\n\n', b'data: {"model":"chat"}\n\n'),
        (b'data: {"model":"up"}\r\n\r\n', b'data: {"model":"chat"}\n\n'),
        (b'data:{"id": "1", "model" : null, "x": 1.0}\n\n', b'data: {"id":"1","model":"chat","x":1.0}\n\n'),
        (b'id: 4\ndata: {"model":"up"}\nevent: e\n\n', b'id: 4\nevent: e\ndata: {"model":"chat"}\n\n'),
        (b'data: {"a":[\ndata: 1],\ndata: "model":"up"}\n\n', b'data: {"a":[\ndata: 1],"model":"chat"}\n\n'),
    ],
)
def test_of_an_event_the_models_name_alone_is_changed(given: bytes, sent: bytes) -> None:
    assert EventReader("chat").read(given) == (EventKind.PREAMBLE, sent)


@pytest.mark.parametrize("model", ["chat", 'quo"ted', "é\n", "\U0001f600"])
def test_the_name_is_written_as_json(model: str) -> None:
    _, sent = EventReader(model).read(b'data: {"model":"up"}\n\n')
    assert json.loads(sent[6:]) == {"model": model}


@pytest.mark.parametrize(
    "given",
    [
        b"data:  \n\n",
        b"data: hello\n\n",
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: 1\n\n",
        b"data: [done]\n\n",
        b'data: {"choices":[{"delta":{"content":"a"}}\n\n',
        b'data: {"id":"\xff"}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xe2\x82"}}]}\n\n',
        b'data: {"\xff":1}\n\n',
        b": \xff\n\n",
        b'data: {"choices":[' + b"[" * 200_000 + b"]" * 200_000 + b"]}\n\n",
    ],
    ids=lambda given: repr(given[:40]),
)
def test_an_event_that_is_none_of_the_dialect_is_malformed(given: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        EventReader("chat").read(given)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InvalidRequestError("words", param="model"), "invalid_request_error", "invalid_request"),
        (LimitedError("words"), "rate_limit_error", "rate_limited"),
        (UnavailableError("words"), "server_error", "unavailable"),
        (UpstreamError(Outcome(Disposition.CREDENTIAL, status=401), 1), "server_error", "upstream_credentials"),
        (UpstreamError(Outcome(Disposition.MODEL_MISSING), 1), "invalid_request_error", "upstream_model_not_found"),
    ],
)
def test_an_error_is_told_in_openais_shape(error: ApiError, kind: str, code: str) -> None:
    body = openai_chat.error_body(error)
    assert json.loads(body) == {
        "error": {"message": error.message, "type": kind, "param": error.param, "code": code},
    }
    assert openai_chat.error_event(error) == b"data: " + body + b"\n\n"


def test_an_errors_words_cannot_break_out_of_their_event() -> None:
    sent = openai_chat.error_event(ApiError("a\n\ndata: [DONE]\r\n\r\n"))
    assert sent.count(b"\n") == 2
    assert b"\r" not in sent


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (b'{"error":{"message":"no"}}', True),
        (b'{"error":"no"}', True),
        (b"{}", False),
        (b"", False),
        (b"[]", False),
        (b"<html>", False),
        (b'{"error":"\xff"}', False),
        (b'{"\xff":1}', False),
        (b'{"error":' + b"[" * 200_000, False),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else None,
)
def test_it_is_known_whether_a_refusal_is_of_the_dialect(body: bytes, is_one: bool) -> None:
    assert openai_chat.is_error_body(body) is is_one


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (b'"stream":true', b'"stream":true,"stream_options":{"include_usage":true}'),
        (b'"stream_options":null,"stream":true', b'"stream_options":{"include_usage":true},"stream":true'),
        (
            b'"stream":true,"stream_options":{"include_usage": false,"include_obfuscation": false}',
            b'"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}',
        ),
    ],
)
def test_a_stream_is_asked_for_its_usage(fields: bytes, sent: bytes) -> None:
    request = read_request(b'{"model":"m","messages":[ ],%s}' % fields)
    assert request.write("up").body == b'{"model":"up","messages":[ ],%s}' % sent
    assert not request.wants_usage
    assert request.write("up", Quirks(unknown=frozenset({"stream_options"}))).body == request.body("up")


@pytest.mark.parametrize(
    "fields",
    [
        b'"stream":false',
        b'"stream":null,"stream_options":null',
        b'"stream":true,"stream_options":{"include_usage": true}',
        b'"stream":true,"stream_options":7',
        b'"stream":true,"stream_options":{"include_usage":"yes"}',
    ],
)
def test_what_need_not_be_asked_for_is_left_alone(fields: bytes) -> None:
    request = read_request(b'{"model":"m","messages":[ ],%s}' % fields)
    assert request.write("up").body == b'{"model":"up","messages":[ ],%s}' % fields
    assert request.wants_usage


USAGE = b'{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1}}'


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        (b'data: {"choices":[],"usage":%s}\n\n' % USAGE, True),
        (b'data: {"usage":%s}\n\n' % USAGE, True),
        (b'data: {"choices":null,"usage":%s}\n\n' % USAGE, True),
        (b'data: {"choices":[{"delta":{}}],"usage":%s}\n\n' % USAGE, False),
        (b'data: {"choices":7,"usage":%s}\n\n' % USAGE, False),
    ],
)
def test_usage_is_seen_and_only_shown_to_who_has_asked(given: bytes, hidden: bool) -> None:
    for wants_usage in (True, False):
        reader = EventReader("chat", wants_usage=wants_usage)
        assert reader.usage is None
        _, sent = reader.read(given)
        assert sent == (b"" if hidden and not wants_usage else given)
        assert reader.usage == Usage(3, 2, 1)


@pytest.mark.parametrize(
    "given",
    [
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[]}\n\n',
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
        b'data: {"choices":[],"usage":7}\n\n',
    ],
)
def test_an_event_without_usage_is_not_taken_for_one(given: bytes) -> None:
    reader = EventReader("chat", wants_usage=False)
    assert reader.read(given) == (EventKind.PREAMBLE, given)
    assert reader.usage is None


def test_usage_in_a_form_that_is_not_known_is_none() -> None:
    reader = EventReader("chat")
    reader.read(b'data: {"usage":{"prompt_tokens":"many"}}\n\n')
    assert reader.usage is None
    assert whole(b'{"choices":[1],"usage":{"prompt_tokens":1.5}}', "m").usage is None


def test_the_last_usage_counts() -> None:
    reader = read_request(b'{"model":"chat","messages":[],"stream":true}').reader()
    for count in (1, 2):
        reader.read(b'data: {"choices":[{"delta":{"content":"a"}}],"usage":{"completion_tokens":%d}}\n\n' % count)
    assert reader.usage == Usage(0, 2)


def test_a_whole_answer_tells_its_usage() -> None:
    answer = whole(b'{"choices":[1],"usage":%s,"a":"\\ud83d"}' % USAGE, "chat")
    assert answer.usage == Usage(3, 2, 1)
    assert answer.body == b'{"choices":[1],"usage":%s,"a":"\\ud83d","model":"chat"}' % USAGE
    assert whole(b'{"choices":[1]}', "m").usage is whole(b'{"choices":[1],"usage":null}', "m").usage is None
