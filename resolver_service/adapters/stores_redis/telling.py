"""Writes to the server what has changed here: turns, drains, health, probes that were given back, and bindings."""

from __future__ import annotations

import asyncio
import itertools

import structlog

from resolver_service.adapters.stores_redis import bindings
from resolver_service.adapters.stores_redis.contact import NONSENSE, Contact
from resolver_service.adapters.stores_redis.keys import BINDINGS, BOUND, CHANGES, DRAINS, HEALTH, NUMBERS, PROBE, TURNS
from resolver_service.adapters.stores_redis.link import Argument, LinkError, Script
from resolver_service.adapters.stores_redis.mirrors import Mirrors
from resolver_service.adapters.stores_redis.rotation import field

AT_A_TIME = 256
"""Bindings in one call, of those that have piled up while the server was away."""

_log = structlog.get_logger("forebay.resolver.store")


class Telling:
    """Takes changes out of the mirrors, and puts them back if the server does not answer, so that they are sent again:
    each may arrive twice, and counts once. Methods raise `LinkError`, unless they say otherwise."""

    def __init__(self, contact: Contact, mirrors: Mirrors, due: asyncio.Event) -> None:
        """`due` is set when there is something to tell."""
        self._contact = contact
        self._mirrors = mirrors
        self.due = due
        self._one_at_a_time = asyncio.Lock()
        self._merge, self._drain, self._give_back, self._recount, self._bind = map(
            Script, ("merge", "drain", "give_back", "recount", "bind")
        )

    async def keep(self) -> None:
        """Writes changes whenever there are some, until cancelled. Never fails."""
        while True:
            await self.due.wait()
            self.due.clear()
            if self._contact.is_degraded:
                continue  # `recount` and `all` are called when the server is back.
            try:
                await self.all()
            except (LinkError, *NONSENSE) as error:
                self._contact.lost(error)

    async def all(self) -> None:
        """Writes all changes that there are now."""
        async with self._one_at_a_time:
            await self._tell_turns()
            await self._tell_drains()
            await self._tell_health()
            await self._tell_probes()
            await self._tell_bindings()

    async def _tell_drains(self) -> None:
        drains = dict(self._mirrors.drains.untold)
        if not drains:
            return
        said: list[Argument] = [CHANGES]
        for target_id, drained in drains.items():
            said += (target_id, int(drained))
        await self._contact.link.run(self._drain, (DRAINS, NUMBERS), said)
        self._mirrors.drains.untold = {k: v for k, v in self._mirrors.drains.untold.items() if drains.get(k) is not v}

    async def _tell_health(self) -> None:
        health = self._mirrors.health
        changes = health.changes()
        if not changes:
            return
        said: list[Argument] = [CHANGES]
        for change in changes:
            said += (change.scope, change.base, change.said)
        try:
            now_ms, answers = await self._contact.link.run(self._merge, (HEALTH, NUMBERS, PROBE), said)
            made_of = list(zip(changes, answers, strict=True))
        except (LinkError, *NONSENSE):
            health.untell()
            raise
        for change, (state, is_taken) in made_of:
            try:
                health.told(change, state, float(now_ms), is_taken=bool(is_taken))
            except ValueError:
                _log.warning("store_not_understood", scope=change.scope)

    async def _tell_probes(self) -> None:
        released, self._mirrors.probes.released = self._mirrors.probes.released, []
        if not released:
            return
        said: list[Argument] = [CHANGES]
        for pair in released:
            said += pair
        try:
            await self._contact.link.run(self._give_back, (PROBE,), said)
        except LinkError:
            self._mirrors.probes.released += released
            raise

    async def _tell_bindings(self) -> None:
        while some := dict(itertools.islice(self._mirrors.bindings.untold.items(), AT_A_TIME)):
            await self._contact.link.run(self._bind, (BOUND, BINDINGS), bindings.said(some))
            self._mirrors.bindings.told(some)

    async def _tell_turns(self) -> None:
        while self._mirrors.rotation.untold:
            key, count = self._mirrors.rotation.untold.popitem()
            try:
                self._mirrors.rotation.turns[key] = int(
                    await self._contact.link.ask("HINCRBY", TURNS, field(key), count)
                )
            except LinkError:
                self._mirrors.rotation.untold[key] = self._mirrors.rotation.untold.get(key, 0) + count
                raise

    async def recount(self) -> None:
        """Sends the counts of turns as the server last had them. It takes over those that are higher than its own, so
        that a server that has lost data goes on counting where it was."""
        if taken := self._mirrors.rotation.heard_of():
            said: list[Argument] = []
            for key, turns in taken.items():
                said += (field(key), turns)
            await self._contact.link.run(self._recount, (TURNS,), said)
