"""Follows the configuration file as it changes on disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchfiles import watch

from resolver_service.app.configure import Configuration
from resolver_service.domain.config import ConfigError

SETTLED_MS = 200
"""A file that is written bit by bit may be valid before it is whole. So it counts once two looks this far apart have
found the same."""
GATHER_MS = 50
"""A replacement is several events: they are told of together."""
LOOK_MS = 1000
"""How often the file is looked at without being told of a change: not every file system tells, and nobody tells of the
target of a link that is edited in place, or of a directory that is made anew."""

_log = structlog.get_logger("forebay.resolver.config")


async def follow(path: Path, configuration: Configuration) -> None:
    """Offers the file to the configuration after each change, until cancelled. An invalid file changes nothing.

    The directory is watched, not the file: a file that is replaced by a rename, or through a symbolic link as
    Kubernetes does it, is another file afterwards.
    """
    is_over = threading.Event()
    # In threads of asyncio's: the library's own way takes another library, and more than a megabyte.
    changes = watch(
        path.parent,
        watch_filter=None,
        recursive=False,
        step=GATHER_MS,
        debounce=GATHER_MS,
        stop_event=is_over,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
    )
    told, is_wrong = "", False
    # The digest (or the error) of the last look that was offered, and whether it was rejected. The same text is offered
    # again only if it is valid and another configuration, which was not written here, has come into effect since.
    try:
        while True:
            await asyncio.to_thread(next, changes, None)
            look = await asyncio.to_thread(_look, path)
            if look.digest not in {told, configuration.current.digest}:
                look = await _settled(path, look)
            if look.digest != told or not (is_wrong or look.digest == configuration.current.digest):
                told = look.digest
                is_wrong = not await _offer(path, look, configuration)
    finally:
        is_over.set()


def compare(path: Path, of_record: bytes) -> None:
    """Warns if the file differs from the store's configuration, which is the one in effect."""
    look = _look(path)
    if look.error or look.text != of_record:
        words = f"the store is of record: 'forebay apply {path}' puts the file into effect"
        _log.warning("config_file_not_in_effect", path=str(path), remedy=words, error=look.error)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found at one moment."""

    text: bytes = b""
    error: str = ""
    """Why it cannot be read, if it cannot."""
    stamp: tuple[int, ...] = ()
    """It changes with every write, also one that leaves the text as it is."""

    @property
    def digest(self) -> str:
        return self.error or hashlib.sha256(self.text).hexdigest()


def _look(path: Path) -> _Look:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            its = os.fstat(file.fileno())
            if not stat.S_ISREG(its.st_mode):
                return _Look(error=f"{path} is no regular file: a change of it cannot be followed")
            text = file.read()
    except OSError as error:
        return _Look(error=str(error))
    return _Look(text, stamp=(its.st_ino, its.st_size, its.st_mtime_ns))


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody writes to would be waited for, by a thread that keeps the process from ending."""
    return os.open(path, flags | os.O_NONBLOCK)


async def _settled(path: Path, look: _Look) -> _Look:
    """The first look that finds what the one before it found."""
    while True:
        await asyncio.sleep(SETTLED_MS / 1000)
        before, look = look, await asyncio.to_thread(_look, path)
        if look == before:
            return look


async def _offer(path: Path, look: _Look, configuration: Configuration) -> bool:
    """Whether nothing is wrong with it."""
    if look.error:
        kept = configuration.current.number
        _log.warning("config_unreadable", path=str(path), error=look.error, kept_revision=kept)
        return False
    try:
        changed = await configuration.offer(look.text, lambda: _look(path).digest == look.digest)
    except ConfigError as error:
        _log.error(
            "config_rejected",
            path=str(path),
            errors=[problem.in_text() for problem in error.problems],
            kept_revision=configuration.current.number,
        )
        return False
    if changed:
        _log.info("config_reloaded", path=str(path), revision=configuration.current.number)
    return True
