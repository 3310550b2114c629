"""Follows the configuration file as it changes on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from watchfiles import awatch

from resolver_service.app.configure import Configuration
from resolver_service.domain.config import ConfigError

DEBOUNCE_MS = 200
"""Editors and deployments touch a file several times in a row; only what it is in the end counts."""

_log = structlog.get_logger("forebay.resolver.config")


async def follow(path: Path, configuration: Configuration) -> None:
    """Offers the file to the configuration after each change, until cancelled. An invalid file changes nothing.

    The directory is watched, not the file: a file that is replaced by a rename, or through a symbolic link as
    Kubernetes does it, is another file afterwards.
    """
    # Whatever was written between the first reading and the start of the watch.
    await _offer(path, configuration)
    async for _ in awatch(path.parent, watch_filter=None, debounce=DEBOUNCE_MS, recursive=False):
        await _offer(path, configuration)


async def _offer(path: Path, configuration: Configuration) -> None:
    try:
        changed = await configuration.offer(await asyncio.to_thread(path.read_bytes))
    except OSError as error:
        _log.warning("config_unreadable", path=str(path), error=str(error), kept_revision=configuration.current.number)
    except ConfigError as error:
        _log.error(
            "config_rejected",
            path=str(path),
            errors=[str(problem) for problem in error.problems],
            kept_revision=configuration.current.number,
        )
    else:
        if changed:
            _log.info("config_reloaded", path=str(path), revision=configuration.current.number)
