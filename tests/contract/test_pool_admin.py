"""What an operator changes, and who may: the management key alone opens the service."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory

from forebay.resolver.v1 import plan_pb2, pool_admin_service_pb2
from forebay.resolver.v1 import pool_admin_service_pb2 as pb
from resolver_service.domain.failed_keys import MOST
from tests.contract.serving import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    TIMEOUT_S,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    Served,
    failed,
    refused,
    serving,
)
from tests.contract.test_server import services

TOKEN, KEY = "the-token", "the-key"
SERVICE = pool_admin_service_pb2.DESCRIPTOR.services_by_name["PoolAdminService"]
METHODS = sorted(SERVICE.methods_by_name)
WITH_KEY = (("x-management-key", KEY),)
WITH_TOKEN = (("authorization", f"Bearer {TOKEN}"),)


def call(it: Served, method: str, metadata: tuple[tuple[str, Any], ...], **fields: Any) -> Any:
    request = message_factory.GetMessageClass(SERVICE.methods_by_name[method].input_type)(**fields)
    return getattr(it.admin, method)(request, timeout=TIMEOUT_S, metadata=metadata)


@pytest.mark.parametrize("method", METHODS)
async def test_nothing_but_the_key_opens_any_method(method: str) -> None:
    async with serving(token=TOKEN, management_key=KEY) as it:
        assert (await refused(call(it, method, WITH_KEY))).code == UNAUTHENTICATED, "the token is asked for as well"
        for number, shown in enumerate(
            (
                (),
                (("x-management-key", ""),),
                (("x-management-key", TOKEN),),
                (("x-management-key", KEY[:-1]),),
                (("x-management-key", KEY.upper()),),
                (("x-management-key", f"Bearer {KEY}"),),
                (("x-api-key", KEY),),
                (("x-management-key", KEY), ("x-management-key", "wrong")),
            )
        ):
            client = ("x-forebay-client", f"192.0.2.{number}")
            refusal = await refused(call(it, method, (*WITH_TOKEN, *shown, client)))
            assert (refusal.code, refusal.message) == (UNAUTHENTICATED, "the management key is missing or wrong")
        if method in ("ClearCooldown", "Drain"):
            await call(it, method, (*WITH_TOKEN, *WITH_KEY), target_id="one/m#0")
        elif method in ("GetModelPools", "GetProviders", "GetStatus", "ListRevisions"):
            await call(it, method, (*WITH_TOKEN, *WITH_KEY))
        else:
            refusal = await refused(call(it, method, (*WITH_TOKEN, *WITH_KEY)))
            assert refusal.code in (INVALID_ARGUMENT, FAILED_PRECONDITION, NOT_FOUND), "it looks at what it is asked"


def guess(it: Served, number: int, *client: tuple[str, str]) -> Any:
    return call(it, "GetStatus", (("x-management-key", f"guess {number}"), *client))


async def test_after_five_wrong_keys_an_address_is_not_heard_for_a_while() -> None:
    async with serving(management_key=KEY) as it:
        for number in range(MOST):
            assert (await refused(guess(it, number))).code == UNAUTHENTICATED
        for again in (guess(it, 99), call(it, "GetStatus", WITH_KEY), call(it, "GetStatus", ())):
            refusal = await refused(again)
            assert (refusal.code, refusal.reason) == (RESOURCE_EXHAUSTED, "TOO_MANY_FAILED_KEYS")
            assert refusal.retry_after_s is not None
            assert 0 < refusal.retry_after_s <= 60
        await it.resolve("chat")
        await call(it, "GetStatus", (*WITH_KEY, ("x-forebay-client", "192.0.2.1")))


async def test_guesses_at_once_are_heard_no_more_than_five_times_and_keep_nobody_else_waiting() -> None:
    async with serving(management_key=KEY) as it:
        guesser, other = ("x-forebay-client", "192.0.2.1"), ("x-forebay-client", "192.0.2.2")
        guesses = [refused(guess(it, number, guesser)) for number in range(4 * MOST)]
        calls = [call(it, "GetStatus", (*WITH_KEY, other)) for _ in range(4 * MOST)]
        refusals, _ = await asyncio.gather(asyncio.gather(*guesses), asyncio.gather(*calls))
        codes = [refusal.code for refusal in refusals]
        assert (codes.count(UNAUTHENTICATED), codes.count(RESOURCE_EXHAUSTED)) == (MOST, 3 * MOST)


async def test_what_an_address_is_told_that_is_not_heard_does_not_tell_whether_its_key_is_right() -> None:
    async with serving(management_key=KEY) as it:
        client = ("x-forebay-client", "192.0.2.1")
        for number in range(MOST):
            await refused(guess(it, number, client))
        garbled = it.channel.unary_unary(f"/{SERVICE.full_name}/Drain", request_serializer=lambda _: b"\xff")
        for shown in (("x-management-key", KEY), ("x-management-key", "guess")):
            refusal = await refused(garbled(None, timeout=TIMEOUT_S, metadata=(shown, client)))
            assert (refusal.code, refusal.reason) == (RESOURCE_EXHAUSTED, "TOO_MANY_FAILED_KEYS")


async def test_wrong_keys_are_those_of_the_client_that_an_edge_calls_for() -> None:
    async with serving(management_key=KEY) as it:
        clients = [("x-forebay-client", f"2001:db8::{number}") for number in range(MOST + 1)]
        for number, client in enumerate(clients[:MOST]):
            assert (await refused(guess(it, number, client))).code == UNAUTHENTICATED
        assert (await refused(guess(it, 99, clients[-1]))).code == RESOURCE_EXHAUSTED, "they are of one network"
        await call(it, "GetStatus", WITH_KEY)
        await call(it, "GetStatus", (*WITH_KEY, ("x-forebay-client", "2001:db8:0:1::1")))


async def test_a_missing_key_is_no_guess_and_no_client_has_a_name_of_any_length() -> None:
    async with serving(management_key=KEY) as it:
        for number in range(2 * MOST):
            assert (await refused(call(it, "GetStatus", ()))).code == UNAUTHENTICATED
            names = ("x-forebay-client", "n" * 1000 + str(number))
            assert (await refused(guess(it, number, names))).code == (
                UNAUTHENTICATED if number < MOST else RESOURCE_EXHAUSTED
            )
        await call(it, "GetStatus", WITH_KEY)


@pytest.mark.parametrize("token", ["", TOKEN])
async def test_where_there_is_no_key_there_is_no_service(token: str) -> None:
    async with serving(token=token, shown=token) as it:
        for method in METHODS:
            for shown in ((), WITH_KEY, (("x-management-key", ""),)):
                refusal = await refused(call(it, method, (*it.metadata, *shown)))
                assert refusal.code == UNIMPLEMENTED
                assert "FOREBAY_MANAGEMENT_KEY" in refusal.message
        assert SERVICE.full_name not in await services(it)


async def test_where_there_is_no_token_the_key_is_enough_and_opens_nothing_else() -> None:
    async with serving(management_key=KEY) as it:
        await call(it, "Drain", WITH_KEY, target_id="one/m#0", drained=True)
        assert SERVICE.full_name in await services(it)
    async with serving(token=TOKEN, management_key=KEY) as it:
        it.metadata = WITH_KEY
        assert (await refused(it.resolving("m"))).code == UNAUTHENTICATED
        it.metadata = (("authorization", f"Bearer {KEY}"),)
        assert (await refused(it.resolving("m"))).code == UNAUTHENTICATED


async def test_a_clear_ends_a_cool_down() -> None:
    async with serving(management_key=KEY) as it:
        await it.report(failed(await it.resolve("solo"), plan_pb2.DISPOSITION_CREDENTIAL))
        assert (await refused(it.resolving("solo"))).code == UNAVAILABLE
        await call(it, "ClearCooldown", WITH_KEY, target_id="one/s#0")
        assert await it.first("solo") == "one/s#0"
        assert [change.state for change in it.told] == ["cooling", "cleared"]


async def test_a_drained_target_is_out_until_it_is_put_back() -> None:
    async with serving(management_key=KEY) as it:
        await call(it, "Drain", WITH_KEY, target_id="one/m#0", drained=True)
        assert {await it.first("Turns") for _ in range(3)} == {"two/m#0"}
        assert [(v.target_id, v.available, v.reason) for v in (await it.explain("Turns")).targets] == [
            ("two/m#0", True, "number 1"),
            ("one/m#0", False, "drained"),
        ]
        await call(it, "Drain", WITH_KEY, target_id="one/m#0", drained=False)
        assert {await it.first("Turns") for _ in range(2)} == {"one/m#0", "two/m#0"}


async def test_an_unknown_target_is_not_found() -> None:
    async with serving(management_key=KEY) as it:
        for method, fields in (("ClearCooldown", {}), ("Drain", {"drained": True}), ("Drain", {"drained": False})):
            refusal = await refused(call(it, method, WITH_KEY, target_id="one/gone#0", **fields))
            assert (refusal.code, refusal.reason) == (NOT_FOUND, "TARGET_NOT_FOUND")


async def test_a_deadline_is_required() -> None:
    async with serving(management_key=KEY) as it:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await it.admin.Drain(pb.DrainRequest(target_id="one/m#0"), metadata=WITH_KEY)
        assert caught.value.code().value[0] == INVALID_ARGUMENT
