"""The latest revisions in this process's memory."""

from __future__ import annotations

import zlib

from resolver_service.app.ports import MOST_REVISIONS, PastRevision


class MemoryHistory:
    """A `History`."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[PastRevision, bytes]] = {}
        """In ascending order."""

    def keep(self, revision: PastRevision, text: bytes) -> None:
        """As the port says."""
        self._kept[revision.number] = (revision, zlib.compress(text))
        if len(self._kept) > MOST_REVISIONS:
            del self._kept[next(iter(self._kept))]

    def drop(self, number: int) -> None:
        """As the port says."""
        self._kept.pop(number, None)

    def latest(self) -> PastRevision | None:
        """As the port says."""
        return next((revision for revision, _ in reversed(self._kept.values())), None)

    def before(self, number: int, most: int) -> list[PastRevision]:
        """As the port says."""
        found = [
            revision for revision, _ in reversed(list(self._kept.values())) if not number or revision.number < number
        ]
        return found[:most]

    def text(self, number: int) -> bytes | None:
        """As the port says."""
        found = self._kept.get(number)
        return zlib.decompress(found[1]) if found else None
