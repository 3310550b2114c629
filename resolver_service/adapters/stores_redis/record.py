"""The configuration of record, where it is in the server: reads it, and replaces it atomically."""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from resolver_service.adapters.stores_redis.keys import CHANGES, NUMBERS, REVISIONS, SCHEMA, SCHEMA_KEY, TEXTS
from resolver_service.adapters.stores_redis.link import CONNECT_S, Argument, Script
from resolver_service.app.ports import (
    MOST_REVISIONS,
    AwayError,
    ConflictError,
    Kept,
    PastRevision,
    ReadOnlyError,
    UncertainError,
)

ANSWER_S = 3.0
"""How long to wait for an answer. Texts may have megabytes, which the server syncs to its disk first."""
LONGEST_TEXT_BYTES = 16 * 1024 * 1024
"""Uncompressed."""

_KEYS = (NUMBERS, REVISIONS, TEXTS, SCHEMA_KEY)
_CONFLICT = "the configuration has been changed at another resolver at the same time: read it again"

_past = msgspec.json.Decoder(PastRevision)


class RedisRecord:
    """A `Record` and a `PastRevisions`.

    It has connections of its own, and blocks: call it in threads. Every method raises `AwayError` if the server does
    not answer, and `ReadOnlyError` if it cannot be used, or what it has cannot be read.
    """

    def __init__(self, url: str) -> None:
        """Raises `ValueError` if the URL is invalid."""
        self._redis: Any = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            client_name="forebay-resolver-record",
            max_connections=8,
        )
        self._commit, self._latest = Script("commit"), Script("latest")

    def read(self) -> bytes:
        """As the port says."""
        kept = self.latest()
        if kept is None:
            raise ReadOnlyError("the store has no configuration: 'forebay apply FILE' puts one there")
        return kept.text

    def latest(self) -> Kept | None:
        """The revision of record, with its text; None if the server has none."""
        with _answered():
            schema, *found = self._run(self._latest)
            _check_schema(schema)
        if not found:
            return None
        try:
            kept = Kept(_past.decode(found[0]), _expanded(found[1]))
        except (ValueError, zlib.error) as error:
            raise ReadOnlyError(f"the configuration in the store cannot be read: {error}") from None
        if hashlib.sha256(kept.text).hexdigest() != kept.revision.digest:
            raise ReadOnlyError("the configuration in the store is not the one that was put there: it is damaged")
        return kept

    def replace(self, before: bytes, after: bytes, revision: PastRevision) -> PastRevision:
        """As the port says. `created_at` of the answer is by the server's clock."""
        base = hashlib.sha256(before).hexdigest()
        try:
            what, *more = self._put(revision, base, after)
        except AwayError:
            return self._if_it_is_there(revision)
        if what == b"conflict":
            raise ConflictError(_CONFLICT)
        return replace(revision, created_at=int(more[0]))

    def seed(self, revision: PastRevision, text: bytes) -> bool:
        """Stores a first revision, unless the server has one of this number or a later one. Whether it did."""
        return bool(self._put(revision, "", text)[0] == b"ok")

    def put_back(self, revision: PastRevision, text: bytes) -> bool:
        """Stores a revision that the server has lost, as `seed` does, and notes that it has lost the list of resolvers
        with it. Whether it did."""
        return bool(self._put(revision, "forgotten", text)[0] == b"ok")

    def before(self, number: int, most: int) -> list[PastRevision]:
        """As the port says."""
        with _answered():
            kept = sorted(int(each) for each in self._redis.hkeys(REVISIONS))
            numbers = [each for each in reversed(kept) if not number or each < number][:most]
            found = self._redis.hmget(REVISIONS, numbers) if numbers else []
        with contextlib.suppress(ValueError):
            return [_past.decode(each) for each in found if each is not None]
        raise ReadOnlyError("the revisions in the store cannot be read")

    def text(self, number: int) -> bytes | None:
        """As the port says."""
        with _answered():
            found = self._redis.hget(TEXTS, number)
        try:
            return None if found is None else _expanded(found)
        except (ValueError, zlib.error):
            return None

    def close(self) -> None:
        with contextlib.suppress(exceptions.RedisError, OSError):
            self._redis.close()

    def _if_it_is_there(self, revision: PastRevision) -> PastRevision:
        """Called when the answer to a change got lost: the server may have made it, or may even make it later. Raises
        `UncertainError` unless the change is found to be made."""
        with contextlib.suppress(AwayError, ReadOnlyError):
            kept = self.latest()
            if kept and (kept.revision.number, kept.revision.digest) == (revision.number, revision.digest):
                return kept.revision
        raise UncertainError("the store did not answer: the change may have been applied; read before you repeat it")

    def _put(self, revision: PastRevision, base: str, text: bytes) -> list[Any]:
        r = revision
        told: list[Argument] = [CHANGES, SCHEMA, r.number, base, r.author, r.summary, r.diff, r.digest]
        with _answered():
            answer = self._run(self._commit, *told, zlib.compress(text), MOST_REVISIONS, r.created_at)
            if answer[0] == b"schema":
                _check_schema(answer[1])
        return list(answer)

    def _run(self, script: Script, *arguments: Argument) -> Any:
        said: Sequence[Argument] = (len(_KEYS), *_KEYS, *arguments)
        if script.digest:
            with contextlib.suppress(exceptions.NoScriptError):  # The server has lost the script: nothing was done.
                return self._redis.execute_command("EVALSHA", script.digest, *said)
        script.digest = self._redis.execute_command("SCRIPT LOAD", script.text)
        return self._redis.execute_command("EVALSHA", script.digest, *said)


def _expanded(text: bytes) -> bytes:
    """Decompresses a text. Raises `ValueError` or `zlib.error`."""
    expander = zlib.decompressobj()
    expanded = expander.decompress(text, LONGEST_TEXT_BYTES)
    if not expander.eof:
        raise ValueError("its text is cut off, or too long")
    return expanded


def _check_schema(schema: bytes) -> None:
    if schema not in (b"", str(SCHEMA).encode()):
        found = schema.decode(errors="replace")[:40]
        raise ReadOnlyError(f"the store's schema is '{found}', and this resolver knows {SCHEMA}")


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        raise ReadOnlyError(f"the store does not let this resolver in: {error}") from None
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise AwayError(f"the store is away, and nothing can be changed until it is back: {error}") from None
    except (exceptions.ReadOnlyError, exceptions.OutOfMemoryError) as error:
        raise AwayError(f"the store takes no changes at present: {error}") from None
    except exceptions.RedisError as error:
        raise ReadOnlyError(f"the store cannot be worked with: {error}") from None
