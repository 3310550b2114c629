"""Changes that are asked for, rather than found in the file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from resolver_service.app.configure import FILE, Configuration, Proposal, digest_of
from resolver_service.app.considerate import considerate
from resolver_service.app.ports import (
    AWKWARD,
    ConflictError,
    Parsed,
    PastRevision,
    PastRevisions,
    ReadOnlyError,
    Record,
    Revision,
    Siblings,
)
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_changes import (
    Change,
    changed,
    changes_providers,
    concerns_providers,
    with_clients_of,
)
from resolver_service.domain.same import same

SETTLED_S = 0.2
"""An outside edit counts once two looks this far apart have found the same: see `config_file`."""
LONGEST_AUTHOR = 100

Amend = Callable[[bytes, object, object], bytes]
"""Takes a text, the document that it says and the one that it is to say; returns the text edited in place."""
Result = TypeVar("Result")


class ProvidersLockedError(Exception):
    code = "providers_locked"

    def __init__(self) -> None:
        super().__init__("providers cannot be changed here: the resolver runs without --allow-provider-edits")


class UnknownRevisionError(Exception):
    code = "revision_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"revision {number} is not kept")


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions of a change."""

    etag: str = ""
    """Of the configuration that it starts from; empty for any."""
    validate_only: bool = False
    author: str = ""
    made: Callable[[Revision], None] = lambda revision: None
    """Called with the revision that it makes, if it makes one."""


class Editor:
    """Carries changes out one after another. What it answers with is valid, durable and in effect.

    Its methods raise `ConflictError`, `ConfigError`, `NotThereError`, `InUseError`, `ProvidersLockedError`,
    `UnknownRevisionError`, `ReadOnlyError`, `HistoryError` or `AwayError`, and then nothing has changed. Where
    resolvers share it they also raise `UncertainError`, or `NotEverywhereError` of a change that was made.
    """

    def __init__(
        self,
        configuration: Configuration,
        record: Record,
        history: PastRevisions,
        amend: Amend,
        *,
        provider_edits: bool,
        siblings: Siblings | None = None,
    ) -> None:
        """Without siblings the record is this resolver's own: a file."""
        self._configuration = configuration
        self._record = record
        self._history = history
        self._amend = amend
        self._provider_edits = provider_edits
        self._siblings = siblings
        self._one_at_a_time = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()

    @property
    def current(self) -> Revision:
        return self._configuration.current

    async def change(self, change: Change, terms: Terms) -> Revision:
        """The revision that it makes; the present one if it is only validated, or changes nothing."""
        return await self._to_the_end(self._change(change, terms), terms)

    async def roll_back(self, number: int, terms: Terms) -> Revision:
        """Puts the text of an earlier revision into effect, as a new one. Clients stay as they are: a key that has been
        taken out since is not let in again by the way."""
        return await self._to_the_end(self._roll_back(number, terms), terms)

    async def apply(self, text: bytes, terms: Terms) -> Revision:
        """Puts a whole text into effect.

        Where resolvers share the configuration this is the way in for a file, and may change providers as a file may.
        """
        return await self._to_the_end(self._apply(text, terms), terms)

    async def revisions(self, before: int, most: int) -> list[PastRevision]:
        """The latest first; 0 for those before any."""
        if before == 1:
            return []  # Without asking anybody: so does an edge that only wants to know whether a key is the right one.
        latest = self.current.number
        # One that is just being kept may still come to nothing.
        return await asyncio.to_thread(self._history.before, min(before or latest + 1, latest + 1), most)

    async def _to_the_end(self, doing: Coroutine[Any, Any, Result], terms: Terms) -> Result:
        """Whoever asked may leave at any time, but what has been written comes into effect."""
        task = asyncio.create_task(self._undisturbed(doing, terms))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _undisturbed(self, doing: Coroutine[Any, Any, Result], terms: Terms) -> Result:
        with considerate():
            done = await doing
        if self._siblings and not terms.validate_only:
            # Also if nothing was changed: this may be a change that is repeated since it was not in effect everywhere.
            await self._siblings.settled(self.current.number)
        return done

    async def _change(self, change: Change, terms: Terms) -> Revision:
        if not self._provider_edits and concerns_providers(change):
            raise ProvidersLockedError
        async with self._one_at_a_time:
            base = await self._base(terms)
            after = await asyncio.to_thread(changed, base.document, change)
            await self._check_providers(base.document, after)
            text = await asyncio.to_thread(self._amend, base.text, base.document, after)
            if text == base.text:
                return base
            return await self._accept(base, text, await self._checked(text, after), terms)

    async def _roll_back(self, number: int, terms: Terms) -> Revision:
        async with self._one_at_a_time:
            base = await self._base(terms)
            text = base.text if number == base.number else await asyncio.to_thread(self._history.text, number)
            if text is None or number > base.number:
                raise UnknownRevisionError(number)
            if text == base.text:
                return base
            parsed = await self._configuration.parse(text)
            after = with_clients_of(parsed.document, base.document)
            if not await asyncio.to_thread(same, parsed.document, after):
                text = await asyncio.to_thread(self._amend, text, parsed.document, after)
                if text == base.text:
                    return base
                parsed = await self._checked(text, after)
            await self._check_providers(base.document, parsed.document)
            return await self._accept(base, text, parsed, terms)

    async def _checked(self, text: bytes, after: Mapping[str, Any]) -> Parsed:
        """Parses an edited text. Raises `ConfigError`, or `ReadOnlyError` if it does not say what it was edited to."""
        parsed = await self._configuration.parse(text)
        if not await asyncio.to_thread(same, parsed.document, after):
            raise ReadOnlyError(AWKWARD)
        return parsed

    async def _apply(self, text: bytes, terms: Terms) -> Revision:
        async with self._one_at_a_time:
            base = await self._base(terms)
            if text == base.text:
                return base
            parsed = await self._configuration.parse(text)
            if self._siblings is None:
                await self._check_providers(base.document, parsed.document)
            return await self._accept(base, text, parsed, terms)

    async def _base(self, terms: Terms) -> Revision:
        """What the change is made from: what is in effect and of record."""
        if self._siblings:
            self._siblings.check()
            await self._siblings.catch_up()
        base = self.current
        if terms.etag and terms.etag != base.digest:
            raise ConflictError("the configuration is no longer the one that the change starts from: read it again")
        if not self._siblings:
            text = await asyncio.to_thread(self._record.read)
            if digest_of(text) != base.digest:
                await self._take_in(text)
        return base

    async def _take_in(self, text: bytes) -> None:
        """Somebody has edited the file: that comes first, and is put into effect. Always raises."""
        before = None
        while text != before:
            await asyncio.sleep(SETTLED_S)
            before, text = text, await asyncio.to_thread(self._record.read)
        try:
            await self._configuration.offer(text, lambda: self._record.read() == text)
        except ConfigError:
            raise ConflictError("the file has been edited, and is not valid: mend it first") from None
        raise ConflictError("the file has been edited, and that has been taken in: read the configuration again")

    async def _check_providers(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        if not self._provider_edits and await asyncio.to_thread(changes_providers, before, after):
            raise ProvidersLockedError

    async def _accept(self, base: Revision, text: bytes, parsed: Parsed, terms: Terms) -> Revision:
        if terms.validate_only:
            return base
        author = "".join(c for c in terms.author if c.isprintable())[:LONGEST_AUTHOR].strip()
        author = "" if author == FILE else author
        proposal = Proposal(base, text, parsed, author)
        made = await self._configuration.accept(proposal, lambda told: self._record.replace(base.text, text, told))
        terms.made(made)
        return made
