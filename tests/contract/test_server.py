"""What holds around every call: token, deadline, bounds, health, reflection, addresses."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from forebay.resolver.v1 import pool_admin_service_pb2, resolver_service_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.adapters.grpc_api import interceptors
from resolver_service.adapters.grpc_api import server as grpc_server
from resolver_service.adapters.grpc_api.server import AddressInUseError
from tests.contract.serving import (
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    TIMEOUT_S,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    Served,
    refused,
    serving,
)

UNARY = [
    ("Resolve", pb.ResolveRequest(model="m")),
    ("Explain", pb.ExplainRequest(request=pb.ResolveRequest(model="m"))),
    ("ListModels", pb.ListModelsRequest()),
    ("Report", pb.ReportRequest()),
]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE = "forebay.resolver.v1.ResolverService"


def health(it: Served) -> Any:
    return health_pb2_grpc.HealthStub(it.channel)


async def status(it: Served, service: str) -> int:
    response = await health(it).Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
    return int(response.status)


async def services(it: Served) -> list[str]:
    call = reflecting(it, iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    return [service.name async for response in call for service in response.list_services_response.service]


def reflecting(it: Served, requests: Iterator[Any] | None = None) -> Any:
    """Without requests nothing is written: to write to a call that has been refused meanwhile is an error of another
    kind."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(it.channel)
    return stub.ServerReflectionInfo(requests, timeout=TIMEOUT_S, metadata=it.metadata)


@pytest.mark.parametrize("shown", ["", "wrong", "secret2", "Secret"])
async def test_without_the_token_every_call_is_refused(shown: str) -> None:
    async with serving(token="secret", shown=shown) as it:
        for method, request in UNARY:
            refusal = await refused(it.call(method, request))
            assert refusal.code == UNAUTHENTICATED
            assert "FOREBAY_TOKEN" in refusal.message
        assert (await refused(it.call("Watch", pb.WatchRequest()).read())).code == UNAUTHENTICATED
        assert (await refused(it.stub.ResolveStream(metadata=it.metadata).read())).code == UNAUTHENTICATED
        assert (await refused(reflecting(it).read())).code == UNAUTHENTICATED


async def test_a_bare_token_is_not_enough() -> None:
    async with serving(token="secret") as it:
        it.metadata = (("authorization", "secret"),)
        assert (await refused(it.resolving("m"))).code == UNAUTHENTICATED


async def test_with_the_token_every_call_is_let_in() -> None:
    async with serving(token="secret", shown="secret") as it:
        for method, request in UNARY:
            await it.call(method, request)
        stream = it.stub.ResolveStream(metadata=it.metadata)
        await stream.initial_metadata()
        assert not stream.done()
        assert SERVICE in await services(it)


async def test_health_needs_no_token() -> None:
    async with serving(token="secret") as it:
        assert await status(it, "readiness") == SERVING


@pytest.mark.parametrize(("method", "request_"), UNARY)
async def test_a_unary_call_needs_a_deadline(it: Served, method: str, request_: object) -> None:
    refusal = await refused(getattr(it.stub, method)(request_))
    assert refusal.code == INVALID_ARGUMENT
    assert "deadline" in refusal.message


EVERY_UNARY = [
    (service.full_name, method.name)
    for service in (
        *resolver_service_pb2.DESCRIPTOR.services_by_name.values(),
        *pool_admin_service_pb2.DESCRIPTOR.services_by_name.values(),
    )
    for method in service.methods
    if not (method.client_streaming or method.server_streaming)
]


@pytest.mark.parametrize(("service", "method"), EVERY_UNARY)
async def test_no_unary_method_does_without_a_deadline(service: str, method: str) -> None:
    async with serving(management_key="key") as it:
        call: Any = it.channel.unary_unary(f"/{service}/{method}")
        refusal = await refused(call(b"", metadata=(("x-management-key", "key"),)))
        assert refusal.code == INVALID_ARGUMENT
        assert "deadline" in refusal.message


@pytest.mark.parametrize("shown", ["", "t", "the token", "wrong"])
async def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, shown: str) -> None:
    """By the one function that does: what it says is what counts."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(interceptors.hmac, "compare_digest", compare)
    key = (("x-management-key", "the key"),)
    clear: Any = pool_admin_service_pb2.ClearCooldownRequest(target_id="one/m#0")
    async with serving(token="the token", shown=shown) as it:
        assert (await refused(it.resolving("m"))).code == UNAUTHENTICATED
    async with serving(management_key="the key") as it:
        assert (await refused(it.admin.ClearCooldown(clear, timeout=TIMEOUT_S, metadata=key))).code == UNAUTHENTICATED
    assert compared == [(f"Bearer {shown}".encode() if shown else b"", b"Bearer the token"), (b"the key", b"the key")]


@pytest.mark.parametrize("service", ["", "liveness", "readiness", SERVICE])
async def test_health_is_told_under_each_name(it: Served, service: str) -> None:
    assert await status(it, service) == SERVING


async def test_of_what_it_does_not_know_the_health_is_not_told(it: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await status(it, "nonsense")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_server_that_drains_is_alive_and_not_ready(it: Served) -> None:
    names = ("", "readiness", SERVICE, "liveness")
    watches = [health(it).Watch(health_pb2.HealthCheckRequest(service=name)) for name in names]
    assert [(await watch.read()).status for watch in watches] == [SERVING] * 4
    draining = asyncio.create_task(it.server.drain(0.1))
    assert [(await watch.read()).status for watch in watches[:3]] == [NOT_SERVING] * 3
    await draining
    assert (await refused(watches[3].read())).code == UNAVAILABLE, "the last thing that was said is that it is alive"


async def test_a_call_under_way_is_answered_while_the_server_drains(it: Served) -> None:
    stream = it.stub.ResolveStream()
    await stream.initial_metadata()
    draining = asyncio.create_task(it.server.drain(TIMEOUT_S))
    watch = health(it).Watch(health_pb2.HealthCheckRequest(service="readiness"))
    with contextlib.suppress(grpc.aio.AioRpcError):  # Whether it came in before the door closed does not matter here.
        await watch.read()
    item = pb.ResolveItem(id=1, request=pb.ResolveRequest(model="m", timeout_ms=300))
    await stream.write(pb.ResolveStreamRequest(resolves=[item]))
    assert (await stream.read()).answers[0].plan.name == "m"
    watch.cancel()
    await stream.done_writing()
    assert await stream.code() is grpc.StatusCode.OK
    await draining


async def test_reflection_describes_the_services(it: Served) -> None:
    assert sorted(await services(it)) == [
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


async def test_reflection_can_be_switched_off() -> None:
    async with serving(reflect=False) as it:
        assert (await refused(reflecting(it).read())).code == UNIMPLEMENTED
        assert await status(it, "") == SERVING


async def test_messages_have_a_largest_size(it: Served) -> None:
    assert await it.first("m", excluded_targets=["x" * 1024] * (15 * 1024)) == "one/m#0"
    refusal = await refused(it.resolving("m", excluded_targets=["x" * 1024] * (17 * 1024)))
    assert refusal.code == RESOURCE_EXHAUSTED
    assert refusal.reason == "", "this is no limit of a provider, and says so by having no reason"
    assert await it.first("m") == "one/m#0"


async def test_calls_at_a_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "MAX_CONCURRENT_CALLS", 3)
    async with serving() as it:
        streams = [it.stub.ResolveStream() for _ in range(3)]
        for stream in streams:
            await stream.initial_metadata()
        assert (await refused(it.resolving("m"))).code == RESOURCE_EXHAUSTED
        await streams[0].done_writing()
        assert await streams[0].code() is grpc.StatusCode.OK
        assert await it.first("m") == "one/m#0"


async def test_an_address_that_is_taken_is_refused(it: Served) -> None:
    with pytest.raises(AddressInUseError, match=f"cannot listen on {it.server.address}: Address already in use$"):
        async with serving(listen=it.server.address):
            pass


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        ("unix:/nowhere/s", "No such file or directory"),
        ("unix:/" + "s" * 108, "AF_UNIX path too long"),
        ("192.0.2.1:0", "Cannot assign requested address"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_refused_with_the_kernels_reason(
    listen: str, reason: str
) -> None:
    with pytest.raises(AddressInUseError, match=f"cannot listen on {re.escape(listen)}: {reason}$"):
        async with serving(listen=listen):
            pass


async def test_a_unix_socket_serves(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 's'}"
    async with serving(listen=address) as it:
        assert it.server.address == address
        assert await it.first("m") == "one/m#0"


async def test_a_unix_socket_in_use_is_not_taken_away(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 's'}"
    async with serving(listen=address) as it:
        with pytest.raises(AddressInUseError, match="another process does"):
            async with serving(listen=address):
                pass
        assert await it.first("m") == "one/m#0"


async def test_a_unix_socket_that_a_crash_left_behind_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(tmp_path / "s"))
        crashed.listen()
    async with serving(listen=f"unix:{tmp_path / 's'}") as it:
        assert await it.first("m") == "one/m#0"
