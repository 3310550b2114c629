"""Row 18 and row 33: answers that are larger than they look, and answers that lead elsewhere."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faulty_upstream import DONE, Connection, Script, completion, delta, provider, refuses, says
from tests.support.setup import events
from tests.support.standing import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

HUGE_BYTES = 64 * 1024 * 1024


def resident_bytes(pid: int, most: bool = False) -> int:
    """What the process holds now; or the most that it has held, since this was last asked."""
    status = Path(f"/proc/{pid}/status").read_text()
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    wanted = "VmHWM" if most else "VmRSS"
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(wanted)) * 1024


def packed(content: bytes, encoding: str = "gzip", status: int = 200) -> Script:
    async def script(connection: Connection) -> None:
        stream = connection.call.json.get("stream")
        kind = "text/event-stream" if stream else "application/json"
        await connection.answer(status, content, kind, content_encoding=encoding)

    return script


async def is_passed_over(it: Standing, script: Script, *, stream: bool = False) -> None:
    slot = await it.slot(script, says("instead"))
    edge = it.edge.process.pid
    before = resident_bytes(edge)
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    assert resident_bytes(edge, most=True) - before < 1.5 * HUGE_BYTES
    assert slot.hits == [1, 1]


BOMBS: dict[str, Callable[[], bytes]] = {
    "an answer": lambda: gzip.compress(completion("x" * HUGE_BYTES)),
    "a string without end": lambda: gzip.compress(b'{"choices": "' + b"x" * HUGE_BYTES),
    "zeros in zeros": lambda: gzip.compress(gzip.compress(bytes(HUGE_BYTES))),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_decompression_bomb_is_passed_over(it: Standing, name: str) -> None:
    await is_passed_over(it, packed(BOMBS[name]()))


@pytest.mark.parametrize(
    "content", [b"data: " + b"x" * HUGE_BYTES, b": ping\n\n" * (HUGE_BYTES // 8)], ids=["one event", "pings"]
)
async def test_a_bomb_in_a_stream_is_passed_over(it: Standing, content: bytes) -> None:
    await is_passed_over(it, packed(gzip.compress(content)), stream=True)


async def test_a_bomb_in_an_error_answer_leaves_the_error(it: Standing) -> None:
    slot = await it.slot(*[packed(gzip.compress(b'{"error": "' + b"x" * HUGE_BYTES), status=429)] * 3)
    response = await slot.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limited")
    assert len(response.content) < 1000
    assert slot.hits == [1, 1, 1]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_what_was_compressed_unasked_is_served(it: Standing, pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"

    async def script(connection: Connection) -> None:
        assert connection.call.headers["accept-encoding"] == "identity"
        content = delta(content="hello") + DONE if connection.call.json.get("stream") else completion("hello")
        await packed(pack(content), encoding)(connection)

    slot = await it.slot(script)
    response = await slot.chat()
    assert response.json()["choices"][0]["message"]["content"] == "hello"
    assert "content-encoding" not in response.headers
    response = await slot.chat(stream=True)
    assert events(response.content)[-1] == b"[DONE]"
    assert slot.hits == [2]


async def test_a_client_fault_that_was_compressed_is_told_in_plain(it: Standing) -> None:
    content = json.dumps({"error": {"message": "no such tool", "type": "x", "param": None, "code": None}}).encode()
    slot = await it.slot(packed(gzip.compress(content), status=400))
    response = await slot.chat()
    assert (response.status_code, response.content, slot.hits) == (400, content, [1])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
async def test_an_unknown_encoding_is_passed_over(it: Standing, encoding: str) -> None:
    await is_passed_over(it, packed(completion("hello"), encoding))


@pytest.mark.parametrize("lines", [[b"x: " + b"y" * 300_000], [b"x-%d: %s" % (i, b"y" * 1000) for i in range(300)]])
async def test_a_head_beyond_the_limit_is_passed_over(it: Standing, lines: list[bytes]) -> None:
    async def script(connection: Connection) -> None:
        content = completion("hello")
        head = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(content), *lines]
        await connection.raw(b"\r\n".join([*head, b"", b""]), content)

    await is_passed_over(it, script)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(it: Standing, status: int) -> None:
    async with provider(says("never asked")) as elsewhere:
        slot = await it.slot(refuses(status, location=elsewhere.url + "/chat/completions"), says("instead"))
        response = await slot.chat()
        assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
        assert (slot.hits, elsewhere.accepted) == ([1, 1], 0)
        alone = await it.slot(*[refuses(status, location=elsewhere.url)] * 3)
        response = await alone.chat()
        assert "location" not in response.headers
        assert (alone.hits, elsewhere.accepted) == ([1, 1, 1], 0)
