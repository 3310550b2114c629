"""The state that resolvers share, in a Redis or Valkey server: keeps in touch with the server, and works alone while it
is away."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable, Iterable, Sequence

import structlog

from resolver_service.adapters.stores_redis.asking import Asking
from resolver_service.adapters.stores_redis.contact import NONSENSE, Contact
from resolver_service.adapters.stores_redis.hearing import Hearing
from resolver_service.adapters.stores_redis.keys import CHANGES, SCHEMA, SCHEMA_KEY
from resolver_service.adapters.stores_redis.limits import LimitsMirror
from resolver_service.adapters.stores_redis.link import ANSWER_S, Link, LinkError, UnusableStoreError
from resolver_service.adapters.stores_redis.mirrors import Mirrors
from resolver_service.adapters.stores_redis.replicas import Place, Replicas
from resolver_service.adapters.stores_redis.telling import Telling
from resolver_service.app.ports import Clock, Granted, NotEverywhereError, Replica, Stores, Wanted

CHECK_S = 1.0
"""How long no message may come before missed ones are looked for."""
BACKOFF_S = 0.1
BACKOFF_MAX_S = 2.0
"""How long to wait before the server is tried again, up to twice as long at random, since all resolvers lose it at the
same moment."""

_log = structlog.get_logger("forebay.resolver.store")


class RedisState:
    """A `SharedState`. While the server is away it behaves as if this resolver were the only one, and what happens is
    written to the server when it is back."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        answer_s: float = ANSWER_S,
        *,
        replica_id: str = "",
        place: Callable[[], Place] = lambda: (0, ""),
    ) -> None:
        """`place` returns the number and digest of the configuration that this resolver serves from. Raises
        `ValueError` if the URL is invalid."""
        self._contact = Contact(Link(url))
        due = asyncio.Event()
        self._mirrors = Mirrors(clock, due.set, lambda: self._asking.ask_soon())
        self._asking = Asking(self._contact, self._mirrors, clock, answer_s)
        self._telling = Telling(self._contact, self._mirrors, due)
        self._hearing = Hearing(self._contact, self._mirrors)
        self._tasks: list[asyncio.Task[None]] = []
        self._has_begun = asyncio.Event()
        self._place = place
        its_id = replica_id or secrets.token_hex(6)
        self.replicas = Replicas(self._contact.link, its_id, place, lambda: self._hearing.heard)
        self.is_durable: bool | None = None
        """Whether what the server has acknowledged survives a crash of it; None if it does not tell."""

    @property
    def stores(self) -> Stores:
        its = self._mirrors
        return Stores(its.rotation, its.health, its.drains, its.bindings, self)

    @property
    def is_degraded(self) -> bool:
        return self._contact.is_degraded

    @property
    def losses(self) -> int:
        """How often the server was lost."""
        return self._contact.losses

    @property
    def limits(self) -> LimitsMirror:
        return self._mirrors.limits

    @property
    def record_changed(self) -> asyncio.Event:
        """Set when the store may have another configuration than this resolver serves from."""
        return self._hearing.record_changed

    async def take(self, wanted: Sequence[Wanted]) -> Sequence[Granted]:
        """As the port says."""
        return await self._asking.take(wanted)

    def give_back(self, holder: str, scopes: Iterable[str]) -> None:
        """As the port says."""
        self._asking.give_back(holder, scopes)

    async def keep(self) -> None:
        """Keeps the connection until `stop`, and then writes what is left."""
        self._tasks = [asyncio.create_task(each()) for each in (self._listen, self._telling.keep, self._keep_beating)]
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
            with contextlib.suppress(LinkError):
                if not self._contact.is_degraded:
                    await self._telling.all()
                    await self._asking.tell_limits()
                    await self.replicas.leave()
            await self._contact.link.aclose()
        self._contact.is_degraded = True
        self._has_begun.set()
        for error in ended:
            if isinstance(error, Exception):
                raise error  # A defect, which must not go unseen.

    async def begun(self) -> None:
        """Waits for the outcome of the first attempt to reach the server."""
        await self._has_begun.wait()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _listen(self) -> None:
        backoff_s = BACKOFF_S
        while True:
            try:
                async with contextlib.aclosing(self._contact.link.messages(CHANGES, CHECK_S)) as messages:
                    async for message in messages:
                        if self._contact.is_degraded:
                            await self._resume()
                            backoff_s = BACKOFF_S
                        await self._hear(message)
            except (LinkError, UnusableStoreError, *NONSENSE) as error:
                if not self._has_begun.is_set() or isinstance(error, UnusableStoreError):
                    _log.warning("store_unavailable", error=str(error))
                self._contact.lost(error)
                await self._contact.link.leave()
            self._has_begun.set()
            await asyncio.sleep(backoff_s * (1 + random.random()))  # noqa: S311 - it keeps resolvers apart, no secrets
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _hear(self, message: bytes | None) -> None:
        """`None`: nothing was published for `CHECK_S`."""
        if message is not None:
            await self._hearing.hear(message, self.replicas)
        elif not await self._hearing.in_silence():
            _log.warning("store_has_forgotten")
            await self._resume()

    async def _resume(self) -> None:
        """Called when the server is reached, or has lost data: writes what happened meanwhile, and takes over what it
        has."""
        await self._check_schema()
        await self._hearing.meet()
        await self._telling.recount()
        await self._telling.all()
        self._mirrors.limits.renew()
        await self._asking.tell_limits()
        await self._hearing.read_all()
        # Before the configuration is compared: from here on, whoever changes it waits for this resolver.
        await self._beat()
        self.is_durable = await self._contact.link.is_durable()
        self._contact.is_degraded = False
        if self._mirrors.limits.untold:
            self._asking.ask_soon()
        _log.info("store_connected", is_durable=self.is_durable)
        if self.is_durable is False:
            words = "set appendonly to yes and appendfsync to always: what is acknowledged may be lost in a crash"
            _log.warning("store_not_durable", remedy=words)
        self._has_begun.set()

    async def _check_schema(self) -> None:
        await self._contact.link.ask("SET", SCHEMA_KEY, SCHEMA, "NX")
        schema = await self._contact.link.ask("GET", SCHEMA_KEY)
        if schema != str(SCHEMA).encode():
            found = schema.decode(errors="replace")[:40]
            raise UnusableStoreError(f"the store's schema is '{found}', and this resolver knows {SCHEMA}")

    # --- The others ---------------------------------------------------------------------------------------------------

    async def settled(self, revision: int) -> None:
        """Waits until every live resolver has taken over all changes made here before, and serves from this revision or
        a later one. Raises `NotEverywhereError` if that takes too long."""
        try:
            if self._contact.is_degraded:
                raise LinkError("it was lost")
            await self._telling.all()
            await self.replicas.agree(revision)
        except LinkError as error:
            self._contact.lost(error)
            words = "it is done here; the store is away, and the others are told when it is back"
            raise NotEverywhereError(words) from None

    async def all_replicas(self) -> Sequence[Replica]:
        """This one first; while the server is away, this one alone."""
        if not self._contact.is_degraded:
            try:
                return self.replicas.shown(await self.replicas.beat())
            except LinkError as error:
                self._contact.lost(error)
        return [self.replicas.myself(is_degraded=True)]

    async def _keep_beating(self) -> None:
        while True:
            await self.replicas.due()
            if not self._contact.is_degraded:
                self._mirrors.limits.renew()
                try:
                    await self._beat()
                except LinkError as error:
                    self._contact.lost(error)

    async def _beat(self) -> None:
        if (await self.replicas.beat()).place != self._place():
            self._hearing.record_changed.set()
