"""Starts workers, watches them, and adds up their metrics."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from edge_service.adapters.workers import messages
from edge_service.adapters.workers.messages import (
    Asks,
    Fails,
    FromWorker,
    Leaves,
    Message,
    Serves,
    Serving,
    Stops,
    Tells,
)
from edge_service.domain.expositions import Family, lasting, summed
from edge_service.domain.supervision import Announce, Command, Over, Start, Stop, Supervision

ANSWER_S = 1.0
"""How long to wait for a worker's answer. One that misses it counts as not ready, and with its last metrics."""
KEEP_S = 10.0
"""How often workers are asked for their metrics. One that is killed takes with it what it has counted since then, or
since /metrics was last asked for."""

_log = structlog.get_logger("forebay.edge.workers")


class StartError(Exception):
    """A worker could not begin to serve; the message is for the user."""

    def __init__(self, why: str, status: int) -> None:
        super().__init__(why)
        self.status = status
        """For the process to exit with."""


@dataclass
class _Worker:
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    metrics: tuple[Family, ...] = ()
    """As it told them last."""
    asked: dict[int, asyncio.Future[Tells | None]] = field(default_factory=dict)

    def tell(self, message: Message) -> None:
        self.writer.write(messages.frame(message))


class Supervisor:
    """The workers of one address. Needs a running event loop."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        workers: int,
        *,
        grace_s: float,
        announce: Callable[[], None],
        tell_of_end: Callable[[], None],
    ) -> None:
        """`command`, with the arguments of a worker appended, is run for each of them. A worker that is still there
        `grace_s` after it was told to stop is killed. `tell_of_end` is called when one ends that was not told to, or
        with another status than 0."""
        self._command = command
        self._port = port
        self._grace_s = grace_s
        self._announce = announce
        self._tell_of_end = tell_of_end
        self._rules = Supervision(workers)
        self._pairs = [socket.socketpair() for _ in range(workers)]
        """For connections that are dealt out to each worker: where it takes them, and where the others put them. They
        outlive it."""
        for each in itertools.chain.from_iterable(self._pairs):
            each.setblocking(False)  # For all who have it.
        self._workers: dict[int, _Worker] = {}
        self._starting: dict[int, asyncio.TimerHandle] = {}
        self._lives: dict[int, asyncio.Task[None]] = {}
        self._of_the_gone: tuple[Family, ...] = ()
        self._why: str | None = None
        """The first start has failed."""
        self._ids = itertools.count(1)
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Until no worker is left; the status to exit with. Raises `StartError`."""
        keeping = asyncio.create_task(self._keep())
        try:
            self._do(self._rules.begin())
            status = await self._over
        finally:
            keeping.cancel()
            for each in itertools.chain.from_iterable(self._pairs):
                each.close()
        if self._why is not None:
            raise StartError(self._why, status)
        return status

    def stop(self) -> None:
        """Begins to stop, and returns at once."""
        self._do(self._rules.stop())

    @property
    def serving(self) -> int:
        """How many workers accept connections."""
        return len(self._rules.serving)

    async def metrics(self) -> tuple[Family, ...]:
        """All that was counted, by workers that are gone too."""
        await self._ask(self._workers.values(), metrics=True)
        return summed([self._of_the_gone, *(worker.metrics for worker in self._workers.values())])

    async def is_ready(self) -> bool:
        """Whether connections are accepted, and every worker that accepts them can serve."""
        if self._rules.is_stopping or not self._rules.serving:
            return False
        told = await self._ask([self._workers[slot] for slot in self._rules.serving], metrics=False)
        return all(answer is not None and answer.is_ready for answer in told)

    # What the rules say.

    def _do(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Start(slot, after_s):
                    self._starting[slot] = asyncio.get_running_loop().call_later(after_s, self._start, slot)
                case Announce():
                    self._announce()
                case Stop():
                    self._stop_all()
                case Over(status):
                    self._over.set_result(status)

    def _start(self, slot: int) -> None:
        self._rules.started(slot)
        life = self._lives[slot] = asyncio.create_task(self._live(slot), name=f"worker {slot}")
        life.add_done_callback(self._life_is_over)

    def _life_is_over(self, life: asyncio.Task[None]) -> None:
        """A defect: nothing would start that worker again, so the supervisor ends, and whoever has started it hears of
        it."""
        if not life.cancelled() and (error := life.exception()) is not None and not self._over.done():
            self._over.set_exception(error)

    def _stop_all(self) -> None:
        for starting in self._starting.values():
            starting.cancel()
        for worker in self._workers.values():
            worker.tell(Stops())
        asyncio.get_running_loop().call_later(self._grace_s, self._kill_all)

    def _kill_all(self) -> None:
        for slot, worker in self._workers.items():
            _log.error("worker_killed", worker=slot)
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()

    # One worker, from its start to its end.

    async def _live(self, slot: int) -> None:
        try:
            worker = self._workers[slot] = await self._started(slot)
        except OSError as error:
            self._failed(slot, f"a worker cannot be started: {error.strerror}")
            self._ended(slot, 1)
            return
        if self._rules.is_stopping:
            worker.tell(Stops())
        async for message in messages.from_worker(worker.reader):
            self._hear(slot, worker, message)
        status = await worker.process.wait()
        del self._workers[slot]
        worker.writer.close()
        for asked in worker.asked.values():
            asked.set_result(None)
        self._of_the_gone = summed([self._of_the_gone, lasting(worker.metrics)])
        self._ended(slot, status)

    async def _started(self, slot: int) -> _Worker:
        ours, its = socket.socketpair()
        receiving = self._pairs[slot][0]
        giving = [pair[1] for pair in self._pairs]
        descriptors = [each.fileno() for each in (its, receiving, *giving)]
        with its, contextlib.ExitStack() as if_it_fails:
            if_it_fails.enter_context(ours)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "--as-worker",
                ",".join(map(str, (slot, self._port, *descriptors))),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=descriptors,
                start_new_session=True,  # What is typed at a terminal is for the supervisor.
            )
            if_it_fails.pop_all()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return _Worker(process, reader, writer)

    def _ended(self, slot: int, status: int) -> None:
        if not self._rules.is_announced:
            if not self._rules.is_stopping:
                self._failed(slot, f"worker {slot} ended before it served, with status {status}")
        elif status or not self._rules.is_stopping:
            self._tell_of_end()
            _log.warning("worker_ended", worker=slot, status=status)
        commands = self._rules.ended(slot, status, time.monotonic())
        self._tell_who_serves()
        self._pass_on(self._pairs[slot][0])
        self._do(commands)

    def _pass_on(self, left: socket.socket) -> None:
        """Passes connections that were dealt to a worker that is gone on to the others."""
        for slot in itertools.cycle(self._rules.serving):
            try:
                _, descriptors, _, _ = socket.recv_fds(left, 1, 1)
            except BlockingIOError:
                return
            for descriptor in descriptors:
                with contextlib.suppress(OSError):  # There are too many already.
                    socket.send_fds(self._pairs[slot][1], [b"\0"], [descriptor])
                os.close(descriptor)

    def _failed(self, slot: int, why: str) -> None:
        """Keeps the reason for the first start to fail, which is the same for all workers; logs it later on."""
        if self._rules.is_announced:
            _log.error("worker_failed", worker=slot, why=why)
        elif self._why is None:
            self._why = why

    def _hear(self, slot: int, worker: _Worker, message: FromWorker) -> None:
        match message:
            case Serves():
                commands = self._rules.served(slot, time.monotonic())
                self._tell_who_serves()
                self._do(commands)
            case Leaves():
                self._rules.leaves(slot)
                self._tell_who_serves()
            case Fails(why):
                self._failed(slot, why)
            case Tells(id_, _, metrics):
                worker.metrics = worker.metrics if metrics is None else metrics
                if id_ in worker.asked:
                    worker.asked.pop(id_).set_result(message)

    def _tell_who_serves(self) -> None:
        for worker in self._workers.values():
            worker.tell(Serving(self._rules.serving))

    # What workers are asked.

    async def _ask(self, workers: Iterable[_Worker], *, metrics: bool) -> Sequence[Tells | None]:
        """Each one's answer; None if there was none in time."""
        asked: list[asyncio.Future[Tells | None]] = []
        id_ = next(self._ids)
        for worker in workers:
            worker.tell(Asks(id_, metrics))
            worker.asked[id_] = answer = asyncio.get_running_loop().create_future()
            asked.append(answer)
        try:
            if asked:
                await asyncio.wait(asked, timeout=ANSWER_S)
        finally:
            for worker in self._workers.values():
                worker.asked.pop(id_, None)
        return [answer.result() if answer.done() else None for answer in asked]

    async def _keep(self) -> None:
        silent: frozenset[int] = frozenset()
        while True:
            await asyncio.sleep(KEEP_S)
            asked = dict(self._workers)
            told = await self._ask(asked.values(), metrics=True)
            unheard = (slot for slot, answer in zip(asked, told, strict=True) if answer is None)
            before, silent = silent, frozenset(unheard).intersection(self._rules.serving)
            for slot in silent - before:
                _log.warning("worker_silent", worker=slot)
