"""The signals that tell a process to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


def stop_by_signals(stop: Callable[[], None]) -> None:
    """Has `stop` called by SIGTERM, SIGINT, SIGQUIT, and by SIGHUP, with which a terminal that is closed ends what runs
    in it. SIGHUP stays ignored where it is, as with `nohup`. Needs a running event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop)
