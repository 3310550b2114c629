"""The configuration that resolvers share, as processes: a change is everywhere before it is answered, whatever is
lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import httpx2
import pytest

from tests.support.managing import KEY, Managing, managing
from tests.support.metrics import exposition
from tests.support.processes import PLAIN, STOP_S, Process, own_host, run, start, start_edge
from tests.support.setup import config_text, until
from tests.support.valkey import Store

TEXT = config_text("http://127.0.0.1:9", "http://127.0.0.1:9")
UNUSED = "redis://127.0.0.1:1/0"
"""Nobody is there."""


def pool(name: str, model: str = "m") -> dict[str, object]:
    return {"id": name, "members": [{"provider": "p0", "model": model}]}


@dataclass
class Shared:
    directory: Path
    store: Store
    stack: contextlib.AsyncExitStack
    resolvers: list[Process] = field(default_factory=list)
    managers: list[Managing] = field(default_factory=list)

    async def resolver(self, *flags: str) -> Process:
        log = self.directory / f"resolver{len(self.resolvers)}.log"
        its = ("--store", self.store.url, "--listen", "127.0.0.1:0", *flags)
        process = await start("resolver_service", *its, errors=log, environment={"FOREBAY_MANAGEMENT_KEY": KEY})
        self.stack.push_async_callback(process.stop)
        self.resolvers.append(process)
        self.managers.append(await self.stack.enter_async_context(managing(process.address)))
        return process

    async def edge(self) -> httpx2.AsyncClient:
        """Asks an edge that knows them all, and has reached one."""
        edge = await start_edge(*(r.address for r in self.resolvers), errors=self.directory / "edge.log")
        self.stack.push_async_callback(edge.stop)
        head = {"x-management-key": KEY}
        client = await self.stack.enter_async_context(
            httpx2.AsyncClient(base_url=edge.address, headers=head, timeout=20, verify=PLAIN)
        )

        async def is_ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await until(is_ready)
        return client

    async def pools(self) -> list[set[str]]:
        """At each resolver that runs."""
        running = [m for m, r in zip(self.managers, self.resolvers, strict=True) if r.process.returncode is None]
        return [{each["id"] for each in (await m.model_pools())["pools"]} for m in running]

    async def forebay(self, *arguments: str, at: int = 0) -> tuple[int, str]:
        """The command's exit status and what it printed."""
        asked = (*arguments, "--resolver", self.resolvers[at].address)
        status, out, errors = await run("forebay_cli", *asked, FOREBAY_MANAGEMENT_KEY=KEY)
        return status, out + errors


@contextlib.asynccontextmanager
async def shared(directory: Path, count: int = 2, *flags: str) -> AsyncIterator[Shared]:
    config = directory / "forebay.yaml"
    config.write_text(TEXT)
    async with contextlib.AsyncExitStack() as stack:
        store = Store(directory / "valkey")
        stack.callback(lambda: store.stop() if store.is_running else None)
        it = Shared(directory, store, stack)
        for _ in range(count):
            await it.resolver("--config", str(config), *flags)
        yield it


async def test_a_change_is_everywhere_before_it_is_answered(tmp_path: Path) -> None:
    async with shared(tmp_path, 3) as it:
        for number in range(9):
            made = await it.managers[number % 3].put_pool(pool(f"g{number}"))
            assert made.revision == number + 2
            assert all(f"g{number}" in pools for pools in await it.pools())
        client = await it.edge()
        for number in range(9):
            answer = await client.patch("/v0/management/model-pools/pool", json=pool(f"h{number}"))
            assert answer.status_code == 200, answer.text
            assert all(f"h{number}" in pools for pools in await it.pools())
        status = (await client.get("/v0/management/status")).json()
        assert [replica["revision"] for replica in status["replicas"]] == [19, 19, 19]
        assert not any(replica["degraded"] for replica in status["replicas"])
        drained = await client.post("/v0/management/targets/p0/m%230/drain")
        assert drained.status_code == 200
        for number in range(3):
            code, told = await it.forebay("explain", "pool", at=number)
            assert (code, "drained" in told) == (0, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_resolver_that_is_lost_holds_no_change_up_for_long(tmp_path: Path, number: signal.Signals) -> None:
    async with shared(tmp_path, 3) as it:
        await it.managers[0].put_pool(pool("before"))
        it.resolvers[2].process.send_signal(number)
        # It is waited for as long as it may be there still, and no longer.
        made = await asyncio.gather(
            *(m.put_pool(pool(f"p{n}")) for n, m in enumerate(it.managers[:2])), return_exceptions=True
        )
        won = {f"p{n}" for n, each in enumerate(made) if not isinstance(each, BaseException)}
        assert won
        for each in made:
            if isinstance(each, grpc.aio.AioRpcError):
                assert each.code() is grpc.StatusCode.ABORTED
        if number is signal.SIGSTOP:
            it.resolvers[2].process.send_signal(signal.SIGCONT)
        else:
            await it.resolvers[2].process.wait()
            await it.resolver()
        expected = {"pool", "before", *won}

        async def are_everywhere() -> bool:
            return all(pools == expected for pools in await it.pools())

        await until(are_everywhere)


async def test_a_change_whose_resolver_is_killed_is_made_or_not(tmp_path: Path) -> None:
    async with shared(tmp_path, 2) as it:
        changing = asyncio.create_task(it.managers[1].put_pool(pool("p")))
        await asyncio.sleep(0)
        it.resolvers[1].process.kill()
        await it.resolvers[1].process.wait()
        with contextlib.suppress(grpc.aio.AioRpcError):
            await changing
        await it.resolver()
        first, second = await it.pools()
        assert first == second
        assert first in ({"pool"}, {"pool", "p"})
        assert len(await it.managers[0].revisions()) == len(first)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_while_the_store_is_away_changes_are_refused_and_nothing_is_half_done(tmp_path: Path, how: str) -> None:
    async with shared(tmp_path, 2) as it, contextlib.AsyncExitStack() as stack:
        client = await it.edge()

        async def are_degraded() -> bool:
            return all(["forebay_store_up 0.0" in await exposition(resolver) for resolver in it.resolvers])

        if how == "killed":
            it.store.stop()
        else:
            stack.enter_context(it.store.frozen())
        await until(are_degraded)
        answer = await client.patch("/v0/management/model-pools/pool", json=pool("p"))
        assert (answer.status_code, "store is away" in answer.text) == (503, True)
        assert await it.pools() == [{"pool"}] * 2
        status = (await client.get("/v0/management/status")).json()
        assert [replica["degraded"] for replica in status["replicas"]] == [True]
        drained = await client.post("/v0/management/targets/p0/m%230/drain")
        assert (drained.status_code, "done here" in drained.text) == (503, True)
        if how == "killed":
            it.store.start()


async def test_a_change_right_after_the_store_is_back_waits_for_all(tmp_path: Path) -> None:
    async with shared(tmp_path, 3) as it:
        it.store.stop()

        async def are_degraded() -> bool:
            return all(["forebay_store_up 0.0" in await exposition(resolver) for resolver in it.resolvers])

        await until(are_degraded)
        it.store.start()

        async def is_made() -> bool:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await it.managers[0].put_pool(pool("p"))
                return True
            return False

        await until(is_made)
        assert await it.pools() == [{"pool", "p"}] * 3


async def test_a_restart_while_the_store_is_away_serves_what_was_in_effect(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with shared(tmp_path, 1, "--state-dir", str(state)) as it:
        await it.managers[0].put_pool(pool("p"))

        async def is_copied() -> bool:
            return b'"number":2' in (state / "configuration.copy").read_bytes()

        await until(is_copied)
        await it.resolvers[0].stop(signal.SIGKILL)
        it.store.stop()
        # The file has never heard of the change, and does not count.
        await it.resolver("--config", str(tmp_path / "forebay.yaml"), "--state-dir", str(state))
        assert await it.pools() == [{"pool", "p"}]
        it.store.start()

        async def is_made() -> bool:
            with contextlib.suppress(grpc.aio.AioRpcError):
                return (await it.managers[1].put_pool(pool("q"))).revision == 3
            return False

        await until(is_made)


async def test_without_a_copy_it_waits_for_the_store(tmp_path: Path) -> None:
    config = tmp_path / "forebay.yaml"
    config.write_text(TEXT)
    store = Store(tmp_path / "valkey")
    store.stop()
    log = tmp_path / "resolver.log"
    flags = ("--config", str(config), "--store", store.url, "--listen", "127.0.0.1:0")

    async def is_waiting() -> bool:
        return log.exists() and "store_away_waiting" in log.read_text()

    starting = asyncio.create_task(start("resolver_service", *flags, errors=log))
    await until(is_waiting)
    store.start()
    resolver = await starting
    assert await resolver.stop() == 0
    store.stop()


async def test_who_waits_for_the_store_is_alive_and_can_be_told_to_stop(tmp_path: Path) -> None:
    log = tmp_path / "resolver.log"
    operations = f"{own_host()}:8403"
    flags = ("--store", UNUSED, "--ops-listen", operations)
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "resolver_service", *flags, stderr=errors)

    async def is_waiting() -> bool:
        return "store_away_waiting" in log.read_text()

    await until(is_waiting)
    async with httpx2.AsyncClient(base_url=f"http://{operations}") as client:
        answers = [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")]
    assert answers == [200, 503, 200]
    process.terminate()
    assert await process.wait() == 0


async def test_with_a_store_nothing_more_is_waited_for_at_the_end(tmp_path: Path) -> None:
    """It has tasks of its own to the last, which are no calls that were cut off."""
    patient = "from resolver_service import __main__, bootstrap; bootstrap.LAST_WORDS_S = 3600; __main__.main()"
    async with shared(tmp_path, 1) as it:
        flags = ("--store", it.store.url, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", patient, *flags), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert b"serving" in await process.stdout.readline()
        process.terminate()
        async with asyncio.timeout(STOP_S):
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("SET", "forebay:schema", "2"), "schema is '2'"),
        (("HSET", "forebay:texts", "1", "garbage"), "cannot be read"),
        (("SET", "forebay:numbers", "mine"), "WRONGTYPE"),
        (("FLUSHALL",), "--config FILE"),
    ],
)
async def test_what_is_wrong_with_the_store_is_said_and_ends_the_start(
    tmp_path: Path, command: tuple[str, ...], says: str
) -> None:
    async with shared(tmp_path, 1) as it:
        await it.resolvers[0].stop()
        if command[0] == "SET":
            it.store.ask("DEL", command[1])
        it.store.ask(*command)
        with pytest.raises(AssertionError, match="did not serve") as told:
            await it.resolver()
        assert says in str(told.value)
        assert "Traceback" not in str(told.value)


async def test_an_invalid_configuration_in_the_store_is_told_with_its_mistakes(tmp_path: Path) -> None:
    async with shared(tmp_path, 1) as it:
        await it.resolvers[0].stop()
        it.store.ask("FLUSHALL")
        (tmp_path / "forebay.yaml").write_text(TEXT + "polcy: {}\n")
        with pytest.raises(AssertionError, match="polcy"):
            await it.resolver("--config", str(tmp_path / "forebay.yaml"))
        assert it.store.ask("HLEN", "forebay:revisions") == 0, "nobody gets what is no configuration"


async def test_a_file_is_put_into_effect_by_command(tmp_path: Path) -> None:
    async with shared(tmp_path, 2) as it:
        other = tmp_path / "other.yaml"
        other.write_text(TEXT.replace("p1,", "third,").replace("provider: p1", "provider: third"))
        await it.resolver("--config", str(other))
        logged = it.resolvers[2].errors.read_text()
        assert f"forebay apply {other}" in logged
        assert "config_file_not_in_effect" not in it.resolvers[1].errors.read_text()
        bad = tmp_path / "bad.yaml"
        bad.write_text(TEXT + "polcy: {}\nmodl: 1\n")
        code, told = await it.forebay("apply", str(bad))
        assert (code, "polcy" in told, "modl" in told) == (1, True, True)
        assert await it.forebay("apply", str(other), "--validate-only") == (0, f"{other} could be put into effect\n")
        code, told = await it.forebay("apply", str(other), "--author", "ann", at=1)
        assert (code, told) == (0, f"revision 2 is in effect, as in {other}\n")
        for number in range(3):
            code, told = await it.forebay("explain", "chat", at=number)
            assert "third/m#0" in told
        code, told = await it.forebay("status")
        assert told.count("at revision 2") == 3
        assert told.count("ago") == 2
        code, told = await it.forebay("revisions")
        assert "ann" in told
        assert json.loads((await it.forebay("status", "--json"))[1])["revision"] == "2"


async def test_a_store_that_may_lose_changes_is_told_of(tmp_path: Path) -> None:
    async with shared(tmp_path, 1) as it:
        assert "forebay_store_durable 1.0" in await exposition(it.resolvers[0])
        it.store.ask("CONFIG", "SET", "appendfsync", "everysec")
        await it.resolver()
        assert "forebay_store_durable 0.0" in await exposition(it.resolvers[1])
        assert "appendfsync to always" in it.resolvers[1].errors.read_text()
