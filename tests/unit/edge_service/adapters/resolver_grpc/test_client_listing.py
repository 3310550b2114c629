"""Over real sockets: what is tested is what gRPC does when nobody answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from edge_service.adapters.resolver_grpc import client as client_module
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.domain.errors import ClientKeyError, UnavailableError
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc

PLENTY_S = 5.0
"""Less than so many time-outs one after the other."""
NOBODY = "127.0.0.1:9"


class Lists(resolver_service_pb2_grpc.ResolverServiceServicer):
    """A resolver that lists one model or hangs, and notes how often it was asked."""

    def __init__(self, *, hangs: bool = False, refusal: status_pb2.Status | None = None) -> None:
        self.hangs = hangs
        self.refusal = refusal
        self.asked = 0

    async def ListModels(  # noqa: N802 - gRPC names the methods
        self, request: pb.ListModelsRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> pb.ListModelsResponse:
        self.asked += 1
        self.request = request
        if self.refusal is not None:
            await context.abort_with_status(rpc_status.to_status(self.refusal))
        if self.hangs:
            await asyncio.Event().wait()
        return pb.ListModelsResponse(models=[pb.ModelEntry(id="chat")])

    async def ResolveStream(  # noqa: N802
        self, requests: object, context: grpc.aio.ServicerContext[object, object]
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        await context.send_initial_metadata(())
        await asyncio.Event().wait()
        yield pb.ResolveStreamResponse()


@contextlib.asynccontextmanager
async def listing(servicer: Lists) -> AsyncIterator[str]:
    server = grpc.aio.server()
    resolver_service_pb2_grpc.add_ResolverServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def client(*addresses: str) -> AsyncIterator[ResolverClient]:
    it = ResolverClient(addresses, token="")
    try:
        yield it
    finally:
        await it.aclose()


@pytest.mark.parametrize("many", [1, 40])
async def test_however_many_do_not_answer_a_listing_fails_soon(many: int) -> None:
    async with listing(Lists(hangs=True)) as address, client(*[address] * many) as it:
        began_at = time.monotonic()
        with pytest.raises(UnavailableError):
            await it.models(b"")
        assert time.monotonic() - began_at < PLENTY_S


@pytest.mark.parametrize("away", [0, 1, 3, 8])
async def test_a_listing_comes_from_whoever_is_there(away: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # As they are to each other, but for a busy machine: one after the other they would take more.
    monkeypatch.setattr(client_module, "RESOLVE_TIMEOUT_S", 2.0)
    monkeypatch.setattr(client_module, "RESOLVE_TOTAL_S", 3.0)
    servicer = Lists()
    async with (
        listing(Lists(hangs=True)) as address,
        listing(servicer) as last,
        client(*[address] * away, NOBODY, last) as it,
    ):
        assert [model.id for model in await it.models(b"")] == ["chat"]


async def test_only_one_is_asked_if_it_answers() -> None:
    first, second = Lists(), Lists()
    async with listing(first) as one, listing(second) as other, client(one, other) as it:
        await it.models(b"")
    assert (first.asked, second.asked) == (1, 0)


async def test_a_listing_is_asked_for_with_the_clients_key() -> None:
    servicer = Lists()
    async with listing(servicer) as address:
        it = ResolverClient([address], token="", key_required=True)
        await it.models(b"hash")
        await it.aclose()
    assert servicer.request == pb.ListModelsRequest(client_key_sha256=b"hash", client_key_required=True)


async def test_a_key_that_is_refused_is_told_from_a_token_that_is() -> None:
    refusal = status_pb2.Status(code=code_pb2.UNAUTHENTICATED, message="the API key is not known")
    async with listing(Lists(refusal=refusal)) as address, client(address) as it:
        with pytest.raises(UnavailableError):
            await it.models(b"")
    refusal.details.add().Pack(error_details_pb2.ErrorInfo(reason="CLIENT_KEY_UNKNOWN", domain="forebay"))
    async with listing(Lists(refusal=refusal)) as address, client(address) as it:
        with pytest.raises(ClientKeyError, match="the API key is not known"):
            await it.models(b"")
