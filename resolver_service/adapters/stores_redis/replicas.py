"""The resolvers that share the server. Each sends a heartbeat once a second, and is told of the others in return."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from resolver_service.adapters.stores_redis.keys import CHANGES, NUMBERS, REPLICAS
from resolver_service.adapters.stores_redis.link import Argument, Link, Script
from resolver_service.app.ports import NotEverywhereError, Replica

BEAT_S = 1.0
LIVE_S = 3.0
"""A resolver without a heartbeat for so long is not waited for."""
TOLD_S = 60.0
"""After so long without one, it is not listed any more."""
AWAY_S = 2.0
"""If no resolver has sent a heartbeat for so long, the server was away."""
RETURNS_S = 5.0
"""How long the resolvers from before are then waited for: they try again within twice `state.BACKOFF_MAX_S`."""
GATHER_S = 5.0
"""How long after the server has lost its data it may not know all resolvers."""
SETTLED_S = 6.0
"""How long a change waits for the other resolvers."""
AGAIN_S = 0.25
"""How often such a change looks again without being woken, since messages may get lost."""

Place = tuple[int, str]
"""The number and digest of a configuration."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A resolver, as its last heartbeat described it."""

    id: str
    revision: int
    heard: int
    """The number of the last change that it has taken over."""
    seen_s_ago: float
    is_live: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat."""

    changes: int
    """The number of the last change."""
    place: Place
    """The configuration of record; number 0 for none."""
    seen: tuple[Seen, ...]
    is_gathering: bool
    """The server has lost its data a moment ago, and may not know every resolver."""


class Replicas:
    """Every method raises `LinkError`, unless it says otherwise."""

    def __init__(self, link: Link, id: str, place: Callable[[], Place], heard: Callable[[], int]) -> None:  # noqa: A002
        """`place` and `heard` return the configuration that this resolver serves from, and the number of the last
        change that it has taken over."""
        self.id = id
        self._link = link
        self._place = place
        self._heard = heard
        self._script = Script("beat")
        self._due = asyncio.Event()
        self._asked = ""
        self._woken: set[asyncio.Event] = set()

    async def due(self) -> None:
        """Waits until the next heartbeat is due. Never fails."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                await self._due.wait()
        self._due.clear()

    def tell(self) -> None:
        """Called when a change is in effect here: sends the next heartbeat at once, and wakes resolvers that wait for
        this one."""
        self._asked = "there"
        self._due.set()

    def somebody_is_there(self) -> None:
        """Called when another resolver has told that a change is in effect there."""
        for event in self._woken:
            event.set()

    async def beat(self, tell: str = "") -> Beat:
        """Sends a heartbeat. `tell` is a word that is published to the others: `ask` has them send theirs at once,
        `there` wakes those that wait."""
        tell, self._asked = tell or self._asked, ""
        said: list[Argument] = [CHANGES, self.id, self._place()[0], self._heard(), tell]
        said += (int(1000 * term) for term in (LIVE_S, TOLD_S, AWAY_S, RETURNS_S, GATHER_S))
        changes, number, digest, gathering, all_ = await self._link.run(self._script, (REPLICAS, NUMBERS), said)
        seen = (
            Seen(id_.decode(errors="replace"), int(revision), int(heard), int(ms) / 1000, is_live == 1)
            for id_, revision, heard, ms, is_live in all_
        )
        return Beat(int(changes), (int(number), digest.decode(errors="replace")), tuple(seen), gathering == 1)

    async def agree(self, revision: int) -> None:
        """Waits until every live resolver serves from this revision or a later one, and has taken over all changes
        that there are by now. Raises `NotEverywhereError` too."""
        woken = asyncio.Event()
        self._woken.add(woken)
        late: list[str] = []
        try:
            async with asyncio.timeout(SETTLED_S):
                beat = first = await self.beat("ask")
                while (late := self._late(beat, revision, first.changes)) or beat.is_gathering:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN_S):
                            await woken.wait()
                    woken.clear()
                    beat = await self.beat()
        except TimeoutError:
            names = ", ".join(late) or "others, whom the store has forgotten,"
            raise NotEverywhereError(
                f"it is done and will last, and is in effect here, but not at {names} yet: "
                "it will be there as soon as that resolver hears of it, or is gone; 'forebay status' shows it"
            ) from None
        finally:
            self._woken.discard(woken)

    async def leave(self) -> None:
        await self._link.ask("HDEL", REPLICAS, self.id)

    def shown(self, beat: Beat) -> list[Replica]:
        """This one first."""
        others = [Replica(e.id, e.revision, e.seen_s_ago, e.seen_s_ago > LIVE_S) for e in beat.seen if e.id != self.id]
        return [self.myself(), *sorted(others, key=lambda each: each.id)]

    def myself(self, *, is_degraded: bool = False) -> Replica:
        return Replica(self.id, self._place()[0], 0.0, is_degraded)

    def _late(self, beat: Beat, revision: int, changes: int) -> list[str]:
        others = (each for each in beat.seen if each.is_live and each.id != self.id)
        return [each.id for each in others if each.revision < revision or each.heard < changes]
