"""When Python's garbage collector looks through everything there is.

It does so again and again while a large configuration is being made, which holds up every resolve for as long: a second
and more for thousands of pools, against the few milliseconds that threads take from one another.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_under_way = 0


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Not within the block; and what is there at its end, the new configuration above all, is never looked through. It
    has no cycles, and goes when the last one lets go of it. For the event loop's thread."""
    global _under_way
    _under_way += 1
    gc.disable()
    try:
        yield
    finally:
        _under_way -= 1
        if not _under_way:
            gc.freeze()
            gc.enable()
