"""Takes over what other resolvers have changed, as the server publishes it, and looks for changes that were missed."""

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
    """A message that the scripts publish. It is one of: a change of health (`s`), a drain (`d`), a probe that was given
    back (`p`), a word (`w`)."""

    n: int = 0
    """The number of a change of health or a drain: numbers have no gaps, so that a missed message shows."""
    w: str = ""
    """See `Hearing._hear_word`."""
    p: str = ""
    """The scope whose probe was given back."""
    s: str = ""
    """The scope whose health has changed."""
    h: str = ""
    """Its new state."""
    at: float = 0.0
    """When it changed, in milliseconds of the server's clock."""
    d: str = ""
    """The target that was drained or put back."""
    on: bool = False
    """Whether it is drained."""


_message = msgspec.json.Decoder(_Message)


class Hearing:
    """Its methods raise `LinkError`, or one of `NONSENSE` if an answer cannot be understood."""

    def __init__(self, contact: Contact, mirrors: Mirrors) -> None:
        self._contact = contact
        self._mirrors = mirrors
        self._life = b""
        """A random id that is stored with the server's data. If it changes, the server has lost its data."""
        self.heard = -1
        """The number of the last change that was taken over."""
        self.record_changed = asyncio.Event()
        """Set when the store may have another configuration than this resolver serves from."""

    async def hear(self, message: bytes, replicas: Replicas) -> None:
        """Takes over what a message tells. Words go to `replicas`."""
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
        """Called when no message has come for a while: takes over what was missed. False if the server has lost
        data."""
        life, changes = await self._life_and_changes()
        if self._is_another(life, changes):
            return False
        if changes != self.heard:
            await self.read_all()
        return True

    async def meet(self) -> None:
        """Called after connecting. If the server has lost data, everything known here will be written to it again."""
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
        """Takes over everything that the server has."""
        # The number first: a change that is made while the rest is read is taken over twice, and never missed.
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
