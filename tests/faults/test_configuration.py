"""Rows 27 and 28 of the fault matrix: files that are half written, invalid or corrupt."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver_service.adapters.stores_sqlite import FILE
from tests.support.away import Away, away
from tests.support.load import load
from tests.support.processes import start_resolver
from tests.support.setup import config_text, until


def told(it: Away, event: str) -> list[dict[str, object]]:
    lines = map(json.loads, it.resolver.errors.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def put(path: Path, content: bytes) -> None:
    """In one step: whoever truncates a file and writes it anew has an empty one for a while."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


async def test_half_a_file_changes_nothing_until_it_is_whole(tmp_path: Path) -> None:
    async with away(tmp_path, settled_ms=5) as it:
        new = it.config.read_text().replace("for talking", "for talking anew")
        within = [at + 5 for at, character in enumerate(new) if character == "{"]
        async with load(it.edge.address, clients=4) as asking:
            for number, at in enumerate(within, 1):
                put(it.config, new[:at].encode())

                async def are_told(number: int = number) -> bool:
                    return len(told(it, "config_rejected")) == number

                await until(are_told)
                await asking.progress(2)
            put(it.config, new.encode())

            async def is_new() -> bool:
                return (await it.client.get("/v1/models/chat")).json()["description"] == "for talking anew"

            await until(is_new)
        assert not asking.errors
        assert asking.served == asking.requests == it.hits
        assert len(told(it, "config_reloaded")) == 1


INVALID: dict[str, Callable[[str], str]] = {
    "a wrong value": lambda text: text.replace("priority: 0", "priority: none"),
    "a dangling reference": lambda text: text.replace("members: [{pool: pool}]", "members: [{pool: pol}]"),
    "no YAML": lambda text: text + "\n\tno YAML",
    "NUL": lambda text: text + "\0",
    "another shape": lambda text: "[]",
    "no UTF-8": lambda text: text.replace("for talking", "\udcff"),
}


async def test_an_invalid_file_changes_nothing_and_is_told_of_once(tmp_path: Path) -> None:
    async with away(tmp_path, settled_ms=5) as it:
        text = it.config.read_text()
        for number, change in enumerate(INVALID.values(), 1):
            put(it.config, change(text).encode(errors="surrogateescape"))

            async def is_told(number: int = number) -> bool:
                return len(told(it, "config_rejected")) == number

            await until(is_told)
            it.config.touch()
            assert (await it.chat()).status_code == 200
        it.config.unlink()

        async def is_missed() -> bool:
            return bool(told(it, "config_unreadable"))

        await until(is_missed)
        assert (await it.chat()).status_code == 200
        put(it.config, text.replace("id: chat", "id: talk").encode())

        async def is_good_again() -> bool:
            return (await it.chat("talk")).status_code == 200

        await until(is_good_again)
        rejected = told(it, "config_rejected")
        assert [(line["kept_revision"], bool(line["errors"])) for line in rejected] == [(1, True)] * len(INVALID)
        assert it.hits == len(INVALID) + 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\0garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000],
    ids=["empty", "garbage", "a head without a body"],
)
async def test_a_resolver_starts_whatever_its_state_file_holds(tmp_path: Path, content: bytes) -> None:
    config, state = tmp_path / "forebay.yaml", tmp_path / "state"
    config.write_text(config_text("http://127.0.0.1:9/v1"))
    state.mkdir()
    (state / FILE).write_bytes(content)
    resolver = await start_resolver(config, "--state-dir", str(state), errors=tmp_path / "resolver.log")
    assert await resolver.stop(signal.SIGTERM) == 0
    log = resolver.errors.read_text()
    assert ('"event": "state_corrupt"' in log) == bool(content)
    assert [file.read_bytes() for file in state.glob(f"{FILE}.corrupt-*")] == ([content] if content else [])
    assert (state / FILE).read_bytes().startswith(b"SQLite format 3\0")
