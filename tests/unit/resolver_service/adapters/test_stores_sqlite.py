from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from resolver_service.adapters import stores_sqlite
from resolver_service.adapters.stores_sqlite import FILE, GIVEN_OUT, SqliteState
from resolver_service.domain.bindings import KEPT_S, Binding
from resolver_service.domain.health import WELL, Health, failed, probe_taken, succeeded
from resolver_service.domain.policy import LONGEST_COOL_DOWN_S, CoolDownBounds, Disposition


class Machine:
    """The clocks of a machine, which is started anew now and then, and its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now, self.wall = 1000.0, 1_700_000_000.0

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[SqliteState]:
        state = SqliteState(self.directory, lambda: self.now, lambda: self.wall)
        keeping = asyncio.create_task(state.keep())
        try:
            yield state
        finally:
            state.stop()
            await keeping

    def restarted(self, after_s: float, *, wall_jump_s: float = 0.0) -> None:
        """The monotonic clock begins anew; the other goes on, unless somebody sets it."""
        self.now = 5.0
        self.wall += after_s + wall_jump_s


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "state")


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


def cooled(now: float, told_s: float | None = None, disposition: Disposition = Disposition.QUOTA) -> Health:
    """Under bounds that let a provider ask for as much as any may."""
    bounds = CoolDownBounds(max_s=LONGEST_COOL_DOWN_S)
    return failed(WELL, generation=0, disposition=disposition, retry_after_s=told_s, now=now, bounds=bounds)


async def test_all_of_it_is_there_in_the_next_life(machine: Machine) -> None:
    well = succeeded(cooled(machine.now), generation=1)
    counted = cooled(machine.now, disposition=Disposition.TIMEOUT)
    async with machine.life() as state:
        stores = state.stores
        stores.rotation.take([("pool:a", 0), ("cluster:b", -(10**30))])
        stores.rotation.take([("pool:a", 0)])
        for scope, health in (("cooling", cooled(machine.now)), ("well", well), ("counted", counted)):
            stores.health.put(scope, health)
        for target in ("x", "y"):
            stores.drains.put(target, drained=True)
    machine.restarted(100)
    async with machine.life() as state:
        stores = state.stores
        assert [stores.rotation.turn(k) for k in (("pool:a", 0), ("cluster:b", -(10**30)), ("pool:c", 0))] == [2, 1, 0]
        assert stores.health.get("cooling").retry_after_s(machine.now) == pytest.approx(200)
        assert stores.health.get("cooling").reason is Disposition.QUOTA
        assert stores.health.get("cooling").tallies == cooled(0).tallies
        assert (stores.health.get("well"), stores.health.get("counted")) == (well, counted)
        assert stores.health.latest == 2 + GIVEN_OUT
        assert stores.drains.drained() == {"x", "y"}
        stores.drains.put("x", drained=False)
        stores.health.put("counted", WELL)
    machine.restarted(1)
    async with machine.life() as state:
        assert state.stores.drains.drained() == {"y"}
        assert state.stores.health.scopes() == {"cooling", "well"}


async def test_what_is_bound_is_there_in_the_next_life_as_long_as_it_is_kept(machine: Machine) -> None:
    early, late = Binding("one/m#0", "chat", machine.wall - 100), Binding("two/m#1", "chat", machine.wall)
    async with machine.life() as state:
        for key in (b"late", b"\0\xff", b"gone"):
            state.stores.bindings.put(key, late)
        state.stores.bindings.put(b"early", early)
        state.stores.bindings.forget(b"gone")
    machine.restarted(1)
    async with machine.life() as state:
        found = [state.stores.bindings.get(key) for key in (b"late", b"\0\xff", b"gone", b"early")]
        assert found == [late, late, None, early]
        state.stores.bindings.forget(b"late")
    machine.restarted(KEPT_S - 50)
    async with machine.life() as state:
        assert [state.stores.bindings.get(key) for key in (b"late", b"\0\xff", b"early")] == [None, late, None]


async def test_those_that_make_room_for_others_are_gone_in_the_next_life_too(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machine.life() as state:
        monkeypatch.setattr(state._bindings, "_most", 2)
        for number in range(4):
            state.stores.bindings.put(b"%d" % number, Binding("one/m#0", "chat", machine.wall))
    async with machine.life() as state:
        assert [number for number in range(4) if state.stores.bindings.get(b"%d" % number)] == [2, 3]


async def test_a_file_of_the_version_before_is_taken_on(machine: Machine) -> None:
    async with machine.life() as state:
        state.stores.drains.put("x", drained=True)
    with contextlib.closing(sqlite3.connect(machine.directory / FILE)) as connection:
        connection.execute("DROP TABLE bindings")
        connection.execute("PRAGMA user_version = 1")
    async with machine.life() as state:
        assert state.stores.drains.drained() == {"x"}
        state.stores.bindings.put(b"k", Binding("one/m#0", "chat", machine.wall))
    async with machine.life() as state:
        assert state.stores.bindings.get(b"k") is not None


@pytest.mark.parametrize(
    ("after_s", "wall_jump_s", "left_s"),
    [
        (10, 0, 110),
        (130, 0, 0),
        (10, -1_000_000, 120),  # Put back: as long as was left, and no longer.
        (10, 1_000_000, 0),
        (10, -10, 120),
    ],
)
async def test_a_cool_down_ends_when_it_would_have_and_never_later_than_told(
    machine: Machine, after_s: float, wall_jump_s: float, left_s: float
) -> None:
    async with machine.life() as state:
        state.stores.health.put("s", cooled(machine.now, told_s=120))
    machine.restarted(after_s, wall_jump_s=wall_jump_s)
    async with machine.life() as state:
        assert state.stores.health.get("s").retry_after_s(machine.now) == pytest.approx(left_s)


@pytest.mark.parametrize("wall_jump_s", [0, -1_000_000])
async def test_a_cool_down_is_restored_whatever_the_present_bound_but_none_is_longer_than_any_may_be(
    machine: Machine, wall_jump_s: float
) -> None:
    async with machine.life() as state:
        for scope in ("as told", "beyond"):
            state.stores.health.put(scope, cooled(machine.now, told_s=LONGEST_COOL_DOWN_S))
    with contextlib.closing(sqlite3.connect(machine.directory / FILE, isolation_level=None)) as writer:
        writer.execute("UPDATE health SET cooling_s = 1e12 WHERE scope = 'beyond'")
    machine.restarted(0, wall_jump_s=wall_jump_s)
    async with machine.life() as state:
        for scope in ("as told", "beyond"):
            left_s = state.stores.health.get(scope).retry_after_s(machine.now)
            assert left_s == pytest.approx(LONGEST_COOL_DOWN_S)


async def test_a_probe_of_the_last_life_is_handed_out_anew(machine: Machine) -> None:
    async with machine.life() as state:
        state.stores.health.put("s", probe_taken(cooled(machine.now - 300), holder="d", now=machine.now))
    machine.restarted(1)
    async with machine.life() as state:
        health = state.stores.health.get("s")
        assert (health.availability(machine.now), health.probe_holder) == ("probe", "")


async def test_it_is_written_soon_together_and_not_in_the_event_loop(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores_sqlite, "FLUSH_S", 0.05)
    writes: list[int] = []
    write = SqliteState._write
    monkeypatch.setattr(
        SqliteState, "_write", lambda self, c, changes: (writes.append(len(changes.health)), write(self, c, changes))
    )
    async with machine.life() as state:
        for number in range(50):
            state.stores.health.put(f"s{number % 5}", Health(generation=number))
        assert writes == []
        await asyncio.sleep(0.2)
        assert writes == [5]
        with contextlib.closing(sqlite3.connect(machine.directory / FILE)) as reader:
            assert reader.execute("SELECT count(*) FROM health").fetchone() == (5,)


@pytest.mark.parametrize("content", [b"this is no database at all " * 100, b"SQLite format 3\0" + b"\x07" * 5000])
async def test_a_corrupt_file_is_moved_aside_and_warned_of(machine: Machine, lines: list[Any], content: bytes) -> None:
    machine.directory.mkdir()
    (machine.directory / FILE).write_bytes(content)
    async with machine.life() as state:
        assert not state.stores.health.scopes()
        state.stores.drains.put("x", drained=True)
    (aside,) = machine.directory.glob(f"{FILE}.corrupt-*")
    assert aside.name == f"{FILE}.corrupt-1700000000"
    assert aside.read_bytes() == content
    assert [(line["event"], line["log_level"]) for line in lines] == [("state_corrupt", "warning")]
    async with machine.life() as state:
        assert state.stores.drains.drained() == {"x"}


async def test_a_file_that_was_torn_in_the_middle_is_corrupt(machine: Machine, lines: list[Any]) -> None:
    async with machine.life() as state:
        for number in range(500):
            state.stores.health.put(f"scope-{number}", cooled(machine.now))
    content = bytearray((machine.directory / FILE).read_bytes())
    content[4096 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4096)
    (machine.directory / FILE).write_bytes(content)
    async with machine.life() as state:
        assert not state.stores.health.scopes()
    assert [line["event"] for line in lines] == ["state_corrupt"]


async def test_a_directory_that_cannot_be_used_costs_a_warning(machine: Machine, lines: list[Any]) -> None:
    machine.directory.write_text("a file")
    async with machine.life() as state:
        state.stores.drains.put("x", drained=True)
        assert state.stores.drains.drained() == {"x"}
    assert [(line["event"], line["log_level"]) for line in lines] == [("state_not_kept", "warning")]


async def test_a_file_that_cannot_be_opened_is_left_alone(machine: Machine, lines: list[Any]) -> None:
    (machine.directory / FILE).mkdir(parents=True)
    async with machine.life() as state:
        state.stores.rotation.take([("pool:a", 0)])
        assert state.stores.rotation.turn(("pool:a", 0)) == 1
    assert (machine.directory / FILE).is_dir()
    assert [line["event"] for line in lines] == ["state_not_kept"]


async def test_without_a_file_nothing_piles_up_to_be_written(machine: Machine, lines: list[Any]) -> None:
    (machine.directory / FILE).mkdir(parents=True)
    async with machine.life() as state:
        state.stores.bindings.put(b"key", Binding("one/m#0", "m", machine.wall))
        state.stores.health.put("one/m#0", cooled(machine.now))
    assert lines
    assert not state._bindings.changed | state._health.changed


async def test_a_file_of_a_later_version_is_left_alone(machine: Machine, lines: list[Any]) -> None:
    async with machine.life() as state:
        state.stores.drains.put("x", drained=True)
    with contextlib.closing(sqlite3.connect(machine.directory / FILE)) as writer:
        writer.execute("PRAGMA user_version = 99")
    async with machine.life() as state:
        assert not state.stores.drains.drained()
        state.stores.drains.put("y", drained=True)
    with contextlib.closing(sqlite3.connect(machine.directory / FILE)) as reader:
        assert reader.execute("SELECT target FROM drains").fetchall() == [("x",)]
    assert [line["event"] for line in lines] == ["state_not_kept"]
    assert "version 99" in lines[0]["error"]


async def test_a_full_disk_is_warned_of_once_and_written_to_when_there_is_room(
    machine: Machine, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores_sqlite, "FLUSH_S", 0.01)
    monkeypatch.setattr(stores_sqlite, "RETRY_S", 0.02)
    async with machine.life() as state:
        assert state._connection is not None
        (pages,) = state._connection.execute("PRAGMA page_count").fetchone()
        state._connection.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(500):
            state.stores.health.put(f"scope-{number}", cooled(machine.now))
        async with asyncio.timeout(20):
            while not lines:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert [line["event"] for line in lines] == ["state_not_kept"]
        assert len(state.stores.health.scopes()) == 500
        state._connection.execute("PRAGMA max_page_count = 1000000")
        async with asyncio.timeout(20):
            while len(lines) < 2:
                await asyncio.sleep(0.01)
        assert lines[1]["event"] == "state_kept_again"
    async with machine.life() as state:
        assert len(state.stores.health.scopes()) == 500


async def test_a_file_that_is_removed_meanwhile_is_warned_of(machine: Machine, lines: list[Any]) -> None:
    async with machine.life() as state:
        for file in machine.directory.iterdir():
            file.unlink()
        state.stores.drains.put("x", drained=True)
    assert [line["event"] for line in lines] == ["state_not_kept"]
    assert "removed" in lines[0]["error"]
    assert list(machine.directory.iterdir()) == []


async def test_without_a_file_nothing_is_gathered_for_it(machine: Machine, lines: list[Any]) -> None:
    machine.directory.write_text("a file")
    async with machine.life() as state:
        state.stores.bindings.put(b"key", Binding("one/m#0", "chat", machine.wall))
    assert not state._bindings.changed


async def test_a_row_that_makes_no_sense_is_left_out(machine: Machine, lines: list[Any]) -> None:
    async with machine.life() as state:
        for scope in ("a", "b", "c", "d"):
            state.stores.health.put(scope, cooled(machine.now))
    with contextlib.closing(sqlite3.connect(machine.directory / FILE, isolation_level=None)) as writer:
        writer.execute("UPDATE health SET reason = 'unheard-of' WHERE scope = 'a'")
        writer.execute("UPDATE health SET tallies = '[]' WHERE scope = 'b'")
        writer.execute("UPDATE health SET cooling_s = 'long' WHERE scope = 'c'")
    async with machine.life() as state:
        assert state.stores.health.scopes() == {"d"}
    assert {line["event"] for line in lines} == {"state_not_understood"}
    assert sorted(line["scope"] for line in lines) == ["a", "b", "c"]
