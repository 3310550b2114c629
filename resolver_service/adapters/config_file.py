"""Follows the configuration file as it changes on disk."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import structlog
from watchfiles import awatch

from resolver_service.app.configure import Configuration
from resolver_service.domain.config import ConfigError

SETTLED_MS = 200
"""Editors and deployments touch a file several times in a row; it counts once nothing has changed for so long."""
LONGEST_UNSETTLED_MS = 2000
LOOK_MS = 1000
"""How often the file is looked at without being told of a change: not every file system tells, and nobody tells of the
target of a link that is edited in place, or of a directory that is made anew."""

_log = structlog.get_logger("forebay.resolver.config")


async def follow(path: Path, configuration: Configuration) -> None:
    """Offers the file to the configuration after each change, until cancelled. An invalid file changes nothing.

    The directory is watched, not the file: a file that is replaced by a rename, or through a symbolic link as
    Kubernetes does it, is another file afterwards.
    """
    changes = awatch(
        path.parent,
        watch_filter=None,
        recursive=False,
        step=SETTLED_MS,
        debounce=LONGEST_UNSETTLED_MS,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
    )
    seen: object = None
    async for _ in changes:
        seen = await _offer(path, configuration, seen)


async def _offer(path: Path, configuration: Configuration, seen: object) -> object:
    """What it has found, to be told with the next call: the same thing again, good or bad, is no news."""
    try:
        text = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        if str(error) != seen:
            kept = configuration.current.number
            _log.warning("config_unreadable", path=str(path), error=str(error), kept_revision=kept)
        return str(error)
    # A blank file is one that somebody is about to write. An empty configuration is written as {}.
    digest = hashlib.sha256(text).digest()
    if text.strip() and digest != seen:
        await _offer_text(path, text, configuration)
    return digest


async def _offer_text(path: Path, text: bytes, configuration: Configuration) -> None:
    try:
        changed = await configuration.offer(text)
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
