"""A resolver that shares nothing."""

from __future__ import annotations

from collections.abc import Sequence

from resolver_service.app.ports import Replica, Revisions


class Alone:
    """A `Siblings`: what is done here is done everywhere."""

    def __init__(self, id: str, revisions: Revisions) -> None:  # noqa: A002 - what it is called everywhere
        self._id = id
        self._revisions = revisions

    def check(self) -> None:
        """As the port says."""

    async def catch_up(self) -> None:
        """As the port says."""

    async def settled(self, revision: int = 0) -> None:
        """As the port says."""

    async def replicas(self) -> Sequence[Replica]:
        """As the port says."""
        return [Replica(self._id, self._revisions.current.number, 0.0, is_degraded=False)]
