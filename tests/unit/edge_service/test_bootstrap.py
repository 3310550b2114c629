from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from edge_service import bootstrap, settings
from edge_service.app.draining import UnderWay


async def test_a_resolvers_name_is_looked_up_in_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def getaddrinfo(host: str, *_: object, **__: object) -> list[Any]:
        loop.call_soon_threadsafe(looked_up.put_nowait, threading.current_thread().name)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    given = settings.load(["--resolver", "resolver.test:8401", "--plaintext-network"], {})
    edge = bootstrap.create(given, UnderWay(), lambda *_: None)
    async with edge.routed.router.lifespan_context(edge.routed), asyncio.timeout(20):
        assert await looked_up.get() == "name resolver.test"
