"""Real processes, and clients with keys: who is served, with what, and how much of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.faulty_upstream import completion, delta, refuses, says
from tests.support.keys import MINE, OTHERS, bearer, client, clients
from tests.support.metrics import metrics
from tests.support.processes import PLAIN, start_edge
from tests.support.scripts import Holds, answers, hangs, streams
from tests.support.setup import Setup, setup, until

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
MESSAGE = {**CHAT, "max_tokens": 10}
CONTENTS = {"contents": [{"parts": [{"text": "hello"}]}]}
GENERATE = "/v1beta/models/{}:generateContent"
LARGE = "x" * 100_000


async def asked(it: Setup, key: str, **fields: object) -> httpx2.Response:
    return await it.client.post("/v1/chat/completions", json={**CHAT, **fields}, headers=bearer(key))


async def listed(it: Setup, **shown: Any) -> list[str]:
    response = await it.client.get("/v1/models", **shown)
    return [entry["id"] for entry in response.json()["data"]]


async def test_errors_are_told_in_the_words_of_each_api(tmp_path: Path) -> None:
    """401, 404 and 429."""
    more = clients(client(MINE, allow=["chat"], limits={"rpm": 1}))
    async with setup(tmp_path, says("hello"), more=more) as it:
        assert (await asked(it, MINE)).status_code == 200

        async def openai(key: str, model: str) -> tuple[httpx2.Response, Any]:
            response = await asked(it, key, model=model)
            error = response.json()["error"]
            return response, (error["type"], error["code"])

        async def anthropic(key: str, model: str) -> tuple[httpx2.Response, Any]:
            head = {"x-api-key": key, "authorization": "none"}
            response = await it.client.post("/v1/messages", json={**MESSAGE, "model": model}, headers=head)
            return response, response.json()["error"]["type"]

        async def gemini(key: str, model: str) -> tuple[httpx2.Response, Any]:
            head = {"x-goog-api-key": key, "authorization": "none"}
            response = await it.client.post(GENERATE.format(model), json=CONTENTS, headers=head)
            return response, response.json()["error"]["status"]

        for ask, wrong_key, not_found, limited in (
            (
                openai,
                ("invalid_request_error", "invalid_api_key"),
                ("invalid_request_error", "model_not_found"),
                ("rate_limit_error", "rate_limit_exceeded"),
            ),
            (anthropic, "authentication_error", "not_found_error", "rate_limit_error"),
            (gemini, "UNAUTHENTICATED", "NOT_FOUND", "RESOURCE_EXHAUSTED"),
        ):
            for key in ("", "nobody's"):
                response, said = await ask(key, "chat")
                assert (response.status_code, said) == (401, wrong_key)
                assert response.headers["www-authenticate"] == 'Bearer realm="forebay"'
            forbidden, said = await ask(MINE, "pool")
            unknown, _ = await ask(MINE, "pooh")
            assert (forbidden.status_code, said) == (404, not_found)
            assert forbidden.text.replace("'pool'", "'pooh'") == unknown.text

            response, said = await ask(MINE, "chat")
            assert (response.status_code, said) == (429, limited)
            wait_ms = int(response.headers["retry-after-ms"])
            assert 50_000 < wait_ms <= 60_000
            assert int(response.headers["retry-after"]) == -(-wait_ms // 1000)
            assert response.headers["x-ratelimit-limit-requests"] == "1"
            assert response.headers["x-ratelimit-remaining-requests"] == "0"
            assert response.headers["x-ratelimit-reset-requests"].endswith("s")
            assert ("anthropic-ratelimit-requests-reset" in response.headers) == (ask is anthropic)
        assert it.hits == [1]


async def test_a_key_is_taken_wherever_an_api_has_it(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello"), more=clients(client(MINE))) as it:
        del it.client.headers["authorization"]
        body: dict[str, Any] = {"json": CHAT}
        for shown in (
            {"headers": bearer(MINE)},
            {"headers": {"x-api-key": MINE}},
            {"headers": {"x-goog-api-key": MINE}},
            {"params": {"key": MINE}},
        ):
            keyed: dict[str, Any] = shown
            assert (await it.client.post("/v1/chat/completions", **body, **keyed)).status_code == 200
            assert (await it.client.get("/v1beta/models", **keyed)).status_code == 200
        assert (await it.client.post("/v1/chat/completions", **body)).status_code == 401
        assert (await it.client.get("/v1/models")).status_code == 401
        assert (await it.client.get("/healthz")).status_code == 200
        shown_upstream = [json.dumps(call.headers) for call in it.providers[0].calls]
        assert len(shown_upstream) == 4
        assert not any(MINE in each for each in shown_upstream)


async def test_each_key_lists_what_it_may_call(tmp_path: Path) -> None:
    more = clients(client(MINE), client(OTHERS, allow=["CH*", "nothing-yet"]))
    async with setup(tmp_path, says("hello"), more=more) as it:
        assert await listed(it, headers=bearer(MINE)) == ["pool", "chat", "m"]
        assert await listed(it, headers=bearer(OTHERS)) == ["chat"]
        assert (await it.client.get("/v1/models/chat", headers=bearer(OTHERS))).status_code == 200
        forbidden = await it.client.get("/v1/models/pool", headers=bearer(OTHERS))
        unknown = await it.client.get("/v1/models/pooh", headers=bearer(OTHERS))
        assert (forbidden.status_code, forbidden.text) == (404, unknown.text.replace("pooh", "pool"))
        assert (await asked(it, OTHERS)).status_code == 200, "what is behind a name need not be allowed"


async def test_a_key_that_is_taken_out_under_load_is_refused_and_no_other_client_notices(tmp_path: Path) -> None:
    more = clients(client(MINE), client(OTHERS))
    async with setup(tmp_path, says("hello"), more=more) as it:
        over = asyncio.Event()
        of_others: list[int] = []
        of_mine: list[int] = []

        async def ask(key: str, statuses: list[int]) -> None:
            while not over.is_set():
                statuses.append((await asked(it, key)).status_code)

        asking = [asyncio.create_task(ask(*each)) for each in [(MINE, of_mine), (OTHERS, of_others)] * 4]

        async def are_served() -> bool:
            return len(of_mine) > 20 and len(of_others) > 20

        await until(are_served)
        beside = it.config.with_suffix(".new")
        beside.write_text(it.config.read_text().replace(more, clients(client(OTHERS))))
        beside.replace(it.config)

        async def is_refused() -> bool:
            return of_mine[-40:] == [401] * 40

        await until(is_refused)
        over.set()
        await asyncio.gather(*asking)
        assert set(of_others) == {200}
        # Those that had a plan when it happened are served: answers may come in any order, but not long after.
        assert 200 not in of_mine[of_mine.index(401) + 8 :]


async def test_two_edges_share_one_limit(tmp_path: Path) -> None:
    more = clients(client(MINE, limits={"rpm": 7}))
    async with setup(tmp_path, says("hello"), more=more) as it:
        other = await start_edge(it.services.resolver.address, errors=tmp_path / "other-edge.log")
        try:
            async with httpx2.AsyncClient(timeout=20, headers=bearer(MINE), verify=PLAIN) as client_of_both:

                async def is_ready() -> bool:
                    return (await client_of_both.get(f"{other.address}/readyz")).status_code == 200

                await until(is_ready)
                statuses = []
                # One after another: a busy machine may make a resolve of many miss its deadline.
                for number in range(20):
                    url = (it.services.url, other.address)[number % 2]
                    statuses.append((await client_of_both.post(f"{url}/v1/chat/completions", json=CHAT)).status_code)
        finally:
            await other.stop()
        assert statuses == [200] * 7 + [429] * 13
        assert it.hits == [7]


async def test_a_client_is_told_of_its_own_limits_and_of_no_providers(tmp_path: Path) -> None:
    more = clients(client(MINE, limits={"rpm": 10, "tpm": 1000}), client(OTHERS))
    theirs = {"x_ratelimit_limit_requests": "5000", "x_ratelimit_remaining_tokens": "1"}
    async with setup(tmp_path, refuses(400, "no", **theirs), more=more) as it:
        mine = await asked(it, MINE)
        assert mine.headers["x-ratelimit-limit-requests"] == "10"
        assert mine.headers["x-ratelimit-remaining-requests"] == "9"
        assert 900 < int(mine.headers["x-ratelimit-remaining-tokens"]) < 1000, "what was sent is estimated, and held"
        assert (await asked(it, OTHERS)).headers["x-ratelimit-limit-requests"] == "5000"
        it.providers[0].script = says("hello")
        for stream in (False, True):
            answer = await asked(it, MINE, stream=stream)
            assert (answer.status_code, answer.headers["x-ratelimit-limit-tokens"]) == (200, "1000")
        head = {"x-api-key": MINE, "authorization": "none"}
        message = await it.client.post("/v1/messages", json=MESSAGE, headers=head)
        assert message.headers["anthropic-ratelimit-requests-remaining"] == "6"
        assert message.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")
        assert "x-ratelimit-limit-requests" not in (await asked(it, OTHERS)).headers


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_what_the_provider_says_they_were(tmp_path: Path, stream: bool) -> None:
    usage = {"prompt_tokens": 300, "completion_tokens": 400, "total_tokens": 700}
    whole = json.dumps({**json.loads(completion("hello")), "usage": usage}).encode()
    last = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    streamed = streams(delta(content="hello"), delta(finish_reason="stop"), last, b"data: [DONE]\n\n")
    more = clients(client(MINE, limits={"tpm": 1000}))
    async with setup(tmp_path, streamed if stream else answers(200, whole), more=more) as it:
        assert (await asked(it, MINE, stream=stream)).status_code == 200
        assert 290 < int((await asked(it, MINE, stream=stream)).headers["x-ratelimit-remaining-tokens"]) < 300
        limited = await asked(it, MINE, stream=stream)
        assert (limited.status_code, limited.headers["x-ratelimit-remaining-tokens"]) == (429, "0")
        assert it.hits == [2]


@pytest.mark.parametrize("idle", ["90s", "1s"])
async def test_what_came_is_used_whether_its_client_hangs_up_or_its_provider_falls_silent(
    tmp_path: Path, idle: str
) -> None:
    """Neither waits for the provider to tell how much it was."""
    more = clients(client(MINE, limits={"tpm": 1000, "concurrent": 1}))
    answer = Holds(*[delta(content=f"word {n}") for n in range(900)])
    async with setup(tmp_path, answer, more=more, policy=f"{{timeouts: {{idle: {idle}}}}}") as it:
        body = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        async with it.client.stream("POST", "/v1/chat/completions", json=body, headers=bearer(MINE)) as response:
            async for line in response.aiter_lines():
                if "word 899" in line and idle == "90s":
                    break
        it.providers[0].script = says("hello")

        async def is_over() -> bool:
            return (await asked(it, MINE)).status_code == 200

        await until(is_over)
        # As it is given back: hundreds take longer than the test does on any machine.
        assert int((await asked(it, MINE)).headers["x-ratelimit-remaining-tokens"]) < 400


async def test_a_place_is_held_until_the_answer_is_over_or_its_client_has_left(tmp_path: Path) -> None:
    more = clients(client(MINE, limits={"concurrent": 1}))
    async with setup(tmp_path, hangs(), more=more) as it:
        leaving = asyncio.create_task(asked(it, MINE))

        async def is_called() -> bool:
            return it.hits == [1]

        await until(is_called)
        second = await asked(it, MINE)
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
        leaving.cancel()
        it.providers[0].script = says("hello")

        async def is_free() -> bool:
            return (await asked(it, MINE)).status_code == 200

        await until(is_free)
        for _ in range(5):
            assert (await asked(it, MINE)).status_code == 200


@pytest.mark.parametrize("says_how_large", [True, False])
async def test_a_strangers_upload_is_refused_unread(tmp_path: Path, says_how_large: bool) -> None:
    async with setup(tmp_path, says("hello"), more=clients(client(MINE))) as it:
        host, port = it.services.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        length = b"content-length: 1000000" if says_how_large else b"transfer-encoding: chunked"
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        writer.write(head + length + b"\r\nexpect: 100-continue\r\n\r\n")
        if not says_how_large:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"11000\r\n" + b"x" * 0x11000 + b"\r\n")  # And it goes on.
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 401 "), "not 100, by which it would be asked to go on"
        assert b"invalid_api_key" in answer
        writer.close()
        large = {"messages": [{"role": "user", "content": LARGE}]}
        assert (await asked(it, MINE, **large)).status_code == 200
        assert it.hits == [1]


async def test_off_loopback_a_key_is_required_whether_there_are_clients_or_not(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        flags = ("--listen", "0.0.0.0:0")
        edge = await start_edge(it.services.resolver.address, arguments=flags, errors=tmp_path / "open-edge.log")
        try:
            url = edge.address.replace("0.0.0.0", "127.0.0.1")
            async with httpx2.AsyncClient(base_url=url, timeout=20, verify=PLAIN) as caller:

                async def statuses() -> list[int]:
                    chat = await caller.post("/v1/chat/completions", json=CHAT, headers=bearer(MINE))
                    listing = await caller.get("/v1/models", headers=bearer(MINE))
                    return [chat.status_code, listing.status_code]

                assert await statuses() == [401, 401]
                it.config.write_text(it.config.read_text() + clients(client(MINE)))

                async def is_known() -> bool:
                    return await statuses() == [200, 200]

                await until(is_known)
                assert (await caller.get("/v1/models")).status_code == 401
        finally:
            await edge.stop()


async def test_while_the_resolver_is_away_only_those_are_served_who_were_and_that_is_counted(tmp_path: Path) -> None:
    more = clients(client(MINE, limits={"rpm": 2}), client(OTHERS))
    async with setup(tmp_path, says("hello"), more=more) as it:
        for _ in range(2):
            assert (await asked(it, MINE)).status_code == 200
        assert (await asked(it, MINE)).status_code == 429
        await it.services.resolver.stop()

        async def is_away() -> bool:
            return "x-forebay-stale" in (await asked(it, MINE)).headers

        await until(is_away)
        before = (await metrics(it.services.edge))["forebay_unmetered_total"]
        for _ in range(3):
            stale = await asked(it, MINE)
            assert (stale.status_code, stale.headers["x-forebay-stale"]) == (200, "1")
            assert not [name for name in stale.headers if "ratelimit" in name]
        assert (await metrics(it.services.edge))["forebay_unmetered_total"] == before + 3
        for key in (OTHERS, "nobody's", ""):
            assert (await asked(it, key)).status_code == 503
        large = {"messages": [{"role": "user", "content": LARGE}]}
        assert [(await asked(it, key, **large)).status_code for key in (MINE, OTHERS)] == [200, 503]
