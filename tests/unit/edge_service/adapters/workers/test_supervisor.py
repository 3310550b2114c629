"""With workers that serve nobody: a few lines that say what real ones say."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from edge_service.adapters.workers import supervisor as module
from edge_service.adapters.workers.supervisor import StartError, Supervisor
from edge_service.domain.expositions import Family, Sample

BEGINNING = """
import os, select, socket, struct, sys, time
from edge_service.adapters.workers.messages import *
from edge_service.adapters.workers.messages import _to_worker
from edge_service.domain.expositions import Family, Sample

slot, port, control, receiving, *giving = map(int, sys.argv[-1].split(","))
control = socket.socket(fileno=control)

def tell(message):
    control.sendall(frame(message))

def hear():
    length = control.recv(4, socket.MSG_WAITALL)
    return _to_worker.decode(control.recv(struct.unpack(">I", length)[0], socket.MSG_WAITALL)) if length else None

def tells(id, count):
    return Tells(id, True, (Family("c", "counter", "", (Sample("c_total", (), count),)),))

"""
GOOD = """
tell(Serves())
while not isinstance(message := hear(), (Stops, type(None))):
    if isinstance(message, Asks):
        tell(tells(message.id, 1.0))
tell(tells(0, 3.0))
"""
DEAF = """
tell(Serves())
while not isinstance(hear(), Asks):
    pass
tell(tells(1, 2.0))
time.sleep(60)
"""


def count(total: float) -> tuple[Family, ...]:
    return (Family("c", "counter", "", (Sample("c_total", (), total),)),)


class Running:
    def __init__(self, supervisor: Supervisor, announced: asyncio.Event, ends: list[None]) -> None:
        self.supervisor = supervisor
        self.announced = announced
        self.ends = ends
        self.over = asyncio.create_task(supervisor.run())

    async def is_serving(self, workers: int) -> None:
        async with asyncio.timeout(10):
            while self.supervisor.serving != workers:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(script: str, *, workers: int = 2, grace_s: float = 10.0) -> AsyncIterator[Running]:
    announced, ends = asyncio.Event(), list[None]()
    supervisor = Supervisor(
        [sys.executable, "-c", BEGINNING + script],
        1234,
        workers,
        grace_s=grace_s,
        announce=announced.set,
        tell_of_end=lambda: ends.append(None),
    )
    it = Running(supervisor, announced, ends)
    try:
        yield it
    finally:
        supervisor.stop()
        with contextlib.suppress(StartError):
            await it.over


async def test_what_they_count_is_one_count_to_the_last() -> None:
    async with running(GOOD) as it:
        await it.announced.wait()
        assert await it.supervisor.metrics() == count(2.0)
        assert await it.supervisor.is_ready()
        it.supervisor.stop()
        assert not await it.supervisor.is_ready()
        assert await it.over == 0
        assert await it.supervisor.metrics() == count(6.0)
        assert it.ends == []


async def test_what_a_dead_worker_has_counted_stays_counted(tmp_path: Path) -> None:
    """The first worker of the second place ends when it has been asked."""
    dies = f"""
if slot == 1 and not os.path.exists({str(tmp_path / "was_here")!r}):
    open({str(tmp_path / "was_here")!r}, "w").close()
    tell(Serves())
    while not isinstance(message := hear(), Asks):
        pass
    tell(tells(message.id, 5.0))
    os.kill(os.getpid(), 9)
"""
    async with running(dies + GOOD) as it:
        await it.announced.wait()
        assert await it.supervisor.metrics() == count(6.0)
        await it.is_serving(1)
        assert await it.supervisor.metrics() == count(6.0)
        await it.is_serving(2)
        assert await it.supervisor.metrics() == count(7.0)
        assert len(it.ends) == 1
        it.supervisor.stop()
        assert await it.over == 0


async def test_what_was_dealt_to_one_that_is_gone_is_for_another(tmp_path: Path) -> None:
    dealt, served = tmp_path / "dealt", tmp_path / "served"
    deals = f"""
tell(Serves())
if slot == 1:
    while not isinstance(hear(), (Asks, Stops)):
        pass
    os.kill(os.getpid(), 9)
while hear() != Serving((0, 1)):
    pass
taken, client = socket.socketpair()
socket.send_fds(socket.socket(fileno=giving[1]), [b"?"], [taken.fileno()])
taken.close()
open({str(dealt)!r}, "w").close()
while hear() != Serving((0,)):
    pass
select.select([receiving], [], [])
_, (descriptor,), _, _ = socket.recv_fds(socket.socket(fileno=receiving), 1, 1)
os.write(descriptor, b"served")
open({str(served)!r}, "wb").write(client.recv(100))
"""
    async with running(deals + GOOD) as it, asyncio.timeout(20):
        while not dealt.exists():
            await asyncio.sleep(0.01)
        asking = asyncio.create_task(it.supervisor.metrics())
        while not (served.exists() and served.read_text()):
            await asyncio.sleep(0.01)
        await asking
    assert served.read_text() == "served"


async def test_one_that_hangs_is_counted_as_it_was_and_killed_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(DEAF, workers=1, grace_s=0.1) as it:
        await it.announced.wait()
        assert await it.supervisor.metrics() == count(2.0)
        monkeypatch.setattr(module, "ANSWER_S", 0.05)
        assert await it.supervisor.metrics() == count(2.0)
        assert not await it.supervisor.is_ready()
        it.supervisor.stop()
        assert await it.over == 128 + 9


async def test_one_that_hangs_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    monkeypatch.setattr(module, "KEEP_S", 0.01)
    with structlog.testing.capture_logs() as lines:
        async with running(DEAF, workers=1, grace_s=0.1) as it:
            await it.announced.wait()
            async with asyncio.timeout(10):
                while not lines:
                    await asyncio.sleep(0.01)
            for _ in range(3):
                await it.supervisor.metrics()  # Meanwhile it is asked again.
            assert lines == [{"worker": 0, "event": "worker_silent", "log_level": "warning"}]


@pytest.mark.parametrize(
    ("script", "why", "status"),
    [
        ('tell(Fails("no")); sys.exit(1)', "no", 1),
        ("sys.exit(3)", "worker [01] ended before it served, with status 3", 3),
        ("os.kill(os.getpid(), 9)", "worker [01] ended before it served, with status -9", 137),
    ],
)
async def test_why_they_do_not_start_is_known(script: str, why: str, status: int) -> None:
    async with running(script) as it:
        with pytest.raises(StartError, match=f"^{why}$") as caught:
            await it.over
        assert caught.value.status == status
        assert not it.announced.is_set()


async def test_told_to_stop_at_once_it_is_over_soon() -> None:
    async with running(GOOD) as it:
        await asyncio.sleep(0)
        it.supervisor.stop()
        assert await it.over == 0
        assert not it.announced.is_set()


async def test_a_command_that_cannot_be_run_is_told_of() -> None:
    supervisor = Supervisor(["/nowhere/python"], 1, 2, grace_s=1.0, announce=lambda: None, tell_of_end=lambda: None)
    with pytest.raises(StartError, match="a worker cannot be started: No such file"):
        await supervisor.run()
