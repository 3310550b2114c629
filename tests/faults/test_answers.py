"""Row 18 and row 33: answers that are larger than they look, and answers that lead elsewhere."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.providers import DONE, Connection, Script, completion, delta, provider, refuses, says
from tests.support.setup import events, setup

HUGE_BYTES = 64 * 1024 * 1024


def resident_bytes(pid: int) -> int:
    """The most that the process has ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def packed(content: bytes, encoding: str = "gzip", status: int = 200) -> Script:
    async def script(connection: Connection) -> None:
        stream = connection.call.json.get("stream")
        kind = "text/event-stream" if stream else "application/json"
        await connection.answer(status, content, kind, content_encoding=encoding)

    return script


async def is_passed_over(tmp_path: Path, script: Script, *, stream: bool = False) -> None:
    async with setup(tmp_path, script, says("instead")) as it:
        before = resident_bytes(it.services.edge.process.pid)
        response = await it.chat(stream=stream)
        assert (response.status_code, response.headers["x-forebay-target"]) == (200, "p1/m#0")
        assert resident_bytes(it.services.edge.process.pid) - before < 1.5 * HUGE_BYTES


BOMBS: dict[str, Callable[[], bytes]] = {
    "an answer": lambda: gzip.compress(completion("x" * HUGE_BYTES)),
    "a string without end": lambda: gzip.compress(b'{"choices": "' + b"x" * HUGE_BYTES),
    "zeros in zeros": lambda: gzip.compress(gzip.compress(bytes(HUGE_BYTES))),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_decompression_bomb_is_passed_over(tmp_path: Path, name: str) -> None:
    await is_passed_over(tmp_path, packed(BOMBS[name]()))


@pytest.mark.parametrize(
    "content", [b"data: " + b"x" * HUGE_BYTES, b": ping\n\n" * (HUGE_BYTES // 8)], ids=["one event", "pings"]
)
async def test_a_bomb_in_a_stream_is_passed_over(tmp_path: Path, content: bytes) -> None:
    await is_passed_over(tmp_path, packed(gzip.compress(content)), stream=True)


async def test_a_bomb_in_an_error_answer_leaves_the_error(tmp_path: Path) -> None:
    async with setup(tmp_path, packed(gzip.compress(b'{"error": "' + b"x" * HUGE_BYTES), status=429)) as it:
        response = await it.chat()
        assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limited")
        assert len(response.content) < 1000


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_what_was_compressed_unasked_is_served(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"

    async def script(connection: Connection) -> None:
        assert connection.call.headers["accept-encoding"] == "identity"
        content = delta(content="hello") + DONE if connection.call.json.get("stream") else completion("hello")
        await packed(pack(content), encoding)(connection)

    async with setup(tmp_path, script) as it:
        response = await it.chat()
        assert response.json()["choices"][0]["message"]["content"] == "hello"
        assert "content-encoding" not in response.headers
        response = await it.chat(stream=True)
        assert events(response.content)[-1] == b"[DONE]"


async def test_a_client_fault_that_was_compressed_is_told_in_plain(tmp_path: Path) -> None:
    content = json.dumps({"error": {"message": "no such tool", "type": "x", "param": None, "code": None}}).encode()
    async with setup(tmp_path, packed(gzip.compress(content), status=400)) as it:
        response = await it.chat()
        assert (response.status_code, response.content) == (400, content)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
async def test_an_unknown_encoding_is_passed_over(tmp_path: Path, encoding: str) -> None:
    await is_passed_over(tmp_path, packed(completion("hello"), encoding))


@pytest.mark.parametrize("lines", [[b"x: " + b"y" * 300_000], [b"x-%d: %s" % (i, b"y" * 1000) for i in range(300)]])
async def test_a_head_beyond_the_limit_is_passed_over(tmp_path: Path, lines: list[bytes]) -> None:
    async def script(connection: Connection) -> None:
        content = completion("hello")
        head = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(content), *lines]
        await connection.raw(b"\r\n".join([*head, b"", b""]), content)

    await is_passed_over(tmp_path, script)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    async with (
        provider(says("never asked")) as elsewhere,
        setup(tmp_path, refuses(status, location=elsewhere.url + "/chat/completions"), says("instead")) as it,
    ):
        response = await it.chat()
        assert (response.status_code, response.headers["x-forebay-target"]) == (200, "p1/m#0")
        assert (it.hits, elsewhere.accepted) == ([1, 1], 0)
