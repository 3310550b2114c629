"""The routes of requests to models: reads a request from its connection, and hands it to the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import (
    UNASKED_BYTES,
    AsgiClient,
    ClientGoneError,
    headers_by_name,
    never,
    read_body,
)
from edge_service.adapters.http.client_keys import client_key, without_key
from edge_service.adapters.http.cycle import CYCLE, Cycle
from edge_service.app.draining import UnderWay
from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Incoming
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import Client
from edge_service.dialects import asked, asked_plain, counting, gemini
from edge_service.dialects.asked_stored import Stored
from edge_service.dialects.counting import Countable
from edge_service.dialects.exchange import Asked, Voice
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, MistakeError, NoSuchMethodError, UnavailableError
from edge_service.domain.headers import Headers

_CLIENT_GONE = Reason.CLIENT_GONE

_EMBEDDING = {gemini.paths.Method.EMBED: False, gemini.paths.Method.EMBED_MANY: True}
"""The methods for embeddings, and whether they take many contents."""


class Conversations:
    """A route whose requests are in their bodies completely. A plain ASGI application, since it is on the data path."""

    def __init__(self, serving: Serving, read: Callable[[bytes, Headers], Asked | Countable], voice: Voice) -> None:
        self._serving = serving
        self._read = read
        self._voice = voice

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._serving.serve(scope, receive, send, self._read, self._voice)


class Generations:
    """`POST /v1beta/models/{model}:{method}`."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        behind = scope["path"].partition("/models/")[2]
        called = gemini.paths.read(behind)
        stream = called is not None and called.method is gemini.paths.Method.STREAM
        array = stream and parse_qs(scope["query_string"]).get(b"alt") != [b"sse"]

        def read(body: bytes, _: Headers) -> Asked | Countable:
            if called is None:
                raise NoSuchMethodError(f"there is nothing to be called as '{behind[:200]}'")
            if called.method in _EMBEDDING:
                return asked_plain.embedded_content(body, called.model, many=_EMBEDDING[called.method])
            if called.method is gemini.paths.Method.COUNT:
                return counting.of_contents(body, called.model)
            return asked.generation(body, called.model, stream=stream, array=array)

        await self._serving.serve(scope, receive, send, read, asked.GEMINI)


class StoredResponses:
    """`/v1/responses/{id}`, and the paths below it."""

    def __init__(self, serving: Serving, behind: str = "") -> None:
        """`behind` is the rest of the path after the id."""
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
    """What all of these routes share: serves one request, from its body to the last byte of its answer."""

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
        cycle: Cycle | None = scope.get(CYCLE)
        # With our own server `send` is the cycle, unless a middleware has wrapped it to add headers (`cors`).
        client = send if isinstance(send, Cycle) else AsgiClient(send, cycle.write if cycle is not None else never)
        request_id, key = headers.request_id(headers_by_name(scope).get(headers.REQUEST_ID)), client_key(scope)
        interrupts = Interrupts()
        self._under_way.enter(interrupts)
        try:
            body = cycle.take() if cycle is not None else None
            if body is None:
                try:
                    body = await self._body(scope, receive, interrupts, request_id)
                except ClientGoneError:
                    return
                except ApiError as error:
                    # What is left of the body stays unread, so the connection is of no more use.
                    await _refuse(client, error, voice, request_id, (b"connection", b"close"))
                    return
            # Another server does not tell when the client leaves, and silently drops what is sent afterwards.
            if cycle is not None:
                cycle.on_leaving(partial(interrupts.fire, _CLIENT_GONE))
            # The clock starts once the request is complete: how long the client takes to send it is not our latency.
            incoming = Incoming(request_id, scope["headers"], body, self._gateway.clock(), key)
            await self._gateway.serve(incoming, client, interrupts, read, voice)
        except Exception:
            if not client.has_begun:
                await _refuse(client, MistakeError(), voice, request_id)
            raise  # The server logs it.
        finally:
            self._under_way.leave(interrupts)
            interrupts.close()

    async def _body(self, scope: Scope, receive: Receive, interrupts: Interrupts, request_id: str) -> bytes:
        """The body. The client's key is checked before all of a large one is read. Raises what `read_body` and
        `Gateway.authenticate` raise, or `UnavailableError` if the gateway shuts down before the body is complete."""
        head = headers_by_name(scope)
        authenticate = partial(self._gateway.authenticate, request_id, client_key(scope))
        # The server has refused a length that is no number.
        said_bytes = int(head.get(b"content-length") or 0)
        try:
            if said_bytes <= UNASKED_BYTES or b"expect" not in head:
                return await read_body(receive, before_more=authenticate, said_bytes=said_bytes)
            await authenticate()  # First, since the client sends the body only once it is read (`100 Continue`).
            return await read_body(receive)
        except asyncio.CancelledError:
            if interrupts.take() is not Reason.DRAINING:
                raise
            raise UnavailableError("the gateway is shutting down") from None


async def _refuse(client: Client, error: ApiError, voice: Voice, request_id: str, *more: tuple[bytes, bytes]) -> None:
    head = [*error.headers, (headers.REQUEST_ID, request_id.encode()), *more]
    await client.respond(error.status, head, voice.error_body(error))
