"""Sockets that listen, alone at their address or with other processes.

All raise `OSError`, which names the flag and the address.
"""

from __future__ import annotations

import socket

BACKLOG = 2048


def listen(host: str, port: int, flag: str = "--listen") -> socket.socket:
    """Listens at an address that nothing else listens at. `flag` names it in errors."""
    return _bound(host, port, flag, listens=True)


def reserve(host: str, port: int) -> socket.socket:
    """Holds an address for workers to `join`. Nothing else may listen there. It gets no connection."""
    if port:
        # Shared ports are anybody's of the same user: another edge at this one would not be noticed.
        _bound(host, port).close()
    return join(host, port)


def join(host: str, port: int) -> socket.socket:
    """Shares the address. It gets its part of the connections from the moment at which it listens."""
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
