"""A resolver whose configuration changes as fast as it can be read: `python -m tests.support.reloading FILE TIMES`.

All of it is the resolver's own but the watch of the file, which waits for a file to settle. From SIGUSR1 on the
configuration is offered with another cluster each time: `extra-1`, `extra-2` and so on.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from resolver_service.adapters import config_yaml
from resolver_service.adapters.grpc_api import server as grpc_server
from resolver_service.adapters.stores_memory import MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.app.configure import Configuration
from resolver_service.app.ports import Stores
from resolver_service.bootstrap import create_servicers

PAUSE_S = 0.005
"""In which requests have their turn."""


def with_another_name(text: str, name: str) -> str:
    """The configuration with one more cluster."""
    return text.replace("clusters:", f"clusters:\n    - {{id: {name}, members: [{{model: m}}]}}")


async def serve(text: str, times: int) -> None:
    begin, end = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begin.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    configuration = Configuration(config_yaml.load, time.time, text.encode())
    servicers = create_servicers(configuration, Stores(MemoryRotation(), MemoryHealth(), MemoryDrains()))
    resolver = grpc_server.build("127.0.0.1:0", *servicers, grpc_server.Secrets(), reflect=False)
    await resolver.serving()
    print(f"serving gRPC on {resolver.address}", flush=True)
    await begin.wait()
    for number in range(1, times + 1):
        await configuration.offer(with_another_name(text, f"extra-{number}").encode())
        await asyncio.sleep(PAUSE_S)
    await end.wait()
    await resolver.drain(1.0)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).read_text(), int(sys.argv[2])))
