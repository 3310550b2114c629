from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest_asyncio

from edge_service.adapters.workers import messages
from edge_service.adapters.workers.link import Duties, Link, fail
from edge_service.domain.expositions import Family, Sample

COUNTED = (Family("c", "counter", "", (Sample("c_total", (("name", "a"),), 1.0),)),)


@dataclass
class Worker:
    link: Link
    reader: asyncio.StreamReader
    """The supervisor's, as is the writer."""
    writer: asyncio.StreamWriter
    done: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.following = asyncio.create_task(
            self.link.follow(
                Duties(
                    stop=lambda: self.done.append("stop"),
                    deal_to=self.done.append,
                    is_ready=lambda: True,
                    metrics=lambda: COUNTED,
                )
            )
        )

    def tell(self, *told: messages.Message) -> None:
        for message in told:
            self.writer.write(messages.frame(message))

    async def all_said(self) -> list[messages.FromWorker]:
        return [message async for message in messages.from_worker(self.reader)]


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[Worker]:
    ours, its = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    it = Worker(await Link.open(its.detach()), reader, writer)
    yield it
    it.writer.close()
    await it.following
    await it.link.aclose(())


async def test_it_answers_what_it_is_asked(worker: Worker) -> None:
    worker.tell(messages.Asks(7, metrics=False), messages.Asks(8, metrics=True))
    worker.writer.write_eof()
    await worker.following
    await worker.link.aclose(COUNTED)
    assert await worker.all_said() == [
        messages.Tells(7, True),
        messages.Tells(8, True, COUNTED),
        messages.Tells(0, False, COUNTED),
    ]


async def test_it_does_what_it_is_told_and_stops_when_nobody_is_left_to_tell(worker: Worker) -> None:
    worker.tell(messages.Serving((0, 1)), messages.Stops())
    worker.writer.close()
    await worker.following
    assert worker.done == [(0, 1), "stop", "stop"]


async def test_a_supervisor_that_is_cut_off_in_the_middle_of_a_word_is_gone(worker: Worker) -> None:
    worker.writer.write(messages.frame(messages.Serving((0, 1)))[:-1])
    worker.writer.close()
    await worker.following
    assert worker.done == ["stop"]


async def test_it_says_what_becomes_of_it(worker: Worker) -> None:
    worker.link.serves()
    worker.link.leaves()
    await worker.link.aclose(())
    assert await worker.all_said() == [
        messages.Serves(),
        messages.Leaves(),
        messages.Tells(0, False, ()),
    ]
    worker.link.leaves()  # To nobody.


async def test_why_it_cannot_start_is_said_without_an_event_loop() -> None:
    ours, its = socket.socketpair()
    fail(its.detach(), "no certificate")
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    assert [message async for message in messages.from_worker(reader)] == [messages.Fails("no certificate")]
    writer.close()
