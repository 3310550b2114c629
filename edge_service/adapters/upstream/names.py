"""Looks up the addresses of names.

The system's way to do it cannot be interrupted, and may take half a minute where a name's servers are silent. Event
loops do it in a few threads (libuv in two), so that two such look-ups keep all others waiting, and wait for these
threads when they end. Here each name has a thread of its own while it is looked up, which nobody waits for at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeAlias

from edge_service.domain.egress import Address

_Found: TypeAlias = list[Address] | Exception


class Names:
    """Whoever asks for a name while it is looked up gets the same answer."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Those that the system has for a name, best first. Raises `OSError` or `UnicodeError`."""
        asked = host, port
        answer = self._under_way.get(asked)
        if answer is None:
            loop = asyncio.get_running_loop()

            def tell(found: _Found) -> None:
                with contextlib.suppress(RuntimeError):  # The loop has ended.
                    loop.call_soon_threadsafe(self._answer, asked, found)

            try:
                threading.Thread(target=_look_up, args=(host, port, tell), name=f"name {host}", daemon=True).start()
            except RuntimeError as error:
                raise OSError(errno.ENOMEM, str(error)) from error
            answer = self._under_way[asked] = loop.create_future()
        return await asyncio.shield(answer)

    def _answer(self, asked: tuple[str, int], found: _Found) -> None:
        answer = self._under_way.pop(asked)
        if isinstance(found, Exception):
            answer.set_exception(found)
            answer.exception()  # Heard, even if nobody waits for it any more.
        else:
            answer.set_result(found)


def _look_up(host: str, port: int, tell: Callable[[_Found], None]) -> None:
    try:
        given = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # The zone that may follow a '%' belongs to link-local addresses alone.
        tell(list(dict.fromkeys(ip_address(str(where[0]).partition("%")[0]) for *_, where in given)))
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
        tell(error)
