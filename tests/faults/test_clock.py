"""Row 32 of the fault matrix: wall clocks that jump. Only what providers say in dates, and what outlives a restart, is
told by them; all else by a clock that never does."""

from __future__ import annotations

import time
from email.utils import formatdate
from pathlib import Path

import httpx2
import pytest

from tests.support.faulty_upstream import Connection, provider, refuses, says
from tests.support.processes import PLAIN, Process, start
from tests.support.setup import config_text, until

DAY_S = 86400.0


class Clock:
    """The wall clock of services."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "clock"
        self.jump(0.0)

    def jump(self, seconds: float) -> None:
        """To so many seconds off."""
        new = self.file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.file)

    async def start(self, service: str, *arguments: str, errors: Path) -> Process:
        flags = (service, *arguments, "--listen", "127.0.0.1:0")
        return await start(
            "tests.support.altered", *flags, errors=errors, environment={"ALTERED_CLOCK": str(self.file)}
        )


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["forward", "back"])
async def test_cool_downs_last_as_long_as_they_should(tmp_path: Path, jump_s: float) -> None:
    clock = Clock(tmp_path)
    config, state = tmp_path / "forebay.yaml", ("--state-dir", str(tmp_path / "state"))
    async with provider(refuses(429, retry_after="2")) as short, provider(refuses(429, retry_after="100")) as long:
        config.write_text(config_text(short.url, long.url).replace("models: [m]", "models: [m, n]", 1))
        resolver = await clock.start("resolver_service", "--config", str(config), *state, errors=tmp_path / "r.log")
        edge = await clock.start(
            "edge_service", "--resolver", resolver.address, "--ops-listen", "", errors=tmp_path / "e.log"
        )
        try:
            async with httpx2.AsyncClient(base_url=edge.address, verify=PLAIN) as client:

                async def ask(model: str) -> httpx2.Response:
                    return await client.post("/v1/chat/completions", json={"model": model, "messages": []})

                began_at = time.monotonic()
                assert (await ask("chat")).status_code == 429
                clock.jump(jump_s)
                again = await ask("chat")
                assert (again.status_code, again.headers["retry-after"] in ("1", "2")) == (429, True)
                assert [len(short.calls), len(long.calls)] == [1, 1]
                short.script = says("hello")

                async def is_back() -> bool:
                    return (await ask("chat")).status_code == 200

                await until(is_back)
                assert time.monotonic() - began_at > 1.9
                assert [len(short.calls), len(long.calls)] == [2, 1]

                # A date is what the provider's clock says, and the edge's own is all there is to compare it with.
                async def until_a_date(connection: Connection) -> None:
                    date = formatdate(time.time() + jump_s + 100, usegmt=True)
                    await refuses(429, retry_after=date)(connection)

                short.script = until_a_date
                assert 98 <= int((await ask("n")).headers["retry-after"]) <= 100
        finally:
            assert await edge.stop() == 0
            assert await resolver.stop() == 0
        # Over a restart the wall clock is all there is: put back, it lengthens nothing.
        clock.jump(jump_s - DAY_S)
        resolver = await clock.start("resolver_service", "--config", str(config), *state, errors=tmp_path / "r.log")
        edge = await clock.start(
            "edge_service", "--resolver", resolver.address, "--ops-listen", "", errors=tmp_path / "e.log"
        )
        try:
            async with httpx2.AsyncClient(base_url=edge.address, verify=PLAIN) as client:

                async def ready() -> bool:
                    return (await client.get("/readyz")).status_code == 200

                await until(ready)
                response = await client.post("/v1/chat/completions", json={"model": "n", "messages": []})
                assert (response.status_code, len(short.calls)) == (429, 3), "it still cools"
                assert 90 <= int(response.headers["retry-after"]) <= 100
        finally:
            assert await edge.stop() == 0
            assert await resolver.stop() == 0
