"""The connection to the server: commands, scripts and messages, with their time limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from importlib import resources
from typing import Any, TypeAlias

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

ANSWER_S = 0.05
"""How long a request may wait for the server; after that, this resolver works alone."""
CONNECT_S = 1.0
SLOW_S = 1.0
"""How long to wait for an answer that no request waits for."""

Argument: TypeAlias = bytes | str | int


class LinkError(Exception):
    """The server cannot be reached, answers with an error, or does not answer in time."""

    code = "store_lost"


class UnusableStoreError(Exception):
    """The server answers, but cannot be used. The text says why."""

    code = "store_unusable"


class Script:
    """A Lua script, called by its digest (`EVALSHA`). It may be made of several files, of which each can use what the
    earlier ones define."""

    def __init__(self, *names: str) -> None:
        texts = (resources.files(__package__).joinpath(f"{name}.lua").read_bytes() for name in names)
        self.text = b"\n".join(texts)
        self.digest = ""


class Link:
    """A pool of connections to the server. Every method raises `LinkError`. No command is repeated that may have been
    executed."""

    def __init__(self, url: str) -> None:
        """Raises `ValueError` if the URL is invalid. The error does not quote it: there may be a password in it."""
        try:
            redis: Any = Redis.from_url(
                url,
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=CONNECT_S,
                socket_timeout=None,
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
                client_name="forebay-resolver",
                max_connections=8,
            )
            redis.connection_pool.make_connection()  # Some invalid URLs are only found out here.
        except (ValueError, TypeError, exceptions.RedisError):
            raise ValueError("not an address of a server") from None
        self._redis = redis

    async def ask(self, *command: Argument, within_s: float = SLOW_S) -> Any:
        async with _bounded(within_s):
            return await self._redis.execute_command(*command)

    async def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument], within_s: float = SLOW_S
    ) -> Any:
        """Runs a script, and returns its answer."""
        async with _bounded(within_s):
            if script.digest:
                with contextlib.suppress(exceptions.NoScriptError):  # The server has lost the script: nothing was done.
                    return await self._redis.execute_command("EVALSHA", script.digest, len(keys), *keys, *arguments)
            script.digest = await self._redis.execute_command("SCRIPT LOAD", script.text)
            return await self._redis.execute_command("EVALSHA", script.digest, len(keys), *keys, *arguments)

    async def messages(self, channel: str, every_s: float) -> AsyncGenerator[bytes | None]:
        """The messages of a channel. Also yields None once it is subscribed to, and whenever none has come for
        `every_s`."""
        listener = self._redis.pubsub()
        try:
            async with _bounded(CONNECT_S):
                await listener.subscribe(channel)
                while await listener.get_message(timeout=CONNECT_S) is None:
                    pass
            yield None
            while True:
                with _translated():
                    message = await listener.get_message(ignore_subscribe_messages=True, timeout=every_s)
                yield None if message is None else message["data"]
        finally:
            with contextlib.suppress(Exception):
                await listener.aclose()

    async def leave(self) -> None:
        """Closes the idle connections: they may lead to a server that has become a replica."""
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def is_durable(self) -> bool | None:
        """Whether what the server has acknowledged survives a crash of it; None if it does not tell."""
        try:
            said = dict(pairs(await self.ask("CONFIG", "GET", "append*")))
        except LinkError:
            return None  # Managed servers often forbid it.
        return said.get(b"appendonly") == b"yes" and said.get(b"appendfsync") == b"always"

    async def aclose(self) -> None:
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self._redis.aclose()


def pairs(answer: object) -> Iterable[tuple[bytes, bytes]]:
    """The fields of a hash, which version 2 of the protocol sends as a flat list."""
    if isinstance(answer, dict):
        return answer.items()
    flat = list(answer)  # type: ignore[call-overload]
    return zip(flat[::2], flat[1::2], strict=True)


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError, TimeoutError) as error:
        raise LinkError(str(error) or type(error).__name__) from error
    except exceptions.RedisError as error:
        raise LinkError(f"the server says: {error}") from error


@contextlib.asynccontextmanager
async def _bounded(within_s: float) -> AsyncIterator[None]:
    with _translated():
        async with asyncio.timeout(within_s):
            yield
