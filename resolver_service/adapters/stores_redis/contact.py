"""Whether this resolver works with the server, or goes by itself."""

from __future__ import annotations

import structlog

from resolver_service.adapters.stores_redis.link import Link

NONSENSE = (ValueError, TypeError)
"""What comes of answers that make no sense. They are as good as none."""

_log = structlog.get_logger("forebay.resolver.store")


class Contact:
    """All parts of a resolver have one."""

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
