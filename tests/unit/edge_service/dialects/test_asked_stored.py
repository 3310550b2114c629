from __future__ import annotations

import pytest

from edge_service.dialects.asked_stored import Stored
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError
from edge_service.domain.errors import ResponseNotFoundError
from edge_service.domain.needs import Operation
from edge_service.domain.plan import Attempt

ATTEMPT = Attempt("p/m#0", "p", "openai", "https://p.test/v1", "m", "")


def event(kind: str, data: str) -> bytes:
    return f"event: {kind}\ndata: {data}\n\n".encode()


@pytest.mark.parametrize(
    ("method", "behind", "query", "path", "stream"),
    [
        ("GET", "", "", "/responses/resp_1", False),
        ("GET", "", "stream=true&starting_after=3", "/responses/resp_1?stream=true&starting_after=3", True),
        ("GET", "", "stream=false", "/responses/resp_1?stream=false", False),
        ("GET", "/input_items", "limit=1", "/responses/resp_1/input_items?limit=1", False),
        ("DELETE", "", "stream=true", "/responses/resp_1?stream=true", False),
        ("POST", "/cancel", "", "/responses/resp_1/cancel", False),
    ],
)
def test_it_is_put_to_its_maker_as_it_came(method: str, behind: str, query: str, path: str, stream: bool) -> None:
    asked = Stored(method, "resp_1", behind, query)
    written = asked.of(ATTEMPT).written
    assert (written.method, written.path, written.body, written.content_type) == (method, path, b"", b"")
    assert (asked.stream, asked.goes_on_from, asked.operation) == (stream, "resp_1", Operation.RETRIEVE)
    assert asked.of(ATTEMPT).made is None


@pytest.mark.parametrize("odd", ["", ".", "..", "a/b", "a b", "a?b", "a#b", "a%b", "a\n", "x" * 257, "\U0001f600"])
def test_an_id_that_would_lead_elsewhere_is_nobodys(odd: str) -> None:
    with pytest.raises(ResponseNotFoundError):
        Stored("GET", odd)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"id":"resp_1", "model":"up", "x": 1.0}', b'{"id":"resp_1","model":"chat","x":1.0}'),
        (b'{"id":"resp_1","deleted": true}', b'{"id":"resp_1","deleted": true}'),
        (
            b'{"status":"failed","error":{"code":"x"},"model":"up"}',
            b'{"status":"failed","error":{"code":"x"},"model":"chat"}',
        ),
        (rb'{"model":"up","t":"\ud83d"}', rb'{"model":"chat","t":"\ud83d"}'),
    ],
)
def test_it_is_told_under_the_name_that_it_was_made_by_whatever_has_become_of_it(body: bytes, told: bytes) -> None:
    asked = Stored("GET", "resp_1")
    asked.model = "chat"
    assert asked.of(ATTEMPT).complete(body) == told


@pytest.mark.parametrize(
    ("body", "error"), [(b" ", EmptyAnswerError), (b"[]", MalformedAnswerError), (b"<html>", MalformedAnswerError)]
)
def test_what_is_no_object_is_not_told(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Stored("GET", "resp_1").of(ATTEMPT).complete(body)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (event("response.created", '{"type":"response.created","response":{"model":"up"}}'), EventKind.CONTENT),
        (event("response.new", '{"type":"response.new"}'), EventKind.CONTENT),
        (event("response.completed", '{"type":"response.completed","response":{"model":"up"}}'), EventKind.TERMINAL),
        (event("response.failed", '{"type":"response.failed","response":{"model":"up"}}'), EventKind.TERMINAL),
        (event("error", '{"type":"error","message":"m"}'), EventKind.TERMINAL),
        (b": ping\n\n", EventKind.PREAMBLE),
    ],
)
def test_nothing_of_its_stream_is_held_back(sent: bytes, kind: EventKind) -> None:
    asked = Stored("GET", "resp_1", query="stream=true")
    asked.model = "chat"
    reader = asked.of(ATTEMPT).reader()
    assert reader is not None
    assert reader.read(sent) == (kind, sent.replace(b'"up"', b'"chat"'))
