"""The edge as it is, but that it writes down how many asyncio tasks it has whenever it gets SIGUSR1:
`python -m benchmarks.counted_edge FILE FLAG...`. From outside a process there is no seeing its tasks."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from types import FrameType

from edge_service.__main__ import main


def _write(_: int, __: FrameType | None) -> None:
    # Between two steps of the event loop, so nothing changes meanwhile.
    file.with_suffix(".new").write_text(str(len(asyncio.all_tasks())))
    file.with_suffix(".new").replace(file)


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, _write)
    main()
