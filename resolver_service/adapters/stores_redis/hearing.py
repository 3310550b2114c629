"""Hears what has changed at the others, and looks for what it has missed."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import msgspec
import structlog

from resolver_service.adapters.stores_redis.contact import Contact
from resolver_service.adapters.stores_redis.keys import CHANGES, DRAINS, HEALTH, NUMBERS, TURNS
from resolver_service.adapters.stores_redis.link import pairs
from resolver_service.adapters.stores_redis.mirrors import Mirrors
from resolver_service.adapters.stores_redis.replicas import Replicas
from resolver_service.adapters.stores_redis.rotation import key_of
from resolver_service.domain.health import NEWEST_BELIEVED

_log = structlog.get_logger("forebay.resolver.store")


class _Message(msgspec.Struct):
    """What the scripts publish: a change with its number, a probe that is free, or a word."""

    n: int = 0
    """The number of a change, which is one of `s` and `d`."""
    w: str = ""
    """A word: see `Hearing._hear_word`."""
    p: str = ""
    """A scope whose probe is free."""
    s: str = ""
    """A scope whose health has changed,"""
    h: str = ""
    """to this state,"""
    at: float = 0.0
    """at this time of the server's clock, in milliseconds."""
    d: str = ""
    """A target that was drained, or put back,"""
    on: bool = False
    """and which of the two."""


_message = msgspec.json.Decoder(_Message)


class Hearing:
    """Its methods raise `LinkError`, or one of `NONSENSE` if the answer makes no sense."""

    def __init__(self, contact: Contact, mirrors: Mirrors) -> None:
        self._contact = contact
        self._mirrors = mirrors
        self._life = b""
        """The id of the server's data: another one means that it has lost what it knew."""
        self.heard = -1
        """The number of the last change that was heard of."""
        self.record_changed = asyncio.Event()
        """Set when the store may have another configuration than this resolver serves from."""

    async def hear(self, message: bytes, replicas: Replicas) -> None:
        """`replicas` are told what is for them."""
        try:
            said = _message.decode(message)
            if said.w:
                self._hear_word(said.w, replicas)
            elif said.p:
                self._mirrors.health.free(said.p)
            elif said.n > self.heard + 1:
                await self.read_all()
            elif said.n == self.heard + 1:
                self.heard = said.n
                if said.d:
                    self._mirrors.drains.heard(said.d, drained=said.on)
                else:
                    self._mirrors.health.heard(said.s, said.h.encode(), said.at)
        except ValueError:
            _log.warning("store_not_understood", channel=CHANGES)

    async def in_silence(self) -> bool:
        """Time to look whether something was missed. False if the server has forgotten what it knew."""
        life, changes = await self._life_and_changes()
        if self._is_another(life, changes):
            return False
        if changes != self.heard:
            await self.read_all()
        return True

    async def meet(self) -> None:
        """After connecting. If the server has lost something, everything is to be told again."""
        await self._contact.link.ask("HSETNX", NUMBERS, "life", secrets.token_hex(8))
        life, changes = await self._life_and_changes()
        if self._life and self._is_another(life, changes):
            self._mirrors.tell_all()
        self._life = life

    def _is_another(self, life: bytes, changes: int) -> bool:
        return life != self._life or changes < self.heard

    async def _life_and_changes(self) -> tuple[bytes, int]:
        life, changes = await self._contact.link.ask("HMGET", NUMBERS, "life", "changes")
        return life or b"", int(changes or 0)

    async def read_all(self) -> None:
        # The number first: what changes while the rest is read is read twice, and never missed.
        self.heard = int(await self._contact.link.ask("HGET", NUMBERS, "changes") or 0)
        latest = int(await self._contact.link.ask("HGET", NUMBERS, "latest") or 0)
        self._mirrors.health.latest = max(self._mirrors.health.latest, min(latest, NEWEST_BELIEVED))
        seconds, micros = await self._contact.link.ask("TIME")
        now_ms = int(seconds) * 1000 + int(micros) / 1000
        states = await self._contact.link.ask("HGETALL", HEALTH)
        scopes = {scope.decode(errors="replace"): state for scope, state in pairs(states)}
        for scope, state in scopes.items():
            self._hear_health(scope, state, now_ms)
        self._mirrors.health.forget_all_but(scopes.keys())
        drained = {target.decode(errors="replace") for target in await self._contact.link.ask("SMEMBERS", DRAINS)}
        for target_id in (self._mirrors.drains.targets | drained) - self._mirrors.drains.untold.keys():
            self._mirrors.drains.heard(target_id, drained=target_id in drained)
        for name, taken in pairs(await self._contact.link.ask("HGETALL", TURNS)):
            with contextlib.suppress(ValueError):
                self._mirrors.rotation.turns[key_of(name.decode())] = int(taken)

    def _hear_health(self, scope: str, state: bytes, now_ms: float) -> None:
        try:
            self._mirrors.health.heard(scope, state, now_ms)
        except ValueError:
            _log.warning("store_not_understood", scope=scope)

    def _hear_word(self, word: str, replicas: Replicas) -> None:
        match word:
            case "revision":
                self.record_changed.set()
            case "ask":
                replicas.tell()
            case "there":
                replicas.somebody_is_there()
