from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from edge_service.adapters.upstream import pool as its_module
from edge_service.adapters.upstream.addresses import Guard
from edge_service.adapters.upstream.pool import IDLE_S, MARGIN_S, Origin, Pool
from edge_service.adapters.upstream.presence import SOCKET_OPTIONS
from edge_service.adapters.upstream.trust import ssl_context
from edge_service.app.ports import UnreachableError
from tests.support.faulty_upstream import Connection, Provider, Script, provider, says

HEAD = b"POST /v1/c HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n"


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool(ssl_context(), Guard())
    yield made
    await made.aclose()


def origin(server: Provider, *, allow_private: bool = True) -> Origin:
    return Origin(False, "127.0.0.1", int(server.url.split(":")[2].split("/")[0]), allow_private)


async def ask(pool: Pool, server: Provider) -> int:
    answer = await pool.send(origin(server), HEAD, b"{}", 5.0)
    while await answer.part():
        pass
    answer.close()
    return answer.status


async def test_requests_one_after_another_share_a_connection(pool: Pool) -> None:
    async with provider(says("hi")) as server:
        for _ in range(5):
            assert await ask(pool, server) == 200
        assert server.accepted == 1


async def test_requests_at_a_time_have_one_each_and_leave_them_for_the_next(pool: Pool) -> None:
    async with provider(says("hi")) as server:
        for _ in range(3):
            await asyncio.gather(*(ask(pool, server) for _ in range(8)))
        assert server.accepted == 8


async def test_origins_share_nothing(pool: Pool) -> None:
    async with provider(says("hi")) as one, provider(says("hi")) as other:
        await ask(pool, one)
        await ask(pool, other)
        assert (one.accepted, other.accepted) == (1, 1)
        with pytest.raises(UnreachableError):
            await pool.send(origin(one, allow_private=False), HEAD, b"{}", 5.0)


async def test_the_system_looks_whether_a_silent_provider_is_there(pool: Pool) -> None:
    async with provider(says("hi")) as server:
        await ask(pool, server)
        (idle,) = pool._idle[origin(server)]
        assert idle._transport is not None
        its_socket = idle._transport.get_extra_info("socket")
        assert [(*where, its_socket.getsockopt(*where)) for *where, _ in SOCKET_OPTIONS] == list(SOCKET_OPTIONS)
        assert its_socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def keeps(seconds: int) -> Script:
    async def script(connection: Connection) -> None:
        await connection.answer(200, b"{}", keep_alive=f"timeout={seconds}")

    return script


@pytest.mark.parametrize(("seconds", "connections"), [(1, 2), (60, 1)])
async def test_one_that_the_provider_closes_soon_is_not_kept(pool: Pool, seconds: int, connections: int) -> None:
    async with provider(keeps(seconds)) as server:
        await ask(pool, server)
        await ask(pool, server)
        assert server.accepted == connections


@pytest.mark.parametrize(("said_s", "kept_s"), [(5, 5 - MARGIN_S), (60, IDLE_S)])
async def test_one_is_kept_for_less_than_the_provider_keeps_it_and_never_for_long(
    pool: Pool, said_s: int, kept_s: float
) -> None:
    loop = asyncio.get_running_loop()
    async with provider(keeps(said_s)) as server:
        began_at = loop.time()
        await ask(pool, server)
        (idle,) = pool._idle[origin(server)]
        assert began_at <= idle.expires_at - kept_s <= loop.time()


async def test_none_is_kept_beyond_its_age(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(its_module, "AGE_S", 10.0)
    async with provider(says("hi")) as server:
        await ask(pool, server)
        (idle,) = pool._idle[origin(server)]
        assert idle.expires_at == idle.opened_at + 10.0


async def test_one_whose_time_is_over_is_closed_instead_of_used(pool: Pool) -> None:
    async with provider(says("hi")) as server:
        await ask(pool, server)
        (idle,) = pool._idle[origin(server)]
        idle.expires_at = 0.0
        await ask(pool, server)
        assert (server.accepted, idle.is_closed) == (2, True)


async def test_what_a_sweep_leaves_the_next_one_finds(pool: Pool) -> None:
    async with provider(says("hi")) as server:
        await asyncio.gather(ask(pool, server), ask(pool, server))
        first, second = pool._idle[origin(server)]
        for expired, left in ((first, [second]), (second, [])):
            assert pool._sweeper is not None
            pool._sweeper.cancel()
            expired.expires_at = 0.0
            pool._sweep()
            assert (expired.is_closed, pool._idle.get(origin(server), [])) == (True, left)
        assert (pool._idle, pool._sweeper) == ({}, None)


@pytest.mark.parametrize(("name", "value"), [("IDLE_S", 0.0), ("AGE_S", 0.0), ("MOST_IDLE", 0)])
async def test_beyond_its_bounds_none_is_kept(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    monkeypatch.setattr(its_module, name, value)
    async with provider(says("hi")) as server:
        await ask(pool, server)
        await ask(pool, server)
        assert server.accepted == 2
        async with asyncio.timeout(20):
            while pool._open:
                await asyncio.sleep(0)


async def test_who_is_not_needed_is_closed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = asyncio.Event()

    async def script(connection: Connection) -> None:
        await says("hi")(connection)
        await connection.gone()
        gone.set()

    monkeypatch.setattr(its_module, "IDLE_S", 0.02)
    monkeypatch.setattr(its_module, "SWEEP_S", 0.01)
    async with provider(script) as server:
        await ask(pool, server)
        async with asyncio.timeout(20):
            await gone.wait()
            while pool._idle or pool._sweeper:
                await asyncio.sleep(0.01)


async def test_one_that_was_closed_while_it_was_idle_is_passed_over(pool: Pool) -> None:
    async def script(connection: Connection) -> None:
        await says("hi")(connection)
        connection.writer.close()

    async with provider(script) as server:
        for _ in range(5):
            assert await ask(pool, server) == 200
        assert len(server.calls) == 5


async def test_nothing_is_open_once_the_pool_is_closed() -> None:
    pool = Pool(ssl_context(), Guard())
    gone = asyncio.Event()

    async def script(connection: Connection) -> None:
        await says("hi")(connection)
        await connection.gone()
        gone.set()

    async with provider(script) as server:
        await ask(pool, server)
        await pool.aclose()
        async with asyncio.timeout(20):
            await gone.wait()


async def test_a_request_that_is_cancelled_while_connecting_leaves_the_pool_well(pool: Pool) -> None:
    async with provider(says("hi")) as server:
        for turns in range(6):
            task = asyncio.create_task(ask(pool, server))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await ask(pool, server) == 200
