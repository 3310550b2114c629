"""What holds for every call, whichever method it is for."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

_UNGUARDED = "/grpc.health.v1.Health/"
"""Probes of orchestrators carry no token, and learn only whether the service serves."""

# In quotes: generic for type checkers alone.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]]


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without the shared token (`authorization: Bearer TOKEN`), compared in constant time."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()
        self._refusal = _refusal(
            grpc.StatusCode.UNAUTHENTICATED, "the shared token is missing or wrong: set FOREBAY_TOKEN to the resolver's"
        )

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        if handler_call_details.method.startswith(_UNGUARDED):
            return await continuation(handler_call_details)
        shown = dict(handler_call_details.invocation_metadata).get("authorization", "")
        shown_bytes = shown if isinstance(shown, bytes) else shown.encode()
        if not hmac.compare_digest(shown_bytes, self._expected):
            return self._refusal
        return await continuation(handler_call_details)


class DeadlineInterceptor(grpc.aio.ServerInterceptor):
    """Refuses unary calls of Forebay's own services that set no deadline: they would wait for ever."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None or not handler_call_details.method.startswith("/forebay."):
            return handler
        serve: Callable[[Any, Any], Awaitable[Any]] = handler.unary_unary

        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            if context.time_remaining() is None:
                await context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT, "a deadline is required: set a timeout on the call"
                )
            return await serve(request, context)

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _refusal(code: grpc.StatusCode, details: str) -> Handler:
    async def refuse(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(code, details)

    # A handler of this kind can refuse calls of every kind, and does so at once: one that takes a single message would
    # first wait for it, and whoever opens a stream may not send one before the stream is accepted.
    return grpc.stream_stream_rpc_method_handler(refuse)
