"""Requests for models: from the first byte of one to the last of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import UNASKED_BYTES, AsgiClient, ClientGoneError, never, read_body, shown
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
"""The methods that give embeddings, and whether for many contents."""


class Conversations:
    """A route whose request is all in its body. A plain ASGI application, since it is on the data path."""

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
        cycle: Cycle | None = scope.get(CYCLE)
        # Our own server's `send` is one, unless somebody has something to add to what is sent.
        client = send if isinstance(send, Cycle) else AsgiClient(send, cycle.write if cycle is not None else never)
        request_id, key = headers.request_id(shown(scope).get(headers.REQUEST_ID)), client_key(scope)
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
            # Without our own server nobody tells: what is sent after the client has left is dropped in silence.
            if cycle is not None:
                cycle.on_leaving(partial(interrupts.fire, _CLIENT_GONE))
            # It has arrived when all of it is here: the time that the client takes to send it is not the gateway's.
            incoming = Incoming(request_id, scope["headers"], body, self._gateway.clock(), key)
            await self._gateway.serve(incoming, client, interrupts, read, voice)
        except Exception:
            if not client.has_begun:
                await _refuse(client, MistakeError(), voice, request_id)
            raise  # For the server to log it.
        finally:
            self._under_way.leave(interrupts)
            interrupts.close()

    async def _body(self, scope: Scope, receive: Receive, interrupts: Interrupts, request_id: str) -> bytes:
        """The body. Asks `Gateway.authenticate` about the client of a large one before all of it is read. Raises what
        these two do, or `UnavailableError` if the gateway shuts down before the body is complete."""
        head = shown(scope)
        authenticate = partial(self._gateway.authenticate, request_id, client_key(scope))
        # The server has seen to it that a length is a number.
        said_bytes = int(head.get(b"content-length") or 0)
        try:
            if said_bytes <= UNASKED_BYTES or b"expect" not in head:
                return await read_body(receive, before_more=authenticate, said_bytes=said_bytes)
            await authenticate()  # The client is given a sign to send the body when it is asked for.
            return await read_body(receive)
        except asyncio.CancelledError:
            if interrupts.take() is not Reason.DRAINING:
                raise
            raise UnavailableError("the gateway is shutting down") from None


async def _refuse(client: Client, error: ApiError, voice: Voice, request_id: str, *more: tuple[bytes, bytes]) -> None:
    head = [*error.headers, (headers.REQUEST_ID, request_id.encode()), *more]
    await client.respond(error.status, head, voice.error_body(error))
