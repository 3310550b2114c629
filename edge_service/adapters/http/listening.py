"""Listening sockets, exclusive or shared with other processes.

All functions raise `OSError` with a text that names the flag and the address.
"""

from __future__ import annotations

import socket

BACKLOG = 2048


def listen(host: str, port: int, flag: str = "--listen") -> socket.socket:
    """Listens at an address that no other process uses. `flag` is where it was configured, for errors."""
    return _bound(host, port, flag, listens=True)


def reserve(host: str, port: int) -> socket.socket:
    """Binds an address for workers to `join`, and holds it as long as the socket is open. It never listens. Raises
    `OSError` also if another process shares the address already."""
    if port:
        # Any process of the same user may share a port: without this, an edge that runs there would go unnoticed.
        _bound(host, port).close()
    return join(host, port)


def join(host: str, port: int) -> socket.socket:
    """Binds an address together with other processes. It gets connections once it listens."""
    return _bound(host, port, shared=True)


def _bound(
    host: str, port: int, flag: str = "--listen", *, shared: bool = False, listens: bool = False
) -> socket.socket:
    given = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        given.setblocking(False)
        given.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            given.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if ":" in host:
            given.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        given.bind((host, port))
        if listens:
            given.listen(BACKLOG)
    except OSError as error:
        given.close()
        raise OSError(error.errno, f"{flag}: cannot listen on {host}:{port}: {error.strerror}") from error
    return given
