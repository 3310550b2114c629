"""Whether this resolver works with the server, or alone."""

from __future__ import annotations

import structlog

from resolver_service.adapters.stores_redis.link import Link

NONSENSE = (ValueError, TypeError)
"""What is raised for answers that cannot be understood. They count as no answer."""

_log = structlog.get_logger("forebay.resolver.store")


class Contact:
    """The connection and its state, which all parts of this package share."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.is_degraded = True
        self.losses = 0
        """How often the server was lost."""

    def lost(self, error: Exception) -> None:
        if not self.is_degraded:
            self.is_degraded = True
            self.losses += 1
            _log.warning("store_lost", error=str(error))
