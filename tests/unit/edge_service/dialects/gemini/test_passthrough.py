from __future__ import annotations

import msgspec
import pytest

from edge_service.dialects import model_name
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError, ReportedError
from edge_service.dialects.gemini.passthrough import EventReader, read_request, whole
from edge_service.domain.errors import InvalidRequestError, UnavailableError

BODY = (
    b'{ "contents":[ {"parts":[{"text":"h\\u00e9"}]} ], "future":{"b":1.00,"a":null},'
    b' "generation_config":{"candidate_count":2}}'
)


def test_a_request_stays_as_it_came() -> None:
    request = read_request(BODY, "chat", True)
    assert request.body is BODY
    assert (request.model, request.stream, request.candidates) == ("chat", True, 2)
    assert request.path("gemini-2.5-pro") == "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert read_request(b'{"contents":{"parts":[]}}', "chat", False).path("m") == "/v1beta/models/m:generateContent"


@pytest.mark.parametrize(
    ("body", "model", "param"),
    [
        (b"[]", "m", None),
        (b"{}", "m", "contents"),
        (b'{"contents":"a"}', "m", "contents"),
        (b'{"contents":[],"generationConfig":[]}', "m", "generationConfig"),
        (b'{"contents":[],"generationConfig":{"candidateCount":"x"}}', "m", "generationConfig.candidateCount"),
        (b'{"contents":[]}', " ", "model"),
        (b'{"contents":[]}', "m" * (model_name.MAX_CHARS + 1), "model"),
        (b'{"contents":[{"a":"\xff"}]}', "m", None),
        (b'{"a":' * 100_000, "m", None),
    ],
)
def test_a_request_that_is_none(body: bytes, model: str, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_request(body, model, False)
    assert raised.value.param == param


def test_a_whole_answer_goes_out_under_the_name_that_was_asked_for() -> None:
    body = b'{"candidates": [ {"future":1.00} ],"modelVersion": "gemini-2.5-pro-001", "responseId":null}'
    assert whole(body, "chat").body == b'{"candidates":[ {"future":1.00} ],"modelVersion":"chat","responseId":null}'
    blocked = b'{"promptFeedback":{"blockReason":"SAFETY"}}'
    assert whole(blocked, "chat").body == b'{"promptFeedback":{"blockReason":"SAFETY"},"modelVersion":"chat"}'


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", EmptyAnswerError),
        (b"{}", EmptyAnswerError),
        (b'{"candidates":[]}', EmptyAnswerError),
        (b'{"promptFeedback":{}}', EmptyAnswerError),
        (b'{"error":{"code":500}}', ReportedError),
        (b'{"candidates":7}', MalformedAnswerError),
        (b"[]", MalformedAnswerError),
        (b"\xff", MalformedAnswerError),
    ],
)
def test_answers_that_are_none(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        whole(body, "chat")


def event(candidate: str) -> bytes:
    return f'data: {{"candidates": [{candidate}],"modelVersion": "up"}}\r\n\r\n'.encode()


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b": ping\n\n", EventKind.PREAMBLE),
        (b'data: {"usageMetadata":{}}\n\n', EventKind.PREAMBLE),
        (event("{}"), EventKind.PREAMBLE),
        (event('{"content":{"parts":[{"text":""}]}}'), EventKind.PREAMBLE),
        (event('{"content":{"parts":[{"text":"","thoughtSignature":"QQ=="}]}}'), EventKind.PREAMBLE),
        (event('{"content":{"parts":[{"text":"a"}]}}'), EventKind.CONTENT),
        (event('{"content":{"parts":[{"text":"a","thought":true}]}}'), EventKind.CONTENT),
        (event('{"content":{"parts":[{"text":"","thought":true}]}}'), EventKind.PREAMBLE),
        (event('{"content":{"parts":[7,{"text":"a"}]}}'), EventKind.CONTENT),
        (event('{"content":{"parts":[{"text":"a"}]}},{"content":{}}'), EventKind.CONTENT),
        (event('{"content":{"parts":[{"futurePart":{"a":1}}]}}'), EventKind.CONTENT),
        (event('{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}'), EventKind.TERMINAL),
        (event('{"finishReason":"SOMETHING_NEW"}'), EventKind.TERMINAL),
        (event('{"finishReason":"FINISH_REASON_UNSPECIFIED"}'), EventKind.PREAMBLE),
        (b'data: {"promptFeedback":{"blockReason":"OTHER"}}\n\n', EventKind.TERMINAL),
        (b'data: {"error":{"code":500}}\n\n', EventKind.ERROR),
    ],
)
def test_what_an_event_is(sent: bytes, kind: EventKind) -> None:
    read = EventReader("chat").read(sent)
    assert read[0] is kind
    if b"modelVersion" not in sent:
        assert read[1] == sent


def test_bytes_stay_but_for_the_name() -> None:
    sent = b'id: 7\ndata: {"candidates": [ {"content":{"x":1.00}} ],"modelVersion": "up","new":null}\n\n'
    kind, written = EventReader("chat").read(sent)
    assert kind is EventKind.PREAMBLE
    assert written == b'id: 7\ndata: {"candidates":[ {"content":{"x":1.00}} ],"modelVersion":"chat","new":null}\n\n'


@pytest.mark.parametrize(
    "data", [b"x", b"[]", b'{"candidates":[7]}', b'{"a":"\xff"}', b'{"candidates":' + b"[" * 100_000]
)
def test_events_that_are_none(data: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        EventReader("chat").read(b"data: " + data + b"\n\n")


def test_a_stream_ends_when_every_candidate_has() -> None:
    first, second = event('{"finishReason":"STOP"}'), event('{"finishReason":"STOP","index":1}')
    reader = read_request(BODY, "chat", True).reader()
    assert [reader.read(sent)[0] for sent in (first, second)] == [EventKind.PREAMBLE, EventKind.TERMINAL]
    for said in (b"null", b"1", b"0", b"-3"):
        reader = read_request(BODY.replace(b"2", said), "chat", True).reader()
        assert reader.read(first)[0] is EventKind.TERMINAL


def test_an_index_that_is_none_is_the_place() -> None:
    reader = EventReader("chat", candidates=2)
    sent = event('{"finishReason":"STOP","index":true},{"finishReason":"STOP","index":"x"}')
    assert reader.read(sent)[0] is EventKind.TERMINAL


def test_the_same_stream_as_one_array() -> None:
    reader = read_request(BODY.replace(b"2", b"1"), "chat", True, array=True).reader()
    sent = [b": ping\n\n", event('{"content":{"parts":[{"text":"a"}]}}'), event('{"finishReason":"STOP"}')]
    written = b"".join(reader.read(each)[1] for each in sent)
    assert written.startswith(b'[{"candidates":[{"content"')
    assert [chunk["modelVersion"] for chunk in msgspec.json.decode(written)] == ["chat", "chat"]


@pytest.mark.parametrize("array", [True, False])
def test_a_stream_that_breaks_off(array: bool) -> None:
    reader = EventReader("chat", array=array)
    written = reader.read(event('{"content":{"parts":[{"text":"a"}]}}'))[1] + reader.error(UnavailableError("gone"))
    if array:
        assert msgspec.json.decode(written)[1]["error"]["status"] == "UNAVAILABLE"
    else:
        assert written.endswith(b"\n\n")
        assert written.split(b"\n\n")[-2].startswith(b'data: {"error":')
