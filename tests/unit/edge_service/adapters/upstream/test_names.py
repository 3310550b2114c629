from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from edge_service.adapters.upstream.addresses import ConnectError, Guard, shortage_words
from edge_service.adapters.upstream.names import Names

HERE = [ip_address("127.0.0.1")]


class System:
    """The system's look-up, in which names that begin with `silent` wait for their servers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.servers_answer = threading.Event()

    def getaddrinfo(self, host: str, port: int, **_: object) -> list[Any]:
        self.asked.append(host)
        if host.startswith("silent"):
            assert self.servers_answer.wait(20)
        if host == "silent-and-gone.test":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    it = System()
    monkeypatch.setattr(socket, "getaddrinfo", it.getaddrinfo)
    yield it
    it.servers_answer.set()


async def test_the_system_has_the_addresses() -> None:
    assert set(await Names().addresses("localhost", 80)) <= {*HERE, ip_address("::1")}


async def test_names_whose_servers_are_silent_hold_up_no_other(system: System) -> None:
    names = Names()
    waiting = [asyncio.create_task(names.addresses(f"silent-{number}.test", 80)) for number in range(50)]
    async with asyncio.timeout(20):
        assert await names.addresses("p.test", 80) == HERE
    assert not any(task.done() for task in waiting)
    looking = [thread for thread in threading.enumerate() if thread.name.startswith("name silent-")]
    assert len(looking) == 50
    assert all(thread.daemon for thread in looking)  # Else the process would wait for them at its end.
    system.servers_answer.set()
    assert await asyncio.gather(*waiting) == [HERE] * 50


async def test_a_name_is_looked_up_once_at_a_time(system: System) -> None:
    names = Names()
    waiting = [asyncio.create_task(names.addresses("silent.test", 80)) for _ in range(8)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # The others go on waiting.
    system.servers_answer.set()
    assert await asyncio.gather(*waiting[1:]) == [HERE] * 7
    assert system.asked == ["silent.test"]
    assert await names.addresses("silent.test", 80) == HERE
    assert system.asked == ["silent.test"] * 2


async def test_each_name_and_port_is_looked_up_by_itself(system: System) -> None:
    names = Names()
    asked = [("silent.test", 80), ("silent.test", 443), ("silent-too.test", 80)]
    waiting = [asyncio.create_task(names.addresses(*each)) for each in asked]
    await asyncio.sleep(0)
    system.servers_answer.set()
    assert await asyncio.gather(*waiting) == [HERE] * 3
    assert sorted(system.asked) == ["silent-too.test", "silent.test", "silent.test"]


async def test_all_who_wait_are_told_of_a_failure_and_it_is_no_mistake_if_none_does(system: System) -> None:
    names = Names()
    waiting = [asyncio.create_task(names.addresses("silent-and-gone.test", 80)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    system.servers_answer.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError, socket.gaierror, socket.gaierror]
    with pytest.raises(socket.gaierror):
        await names.addresses("silent-and-gone.test", 80)


async def test_an_event_loop_that_ends_waits_for_none_of_it(system: System) -> None:
    def ends_soon() -> None:
        with contextlib.suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(Names().addresses("silent.test", 80), 0.01))

    ending = threading.Thread(target=ends_soon, daemon=True)
    ending.start()
    async with asyncio.timeout(20):
        while ending.is_alive():
            await asyncio.sleep(0.01)
    assert system.asked == ["silent.test"]


async def test_where_there_is_no_thread_to_be_had_the_machine_is_short_of_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    with pytest.raises(ConnectError) as caught:
        await Guard().allowed("p.test", 80, allow_private=True)
    assert shortage_words(caught.value)
