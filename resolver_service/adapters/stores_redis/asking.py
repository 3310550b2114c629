"""Requests from the server what only one request may get: a turn, a probe, room within a client's limits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import structlog

from resolver_service.adapters.stores_redis.contact import NONSENSE, Contact
from resolver_service.adapters.stores_redis.keys import BOUND, LIMITS, PROBE, TURNS
from resolver_service.adapters.stores_redis.limits import admission, asked
from resolver_service.adapters.stores_redis.link import SLOW_S, Argument, LinkError, Script
from resolver_service.adapters.stores_redis.mirrors import Mirrors
from resolver_service.adapters.stores_redis.rotation import NO_CLAIM, arguments, has_second_step
from resolver_service.app.ports import Admission, Clock, Granted, Use, Wanted
from resolver_service.domain.health import PROBE_LEASE_S
from resolver_service.domain.selection import Claim, TurnKey

_NONE: frozenset[str] = frozenset()
_encode = msgspec.msgpack.Encoder().encode
_answers = msgspec.msgpack.Decoder(list[list[Any]])

_log = structlog.get_logger("forebay.resolver.store")


class Asking:
    def __init__(self, contact: Contact, mirrors: Mirrors, clock: Clock, answer_s: float) -> None:
        """`answer_s` is how long a request waits for the server."""
        self._contact = contact
        self._mirrors = mirrors
        self._clock = clock
        self._answer_s = answer_s
        self._take = Script("limits", "take")
        self._waiting: list[tuple[Wanted, asyncio.Future[Granted]]] = []
        self.under_way: asyncio.Task[None] | None = None
        """The task that asks; None while there is nothing to ask for."""

    async def take(self, wanted: Sequence[Wanted]) -> Sequence[Granted]:
        """As the port says. All that is asked for while an answer is awaited goes into the next call."""
        if self._contact.is_degraded:
            return [self._mirrors.rotation.take_alone(each) for each in wanted]
        loop = asyncio.get_running_loop()
        answers = [loop.create_future() for _ in wanted]
        self._waiting += zip(wanted, answers, strict=True)
        self.ask_soon()
        try:
            return [await answer for answer in answers]
        except asyncio.CancelledError:
            for answer in answers:
                if not answer.cancel() and not answer.cancelled():
                    self._take_back(answer.result())
            raise

    def _take_back(self, granted: Granted) -> None:
        """The caller has gone: returns what was granted to it."""
        self.give_back(granted.holder, granted.probes)
        if granted.admission is not None and granted.admission.refusal is None:
            self._mirrors.limits.withdrawn(granted.holder)

    def ask_soon(self) -> None:
        """Begins to ask, unless that is under way, or the server is away."""
        if self.under_way is None and not self._contact.is_degraded:
            self.under_way = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            # One call at a time, so that the server learns what became of requests in the order in which it happened.
            while self._waiting or (self._mirrors.limits.untold and not self._contact.is_degraded):
                asking, self._waiting = self._waiting, []
                try:
                    granted = await self._granted([wanted for wanted, _ in asking], self._answer_s)
                except (LinkError, *NONSENSE) as error:
                    self._contact.lost(error)
                    granted = [self._mirrors.rotation.take_alone(wanted) for wanted, _ in asking]
                    for wanted, _ in asking:
                        if wanted.use is not None:  # The server may have counted it all the same.
                            self._mirrors.limits.withdrawn(wanted.holder)
                for (_, answer), each in zip(asking, granted, strict=True):
                    if answer.done():
                        self._take_back(each)
                    else:
                        answer.set_result(each)
        finally:
            self.under_way = None

    async def _granted(self, wanted: Sequence[Wanted], within_s: float) -> list[Granted]:
        events = self._mirrors.limits.taken()
        said: list[Argument] = [int(PROBE_LEASE_S * 1000), len(events), *self._mirrors.limits.said(events)]
        for each in wanted:
            said.append(each.holder)
            if each.use is not None:
                said += asked(each.use)
            said += (len(each.probes), *each.probes, each.binding.hex())
            said += NO_CLAIM if each.claim is None else arguments(each.claim)
        try:
            keys = (TURNS, PROBE, BOUND, LIMITS)
            packed, *words = await self._contact.link.run(self._take, keys, (_encode(said),), within_s)
            answers = _answers.decode(packed)
        except (LinkError, *NONSENSE):
            self._mirrors.limits.untell(events)
            raise
        its_words = iter(words)
        won: list[frozenset[str]] = []
        turns: list[dict[TurnKey, int]] = []
        admissions: list[Admission | None] = []
        rest: list[tuple[int, Claim]] = []
        for number, (each, (numbers, probes, has_binding, *allowed)) in enumerate(zip(wanted, answers, strict=True)):
            won.append(self._won(each, list(itertools.islice(its_words, probes))) if probes else _NONE)
            if has_binding:
                self._hear_bound(each.binding, next(its_words, b""))
            admissions.append(None if each.use is None else self._admission(each.holder, each.use, *allowed))
            claim = each.claim if numbers else None  # A request that a limit refuses takes no turn.
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
            self._mirrors.rotation.taken(taken)
        return [
            Granted(each.holder, its_turns, its_probes, its_admission)
            for each, its_turns, its_probes, its_admission in zip(wanted, turns, won, admissions, strict=True)
        ]

    def _admission(self, holder: str, use: Use, answer: Sequence[int]) -> Admission:
        its = admission(use, answer)
        if its.refusal is None:
            self._mirrors.limits.let_in(holder, use)
        return its

    def _won(self, wanted: Wanted, holders: Sequence[bytes | None]) -> frozenset[str]:
        won: set[str] = set()
        for scope, said in zip(wanted.probes, holders, strict=True):
            holder = "" if said is None else said.decode(errors="replace")
            if not holder:  # The script has not looked at it, since a limit refuses the request.
                continue
            if holder == wanted.holder:
                won.add(scope)
                self._mirrors.probes.won(scope, holder)
            elif not self._mirrors.probes.is_held(scope, holder):
                self._mirrors.health.held_elsewhere(scope, self._clock() + PROBE_LEASE_S)
        return frozenset(won)

    def give_back(self, holder: str, scopes: Iterable[str]) -> None:
        """As the port says."""
        for scope in scopes:
            self._mirrors.probes.let_go(scope, holder)

    async def tell_limits(self) -> None:
        """Sends what became of requests under limits, though nothing is asked for."""
        if self.under_way is not None:
            await self.under_way
        while self._mirrors.limits.untold:
            await self._granted([], SLOW_S)

    def _hear_bound(self, key: bytes, said: bytes) -> None:
        try:
            self._mirrors.bindings.heard(key, said)
        except ValueError:
            _log.warning("store_not_understood", what="a binding")
