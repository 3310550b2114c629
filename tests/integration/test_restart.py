"""What a resolver knows outlives it: killed or stopped."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from forebay.resolver.v1 import plan_pb2, pool_admin_service_pb2, pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.support.processes import Process, start_resolver

CONFIG = """
providers:
  - {id: one, dialect: openai, base-url: "https://one.example", models: [m, n], credentials: [env:A, env:B]}
  - {id: two, dialect: openai, base-url: "https://two.example", models: [m]}
model-pools:
  pools: [{id: turns, members: [{provider: one, model: t}, {provider: two, model: t}]}]
"""
TIMEOUT_S = 5.0
KEY = "the-key"


class Resolver:
    """A resolver that is started again and again over one state directory."""

    def __init__(self, directory: Path) -> None:
        self.config, self.log, self.state = directory / "forebay.yaml", directory / "log", directory / "state"
        self.config.write_text(CONFIG)

    async def start(self) -> Process:
        arguments = ("--state-dir", str(self.state), "--drain", "0")
        return await start_resolver(self.config, *arguments, errors=self.log, FOREBAY_MANAGEMENT_KEY=KEY)


@pytest.fixture
def resolver(tmp_path: Path) -> Resolver:
    return Resolver(tmp_path)


async def resolve(process: Process, model: str) -> plan_pb2.Plan:
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
        return (await stub.Resolve(pb.ResolveRequest(model=model, will_report=True), timeout=TIMEOUT_S)).plan


async def targets(process: Process, model: str) -> list[str]:
    return [attempt.target_id for attempt in (await resolve(process, model)).attempts]


async def refuse_credential(process: Process, plan: plan_pb2.Plan) -> None:
    """The credential of the plan's first attempt is refused."""
    failed = pb.AttemptFailed(
        target_id=plan.attempts[0].target_id,
        health_generation=plan.attempts[0].health_generation,
        disposition=plan_pb2.DISPOSITION_CREDENTIAL,
    )
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
        reports = [pb.OutcomeReport(decision_id=plan.decision_id, failed=failed)]
        await stub.Report(pb.ReportRequest(reports=reports), timeout=TIMEOUT_S)


async def drain(process: Process, target: str) -> None:
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(channel)
        request = pool_admin_service_pb2.DrainRequest(target_id=target, drained=True)
        await stub.Drain(request, timeout=TIMEOUT_S, metadata=(("x-management-key", KEY),))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_cool_downs_drains_and_turns_outlive_it(resolver: Resolver, number: int) -> None:
    process = await resolver.start()
    plan = await resolve(process, "m")
    assert [a.target_id for a in plan.attempts] == ["one/m#0", "one/m#1", "two/m#0"]
    firsts = [(await targets(process, "turns"))[0] for _ in range(3)]
    await refuse_credential(process, plan)
    await drain(process, "two/m#0")
    if number == signal.SIGKILL:
        await asyncio.sleep(0.5)  # Written behind: a crash may cost the last tenth of a second.
    assert await process.stop(number) == (-signal.SIGKILL if number == signal.SIGKILL else 0)

    process = await resolver.start()
    try:
        assert await targets(process, "m") == ["one/m#1"]
        assert await targets(process, "n") == ["one/n#1"], "the credential cools for every model"
        after = [(await targets(process, "turns"))[0].partition("/")[0] for _ in range(2)]
        assert [first.partition("/")[0] for first in firsts] == ["one", "two", "one"]
        assert after == ["two", "one"]
        # A report about a plan of the last life does not count against what has changed since.
        await refuse_credential(process, plan)
    finally:
        assert await process.stop() == 0
    log = resolver.log.read_text()
    assert log.count('"event": "credential_refused"') == 1
    assert '"event": "drained"' in log
