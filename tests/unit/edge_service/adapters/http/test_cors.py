from __future__ import annotations

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from edge_service.adapters.http.cors import Cors

PAGE = "https://app.example.com"
SENT = [
    (b"content-type", b"text/event-stream"),
    (b"x-forebay-target", b"one/m#0"),
    (b"x-ratelimit-remaining-requests", b"1"),
    (b"anthropic-ratelimit-tokens-reset", b"2"),
    (b"retry-after", b"3"),
    (b"x-should-retry", b"false"),
    (b"request-id", b"4"),
    (b"x-request-id", b"5"),
]


class Streams:
    """An application that answers in parts, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Scope] = []
        self.sent: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope)
        self.sent = [
            {"type": "http.response.start", "status": 200, "headers": SENT},
            {"type": "http.response.body", "body": b"one", "more_body": True},
            {"type": "http.response.body", "body": b"two"},
        ]
        for message in self.sent:
            await send(message)


async def ask(
    *origins: str, method: str = "GET", path: str = "/v1/models", **head: str
) -> tuple[httpx2.Response, Streams]:
    app = Streams()
    transport = httpx2.ASGITransport(Cors(app, frozenset(origins)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://edge") as client:
        names = {name.replace("_", "-"): value for name, value in head.items()}
        return await client.request(method, path, headers=names), app


def of_cors(response: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


async def test_a_page_may_see_who_served_and_what_limits_there_are() -> None:
    response, _ = await ask(PAGE, origin=PAGE)
    assert of_cors(response) == {
        "access-control-allow-origin": PAGE,
        "access-control-expose-headers": "x-forebay-target, x-ratelimit-remaining-requests, "
        "anthropic-ratelimit-tokens-reset, retry-after, x-should-retry, request-id, x-request-id",
    }
    assert response.headers["vary"] == "origin"
    assert response.text == "onetwo"


async def test_everyone_is_everyone() -> None:
    response, _ = await ask("*", origin="https://another.example")
    assert response.headers["access-control-allow-origin"] == "*"
    assert "vary" not in response.headers
    response, _ = await ask("*")
    assert of_cors(response) == {}


async def test_who_is_no_page_is_served_as_ever() -> None:
    response, app = await ask(PAGE)
    assert (response.status_code, response.text, of_cors(response)) == (200, "onetwo", {})
    assert len(app.asked) == 1
    _, app = await ask(PAGE, method="OPTIONS", access_control_request_method="POST")
    assert len(app.asked) == 1


async def test_geminis_paths_are_for_pages_too() -> None:
    response, _ = await ask(PAGE, path="/v1beta/models", origin=PAGE)
    assert response.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.example",
        "https://app.example.co",
        "http://app.example.com",
        "https://app.example.com:8443",
        "HTTPS://app.example.com",
        "null",
        "",
    ],
)
async def test_a_page_of_another_origin_is_told_nothing(origin: str) -> None:
    response, _ = await ask(PAGE, origin=origin)
    assert (of_cors(response), response.headers["vary"]) == ({}, "origin")
    response, app = await ask(PAGE, method="OPTIONS", origin=origin, access_control_request_method="POST")
    assert (of_cors(response), len(app.asked)) == ({}, 1)


async def test_a_preflight_is_answered_at_once() -> None:
    response, app = await ask(
        PAGE,
        method="OPTIONS",
        path="/v1/chat/completions",
        origin=PAGE,
        access_control_request_method="POST",
        access_control_request_headers="authorization,content-type,x-stainless-lang",
    )
    assert (response.status_code, response.content, app.asked) == (204, b"", [])
    assert of_cors(response) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": "authorization,content-type,x-stainless-lang",
        "access-control-max-age": "600",
    }


async def test_what_is_no_list_of_names_is_not_repeated() -> None:
    head = {"origin": PAGE, "access_control_request_method": "POST", "access_control_request_headers": "a: b"}
    response, _ = await ask(PAGE, method="OPTIONS", **head)
    assert "access-control-allow-headers" not in response.headers


async def test_options_that_ask_for_nothing_reach_the_application() -> None:
    _, app = await ask(PAGE, method="OPTIONS", origin=PAGE)
    assert len(app.asked) == 1


@pytest.mark.parametrize("path", ["/v0/management/model-pools", "/healthz", "/", "/v1", "/v10/models"])
@pytest.mark.parametrize("origins", [("*",), (PAGE,)])
async def test_what_is_no_api_of_models_is_not_for_pages(path: str, origins: tuple[str, ...]) -> None:
    response, app = await ask(*origins, path=path, origin=PAGE)
    assert (of_cors(response), "vary" in response.headers) == ({}, False)
    _, app = await ask(*origins, method="OPTIONS", path=path, origin=PAGE, access_control_request_method="PUT")
    assert len(app.asked) == 1


async def test_parts_of_an_answer_pass_as_they_come() -> None:
    app, passed = Streams(), list[Message]()

    async def receive() -> Message:
        raise AssertionError("nobody asks for it")

    async def send(message: Message) -> None:
        passed.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": [(b"origin", PAGE.encode())]}
    await Cors(app, {PAGE})(scope, receive, send)
    assert [message is sent for message, sent in zip(passed, app.sent, strict=True)] == [False, True, True]
    assert passed[0]["headers"][: len(SENT)] == SENT
