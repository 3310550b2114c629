"""This resolver's part in what all have in common: asks the server, tells it, and hears of the others."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog

from resolver_service.adapters.stores_redis import bindings
from resolver_service.adapters.stores_redis.bindings import BindingMirror
from resolver_service.adapters.stores_redis.drains import DrainMirror
from resolver_service.adapters.stores_redis.health import HealthMirror
from resolver_service.adapters.stores_redis.keys import (
    BINDINGS,
    BOUND,
    CHANGES,
    DRAINS,
    HEALTH,
    LIMITS,
    NUMBERS,
    PROBE,
    SCHEMA,
    SCHEMA_KEY,
    TURNS,
)
from resolver_service.adapters.stores_redis.limits import LimitsMirror, admission, asked
from resolver_service.adapters.stores_redis.link import (
    ANSWER_S,
    SLOW_S,
    Argument,
    Link,
    LinkError,
    Script,
    UnusableStoreError,
    pairs,
)
from resolver_service.adapters.stores_redis.replicas import Place, Replicas
from resolver_service.adapters.stores_redis.rotation import (
    NO_CLAIM,
    RotationMirror,
    arguments,
    field,
    has_second_step,
    key_of,
)
from resolver_service.app.ports import Admission, Clock, Granted, NotEverywhereError, Replica, Stores, Use, Wanted
from resolver_service.domain.health import NEWEST_BELIEVED, PROBE_LEASE_S
from resolver_service.domain.selection import Claim, TurnKey

CHECK_S = 1.0
"""How often what may have been missed is looked for."""
BACKOFF_S = 0.1
BACKOFF_MAX_S = 2.0
"""Before the server is tried again, with a random share on top: many resolvers lose it in the same moment."""

AT_A_TIME = 256
"""Of what has come together while the server was away."""
NONSENSE = (ValueError, TypeError)
"""What comes of answers that make no sense. They are as good as none."""

_log = structlog.get_logger("forebay.resolver.store")


class _Message(msgspec.Struct):
    """What the scripts publish: a change with its number, a probe that is free, or a word."""

    n: int = 0
    w: str = ""
    p: str = ""
    s: str = ""
    h: str = ""
    at: float = 0.0
    d: str = ""
    on: bool = False


_message = msgspec.json.Decoder(_Message)


class RedisState:
    """A `SharedState`. Without the server it is as if this resolver were the only one; what happens meanwhile is told
    when the server is back."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        answer_s: float = ANSWER_S,
        *,
        replica_id: str = "",
        place: Callable[[], Place] = lambda: (0, ""),
    ) -> None:
        """`place` is that of the configuration that this resolver serves from. Raises `ValueError` if the address is
        none."""
        self._link = Link(url)
        self._answer_s = answer_s
        self._clock = clock
        self._to_tell = asyncio.Event()
        self._rotation = RotationMirror()
        self._health = HealthMirror(clock, self._to_tell.set, self._let_go)
        self._drains = DrainMirror(self._to_tell.set)
        self._bindings = BindingMirror(self._to_tell.set)
        self.limits = LimitsMirror(clock, self._ask_soon)
        self._take = Script("limits", "take")
        self._merge, self._drain, self._give_back, self._recount, self._bind = map(
            Script, ("merge", "drain", "give_back", "recount", "bind")
        )
        self._asking: list[tuple[Wanted, asyncio.Future[Granted]]] = []
        self._asker: asyncio.Task[None] | None = None
        self._held: dict[str, str] = {}
        """Probes that this resolver has, by scope: the decision that holds each."""
        self._released: list[tuple[str, str]] = []
        self._life = b""
        """Of the server's memory: another one has forgotten what the last one knew."""
        self._heard = -1
        """The number of the last change that was heard of."""
        self._tasks: list[asyncio.Task[None]] = []
        self._has_begun = asyncio.Event()
        self._telling = asyncio.Lock()
        self._place = place
        self.replicas = Replicas(self._link, replica_id or secrets.token_hex(6), place, lambda: self._heard)
        self.record_changed = asyncio.Event()
        """Another configuration is of record than this resolver serves from, or may be."""
        self.is_degraded = True
        self.is_durable: bool | None = None
        """Whether what the server has acknowledged outlives its crash; None if it does not say."""
        self.losses = 0
        """How often the server was lost."""

    @property
    def stores(self) -> Stores:
        return Stores(self._rotation, self._health, self._drains, self._bindings, self)

    # --- Asking -------------------------------------------------------------------------------------------------------

    async def take(self, wanted: Sequence[Wanted]) -> Sequence[Granted]:
        """As the port says. What is asked while an answer is on its way goes together with the next question."""
        if self.is_degraded:
            return [self._rotation.take_alone(each) for each in wanted]
        loop = asyncio.get_running_loop()
        answers = [loop.create_future() for _ in wanted]
        self._asking += zip(wanted, answers, strict=True)
        self._ask_soon()
        try:
            return list(await asyncio.gather(*answers))
        except asyncio.CancelledError:
            for answer in answers:
                if answer.done() and not answer.cancelled():
                    self._take_back(answer.result())
            raise

    def _take_back(self, granted: Granted) -> None:
        """Whoever asked has gone."""
        self.give_back(granted.holder, granted.probes)
        if granted.admission is not None and granted.admission.refusal is None:
            self.limits.withdrawn(granted.holder)

    def _ask_soon(self) -> None:
        if self._asker is None and not self.is_degraded:
            self._asker = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            # One question at a time: what has become of requests is told in the order in which it came.
            while self._asking or (self.limits.untold and not self.is_degraded):
                asking, self._asking = self._asking, []
                try:
                    granted = await self._granted([wanted for wanted, _ in asking], self._answer_s)
                except (LinkError, *NONSENSE) as error:
                    self._lost(error)
                    granted = [self._rotation.take_alone(wanted) for wanted, _ in asking]
                    for wanted, _ in asking:
                        if wanted.use is not None:  # The server may have let it in.
                            self.limits.withdrawn(wanted.holder)
                for (_, answer), each in zip(asking, granted, strict=True):
                    if answer.done():
                        self._take_back(each)
                    else:
                        answer.set_result(each)
        finally:
            self._asker = None

    async def _granted(self, wanted: Sequence[Wanted], within_s: float) -> list[Granted]:
        events = self.limits.taken()
        said: list[Argument] = [int(PROBE_LEASE_S * 1000), len(events), *self.limits.said(events)]
        for each in wanted:
            said.append(each.holder)
            if each.use is not None:
                said += asked(each.use)
            said += (len(each.probes), *each.probes, each.binding.hex())
            said += NO_CLAIM if each.claim is None else arguments(each.claim)
        try:
            answers = await self._link.run(self._take, (TURNS, PROBE, BOUND, LIMITS), said, within_s)
        except (LinkError, *NONSENSE):
            self.limits.untell(events)
            raise
        turns: list[dict[TurnKey, int]] = []
        admissions: list[Admission | None] = []
        rest: list[tuple[int, Claim]] = []
        for number, (each, (numbers, _, bound, *allowed)) in enumerate(zip(wanted, answers, strict=True)):
            if bound:
                self._hear_bound(each.binding, bound)
            admissions.append(None if each.use is None else self._admission(each.holder, each.use, *allowed))
            claim = each.claim if numbers else None  # One that a limit refuses takes none.
            if claim is not None and has_second_step(claim):
                turns.append({claim.key: numbers[0]})
                if (pool := claim.falls_on(numbers[0])) is not None:
                    rest.append((number, pool))
            else:
                turns.append({} if claim is None else claim.taken(numbers))
        if rest:
            more = await self._granted([Wanted(wanted[number].holder, pool) for number, pool in rest], within_s)
            for (number, _), each_more in zip(rest, more, strict=True):
                turns[number] |= each_more.turns
        for taken in turns:
            self._rotation.taken(taken)
        return [
            Granted(each.holder, its_turns, self._won(each, holders), its_admission)
            for each, its_turns, (_, holders, *_), its_admission in zip(wanted, turns, answers, admissions, strict=True)
        ]

    def _admission(self, holder: str, use: Use, answer: Sequence[int]) -> Admission:
        its = admission(use, answer)
        if its.refusal is None:
            self.limits.let_in(holder, use)
        return its

    def _won(self, wanted: Wanted, holders: Sequence[bytes | None]) -> frozenset[str]:
        won: set[str] = set()
        for scope, said in zip(wanted.probes, holders, strict=True):
            holder = "" if said is None else said.decode(errors="replace")
            if not holder:  # It has not been asked for, since a limit refuses the request.
                continue
            if holder == wanted.holder:
                won.add(scope)
                self._held[scope] = holder
            elif self._held.get(scope) != holder:
                self._health.held_elsewhere(scope, self._clock() + PROBE_LEASE_S)
        return frozenset(won)

    def _hear_bound(self, key: bytes, said: bytes) -> None:
        try:
            self._bindings.heard(key, said)
        except ValueError:
            _log.warning("store_not_understood", what="a binding")

    def give_back(self, holder: str, scopes: Iterable[str]) -> None:
        """As the port says."""
        for scope in scopes:
            self._let_go(scope, holder)

    def _let_go(self, scope: str, holder: str) -> None:
        if self._held.get(scope) == holder:  # Else the server does not know of it.
            del self._held[scope]
            self._released.append((scope, holder))
            self._to_tell.set()

    # --- Telling ------------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Tells the server what has changed here, whenever something has."""
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            if self.is_degraded:
                continue  # It is told when it is back.
            try:
                await self._tell_all()
            except (LinkError, *NONSENSE) as error:
                self._lost(error)

    async def _tell_all(self) -> None:
        async with self._telling:
            await self._tell_each()

    async def _tell_each(self) -> None:
        await self._tell_turns()
        if drains := dict(self._drains.untold):
            said: list[Argument] = [CHANGES]
            for target_id, drained in drains.items():
                said += (target_id, int(drained))
            await self._link.run(self._drain, (DRAINS, NUMBERS), said)
            self._drains.untold = {k: v for k, v in self._drains.untold.items() if drains.get(k) is not v}
        if changes := self._health.changes():
            said = [CHANGES]
            for change in changes:
                said += (change.scope, change.base, change.said)
            try:
                now_ms, answers = await self._link.run(self._merge, (HEALTH, NUMBERS, PROBE), said)
            except LinkError:
                self._health.untell(changes)
                raise
            for change, (state, is_taken) in zip(changes, answers, strict=True):
                try:
                    self._health.told(change, state, float(now_ms), is_taken=bool(is_taken))
                except ValueError:
                    _log.warning("store_not_understood", scope=change.scope)
        if released := self._released:
            self._released = []
            said = [CHANGES]
            for pair in released:
                said += pair
            try:
                await self._link.run(self._give_back, (PROBE,), said)
            except LinkError:
                self._released += released
                raise
        await self._tell_bindings()

    async def _tell_limits(self) -> None:
        """What no question takes along."""
        if self._asker is not None:
            await self._asker
        while self.limits.untold:
            await self._granted([], SLOW_S)

    async def _tell_bindings(self) -> None:
        while some := dict(itertools.islice(self._bindings.untold.items(), AT_A_TIME)):
            await self._link.run(self._bind, (BOUND, BINDINGS), bindings.said(some))
            self._bindings.told(some)

    async def _tell_turns(self) -> None:
        while self._rotation.untold:
            key, count = self._rotation.untold.popitem()
            try:
                self._rotation.turns[key] = int(await self._link.ask("HINCRBY", TURNS, field(key), count))
            except LinkError:
                self._rotation.untold[key] = self._rotation.untold.get(key, 0) + count
                raise

    # --- The others ---------------------------------------------------------------------------------------------------

    async def settled(self, revision: int) -> None:
        """Waits until all that was told here before is known to every live resolver, and they serve from this revision.
        Raises `NotEverywhereError` if that takes too long."""
        try:
            if self.is_degraded:
                raise LinkError("it was lost")
            await self._tell_all()
            await self.replicas.agree(revision)
        except LinkError as error:
            self._lost(error)
            words = "it is done here; the store is away, and the others are told when it is back"
            raise NotEverywhereError(words) from None

    async def all_replicas(self) -> Sequence[Replica]:
        """This one first. While the server is away nobody else is known of."""
        if not self.is_degraded:
            try:
                return self.replicas.shown(await self.replicas.beat())
            except LinkError as error:
                self._lost(error)
        return [self.replicas.myself(is_degraded=True)]

    async def _keep_beating(self) -> None:
        while True:
            await self.replicas.due()
            if not self.is_degraded:
                self.limits.renew()
                try:
                    await self._beat()
                except LinkError as error:
                    self._lost(error)

    async def _beat(self) -> None:
        if (await self.replicas.beat()).place != self._place():
            self.record_changed.set()

    # --- Hearing ------------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Keeps in touch with the server until `stop`, and then tells it the last things."""
        self._tasks = [asyncio.create_task(each()) for each in (self._listen, self._tell, self._keep_beating)]
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
            with contextlib.suppress(LinkError):
                if not self.is_degraded:
                    await self._tell_all()
                    await self._tell_limits()
                    await self.replicas.leave()
            await self._link.aclose()
        self.is_degraded = True
        self._has_begun.set()
        for error in ended:
            if isinstance(error, Exception):
                raise error  # A defect, which must not go unseen.

    async def begun(self) -> None:
        """Waits until the server has been reached, or has not."""
        await self._has_begun.wait()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _listen(self) -> None:
        backoff_s = BACKOFF_S
        while True:
            try:
                async with contextlib.aclosing(self._link.messages(CHANGES, CHECK_S)) as messages:
                    async for message in messages:
                        if self.is_degraded:
                            await self._resume()
                            backoff_s = BACKOFF_S
                        await self._hear(message)
            except (LinkError, UnusableStoreError, *NONSENSE) as error:
                if not self._has_begun.is_set() or isinstance(error, UnusableStoreError):
                    _log.warning("store_unavailable", error=str(error))
                self._lost(error)
                await self._link.leave()
            self._has_begun.set()
            await asyncio.sleep(backoff_s * (1 + random.random()))  # noqa: S311 - it keeps resolvers apart, no secrets
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _resume(self) -> None:
        """Tells what has happened without the server, and takes over what it has."""
        await self._link.ask("SET", SCHEMA_KEY, SCHEMA, "NX")
        schema = await self._link.ask("GET", SCHEMA_KEY)
        if schema != str(SCHEMA).encode():
            found = schema.decode(errors="replace")[:40]
            raise UnusableStoreError(f"the store's schema is '{found}', and this resolver knows {SCHEMA}")
        await self._link.ask("HSETNX", NUMBERS, "life", secrets.token_hex(8))
        life, changes = await self._life_and_changes()
        if self._life and (life != self._life or changes < self._heard):
            self._health.tell_all()
            self._drains.tell_all()
            self._bindings.tell_all()
        self._life = life
        if taken := self._rotation.heard_of():
            said: list[Argument] = []
            for key, turns in taken.items():
                said += (field(key), turns)
            await self._link.run(self._recount, (TURNS,), said)
        await self._tell_all()
        self.limits.renew()
        await self._tell_limits()
        await self._read_all()
        # Said before the configuration is looked at: who changes it from here on waits for this resolver.
        await self._beat()
        self.is_durable = await self._link.is_durable()
        self.is_degraded = False
        if self.limits.untold:
            self._ask_soon()
        _log.info("store_connected", is_durable=self.is_durable)
        if self.is_durable is False:
            words = "set appendonly to yes and appendfsync to always: what is acknowledged may be lost in a crash"
            _log.warning("store_not_durable", remedy=words)
        self._has_begun.set()

    async def _hear(self, message: bytes | None) -> None:
        """`None` is a moment of silence: time to look whether something was missed."""
        if message is None:
            life, changes = await self._life_and_changes()
            if life != self._life or changes < self._heard:
                _log.warning("store_has_forgotten")
                await self._resume()
            elif changes != self._heard:
                await self._read_all()
            return
        try:
            said = _message.decode(message)
            if said.w:
                self._hear_word(said.w)
            elif said.p:
                self._health.free(said.p)
            elif said.n > self._heard + 1:
                await self._read_all()
            elif said.n == self._heard + 1:
                self._heard = said.n
                if said.d:
                    self._drains.heard(said.d, drained=said.on)
                else:
                    self._health.heard(said.s, said.h.encode(), said.at)
        except ValueError:
            _log.warning("store_not_understood", channel=CHANGES)

    def _hear_health(self, scope: str, state: bytes, now_ms: float) -> None:
        try:
            self._health.heard(scope, state, now_ms)
        except ValueError:
            _log.warning("store_not_understood", scope=scope)

    def _hear_word(self, word: str) -> None:
        match word:
            case "revision":
                self.record_changed.set()
            case "ask":
                self.replicas.tell()
            case "there":
                self.replicas.somebody_is_there()

    async def _life_and_changes(self) -> tuple[bytes, int]:
        life, changes = await self._link.ask("HMGET", NUMBERS, "life", "changes")
        return life or b"", int(changes or 0)

    async def _read_all(self) -> None:
        # The number first: what changes while the rest is read is read twice, and never missed.
        self._heard = int(await self._link.ask("HGET", NUMBERS, "changes") or 0)
        latest = int(await self._link.ask("HGET", NUMBERS, "latest") or 0)
        self._health.latest = max(self._health.latest, min(latest, NEWEST_BELIEVED))
        seconds, micros = await self._link.ask("TIME")
        now_ms = int(seconds) * 1000 + int(micros) / 1000
        states = await self._link.ask("HGETALL", HEALTH)
        scopes = {scope.decode(errors="replace"): state for scope, state in pairs(states)}
        for scope, state in scopes.items():
            self._hear_health(scope, state, now_ms)
        self._health.forget_all_but(scopes.keys())
        drained = {target.decode(errors="replace") for target in await self._link.ask("SMEMBERS", DRAINS)}
        for target_id in (self._drains.targets | drained) - self._drains.untold.keys():
            self._drains.heard(target_id, drained=target_id in drained)
        for name, taken in pairs(await self._link.ask("HGETALL", TURNS)):
            with contextlib.suppress(ValueError):
                self._rotation.turns[key_of(name.decode())] = int(taken)

    def _lost(self, error: Exception) -> None:
        if not self.is_degraded:
            self.is_degraded = True
            self.losses += 1
            _log.warning("store_lost", error=str(error))
