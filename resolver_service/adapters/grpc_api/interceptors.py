"""What holds for every call, whichever method it is for."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

_UNGUARDED = "/grpc.health.v1.Health/"
"""Probes of orchestrators carry no token, and learn only whether the service serves."""

_MANAGEMENT = "/forebay.resolver.v1.PoolAdminService/"

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
        if not hmac.compare_digest(_shown(handler_call_details, "authorization"), self._expected):
            return self._refusal
        return await continuation(handler_call_details)


class ManagementKeyInterceptor(grpc.aio.ServerInterceptor):
    """Refuses changes without the management key (`x-management-key: KEY`), compared in constant time, and all of them
    where there is no key: as if the service did not exist."""

    def __init__(self, key: str) -> None:
        self._expected = key.encode()
        if key:
            self._refusal = _refusal(grpc.StatusCode.UNAUTHENTICATED, "the management key is missing or wrong")
        else:
            self._refusal = _refusal(
                grpc.StatusCode.UNIMPLEMENTED,
                "this resolver has no management key: start it with FOREBAY_MANAGEMENT_KEY",
            )

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        if handler_call_details.method.startswith(_MANAGEMENT):
            shown = _shown(handler_call_details, "x-management-key")
            if not self._expected or not hmac.compare_digest(shown, self._expected):
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


def _shown(call: grpc.HandlerCallDetails, name: str) -> bytes:
    shown = dict(call.invocation_metadata).get(name, "")
    return shown if isinstance(shown, bytes) else shown.encode()


def _refusal(code: grpc.StatusCode, details: str) -> Handler:
    async def refuse(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(code, details)

    # A handler of this kind can refuse calls of every kind, and does so at once: one that takes a single message would
    # first wait for it, and whoever opens a stream may not send one before the stream is accepted.
    return grpc.stream_stream_rpc_method_handler(refuse)
