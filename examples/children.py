"""Child processes under one parent: if one of them ends, none goes on."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ctypes
import re
import signal
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, Self, cast

START_S = 60.0
STOP_S = 10.0
"""How long a child may take to begin to serve, and to end when it is asked to."""

_LAST_LINES = 15
_SERVING = re.compile(r": serving .* on (\S+)$")


class ChildError(Exception):
    """A child ended, or never began to serve. The text says which one, and the last lines it printed."""


class Child:
    """A process that prints `...: serving HTTP on ADDRESS` when it serves."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.echo = False
        """Whether the parent prints what it prints, under its name."""
        self.ended = asyncio.create_task(self._follow())
        """Done when the process is, with its status."""
        self._process = process
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._last_lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)

    async def serving(self) -> str:
        """Waits until it serves; where it does. Raises `ChildError` if it does not get that far."""
        either: set[asyncio.Future[Any]] = {self._address, self.ended}
        await asyncio.wait(either, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._address.done():
            raise self.error()
        return self._address.result()

    def error(self) -> ChildError:
        """What is to be said about a child that does not do its work."""
        what = _how_it_ended(self.ended.result()) if self.ended.done() else f"did not serve within {START_S:.0f} s"
        lines = "".join(f"\n  | {line}" for line in self._last_lines) or " none."
        return ChildError(f"{self.name} {what}. Its last lines:{lines}")

    async def stop(self) -> None:
        """Asks it to end, and makes it end if it does not."""
        for ask in (self._process.terminate, self._process.kill):
            # The process is asked, not `ended`: that task may have been cancelled with everything else.
            if self._process.returncode is None:
                ask()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_S):
                        await self._process.wait()

    async def _follow(self) -> int:
        """Reads all that it prints, without which it would block one day on a full pipe."""
        async for line in cast(asyncio.StreamReader, self._process.stdout):
            self._take(line.decode(errors="replace").rstrip())
        return await self._process.wait()

    def _take(self, line: str) -> None:
        found = _SERVING.search(line)
        if found and not self._address.done():
            self._address.set_result(found[1])
            return
        self._last_lines.append(line)
        if self.echo:
            say(f"{self.name} | {line}")


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"


class Children:
    """The children in the order of their start. The end of the block is theirs too."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # The last to start is the first to stop, so that none loses what it relies on.
        for child in reversed(self._children):
            await child.stop()

    async def start(self, name: str, module: str, *arguments: str, environment: Mapping[str, str]) -> Child:
        """Starts `python -m MODULE`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            limit=1024 * 1024,
            # Ctrl-C goes to all of the terminal's process group, and the parent is to say in which order they stop.
            process_group=0,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        child = Child(name, process)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raises `ChildError` if one has ended."""
        for child in self._children:
            if child.ended.done():
                raise child.error()

    async def watch(self, *echoed: str) -> None:
        """Waits until one ends, and raises `ChildError`. Until then the parent prints what those of these names say."""
        for child in self._children:
            child.echo = child.name in echoed
        await asyncio.wait({child.ended for child in self._children}, return_when=asyncio.FIRST_COMPLETED)
        self.check()


_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """In the child: a parent that is killed stops nobody, so the kernel does it. See prctl(2)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def say(text: str) -> None:
    """Prints it, if there is still somebody to read it."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


async def until_told_to_stop(work: Coroutine[Any, Any, None]) -> bool:
    """Does the work; whether it came to its end, and not to SIGINT, SIGTERM or SIGHUP. They cancel it once: whoever
    presses Ctrl-C again does not disturb the cleaning up."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        say("\nStopping ...")
        working.cancel()
    stopping.cancel()
    try:
        await working
    except asyncio.CancelledError:
        return False
    return True
