"""The resolver, whose configuration changes as fast as it can be read.

`python -m tests.support.reloading TIMES FLAG...`: all of it is the service's own but the watch of the file, which waits
for a file to settle. In its place, from SIGUSR1 on, the configuration is offered so many times with another cluster:
`extra-1`, `extra-2` and so on.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from resolver_service.__main__ import main
from resolver_service.adapters import config_file
from resolver_service.app.configure import Configuration

PAUSE_S = 0.005
"""In which requests have their turn."""


def with_another_name(text: str, name: str) -> str:
    """The configuration with one more cluster."""
    return text.replace("clusters:", f"clusters:\n    - {{id: {name}, members: [{{model: m}}]}}")


async def _change(path: Path, configuration: Configuration) -> None:
    begin, text = asyncio.Event(), path.read_text()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begin.set)
    await begin.wait()
    for number in range(1, times + 1):
        assert await configuration.offer(with_another_name(text, f"extra-{number}").encode())
        await asyncio.sleep(PAUSE_S)
    await asyncio.Event().wait()


if __name__ == "__main__":
    times = int(sys.argv.pop(1))
    config_file.follow = _change
    main()
