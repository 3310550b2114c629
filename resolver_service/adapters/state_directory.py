"""Whether a state directory is one resolver's alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

_log = structlog.get_logger("forebay.resolver.state")


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Warns if another resolver is there: each would overwrite what the other remembers. It may be on its way out, so
    that this one starts all the same. What else is wrong with the directory is told by those who write there."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handle = os.open(directory, os.O_RDONLY)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                remedy = "another resolver is using it: give each a --state-dir of its own, or share a --store"
                _log.warning("state_dir_shared", path=str(directory), remedy=remedy)
        yield
