"""What is asked of models goes past Starlette's routing, and all else by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_service.adapters.http.routes import Direct, http_error, routes
from edge_service.app.draining import UnderWay
from edge_service.app.incoming import Incoming
from edge_service.dialects.exchange import Asked


class Gateway:
    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    def clock(self) -> float:
        return 0.0

    async def authenticate(self, request_id: str, client_key: bytes) -> None:
        raise AssertionError("the body is small")

    async def serve(
        self, incoming: Incoming, client: object, interrupts: object, read: Callable[..., Asked], *_: object
    ) -> None:
        request = read(incoming.body, [])
        self.asked.append((request.model, request.stream))


class Shedding:
    """Turns nobody away."""

    def __init__(self) -> None:
        self.routed: list[str] = []

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.routed.append(scope["path"])


async def asked(path: str, method: str = "POST", body: bytes = b"") -> tuple[list[tuple[str, bool]], list[str]]:
    """The models that were asked for and whether for a stream, and what went by Starlette."""
    gateway: Any = Gateway()
    shedding: Any = Shedding()

    async def is_ready() -> bool:
        return True

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_: Message) -> None:
        raise AssertionError("the gateway answers nothing here")

    resolver: Any = None
    app = Direct(shedding, routes(gateway, resolver, UnderWay(), is_ready))
    await app({"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}, receive, send)
    return gateway.asked, shedding.routed


@pytest.mark.parametrize(
    ("path", "body", "model", "stream"),
    [
        ("/v1/chat/completions", b'{"model":"chat","messages":[],"stream":true}', "chat", True),
        ("/v1/messages", b'{"model":"chat","messages":[]}', "chat", False),
        ("/v1beta/models/chat:generateContent", b'{"contents":[]}', "chat", False),
        ("/v1/models/chat:streamGenerateContent", b'{"contents":[]}', "chat", True),
        ("/v1beta/models/team/models/chat:8b:streamGenerateContent", b'{"contents":[]}', "team/models/chat:8b", True),
    ],
)
async def test_what_is_asked_of_a_model_goes_past_routing(path: str, body: bytes, model: str, stream: bool) -> None:
    assert await asked(path, body=body) == ([(model, stream)], [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1beta/models/chat"),
        ("HEAD", "/v1/models/chat"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1beta/models"),
        ("POST", "/v1/models"),
        ("POST", "/v1beta/modelsx/chat:generateContent"),
        ("POST", "/v1/chat/completions/"),
        ("GET", "/healthz"),
    ],
)
async def test_all_else_is_routed(method: str, path: str) -> None:
    assert await asked(path, method) == ([], [path])


async def told(path: str, status: int) -> Any:
    request = Request({"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""})
    return msgspec.json.decode((await http_error(request, HTTPException(status))).body)


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/", "/"])
async def test_who_has_another_base_url_is_told_which_it_takes(path: str) -> None:
    error = (await told(path, 404))["error"]
    assert error["code"] == "not_found"
    assert "base URL of OpenAI's SDKs ends in /v1, that of Anthropic's and Google's does not" in error["message"]


async def test_other_errors_of_routing_are_told_as_they_are() -> None:
    assert (await told("/v1/chat/completions", 405))["error"]["code"] == "method_not_allowed"
    assert await told("/v0/management/nothing", 404) == {"error": "Not Found"}
