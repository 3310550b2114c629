from __future__ import annotations

import asyncio
import logging
from typing import Any

from edge_service.adapters.http.cycle import Cycle, Leaving


class Flow:
    """Of a connection whose reading was paused, since much has come."""

    is_reading = False
    write_paused = False

    def resume_reading(self) -> None:
        self.is_reading = True


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


def cycle(*, is_awaited: bool = False) -> tuple[Cycle, Any, Any]:
    transport: Any = Transport()
    flow: Any = Flow()
    scope = {"type": "http", "method": "POST"}
    it = Cycle(
        scope,
        transport,
        flow,
        logging.getLogger("cycle"),
        [],
        Leaving(),
        lambda: None,
        is_awaited=is_awaited,
        keep_alive=True,
    )
    return it, flow, transport


async def test_a_body_that_is_there_is_not_waited_for() -> None:
    it, _, _ = cycle()
    it.body += b"whole"
    it.more_body = False
    assert await it.receive() == {"type": "http.request", "body": b"whole", "more_body": False}


async def test_behind_a_large_one_the_client_is_read_on_so_that_its_leaving_is_heard() -> None:
    it, flow, _ = cycle()
    it.body += b"large"
    it.more_body = False
    await it.receive()
    assert flow.is_reading
    leaves = asyncio.create_task(it.receive())
    await asyncio.sleep(0)
    assert not leaves.done()
    it.leave()
    assert await leaves == {"type": "http.disconnect"}


async def test_after_the_answer_nobody_is_there() -> None:
    it, _, _ = cycle()
    it.body += b"unread"
    it.more_body = False
    await it.send({"type": "http.response.start", "status": 204, "headers": []})
    await it.send({"type": "http.response.body", "body": b""})
    assert await it.receive() == {"type": "http.disconnect"}


async def test_a_client_that_waits_for_a_sign_gets_one() -> None:
    it, _, transport = cycle(is_awaited=True)
    coming = asyncio.create_task(it.receive())
    await asyncio.sleep(0)
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    it.body += b"part"
    it.message_event.set()
    assert await coming == {"type": "http.request", "body": b"part", "more_body": True}


async def test_what_can_be_written_at_once_goes_past_the_messages() -> None:
    it, flow, transport = cycle()
    assert not it.write(b"before the head")
    await it.send({"type": "http.response.start", "status": 200, "headers": []})
    head = transport.written
    assert it.write(b"part")
    assert transport.written == head + b"4\r\npart\r\n"
    flow.write_paused = True
    assert not it.write(b"while the client does not keep up")
    flow.write_paused = False
    it.leave()
    assert not it.write(b"when it has left")
    assert transport.written == head + b"4\r\npart\r\n"


async def test_a_body_with_a_length_goes_by_messages() -> None:
    it, _, _ = cycle()
    await it.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    assert not it.write(b"part")
