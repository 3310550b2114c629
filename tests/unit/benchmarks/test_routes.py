from __future__ import annotations

import json

import pytest

from benchmarks import routes, streams
from benchmarks.asking import Asked
from benchmarks.routes import ROUTES, Route


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES.keys())
def test_a_request_is_as_long_as_it_says_and_asks_for_what_the_provider_sends(route: Route) -> None:
    body = route.body(route.client, "the-name")
    assert len(body) == route.request_bytes
    assert json.loads(body).get("stream", route.is_stream) == route.is_stream


@pytest.mark.parametrize(("place", "stream"), routes.provided().items(), ids=routes.provided().keys())
def test_a_provider_s_stream_has_the_text_that_answers_are_compared_with(place: str, stream: routes.Stream) -> None:
    its = next(route for route in ROUTES.values() if route.place == place and route.client == route.provider)
    assert streams.text(its.provider, b"".join(stream.events)) == its.text
    assert len(stream.events) == its.events


def test_a_request_stands_on_the_wire_with_its_length() -> None:
    asked = Asked("http://127.0.0.1:80/v1/x?alt=sse", b"{}", {"content-type": "application/json"})
    head = b"POST /v1/x?alt=sse HTTP/1.1\r\nhost: 127.0.0.1:80\r\ncontent-type: application/json\r\n"
    assert asked.bytes == head + b"content-length: 2\r\n\r\n{}"
