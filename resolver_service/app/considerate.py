"""Work on large configurations in threads, so that resolves hardly notice.

Three things of Python would hold them up. Its garbage collector looks through everything there is, again and again
while a large configuration is made: for a second and more where there are thousands of pools. A thread that computes
lets go of the interpreter every 5 ms only. And what nobody has any more is freed in one piece.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

SWITCH_S = 0.0005
_USUAL_S = sys.getswitchinterval()
_under_way = 0


def let_go(parts: list[object]) -> None:
    """Frees the parts one by one, so that other threads can run in between."""
    while parts:
        parts.pop()


@contextlib.contextmanager
def considerate() -> Iterator[None]:
    """Within the block nothing is collected, and threads let go of the interpreter ten times as often. For the event
    loop's thread.

    What is there at the block's end, the new configuration above all, is never looked through again: it has no cycles,
    and goes when nobody has it any more.
    """
    global _under_way
    _under_way += 1
    gc.disable()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        _under_way -= 1
        if not _under_way:
            sys.setswitchinterval(_USUAL_S)
            gc.freeze()
            gc.enable()
