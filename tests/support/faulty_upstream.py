"""Providers that do what a test tells them, over real sockets: an HTTP/1.1 server of raw asyncio, so that it can break
every rule of HTTP as easily as keep it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

DONE = b"data: [DONE]\n\n"


@dataclass
class Call:
    """A request as the provider got it."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


@dataclass
class Connection:
    """What a script has in its hands: a request that was read, and a client that waits."""

    call: Call
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    async def raw(self, *parts: bytes) -> None:
        """These bytes, each part flushed by itself."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def head(self, status: int = 200, content_type: str = "application/json", **headers: str) -> None:
        """The head of an answer that the closing of the connection, or a content-length among the headers, ends."""
        lines = [f"HTTP/1.1 {status} X", f"content-type: {content_type}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if not {"content_length", "transfer_encoding"} & headers.keys():
            lines.append("connection: close")
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def answer(self, status: int, content: bytes, content_type: str = "application/json", **headers: str) -> None:
        """A whole answer."""
        await self.head(status, content_type, content_length=str(len(content)), **headers)
        await self.raw(content)

    async def chunk(self, *parts: bytes) -> None:
        """Chunks of a body that was announced with `transfer-encoding: chunked`; an empty one ends it."""
        for part in parts:
            await self.raw(b"%x\r\n%s\r\n" % (len(part), part))

    async def gone(self) -> None:
        """Waits until the client has closed its side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Script = Callable[[Connection], Awaitable[None]]


@dataclass
class Provider:
    """A provider that is listening."""

    url: str
    """The base URL for a configuration, `/v1` included."""
    script: Script
    """May be replaced at any time."""
    calls: list[Call] = field(default_factory=list)
    accepted: int = 0
    """Connections, whether or not a request came over them."""


@contextlib.asynccontextmanager
async def provider(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A provider for the time of the block, with TLS if there is a certificate to show. A script that returns
    leaves the connection open for the next request, if it has announced where its answer ends; else it is closed."""
    tasks: set[asyncio.Task[None]] = set()
    it = Provider("", script)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        it.accepted += 1
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            while (call := await _read(reader)) is not None:
                it.calls.append(call)
                await it.script(Connection(call, writer, reader))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The block is over, and with it whatever the script was waiting for.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    it.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield it
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Call | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(path, headers, body, method)


def completion(text: str, model: str = "upstream-model") -> bytes:
    """A chat completion, as OpenAI's API answers it."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
    return json.dumps({**head, "choices": [choice], "usage": usage}).encode()


def delta(model: str = "upstream-model", finish_reason: str | None = None, **fields: object) -> bytes:
    """An event of a streamed chat completion."""
    choice = {"index": 0, "delta": fields, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"


def says(text: str) -> Script:
    """A provider in good health: this text, whole or word by word."""

    async def script(connection: Connection) -> None:
        if not connection.call.json.get("stream"):
            await connection.answer(200, completion(text))
            return
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(role="assistant", content=""))
        for word in text.split():
            await connection.chunk(delta(content=word + " "))
        await connection.chunk(delta(finish_reason="stop"), DONE, b"")

    return script


def refuses(status: int, message: str = "no", **headers: str) -> Script:
    """A provider that answers every request with an error."""

    async def script(connection: Connection) -> None:
        content = json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}}).encode()
        await connection.answer(status, content, **headers)

    return script
