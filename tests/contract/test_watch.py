"""Revisions and health as they change, for whoever watches."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.app import watch
from tests.contract.serving import CONFIG, Served, ended, failed, serving
from tests.contract.test_pool_admin import KEY, WITH_KEY, call


def told(answer: pb.WatchResponse) -> Any:
    if answer.WhichOneof("event") == "revision":
        return answer.revision.revision
    return answer.health.target_id, answer.health.state, answer.health.retry_after_ms


async def next_of(watching: Any) -> Any:
    async with asyncio.timeout(20):
        return told(await watching.read())


def watching(it: Served, after: int = 0) -> Any:
    return it.stub.Watch(pb.WatchRequest(after_revision=after), metadata=it.metadata)


async def edit(it: Served, number: int) -> None:
    await it.configuration.offer(CONFIG.replace("takes turns", f"edit {number}").encode())


async def test_the_present_and_all_that_follows() -> None:
    async with serving() as it:
        plan = await it.resolve("solo", will_report=True)
        await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=5000))
        stream = watching(it)
        assert await next_of(stream) == 1
        assert await next_of(stream) == ("one/s#0", "cooling", 5000)
        await edit(it, 1)
        assert await next_of(stream) == 2


async def test_what_came_after_a_revision() -> None:
    async with serving() as it:
        for number in range(4):
            await edit(it, number)
        stream = watching(it, 2)
        assert [await next_of(stream) for _ in range(3)] == [3, 4, 5]
        stream = watching(it, 5)
        await edit(it, 9)
        assert await next_of(stream) == 6
        assert await next_of(watching(it, 1000)) == 6, "of another life"


async def test_health_as_it_changes_and_time_as_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.01)
    async with serving(management_key=KEY) as it:
        stream = watching(it, 1)
        await stream.initial_metadata()
        plan = await it.resolve("solo", will_report=True)
        await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=5000))
        assert await next_of(stream) == ("one/s#0", "cooling", 5000)
        it.clock.now += 2
        plan.decision_id = "another one that was under way"
        await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=9000))
        assert await next_of(stream) == ("one/s#0", "cooling", 9000)
        it.clock.now += 20
        assert await next_of(stream) == ("one/s#0", "probing", 0)
        await it.report(ended(await it.resolve("solo", will_report=True)))
        assert await next_of(stream) == ("one/s#0", "ready", 0)
        await call(it, "Drain", WITH_KEY, target_id="two/m#0", drained=True)
        assert await next_of(stream) == ("two/m#0", "drained", 0)


async def test_a_credential_that_is_refused_takes_all_its_targets_along() -> None:
    async with serving() as it:
        stream = watching(it, 1)
        await stream.initial_metadata()
        plan = await it.resolve("solo", will_report=True)
        await it.report(failed(plan, plan_pb2.DISPOSITION_CREDENTIAL))
        found = {(await next_of(stream))[0] for _ in range(4)}
        assert found == {"one/m#0", "one/s#0", "one/o#0", "one/Raw-One#0"}


async def test_it_tells_numbers_and_states_and_nothing_else() -> None:
    """To whoever has the token: who has made a change, and what it was, is for the management key."""
    async with serving(management_key=KEY) as it:
        pool = b'{"id": "secret-name", "description": "secret-words", "members": [{"provider": "one", "model": "m"}]}'
        stream = watching(it)
        first = await stream.read()
        await call(it, "UpsertPool", WITH_KEY, pool_json=pool, author="secret-author")
        second = await stream.read()
        await call(it, "Drain", WITH_KEY, target_id="one/m#0", drained=True)
        third = await stream.read()
        assert [told(each) for each in (first, second, third)] == [1, 2, ("one/m#0", "drained", 0)]
        known = {
            field.full_name.rpartition(".")[2]
            for kind in (pb.RevisionChanged, pb.HealthChanged)
            for field in kind.DESCRIPTOR.fields
        }
        assert known == {"revision", "target_id", "state", "retry_after_ms"}


async def test_a_drain_of_the_server_ends_it() -> None:
    async with serving() as it:
        stream = watching(it)
        assert await next_of(stream) == 1
        it.watch.close()
        async with asyncio.timeout(20):
            assert await stream.read() is grpc.aio.EOF
