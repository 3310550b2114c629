"""Changes over gRPC and in the file, of a resolver that is asked all the time, stopped and killed."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from tests.support.faulty_upstream import says
from tests.support.load import load
from tests.support.managing import KEY, managing
from tests.support.processes import Process, start_resolver
from tests.support.setup import config_text, setup, until

ENVIRONMENT = {"FOREBAY_MANAGEMENT_KEY": KEY}


def pool(name: str, *providers: int) -> dict[str, Any]:
    return {"id": name, "members": [{"provider": f"p{n}", "model": "m"} for n in providers]}


def told(process: Process, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, process.errors.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


async def test_changes_from_both_sides_under_load_lose_nothing(tmp_path: Path) -> None:
    async with (
        setup(tmp_path, says("one"), says("two"), **ENVIRONMENT) as it,
        managing(it.services.resolver.address) as manager,
    ):
        commented = it.config.read_text().replace("  clusters:", "  # For applications.\n  clusters:")
        it.config.write_text(commented)

        async def is_taken_in() -> bool:
            return len(await manager.revisions()) == 2

        await until(is_taken_in)
        refused: list[grpc.StatusCode] = []
        async with load(it.services.url, clients=4) as asking:
            for number in range(6):
                try:
                    await manager.put_pool(pool(f"new-{number}", number % 2))
                except grpc.aio.AioRpcError as error:
                    refused.append(error.code())
                if number % 2:
                    text = it.config.read_text()
                    fresh = it.config.with_suffix(".new")
                    fresh.write_text(text + f"# edit {number}\n")
                    fresh.replace(it.config)
                await asking.progress(3)

            async def is_quiet() -> bool:
                try:
                    await manager.put_pool(pool("last", 0))
                except grpc.aio.AioRpcError:
                    return False
                return True

            await until(is_quiet)
        assert not asking.errors
        assert asking.served == asking.requests
        text = it.config.read_text()
        assert "  # For applications.\n  clusters:" in text
        assert [f"# edit {number}" in text for number in (1, 3, 5)] == [True] * 3
        ids = [p["id"] for p in (await manager.model_pools())["pools"]]
        assert set(refused) <= {grpc.StatusCode.ABORTED}
        assert len(ids) == 6 - len(refused) + 2, "each was told what became of his change"
        revisions = await manager.revisions()
        assert [r.revision for r in revisions] == list(range(len(revisions), 0, -1))
        assert {r.author for r in revisions if "edit" in r.diff} == {"file"}


async def test_the_watch_of_the_file_does_not_take_a_change_for_an_edit(tmp_path: Path) -> None:
    async with (
        setup(tmp_path, says("one"), **ENVIRONMENT) as it,
        managing(it.services.resolver.address) as manager,
    ):
        for number in range(5):
            await manager.put_pool(pool(f"new-{number}", 0))
            assert (await it.chat(f"new-{number}")).status_code == 200, "it is in effect with the answer"
        it.config.write_text(it.config.read_text() + "# by hand\n")

        async def is_taken_in() -> bool:
            return bool(told(it.services.resolver, "config_reloaded"))

        await until(is_taken_in)
        assert [line["revision"] for line in told(it.services.resolver, "config_reloaded")] == [7]
        changed = told(it.services.resolver, "config_changed")
        assert [(line["by"], line["revision"]) for line in changed] == [("UpsertPool", n) for n in range(2, 7)]


async def test_revisions_go_on_over_restarts_and_the_file_wins(tmp_path: Path) -> None:
    config = tmp_path / "forebay.yaml"
    config.write_text(config_text("http://127.0.0.1:9/v1"))
    flags = ("--state-dir", str(tmp_path / "state"), "--drain", "0")

    async def start() -> Process:
        return await start_resolver(config, *flags, errors=tmp_path / "log", **ENVIRONMENT)

    resolver = await start()
    async with managing(resolver.address) as manager:
        assert (await manager.put_pool(pool("kept", 0), author="me")).revision == 2
        await resolver.stop(signal.SIGKILL)
    assert "id: kept" in config.read_text(), "what was answered outlives a crash"
    resolver = await start()
    async with managing(resolver.address) as manager:
        assert [(r.revision, r.author) for r in await manager.revisions()] == [(2, "me"), (1, "file")]
        assert await resolver.stop() == 0
    config.write_text(config.read_text() + "# while nobody looked\n")
    resolver = await start()
    async with managing(resolver.address) as manager:
        latest = (await manager.revisions())[0]
        assert (latest.revision, latest.author) == (3, "file")
        assert "+# while nobody looked" in latest.diff
        assert (await manager.roll_back(1)).revision == 4
        assert config.read_text() == config_text("http://127.0.0.1:9/v1")
        assert await resolver.stop() == 0


async def test_who_watches_is_told_at_once_and_is_no_hindrance_to_the_end(tmp_path: Path) -> None:
    config = tmp_path / "forebay.yaml"
    config.write_text(config_text("http://127.0.0.1:9/v1"))
    resolver = await start_resolver(config, "--drain", "30", errors=tmp_path / "log", **ENVIRONMENT)
    async with managing(resolver.address) as manager:
        watching = manager.watch(1)
        await watching.initial_metadata()
        await manager.put_pool(pool("new", 0))
        async with asyncio.timeout(20):
            assert (await watching.read()).revision.revision == 2
            resolver.tell_to_stop()
            assert await watching.read() is grpc.aio.EOF
            assert await resolver.stop() == 0


@pytest.mark.parametrize("made", ["a link", "read-only"])
async def test_a_file_that_cannot_be_written_says_what_to_do(tmp_path: Path, made: str) -> None:
    config = tmp_path / "forebay.yaml"
    config.write_text(config_text("http://127.0.0.1:9/v1"))
    if made == "a link":
        config.rename(tmp_path / "data.yaml")
        config.symlink_to("data.yaml")
    else:
        config.chmod(0o444)
    resolver = await start_resolver(config, "--drain", "0", errors=tmp_path / "log", **ENVIRONMENT)
    async with managing(resolver.address) as manager:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await manager.put_pool(pool("new", 0))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "change it" in (caught.value.details() or "")
        assert [p["id"] for p in (await manager.model_pools())["pools"]] == ["pool"]
    assert await resolver.stop() == 0
