"""What holds for every call, whichever method it is for."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc
import grpc.aio
import structlog
from grpc_status import rpc_status

from resolver_service.adapters.grpc_api import messages
from resolver_service.domain.failed_keys import FailedKeys, TooManyFailedKeysError, network

_UNGUARDED = "/grpc.health.v1.Health/"
"""Probes of orchestrators carry no token, and learn only whether the service serves."""

_MANAGEMENT = "/forebay.resolver.v1.PoolAdminService/"

LONGEST_ADDRESS = 64
"""Bytes."""

_log = structlog.get_logger("forebay.resolver.grpc")

# In quotes: generic for type checkers alone.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
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
    where there is no key: as if the service did not exist.

    An address that has shown too many wrong ones is not heard for a while. It is the caller's, or what the caller says
    is its client's (`x-forebay-client`): edges pass on what they are shown. Who calls has shown the token, if there is
    one, and is believed.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._expected = key.encode()
        self._clock = clock
        self._failed = FailedKeys()
        self._without = _refusal(
            grpc.StatusCode.UNIMPLEMENTED, "this resolver has no management key: start it with FOREBAY_MANAGEMENT_KEY"
        )

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        if not handler_call_details.method.startswith(_MANAGEMENT):
            return await continuation(handler_call_details)
        if not self._expected:
            return self._without
        shown = _shown(handler_call_details, "x-management-key")
        client = _shown(handler_call_details, "x-forebay-client")[:LONGEST_ADDRESS].decode(errors="replace")
        if client and (closed := self._closed(network(client))) is not None:
            # Before the key is looked at: how long a refusal takes must not tell whether it was the right one.
            return _refusing(lambda context: context.abort_with_status(closed))
        if not hmac.compare_digest(shown, self._expected):
            return _refusing(lambda context: self._wrong(context, client, is_guess=bool(shown)))
        handler = await continuation(handler_call_details)
        return None if handler is None else _guarded(handler, lambda context: self._hear(context, client))

    async def _hear(self, context: Context, client: str) -> str:
        """The address that wrong keys are counted by. Aborts the call while it is blocked."""
        address = network(client or _host(context.peer()))
        if (closed := self._closed(address)) is not None:
            await context.abort_with_status(closed)
        return address

    def _closed(self, address: str) -> grpc.Status | None:
        """The status for an address that is blocked; None if it is not."""
        try:
            self._failed.check(address, self._clock())
        except TooManyFailedKeysError as error:
            return rpc_status.to_status(messages.error_status(error))
        return None

    async def _wrong(self, context: Context, client: str, *, is_guess: bool) -> None:
        """A key that is missing is no guess."""
        address = await self._hear(context, client)
        if is_guess:
            self._failed.failed(address, self._clock())
            _log.warning("management_key_refused", client=address)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the management key is missing or wrong")


class DeadlineInterceptor(grpc.aio.ServerInterceptor):
    """Refuses unary calls of Forebay's own services that set no deadline: they would wait for ever."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None or not handler_call_details.method.startswith("/forebay."):
            return handler
        return _guarded(handler, self._check)

    async def _check(self, context: Context) -> None:
        if context.time_remaining() is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a deadline is required: set a timeout on the call")


def _shown(call: grpc.HandlerCallDetails, name: str) -> bytes:
    shown = dict(call.invocation_metadata).get(name, "")
    return shown if isinstance(shown, bytes) else shown.encode()


def _host(peer: str) -> str:
    """Of what gRPC calls the caller: `ipv4:127.0.0.1:1234`, `ipv6:%5B::1%5D:1234`, `unix:`."""
    kind, _, address = unquote(peer).partition(":")
    return address.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else kind


def _guarded(handler: Handler, check: Callable[[Context], Awaitable[object]]) -> Handler:
    """The handler of a unary call, behind a check that may abort it."""
    serve: Any = handler.unary_unary

    async def guarded(request: Any, context: Context) -> Any:
        await check(context)
        return await serve(request, context)

    return grpc.unary_unary_rpc_method_handler(
        guarded,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _refusal(code: grpc.StatusCode, details: str) -> Handler:
    return _refusing(lambda context: context.abort(code, details))


def _refusing(refuse: Callable[[Context], Awaitable[object]]) -> Handler:
    async def at_once(requests: Any, context: Context) -> None:
        await refuse(context)

    # A handler of this kind can refuse calls of every kind, and does so at once: one that takes a single message would
    # first wait for it, and whoever opens a stream may not send one before the stream is accepted.
    return grpc.stream_stream_rpc_method_handler(at_once)
