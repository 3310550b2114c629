"""Row 34 of the fault matrix: nobody pays twice for what was asked once, but for the one move after a silence; and that
one is counted."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tests.support.faulty_upstream import Connection, Script, provider, refuses, says
from tests.support.metrics import metrics
from tests.support.processes import PLAIN, forebay
from tests.support.scripts import HALF, ROLE, WHOLE, answers, breaks_off, cut, error, hangs
from tests.support.setup import setup, until
from tests.support.storing import Storing

SILENCE_S = 1.5
AT_A_TIME = 32
"""Requests: not so many that a provider which is well seems silent."""

ANSWERS: dict[str, tuple[Script, Script]] = {
    "ok": (says("hello there"), says("hello there")),
    "429": (refuses(429, retry_after="100"),) * 2,
    "503": (refuses(503),) * 2,
    "400": (answers(400, error("your fault")),) * 2,
    "cut": (cut(WHOLE[:-9], "chunked", stream=False), cut(ROLE, "within a chunk", stream=True)),
    "broken off": (cut(WHOLE, "content-length", stream=False), cut(ROLE + HALF, "close", stream=True)),
    "silence": (hangs(), hangs()),
}
"""What a provider does when a whole answer is asked for, and when a stream is."""

MOVES = {"429", "503"}
AMBIGUOUS = {"cut", "silence"}
RANKS = ["400", "429", "503", "cut", "silence"]
"""Whose answer the client gets, the most useful first."""
STATUS = {"ok": 200, "400": 400, "429": 429, "503": 503, "cut": 502, "silence": 504, "broken off": 200}


def expected(plan: tuple[str, ...], *, stream: bool) -> tuple[list[str], int]:
    """Which of the providers are asked for what they do in this order, and the client's status."""
    asked: list[str] = []
    moved = False
    for behaviour in plan:
        asked.append(behaviour)
        if behaviour == "broken off" and not stream:
            behaviour = asked[-1] = "cut"
        if behaviour in AMBIGUOUS and not moved:
            moved = True
        elif behaviour not in MOVES:
            break
    if asked[-1] in ("ok", "broken off"):
        return asked, 200
    return asked, STATUS[min(asked, key=RANKS.index)]


def requests() -> list[tuple[bool, tuple[str, ...]]]:
    """Each is a request of its own, with targets of its own, so that nothing cools that another one needs."""
    streamed = list(itertools.product(ANSWERS, repeat=3))
    whole = itertools.product(set(ANSWERS) - {"silence"}, repeat=3)  # Nobody knows of a silence before it is over.
    return [*((True, plan) for plan in streamed), *((False, plan) for plan in whole)]


ASKED = {"model": "chat", "input": "hello"}
CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
FUNCTION = {"type": "function", "name": "f", "parameters": {}}


@pytest.mark.parametrize(
    ("path", "body", "acts"),
    [
        ("responses", ASKED, False),
        ("responses", {**ASKED, "tools": [FUNCTION]}, False),
        ("responses", {**ASKED, "background": True}, True),
        ("responses", {**ASKED, "stream": True, "tools": [FUNCTION, {"type": "web_search"}]}, True),
        ("chat/completions", {**CHAT, "stream": True}, False),
        ("chat/completions", {**CHAT, "web_search_options": {}}, True),
    ],
)
async def test_what_acts_on_a_provider_moves_on_after_silence_only_where_the_policy_says_so(
    tmp_path: Path, path: str, body: dict[str, object], acts: bool
) -> None:
    store, chats = Storing("second"), says("hello there")

    async def serves(connection: Connection) -> None:
        await (store if connection.call.path.endswith("/responses") else chats)(connection)

    for number, policy in enumerate(("{}", "{failover: {also: [broken]}}")):
        directory = tmp_path / str(number)
        directory.mkdir()
        async with setup(directory, breaks_off, serves, policy=policy, each="responses: true") as it:
            response = await it.client.post(f"/v1/{path}", json=body)
            if acts and not number:
                assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_broken")
                assert it.hits == [1, 0]
            else:
                assert response.status_code == 200, response.text
                assert it.hits == [1, 1]
            # A refusal is an answer: whoever gave it has done nothing.
            it.providers[0].script = refuses(503)
            assert (await it.client.post(f"/v1/{path}", json=body)).status_code == 200
            assert (await metrics(it.services.edge))["forebay_possible_duplicates_total"] == (it.hits[1] == 2)


async def test_every_upstream_call_is_accounted_for(tmp_path: Path) -> None:
    asked = requests()
    saw: list[list[str]] = [[] for _ in asked]

    def script(place: int) -> Script:
        async def does(connection: Connection) -> None:
            number = int(str(connection.call.json["user"]))
            stream, plan = asked[number]
            saw[number].append(f"p{place}")
            await ANSWERS[plan[place]][stream](connection)

        return does

    async with provider(script(0)) as first, provider(script(1)) as second, provider(script(2)) as third:
        servers = [
            {"dialect": "openai", "base-url": each.url, "models": ["m"], "allow-private": True}
            for each in (first, second, third)
        ]
        config = tmp_path / "forebay.yaml"
        members = [
            [{"provider": f"r{number}-p{place}", "model": "m", "priority": place} for place in range(3)]
            for number in range(len(asked))
        ]
        providers = [
            {**servers[place], "id": member["provider"]} for each in members for place, member in enumerate(each)
        ]
        pools = [{"id": f"r{number}", "strategy": "priority", "members": each} for number, each in enumerate(members)]
        policy = {"timeouts": {"headers": f"{SILENCE_S}s", "first-content": f"{2 * SILENCE_S}s"}}
        config.write_text(json.dumps({"policy": policy, "providers": providers, "model-pools": {"pools": pools}}))
        few = asyncio.Semaphore(AT_A_TIME)
        async with (
            forebay(config, tmp_path) as services,
            httpx2.AsyncClient(base_url=services.url, timeout=30, verify=PLAIN) as client,
        ):

            async def ask(number: int) -> httpx2.Response:
                body = {"model": f"r{number}", "stream": asked[number][0], "user": str(number), "messages": []}
                async with few:
                    while True:
                        response = await client.post("/v1/chat/completions", json=body)
                        if "x-forebay-attempts" in response.headers:
                            return response
                        # On a busy machine the resolver may miss its deadline. That costs nothing upstream.
                        assert (response.json()["error"]["code"], saw[number]) == ("unavailable", [])

            async def is_ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await until(is_ready)
            responses = await asyncio.gather(*map(ask, range(len(asked))))
            hits = [len(each.calls) for each in (first, second, third)]
            seen = await metrics(services.edge)

    duplicates, attempts = 0, Counter[str]()
    for number, (stream, plan) in enumerate(asked):
        behaviours, status = expected(plan, stream=stream)
        assert saw[number] == [f"p{place}" for place in range(len(behaviours))], (plan, responses[number].text)
        assert (responses[number].status_code, responses[number].headers["x-forebay-attempts"]) == (
            status,
            str(len(behaviours)),
        ), plan
        moves = behaviours[:-1]
        assert sum(behaviour in AMBIGUOUS for behaviour in moves) <= 1
        duplicates += sum(behaviour in AMBIGUOUS for behaviour in moves)
        attempts.update(behaviours)
    assert hits == [sum(len(calls) > place for calls in saw) for place in range(3)]
    assert sum(hits) == sum(attempts.values())
    assert seen["forebay_possible_duplicates_total"] == duplicates > 100
    told = Counter[str]()
    for name, value in seen.items():
        if name.startswith("forebay_attempts_total{"):
            told[name.partition('disposition="')[2].partition('"')[0]] += int(value)
    assert told == {
        "ok": attempts["ok"],
        "rate-limited": attempts["429"],
        "overloaded": attempts["503"],
        "client-fault": attempts["400"],
        "broken": attempts["cut"] + attempts["broken off"],
        "timeout": attempts["silence"],
    }
