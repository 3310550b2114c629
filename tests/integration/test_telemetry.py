"""What operators see: metrics, and a line for each request."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx2

from tests.support.faulty_upstream import DONE, Connection, delta, refuses, says
from tests.support.matrix import DIALECTS, matrix
from tests.support.processes import PLAIN, Process
from tests.support.setup import Setup, setup, until


async def metrics(process: Process) -> dict[str, float]:
    found = re.search(r"operations on (\S+),", process.line)
    assert found is not None
    async with httpx2.AsyncClient(base_url=found[1], verify=PLAIN) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        text = (await client.get("/metrics")).text
    samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


async def test_requests_attempts_and_failovers_are_counted(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(429, retry_after="20"), says("hello")) as it:
        await it.chat(stream=True)
        await it.chat()
        seen = await metrics(it.services.edge)
        await until(lambda: all_told(it.services.resolver))
        told = await metrics(it.services.resolver)
    assert seen['forebay_requests_total{name="chat",status="200"}'] == 2
    assert seen['forebay_attempts_total{disposition="rate-limited",target="p0/m#0"}'] == 1
    assert seen['forebay_attempts_total{disposition="ok",target="p1/m#0"}'] == 2
    assert seen['forebay_failovers_total{disposition="rate-limited"}'] == 1
    assert seen["forebay_first_content_seconds_count"] == 1
    assert seen["forebay_resolve_seconds_count"] == 2
    assert seen["forebay_requests_in_progress"] == 0
    assert seen["forebay_resolver_up"] == 1
    assert seen["forebay_reports_dropped_total"] == 0
    assert seen["forebay_reports_unacknowledged"] >= 0

    assert told['forebay_resolves_total{name="chat",result="ok"}'] == 2
    assert told["forebay_resolver_resolve_seconds_count"] == 2
    assert told['forebay_target_state{state="cooling",target="p0/m#0"}'] == 1
    assert told['forebay_cooldowns_total{reason="rate-limited",scope="target"}'] == 1
    assert told['forebay_reports_total{effect="applied",kind="failed"}'] == 1
    assert told["forebay_resolve_streams"] == 1
    assert told["forebay_config_revision"] == 1


async def all_told(resolver: Process) -> bool:
    """Whether the resolver has heard of the end of both requests: reports come in their own time."""
    return (await metrics(resolver)).get('forebay_reports_total{effect="applied",kind="closed"}') == 2


async def test_names_that_nobody_has_configured_add_no_series(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        await it.chat("chat")
        await it.chat("nobody-0")
        before, resolved = (await metrics(it.services.edge)).keys(), await series(it)
        for i in range(1, 20):
            await it.chat(f"nobody-{i}")
            await it.chat(f"Chat({i})")
        after = await metrics(it.services.edge)
        assert await series(it) == resolved
    assert after.keys() == before
    assert after['forebay_requests_total{name="",status="404"}'] == 20
    assert after['forebay_requests_total{name="chat",status="200"}'] == 20


async def series(it: Setup) -> set[str]:
    """What the resolver counts resolves under."""
    return {name for name in await metrics(it.services.resolver) if name.startswith("forebay_resolve")}


async def test_every_line_of_both_services_is_a_json_object(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello"), GRPC_TRACE="api,http") as it:
        host, _, port = it.services.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"canary\r\n\r\n")
        refused = await reader.read()
        writer.close()
        await it.chat()
    lines = [json.loads(line) for line in (tmp_path / "edge.log").read_text().splitlines()]
    for line in (tmp_path / "resolver.log").read_text().splitlines():
        json.loads(line)
    (told,) = [line for line in lines if line["event"] == "request_refused"]
    assert (told["status"], told["code"]) == (400, "invalid_request")
    assert told["request_id"].encode() in refused
    assert "canary" not in str(lines)


async def test_each_request_is_one_line_that_tells_its_walk_and_nothing_of_what_was_said(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(503), says("canary-answer")) as it:
        response = await it.chat(messages=[{"role": "user", "content": "canary-prompt"}])
        await it.chat("canary-name")
    log = (tmp_path / "edge.log").read_text()
    assert "canary" not in log
    requests = [line for line in map(json.loads, log.splitlines()) if line["event"] == "request"]
    served, unknown = requests
    assert served["request_id"] == response.headers["x-forebay-request-id"]
    assert (served["name"], served["status"], served["ending"]) == ("chat", 200, "served")
    assert [(t["target"], t["disposition"], t["status"]) for t in served["walk"]] == [
        ("p0/m#0", "overloaded", 503),
        ("p1/m#0", "ok", 0),
    ]
    assert (unknown["name"], unknown["status"], unknown["code"]) == ("", 404, "model_not_found")


def requests_in(log: Path) -> list[dict[str, object]]:
    """The lines of requests, once the edge is gone."""
    return [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "request"]


async def test_what_answers_cost_is_told_by_both_services(tmp_path: Path) -> None:
    async with matrix(tmp_path) as it:
        for speaks in ("anthropic", "gemini"):
            for asks in DIALECTS:
                for stream in (False, True):
                    assert (await it.ask(asks, f"{speaks}-model", stream=stream)).status_code == 200
        seen = await metrics(it.services.edge)

        async def is_counted() -> bool:
            told = await metrics(it.services.resolver)
            return all(
                told.get(f'forebay_tokens_total{{direction="{way}",target="{name}/{name}-model#0"}}') == 6 * tokens
                for name in ("anthropic", "gemini")
                for way, tokens in (("input", 3), ("output", 2))
            )

        await until(is_counted)
    for name in ("anthropic", "gemini"):
        for kind, tokens in (("input", 3), ("output", 2), ("cached", 0)):
            assert seen[f'forebay_attempt_tokens_total{{kind="{kind}",target="{name}/{name}-model#0"}}'] == 6 * tokens
    lines = requests_in(tmp_path / "edge.log")
    assert len(lines) == 12
    for line in lines:
        assert (line["input_tokens"], line["output_tokens"], line["cached_tokens"]) == (3, 2, 0)


async def test_an_answer_that_breaks_off_has_cost_what_is_told_by_then(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}}

    async def breaks(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        told = json.dumps({"choices": [], "usage": usage}).encode()
        await connection.chunk(delta(content="hello"), b"data: " + told + b"\n\n", b"")

    async def keeps_it(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="hello"), DONE, b"")

    for script, cost in ((breaks, [7, 1, 4]), (keeps_it, [None, None, None])):
        directory = tmp_path / script.__name__
        directory.mkdir()
        async with setup(directory, script) as it:
            await it.chat(stream=True)
        (line,) = requests_in(directory / "edge.log")
        assert [line[f"{kind}_tokens"] for kind in ("input", "output", "cached")] == cost


async def test_what_requests_lose_is_counted_and_what_somebody_makes_up_is_not_repeated(tmp_path: Path) -> None:
    async with matrix(tmp_path) as it:
        body = {"messages": [{"role": "user", "content": "hi"}], "seed": 7, "x-canary": 1, "canary2": 2}
        response = await it.client.post("/v1/chat/completions", json={"model": "anthropic-model", **body})
        assert (response.status_code, response.headers["x-forebay-dropped"]) == (200, "(other), seed")
        hosted = {"model": "mixed", "max_tokens": 9, "messages": body["messages"]}
        hosted["tools"] = [{"type": "web_search_20250305", "name": "web_search"}]
        served = await it.client.post("/v1/messages", json=hosted)
        assert served.headers["x-forebay-target"] == "anthropic/anthropic-model#0"
        seen = await metrics(it.services.edge)
    assert seen['forebay_dropped_total{dialect="anthropic",field="seed"}'] == 1
    assert seen['forebay_dropped_total{dialect="anthropic",field="(other)"}'] == 1
    assert seen['forebay_passed_over_total{dialect="openai"}'] == 1
    lost, _ = requests_in(tmp_path / "edge.log")
    assert lost["dropped"] == ["(other)", "seed"]
    assert "canary" not in (tmp_path / "edge.log").read_text()
