"""Requests for models: from the first byte of one to the last of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import UNASKED_BYTES, AsgiClient, ClientGoneError, never, read_body
from edge_service.adapters.http.client_keys import client_key, without_key
from edge_service.adapters.http.cycle import LEAVING, WRITE, Leaving
from edge_service.app.draining import UnderWay
from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Incoming
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.dialects import asked, asked_plain, counting, gemini
from edge_service.dialects.asked_stored import Stored
from edge_service.dialects.counting import Countable
from edge_service.dialects.exchange import Asked, Voice
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, NoSuchMethodError, UnavailableError
from edge_service.domain.headers import Headers

_EMBEDDING = {gemini.paths.Method.EMBED: False, gemini.paths.Method.EMBED_MANY: True}
"""The methods that give vectors, and whether for many contents."""


class Conversations:
    """A route whose request says all in its body, as a plain ASGI application: it is on the data path."""

    def __init__(self, serving: Serving, read: Callable[[bytes, Headers], Asked | Countable], voice: Voice) -> None:
        self._serving = serving
        self._read = read
        self._voice = voice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serving.serve(scope, receive, send, self._read, self._voice)


class Generations:
    """`POST /v1beta/models/{model}:{method}`."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        behind = scope["path_params"]["id"]
        called = gemini.paths.read(behind)
        stream = called is not None and called.method is gemini.paths.Method.STREAM
        array = stream and parse_qs(scope["query_string"]).get(b"alt") != [b"sse"]

        def read(body: bytes, _: Headers) -> Asked | Countable:
            if called is not None and called.method in _EMBEDDING:
                return asked_plain.embedded_content(body, called.model, many=_EMBEDDING[called.method])
            if called is not None and called.method is gemini.paths.Method.COUNT:
                return counting.of_contents(body, called.model)
            if called is None or called.method not in (gemini.paths.Method.GENERATE, gemini.paths.Method.STREAM):
                raise NoSuchMethodError(f"there is nothing to be called as '{behind[:200]}'")
            return asked.generation(body, called.model, stream=stream, array=array)

        await self._serving.serve(scope, receive, send, read, asked.GEMINI)


class StoredResponses:
    """`/v1/responses/{id}`, and what is below it."""

    def __init__(self, serving: Serving, behind: str = "") -> None:
        self._serving = serving
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        response_id = scope["path_params"]["id"]
        query = without_key(scope["query_string"])
        await self._serving.serve(
            scope, receive, send, lambda *_: Stored(method, response_id, self._behind, query), asked.OPENAI
        )


class Serving:
    """What all routes of requests have in common: from the first byte of one to the last of its answer."""

    def __init__(self, gateway: Gateway, under_way: UnderWay) -> None:
        self._gateway = gateway
        self._under_way = under_way

    async def serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        read: Callable[[bytes, Headers], Asked | Countable],
        voice: Voice,
    ) -> None:
        head, key = scope["headers"], client_key(scope)
        client = AsgiClient(send, scope.pop(WRITE, never))
        shown = dict(reversed(head))  # Of a header that comes twice the first one counts.
        request_id = headers.request_id(shown.get(headers.REQUEST_ID))
        # The server has seen to it that a length is a number.
        said_bytes = int(shown.get(b"content-length") or 0)
        # Such a client sends no body before it is given a sign, which is given when the body is asked for.
        waits = said_bytes > UNASKED_BYTES and b"expect" in shown
        interrupts = Interrupts()
        self._under_way.enter(interrupts)
        try:
            try:
                authenticate = partial(self._gateway.authenticate, request_id, key)
                body = await _body(receive, interrupts, authenticate, said_bytes, waits=waits)
            except ClientGoneError:
                return
            except ApiError as error:
                # What is left of the body stays unread, so the connection is of no more use.
                extra = [*error.headers, (headers.REQUEST_ID, request_id.encode()), (b"connection", b"close")]
                await client.respond(error.status, extra, voice.error_body(error))
                return
            leaving: Leaving | None = scope.get(LEAVING)
            # Another server tells a handler that streams, at best, by swallowing what it sends.
            if leaving is not None:
                leaving.call(partial(interrupts.fire, Reason.CLIENT_GONE))
            # It has arrived when all of it is here: how long the client takes to send it is not ours to answer for.
            incoming = Incoming(request_id, head, body, self._gateway.clock(), key)
            await self._gateway.serve(incoming, client, interrupts, partial(read, body, head), voice)
        finally:
            self._under_way.leave(interrupts)
            interrupts.close()


async def _body(
    receive: Receive,
    interrupts: Interrupts,
    authenticate: Callable[[], Awaitable[None]],
    said_bytes: int,
    *,
    waits: bool,
) -> bytes:
    """Raises what `read_body` and `authenticate` do, or `UnavailableError` if the gateway ends before the body does."""
    try:
        if not waits:
            return await read_body(receive, before_more=authenticate, said_bytes=said_bytes)
        await authenticate()
        return await read_body(receive)
    except asyncio.CancelledError:
        if interrupts.take() is not Reason.DRAINING:
            raise
        raise UnavailableError("the gateway is shutting down") from None
