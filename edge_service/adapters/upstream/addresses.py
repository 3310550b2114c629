"""Which addresses of a host may be connected to, and which of them answers first.

A name is resolved once, every address is looked at, and connections are made to the very addresses that were looked at:
a name that is resolved twice, once for the rule and once for the connection, can answer differently each time.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TypeVar

import structlog

from edge_service.adapters.upstream.names import Names
from edge_service.app.ports import UnreachableError
from edge_service.domain import egress
from edge_service.domain.egress import Address, Kind

_log = structlog.get_logger("forebay.edge.egress")

STAGGER_S = 0.25
"""How long one address is waited for before the next is tried beside it (RFC 8305, 5)."""

MAX_WARNINGS = 1000

_WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.PRIVATE: "the provider's address is private: set allow-private: true for it if that is meant",
        Kind.FORBIDDEN: "the provider's address is link-local or a cloud's metadata service: these are never called",
    }
)

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
T = TypeVar("T")


class ConnectError(Exception):
    """No connection could be made: nothing was sent."""


def shortage_words(error: BaseException) -> str:
    """What this machine has too little of, if that is why there is no connection. Else empty."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _SHORTAGES:
            return f"the gateway's machine: {os.strerror(cause.errno)}"
        cause = cause.__cause__ or cause.__context__
    return ""


class Warnings:
    """Log lines about providers: each once, not with each request."""

    def __init__(self) -> None:
        self._given: set[tuple[str, ...]] = set()

    def give(self, event: str, **words: str) -> None:
        warning = (event, *words.values())
        if warning not in self._given and len(self._given) < MAX_WARNINGS:
            self._given.add(warning)
            _log.warning(event, **words)


class Guard:
    """Applies the egress rule to hosts."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        """`resolve` has the addresses of a name, best first, and raises `OSError` or `UnicodeError`; None for the
        system's way."""
        self._resolve = resolve or Names().addresses
        self._warnings = Warnings()

    async def allowed(self, host: str, port: int, *, allow_private: bool) -> Sequence[Address]:
        """Those of a host's addresses that may be connected to, best first. Raises `ConnectError` if it has none, or
        `UnreachableError` if the rule refuses them all."""
        addresses = await self._addresses(host, port)
        kinds = {address: egress.refusal(address, allow_private=allow_private) for address in addresses}
        allowed = [address for address, kind in kinds.items() if kind is None]
        if not allowed:
            raise self._refused(host, max(kind for kind in kinds.values() if kind is not None))
        return allowed

    def check(self, host: str, *, allow_private: bool) -> None:
        """The same by the host's spelling alone, since a proxy resolves names itself. Raises as `allowed` does."""
        literal = self._literal(host)
        kind = None if literal is None else egress.refusal(literal, allow_private=allow_private)
        if kind is not None:
            raise self._refused(host, kind)

    def _literal(self, host: str) -> Address | None:
        """The address that the host is; None for a name."""
        if not host:
            raise ConnectError("the URL has no host")  # For which the system would answer: this machine.
        if egress.is_metadata_name(host):
            raise self._refused(host, Kind.FORBIDDEN)
        return egress.literal(host)

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        literal = self._literal(host)
        if literal is not None:
            return [literal]
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"the name cannot be resolved: {error}") from error
        if not found:
            raise ConnectError("the name has no address")
        return found

    def _refused(self, host: str, kind: Kind) -> UnreachableError:
        self._warnings.give("egress_refused", host=host, reason=_WORDS[kind])
        return UnreachableError(_WORDS[kind])


async def first_of(
    connect: Callable[[Address], Awaitable[T]], close: Callable[[T], Awaitable[None]], addresses: Sequence[Address]
) -> T:
    """The first connection that comes about; each address has a start on the next. Others that come about as well are
    closed. Raises what the last one raised."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    tasks: list[asyncio.Future[T]] = []
    chosen: asyncio.Future[T] | None = None
    try:
        while True:
            if len(tasks) < len(addresses):
                tasks.append(asyncio.ensure_future(connect(addresses[len(tasks)])))
            under_way = [task for task in tasks if not task.done()]
            if under_way:
                more = len(tasks) < len(addresses)
                await asyncio.wait(under_way, timeout=STAGGER_S if more else None, return_when=asyncio.FIRST_COMPLETED)
            chosen = next((task for task in tasks if task.done() and task.exception() is None), None)
            if chosen is not None or (len(tasks) == len(addresses) and all(task.done() for task in tasks)):
                return await (chosen or tasks[-1])
    finally:
        for task in tasks:
            if task is not chosen:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await close(await task)  # Came about as well, a moment later.
