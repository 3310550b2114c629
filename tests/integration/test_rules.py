"""Two real processes, and providers whose errors are known to nobody but the operator."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.faulty_upstream import Connection, delta, refuses, says
from tests.support.setup import setup

RULES = """rules: [
    {status: 400, body-contains: quota exhausted, disposition: quota},
    {status: 200, body-contains: '"code":1302', disposition: rate-limited}]"""


async def odd(connection: Connection) -> None:
    """Has a limit of its own making, and tells of it in a success."""
    if not connection.call.json.get("stream"):
        await connection.answer(200, b'{"code": 1302, "msg": "too fast"}')
        return
    await connection.head(200, "text/event-stream", transfer_encoding="chunked")
    error = json.dumps({"error": {"code": 1302, "message": "too fast"}}).encode()
    await connection.chunk(delta(role="assistant", content=""), b"data: " + error + b"\n\n", b"")


async def test_the_operators_rules_say_what_an_odd_answer_is(tmp_path: Path) -> None:
    scripts = [refuses(400, "Your Quota Exhausted, sorry"), says("hello")]
    async with setup(tmp_path, *scripts, each=RULES.replace("\n", " ")) as it:
        quoted = await it.chat(user="quota exhausted")
        assert (quoted.status_code, quoted.headers["x-forebay-target"]) == (400, "p0/m#0")
        assert "Your Quota Exhausted" in quoted.text, "words of the request are nobody's quota"

        response = await it.chat()
        assert (response.headers["x-forebay-target"], response.headers["x-forebay-attempts"]) == ("p1/m#0", "2")
        assert (await it.chat()).headers["x-forebay-attempts"] == "1"
        assert it.hits == [2, 2], "the first is out"

        it.providers[1].script = odd
        response = await it.chat(stream=True)
        assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limited")
        response = await it.chat(stream=True)
        assert (response.status_code, response.headers["retry-after"]) == (429, "30"), "the soonest is back"
        assert it.hits == [2, 3]


async def test_a_success_without_an_answer_is_what_a_rule_says_of_it(tmp_path: Path) -> None:
    async with setup(tmp_path, odd, each=RULES.replace("\n", " ")) as it:
        response = await it.chat()
        assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limited")
        assert 25 <= int((await it.chat()).headers["retry-after"]) <= 30
        assert it.hits == [1]
