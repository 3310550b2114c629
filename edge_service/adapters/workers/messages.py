"""What a supervisor and a worker say to each other: MessagePack, each message behind its length."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import msgspec

from edge_service.domain.expositions import Family

_LENGTH = struct.Struct(">I")


class Message(msgspec.Struct, tag=True):
    pass


class Serves(Message):
    """From a worker: it accepts connections."""


class Leaves(Message):
    """From a worker: soon it will not."""


class Fails(Message):
    """From a worker: why it cannot start, in words for the user."""

    why: str


class Serving(Message):
    """To a worker: who accepts connections."""

    slots: tuple[int, ...]


class Stops(Message):
    """To a worker: it is to finish what it has, and end."""


class Asks(Message):
    """To a worker: what does it count, or can it serve?"""

    id: int
    metrics: bool


class Tells(Message):
    """From a worker: the answer to the question of this id; 0 if nobody asked."""

    id: int
    is_ready: bool
    metrics: tuple[Family, ...] | None = None


FromWorker = Serves | Leaves | Fails | Tells
ToWorker = Serving | Stops | Asks

_from_worker = msgspec.msgpack.Decoder(FromWorker)
_to_worker = msgspec.msgpack.Decoder(ToWorker)


def frame(message: Message) -> bytes:
    content = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(content)) + content


async def from_worker(reader: asyncio.StreamReader) -> AsyncIterator[FromWorker]:
    """Until the connection ends."""
    while (content := await _next(reader)) is not None:
        yield _from_worker.decode(content)


async def to_worker(reader: asyncio.StreamReader) -> AsyncIterator[ToWorker]:
    while (content := await _next(reader)) is not None:
        yield _to_worker.decode(content)


async def _next(reader: asyncio.StreamReader) -> bytes | None:
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
