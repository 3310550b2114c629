from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from edge_service.adapters.http import dealing
from edge_service.adapters.http.dealing import Dealing, Hands
from edge_service.adapters.http.listening import join, listen, reserve


@dataclass
class Worker:
    dealing: Dealing
    served: list[str] = field(default_factory=list)
    """What each connection has said."""


class Served(asyncio.Protocol):
    def __init__(self, served: list[str]) -> None:
        self._served = served

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._served.append(data.decode())
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(b"served")
        self._transport.close()


@dataclass
class Sharing:
    port: int
    receiving: list[socket.socket]
    giving: list[socket.socket]
    workers: list[Worker]

    async def ask(self, what: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(what.encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def ask_all(self, count: int) -> None:
        answers = await asyncio.gather(*(self.ask(str(number)) for number in range(count)))
        assert answers == [b"served"] * count

    def counts(self) -> list[int]:
        return [len(worker.served) for worker in self.workers]


@contextlib.asynccontextmanager
async def sharing(workers: int) -> AsyncIterator[Sharing]:
    """Workers of one address, in one process."""
    pairs = [socket.socketpair() for _ in range(workers)]
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        it = Sharing(port, [receiving for receiving, _ in pairs], [giving for _, giving in pairs], [])
        for own in range(workers):
            for each in pairs[own]:
                each.setblocking(False)
            served: list[str] = []
            hands = Hands(own, pairs[own][0], it.giving)

            def make(served: list[str] = served) -> asyncio.Protocol:
                return Served(served)

            it.workers.append(Worker(Dealing(join("127.0.0.1", port), hands, make), served))
        yield it
        for worker in it.workers:
            worker.dealing.close()
            await worker.dealing.wait_closed()
    for pair in pairs:
        for each in pair:
            each.close()


@pytest.mark.parametrize("workers", [2, 3])
async def test_whoever_accepts_a_connection_deals_it_out_in_turn(workers: int) -> None:
    async with sharing(workers) as it:
        for worker in it.workers:
            worker.dealing.deal_to(range(workers))
        await it.ask_all(32)
        # Whoever accepts deals at most one more to some than to others.
        assert max(it.counts()) - min(it.counts()) <= workers
        assert sum(it.counts()) == 32
        assert sorted(int(said) for worker in it.workers for said in worker.served) == list(range(32))


async def test_it_deals_to_those_alone_that_it_is_told_of() -> None:
    async with sharing(2) as it:
        it.workers[1].dealing.close()  # It accepts none itself.
        it.workers[0].dealing.deal_to([0])
        await it.ask_all(4)
        assert it.counts() == [4, 0]
        it.workers[0].dealing.deal_to([0, 1])
        await it.ask_all(4)
        assert it.counts() == [6, 2]


async def test_what_another_cannot_take_stays() -> None:
    async with sharing(2) as it:
        it.workers[1].dealing.close()
        await it.workers[1].dealing.wait_closed()
        with contextlib.suppress(BlockingIOError):
            while True:  # Nobody takes it.
                it.giving[1].send(b"\0" * 4096)
        it.workers[0].dealing.deal_to([0, 1])
        await it.ask_all(4)
        assert it.counts() == [4, 0]


async def test_what_comes_for_a_worker_that_has_left_is_for_the_one_that_replaces_it() -> None:
    async with sharing(2) as it:
        it.workers[1].dealing.close()
        await it.workers[1].dealing.wait_closed()
        it.workers[0].dealing.deal_to([0, 1])
        asking = asyncio.create_task(it.ask_all(2))
        while not it.workers[0].served:
            await asyncio.sleep(0)
        assert it.counts() == [1, 0]
        served: list[str] = []
        hands = Hands(1, it.receiving[1], it.giving)
        replacing = Dealing(join("127.0.0.1", it.port), hands, lambda: Served(served))
        await asking
        assert len(served) == 1
        replacing.close()
        await replacing.wait_closed()


async def test_a_worker_that_nobody_can_deal_to_stops_listening_for_it() -> None:
    async with sharing(1) as it:
        it.giving[0].close()
        await it.ask_all(1)
        assert not asyncio.get_running_loop().remove_reader(it.receiving[0])  # It would be called for ever.


class Listening(socket.socket):
    """Refuses connections as a process does that has too many files open."""

    refusals = 0
    refused: Callable[[], None]

    def accept(self) -> tuple[socket.socket, object]:
        if self.refusals:
            self.refusals -= 1
            self.refused()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@contextlib.asynccontextmanager
async def alone(make: Callable[[], asyncio.Protocol], refusals: int = 0) -> AsyncIterator[tuple[Dealing, Listening]]:
    receiving, giving = socket.socketpair()
    with receiving, giving, listen("127.0.0.1", 0) as bound, Listening(fileno=bound.detach()) as listening:
        receiving.setblocking(False)
        listening.setblocking(False)
        listening.refusals = refusals
        it = Dealing(listening, Hands(0, receiving, [giving]), make)
        yield it, listening
        it.close()
        await it.wait_closed()


async def test_none_are_accepted_for_a_while_after_the_system_has_refused_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "PAUSE_S", 3600.0)
    async with alone(asyncio.Protocol, refusals=9) as (_, listening):
        refused = asyncio.Event()
        listening.refused = refused.set
        with capture_logs() as logged, socket.create_connection(listening.getsockname()):
            await refused.wait()
            for _ in range(5):
                await asyncio.sleep(0)
        assert listening.refusals == 8
        assert logged == [{"event": "accepting_paused", "log_level": "error", "why": "Too many open files"}]


async def test_then_they_are_accepted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "PAUSE_S", 0.001)
    served: list[str] = []
    async with alone(lambda: Served(served), refusals=2) as (_, listening):
        listening.refused = lambda: None
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"asked")
        assert await reader.read() == b"served"
        writer.close()


async def test_it_is_closed_once_the_connections_that_it_has_accepted_have_begun() -> None:
    made = asyncio.Event()
    begun: list[asyncio.BaseTransport] = []

    class Begun(asyncio.Protocol):
        def __init__(self) -> None:
            made.set()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            begun.append(transport)

    async with alone(Begun) as (it, listening):
        with socket.create_connection(listening.getsockname()):
            await made.wait()
            assert not begun
            it.close()
            await it.wait_closed()
            assert len(begun) == 1
            begun[0].close()


async def test_a_reserved_address_is_for_those_alone_who_join_it() -> None:
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        with join("127.0.0.1", port) as joined:
            joined.listen()
            for other in (listen, reserve):
                with pytest.raises(OSError, match=f"--listen: cannot listen on 127.0.0.1:{port}: "):
                    other("127.0.0.1", port)
            with pytest.raises(OSError, match=f"--ops-listen: cannot listen on 127.0.0.1:{port}: "):
                listen("127.0.0.1", port, "--ops-listen")


async def test_an_address_of_the_sixth_version_can_be_shared() -> None:
    with reserve("::1", 0) as reserved, join("::1", reserved.getsockname()[1]) as joined:
        joined.listen()
        _, writer = await asyncio.open_connection("::1", reserved.getsockname()[1])
        writer.close()
