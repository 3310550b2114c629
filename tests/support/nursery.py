"""A process that has loaded what the services import, and forks them: their imports are most of what a start costs.

Each process of the tests that starts services has one. All else is as if the child had been started with
`python -W error -m MODULE`: its arguments, environment and directory, its standard output and error, its end.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Mapping

LOADED = ("edge_service.bootstrap", "resolver_service.bootstrap", "forebay_cli.commands")


class Child:
    """With what tests use of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, ending: Awaitable[int]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._end(ending))

    async def _end(self, ending: Awaitable[int]) -> int:
        self.returncode = await ending
        return self.returncode

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            # It may have ended just now.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def born(module: str, *arguments: str, environment: Mapping[str, str], stdout: int, stderr: int) -> Child:
    """A process that runs the module. `stdout` and `stderr` are descriptors, which remain the caller's."""
    asked = json.dumps([module, arguments, dict(environment), os.getcwd()])
    told, telling = os.pipe()
    try:
        socket.send_fds(_nursery(), [asked.encode() + b"\n"], [stdout, stderr, telling])
    finally:
        os.close(telling)
    said, transport = await reading(told)

    async def ending() -> int:
        with contextlib.closing(transport):
            return int(await said.readline())

    return Child(int(await said.readline()), ending())


async def reading(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    """What comes from a pipe. The transport closes it."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    connect = asyncio.get_running_loop().connect_read_pipe
    transport, _ = await connect(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, transport


@functools.cache
def _nursery() -> socket.socket:
    """Where children are asked for. Once it is closed, the nursery ends."""
    asking, asked = socket.socketpair()
    with asked:
        command = (sys.executable, "-W", "error", "-m", __name__, str(asked.fileno()))
        nursery = subprocess.Popen(command, pass_fds=[asked.fileno()], env={"PATH": os.environ["PATH"]})

    def end() -> None:
        asking.close()
        nursery.wait()

    atexit.register(end)
    return asking


class _Nursery:
    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._telling: dict[int, int] = {}
        """By child, the descriptor of who waits for its end."""
        self._woken, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waking.fileno())

    def module(self) -> str:
        """Returns in each child, with what it is to run."""
        while True:
            ready, _, _ = select.select([self._asked, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._reap()
            if self._asked in ready and (module := self._bear()):
                return module

    def _bear(self) -> str | None:
        request, descriptors = b"", list[int]()
        while not request.endswith(b"\n"):
            part, received, _, _ = socket.recv_fds(self._asked, 65536, 3)
            if not part:
                self._leave()
                sys.exit()
            request += part
            descriptors += received
        stdout, stderr, telling = descriptors
        if child := os.fork():
            self._telling[child] = telling
            _tell(telling, child)
            os.close(stdout)
            os.close(stderr)
            return None
        self._leave()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        for descriptor in descriptors:
            os.close(descriptor)
        module, arguments, environment, directory = json.loads(request)
        sys.argv[1:] = arguments
        sys.orig_argv[1:] = ["-W", "error", "-m", module, *arguments]
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(directory)
        return str(module)

    def _leave(self) -> None:
        """Closes what belongs to the nursery."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for mine in (self._asked, self._woken, self._waking):
            mine.close()
        for telling in self._telling.values():
            os.close(telling)

    def _reap(self) -> None:
        while self._telling:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            telling = self._telling.pop(child)
            _tell(telling, os.waitstatus_to_exitcode(status))
            os.close(telling)


def _tell(telling: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # Not everybody waits.
        os.write(telling, b"%d\n" % number)


def _serve() -> None:
    # As the services do before they load gRPC.
    os.environ["GRPC_VERBOSITY"] = "NONE"
    for name in LOADED:
        importlib.import_module(name)
    # What is there stays where it is, shared: whoever looked for garbage among it would copy it.
    gc.freeze()
    module = _Nursery(socket.socket(fileno=int(sys.argv[1]))).module()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
