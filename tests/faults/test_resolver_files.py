"""Rows 27, 28 and 32 of the fault matrix: the resolver's files are half written, invalid or corrupt, or were written
under another wall clock."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc.aio

from forebay.resolver.v1 import plan_pb2, pool_admin_service_pb2, pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.adapters.stores_sqlite import FILE
from tests.support.metrics import metrics
from tests.support.processes import Process, run, start_resolver
from tests.support.setup import until

TIMEOUT_S = 5.0
KEY = "the-key"
PROVIDERS = """providers:
  - {id: a, dialect: openai, base-url: "https://a.example/v1", models: [m]}
  - {id: b, dialect: openai, base-url: "https://b.example/v1", models: [m]}
  - {id: c, dialect: openai, base-url: "https://c.example/v1", models: [m]}
"""


def config(pools: Sequence[str]) -> str:
    lines = (f"    - {{id: {pool}, members: [{{provider: a, model: m}}]}}\n" for pool in pools)
    return f"{PROVIDERS}model-pools:\n  pools:\n{''.join(lines)}"


class Asked:
    """A resolver that runs, and what it says of itself."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.channel = grpc.aio.insecure_channel(process.address)
        self.stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(self.channel)
        self.admin: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(self.channel)

    async def __aenter__(self) -> Asked:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        assert await self.process.stop() == 0

    async def metrics(self) -> dict[str, float]:
        return await metrics(self.process)

    async def pools(self) -> list[str]:
        models = (await self.stub.ListModels(pb.ListModelsRequest(), timeout=TIMEOUT_S)).models
        return [model.id for model in models if model.kind == "pool"]

    async def waits_s(self) -> dict[str, float]:
        """How long each target is to be left alone."""
        request = pb.ExplainRequest(request=pb.ResolveRequest(model="m"))
        targets = (await self.stub.Explain(request, timeout=TIMEOUT_S)).targets
        return {target.target_id: target.retry_after_ms / 1000 for target in targets}

    async def cool(self, target: str) -> None:
        """For five minutes."""
        failed = pb.AttemptFailed(
            target_id=target, disposition=plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=300_000
        )
        report = pb.OutcomeReport(failed=failed)
        await self.stub.Report(pb.ReportRequest(reports=[report]), timeout=TIMEOUT_S)

    async def drain(self, target: str) -> None:
        request = pool_admin_service_pb2.DrainRequest(target_id=target, drained=True)
        await self.admin.Drain(request, timeout=TIMEOUT_S, metadata=(("x-management-key", KEY),))

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.process.errors.read_text().splitlines()]


async def started(file: Path, *arguments: str) -> Asked:
    log = file.with_name("log")
    return Asked(await start_resolver(file, "--drain", "0", *arguments, errors=log, FOREBAY_MANAGEMENT_KEY=KEY))


async def test_row_27_no_file_but_a_whole_and_valid_one_takes_effect(tmp_path: Path) -> None:
    file = tmp_path / "forebay.yaml"
    file.write_text(config(["first"]))
    async with await started(file) as it:

        async def rejected(times: int) -> None:
            async def are_counted() -> bool:
                return (await it.metrics())['forebay_config_reloads_total{result="rejected"}'] == times

            await until(are_counted)
            assert await it.pools() == ["first"]

        file.write_text(config(["second"])[:-10])
        await rejected(1)
        file.write_text("# pools: [second]\n")
        await rejected(2)

        # Cut at the end of a line it is valid: what takes its time to be written is waited for.
        names = [f"pool-{number}" for number in range(15)]
        with file.open("w") as writing:
            for line in config(names).splitlines(keepends=True):
                writing.write(line)
                writing.flush()
                await asyncio.sleep(0.05)

        async def is_whole() -> bool:
            return await it.pools() == names

        await until(is_whole)
        metrics = await it.metrics()
        assert metrics["forebay_config_revision"] == 2
        assert metrics['forebay_config_reloads_total{result="accepted"}'] == 1
        assert metrics['forebay_config_reloads_total{result="rejected"}'] == 2
        half, nothing = (line for line in it.log() if line["event"] == "config_rejected")
        assert half["errors"][0].startswith("line ")
        assert nothing["errors"] == ["the file says nothing; an empty configuration is written as {}"]
        assert (half["kept_revision"], nothing["kept_revision"]) == (1, 1)


async def test_row_27_the_first_boot_exits_with_the_errors(tmp_path: Path) -> None:
    async def boot(path: Path) -> tuple[int, str]:
        status, _, errors = await run("resolver_service", "--config", str(path))
        return status, errors

    half, nothing, nowhere = (tmp_path / name for name in ("half", "nothing", "nowhere"))
    half.write_text(config(["first"])[:-10])
    nothing.write_text("# to be written\n")
    ends = await asyncio.gather(boot(half), boot(nothing), boot(nowhere))
    assert [status for status, _ in ends] == [1, 1, 1]
    said = [errors for _, errors in ends]
    assert said[0].startswith(f"{half} is not a valid configuration:\nline ")
    assert said[1] == (
        f"{nothing} is not a valid configuration:\nthe file says nothing; an empty configuration is written as {{}}\n"
    )
    assert said[2].startswith(f"forebay-resolver: there is no file {nowhere}: ")


async def test_rows_28_and_32_what_is_remembered_survives_another_clock_and_no_corruption(tmp_path: Path) -> None:
    file, state = tmp_path / "forebay.yaml", tmp_path / "state"
    file.write_text(PROVIDERS)
    keep = ("--state-dir", str(state))
    async with await started(file, *keep) as it:
        await it.cool("a/m#0")
        await it.cool("b/m#0")
        await it.drain("c/m#0")

    # To the next start a file that was written hours ahead is one over which the clock was put back.
    connection = sqlite3.connect(state / FILE)
    with connection:
        for target, hours in (("a/m#0", 5), ("b/m#0", -5)):
            connection.execute("UPDATE health SET written_at = written_at + ? WHERE scope = ?", (hours * 3600, target))
    connection.close()
    async with await started(file, *keep) as it:
        waits_s = await it.waits_s()
        assert 270 < waits_s["a/m#0"] <= 300, "as long as was left of it, and no longer"
        assert waits_s["b/m#0"] == 0
        metrics = await it.metrics()
        assert metrics['forebay_target_state{state="cooling",target="a/m#0"}'] == 1
        assert metrics['forebay_target_state{state="probing",target="b/m#0"}'] == 1
        assert metrics['forebay_target_state{state="drained",target="c/m#0"}'] == 1
        assert metrics["forebay_state_write_failures_total"] == 0

    (state / FILE).write_bytes(b"\x00garbage" * 1000)
    async with await started(file, *keep) as it:
        assert await it.waits_s() == {"a/m#0": 0, "b/m#0": 0, "c/m#0": 0}
        assert not [name for name in await it.metrics() if name.startswith("forebay_target_state")]
        (warned,) = (line for line in it.log() if line["event"] == "state_corrupt")
        assert warned["level"] == "warning"
        assert Path(warned["moved_to"]).read_bytes().startswith(b"\x00garbage")
        await it.drain("c/m#0")
    async with await started(file, *keep) as it:
        assert (await it.metrics())['forebay_target_state{state="drained",target="c/m#0"}'] == 1
