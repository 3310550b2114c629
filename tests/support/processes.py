"""Forebay's services as real processes, on ports of the system's choice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.nursery import Child, born, reading

START_S = 20.0
STOP_S = 20.0
OPERATIONS = {"FOREBAY_RESOLVER_OPS_LISTEN": "127.0.0.1:0", "FOREBAY_EDGE_OPS_LISTEN": "127.0.0.1:0"}
"""Tests run beside one another, and the usual ports are there once."""
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of services without TLS: to read whom the system trusts takes longer than most answers."""


def own_host() -> str:
    """A loopback address that no other process of the tests has: every port is free there, and stays so."""
    return f"127.7.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"


@dataclass
class Process:
    """A service that has said where it serves."""

    process: asyncio.subprocess.Process | Child
    line: str
    """That it has printed."""
    address: str
    """What stands at the end of the line that the service prints: `HOST:PORT`, or a URL."""
    errors: Path
    """Its standard error."""
    told_to_stop: bool = False

    def tell_to_stop(self, number: int = signal.SIGTERM) -> None:
        """Sends the signal, once: a second one may meet an interpreter that is past handling it."""
        if self.process.returncode is None and not self.told_to_stop:
            self.process.send_signal(number)
        self.told_to_stop = True

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal and waits; the exit status."""
        self.tell_to_stop(number)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()


async def start(module: str, *arguments: str, errors: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Starts the module and waits for its line. Raises `AssertionError` if it does not serve."""
    whole = {"PATH": os.environ["PATH"], **OPERATIONS, **(environment or {})}
    out, stdout = os.pipe()
    with errors.open("ab") as stderr, os.fdopen(stdout, "wb") as writing:
        its = {"stdout": writing.fileno(), "stderr": stderr.fileno()}
        process = await born(module, *arguments, environment=whole, **its)
    said, transport = await reading(out)
    try:
        async with asyncio.timeout(START_S):
            line = (await said.readline()).decode()
    except TimeoutError:
        line = ""
    finally:
        transport.close()  # There is no more to come.
    found = re.search(r" on (\S+)\s*$", line)
    if found is None:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise AssertionError(f"{module} did not serve: {errors.read_text()}")
    return Process(process, line, found[1], errors)


async def run(module: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a module, which must end by itself."""
    whole = {"PATH": os.environ["PATH"], **OPERATIONS, **environment}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        its = {"stdout": out.fileno(), "stderr": errors.fileno()}
        process = await born(module, *arguments, environment=whole, **its)
        status = await process.wait()
        for each in (out, errors):
            each.seek(0)
        return status, out.read().decode(), errors.read().decode()


async def start_resolver(config: Path, *arguments: str, errors: Path, **environment: str) -> Process:
    flags = ("--config", str(config), "--listen", "127.0.0.1:0", *arguments)
    return await start("resolver_service", *flags, errors=errors, environment=environment)


async def start_edge(*resolvers: str, errors: Path, arguments: tuple[str, ...] = (), **environment: str) -> Process:
    flags = ("--resolver", ",".join(resolvers), "--listen", "127.0.0.1:0", *arguments)
    return await start("edge_service", *flags, errors=errors, environment=environment)


@dataclass
class Forebay:
    """A resolver and an edge that know each other."""

    resolver: Process
    edge: Process

    @property
    def url(self) -> str:
        return self.edge.address


@contextlib.asynccontextmanager
async def forebay(config: Path, directory: Path, **environment: str) -> AsyncIterator[Forebay]:
    """Both services for the time of the block; they must end with status 0."""
    resolver = await start_resolver(config, errors=directory / "resolver.log", **environment)
    try:
        edge = await start_edge(resolver.address, errors=directory / "edge.log", **environment)
        try:
            yield Forebay(resolver, edge)
        finally:
            edge_status = await edge.stop()
    finally:
        resolver_status = await resolver.stop()
    assert (edge_status, resolver_status) == (0, 0), (directory / "edge.log").read_text()
