"""Clients that leave, resolvers that leave, services that are told to stop."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.support.faulty_upstream import Connection, Script, delta, says
from tests.support.processes import PLAIN, start_edge, start_resolver
from tests.support.setup import config_text, events, is_closed, setup, until

WITHIN_S = 20.0


def waits(gone: asyncio.Event, *, after_content: bool) -> Script:
    """A provider that tells when its client has left."""

    async def script(connection: Connection) -> None:
        if after_content:
            await connection.head(200, "text/event-stream", transfer_encoding="chunked")
            await connection.chunk(delta(content="hello"))
        await connection.gone()
        gone.set()

    return script


@pytest.mark.parametrize(("stream", "after_content"), [(False, False), (True, False), (True, True)])
async def test_when_the_client_leaves_the_provider_is_left(
    tmp_path: Path, *, stream: bool, after_content: bool
) -> None:
    gone = asyncio.Event()
    async with setup(tmp_path, waits(gone, after_content=after_content), says("never asked")) as it:
        asking = asyncio.create_task(it.chat(stream=stream))

        async def was_called() -> bool:
            return it.hits[0] == 1

        await until(was_called)
        asking.cancel()
        async with asyncio.timeout(WITHIN_S):
            await gone.wait()
        assert it.hits == [1, 0]


async def test_without_a_resolver_the_answer_is_503_at_once(tmp_path: Path) -> None:
    edge = await start_edge("127.0.0.1:9", errors=tmp_path / "edge.log")
    try:
        async with httpx2.AsyncClient(base_url=edge.address, verify=PLAIN) as client:
            async with asyncio.timeout(WITHIN_S):
                response = await client.post("/v1/chat/completions", json={"model": "m", "messages": []})
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert (await client.get("/v1/models")).status_code == 503
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
    finally:
        assert await edge.stop() == 0


async def test_a_frozen_resolver_is_dropped_and_another_is_asked(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        second = await start_resolver(it.config, errors=tmp_path / "second.log")
        addresses = (it.services.resolver.address, second.address)
        edge = await start_edge(*addresses, errors=tmp_path / "both.log")
        try:
            async with httpx2.AsyncClient(base_url=edge.address, verify=PLAIN) as client:

                async def answers() -> bool:
                    response = await client.post("/v1/chat/completions", json={"model": "m", "messages": []})
                    return response.status_code == 200

                await until(answers)
                it.services.resolver.process.send_signal(signal.SIGSTOP)
                try:
                    assert [await answers() for _ in range(5)] == [True] * 5
                finally:
                    it.services.resolver.process.send_signal(signal.SIGCONT)
        finally:
            await edge.stop()
            await second.stop()


async def test_an_edge_finds_its_resolver_again(tmp_path: Path) -> None:
    config = tmp_path / "forebay.yaml"
    config.write_text(config_text("http://127.0.0.1:9/v1"))
    address = f"unix:{tmp_path}/r.sock"
    edge = await start_edge(address, errors=tmp_path / "edge.log")
    try:
        async with httpx2.AsyncClient(base_url=edge.address, verify=PLAIN) as client:

            async def is_ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            for _ in range(2):
                resolver = await start_resolver(config, "--listen", address, errors=tmp_path / "resolver.log")
                await until(is_ready)
                await resolver.stop(signal.SIGKILL)
                assert (await client.get("/v1/models")).status_code == 503
    finally:
        await edge.stop()


async def test_a_request_under_way_ends_well_when_both_services_are_told_to_stop(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def waits_in_the_middle(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="one"))
        await go_on.wait()
        await connection.chunk(delta(content="two"), b"data: [DONE]\n\n", b"")

    async with setup(tmp_path, waits_in_the_middle) as it:
        asking = asyncio.create_task(it.chat(stream=True))

        async def was_called() -> bool:
            return it.hits == [1]

        await until(was_called)
        it.services.resolver.tell_to_stop()
        it.services.edge.tell_to_stop()

        await until(partial(is_closed, it.services.url))
        go_on.set()
        response = await asking
    assert events(response.content)[-1] == b"[DONE]"


async def test_services_that_do_not_share_a_token_do_not_speak(tmp_path: Path) -> None:
    config = tmp_path / "forebay.yaml"
    config.write_text(config_text("http://127.0.0.1:9/v1"))
    resolver = await start_resolver(config, errors=tmp_path / "resolver.log", FOREBAY_TOKEN="right")
    edge = await start_edge(resolver.address, errors=tmp_path / "edge.log", FOREBAY_TOKEN="wrong")
    try:
        async with httpx2.AsyncClient(base_url=edge.address, verify=PLAIN) as client:
            response = await client.post("/v1/chat/completions", json={"model": "m", "messages": []})
            assert response.status_code == 503
            assert (await client.get("/readyz")).status_code == 503
        log = (tmp_path / "edge.log").read_text()
        assert "UNAUTHENTICATED" in log
        assert "wrong" not in log.replace("missing or wrong", "")
    finally:
        await edge.stop()
        await resolver.stop()
