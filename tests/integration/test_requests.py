"""What clients get wrong, and what they may rely on."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from tests.support.faulty_upstream import says
from tests.support.setup import config_text, setup, until


async def test_bad_requests_are_told_what_and_where(tmp_path: Path) -> None:
    cases: list[tuple[bytes, int, str | None, str]] = [
        (b"{", 400, None, "not valid JSON"),
        (b"[]", 400, None, "must be a JSON object"),
        (b"", 400, None, "not valid JSON"),
        (b'{"messages": []}', 400, "model", "'model' is missing"),
        (b'{"model": 7, "messages": []}', 400, "model", "must be a string"),
        (b'{"model": " ", "messages": []}', 400, "model", "is empty"),
        (b'{"model": "chat"}', 400, "messages", "'messages' is missing"),
        (b'{"model": "chat", "messages": "hello"}', 400, "messages", "must be an array"),
        (b'{"model": "chat", "messages": [], "stream": "yes"}', 400, "stream", "must be a boolean"),
        (b'{"model": "chta", "messages": []}', 404, "model", "chat"),
    ]
    async with setup(tmp_path, says("hello")) as it:
        for body, status, param, words in cases:
            response = await it.client.post("/v1/chat/completions", content=body)
            error = response.json()["error"]
            assert (response.status_code, error["param"]) == (status, param), body
            assert words in error["message"]
            assert set(error) == {"message", "type", "param", "code"}
        packed = gzip.compress(b'{"model": "chat", "messages": []}')
        response = await it.client.post("/v1/chat/completions", content=packed, headers={"content-encoding": "gzip"})
        assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")
        assert "send it as it is" in response.json()["error"]["message"]
        assert it.hits == [0]


async def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        response = await it.client.post("/v1/chat/completions", content=b" " * (20 * 1024 * 1024 + 1))
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "request_too_large"


async def test_only_the_model_and_the_credentials_are_touched_on_the_way_to_the_provider(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        body = b'{"b": 1.50,  "model": "chat", "messages": [ {"x": null} ], "a": "\\u00fc"}'
        headers = {
            "authorization": "Bearer of-the-client",
            "cookie": "a=b",
            "openai-beta": "x=v2",
            "openai-organization": "org-of-the-client",
            "x-forwarded-for": "1.2.3.4",
        }
        await it.client.post("/v1/chat/completions", content=body, headers=headers)
        call = it.providers[0].calls[0]
        assert call.path == "/v1/chat/completions"
        assert call.body == b'{"b":1.50,"model":"m","messages":[ {"x": null} ],"a":"\\u00fc"}'
        assert call.headers["openai-beta"] == "x=v2"
        assert not {"authorization", "cookie", "openai-organization", "x-forwarded-for"} & call.headers.keys()


async def test_a_credential_is_looked_up_at_the_edge(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello"), PROVIDER_API_KEY="sk-canary") as it:
        text = it.config.read_text().replace("models: [m]", "models: [m], credentials: ['env:PROVIDER_API_KEY']")
        it.config.write_text(text)

        async def is_used() -> bool:
            await it.chat()
            return it.providers[0].calls[-1].headers.get("authorization") == "Bearer sk-canary"

        await until(is_used)
    logs = (tmp_path / "edge.log").read_text() + (tmp_path / "resolver.log").read_text()
    assert "canary" not in logs


async def test_an_answer_says_who_served_and_under_which_id(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        response = await it.chat("Pool(high)")
        assert response.json()["model"] == "Pool(high)"
        assert response.headers["x-forebay-target"] == "p0/m#0"
        assert response.headers["x-forebay-attempts"] == "1"
        assert float(response.headers["x-forebay-overhead-ms"]) > 0
        assert len(response.headers["x-forebay-request-id"]) == 32
        own = await it.client.get("/v1/models", headers={"x-forebay-request-id": "mine-1"})
        assert own.headers["x-forebay-request-id"] == "mine-1"
        bad = await it.client.get("/v1/models", headers={"x-forebay-request-id": "no good!"})
        assert len(bad.headers["x-forebay-request-id"]) == 32


async def test_virtual_models_are_listed_before_raw_ones(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        listed = (await it.client.get("/v1/models")).json()
        assert listed["object"] == "list"
        assert [(m["id"], m["owned_by"]) for m in listed["data"]] == [
            ("pool", "forebay-pool"),
            ("chat", "forebay-cluster"),
            ("m", "p0"),
        ]
        assert listed["data"][1]["description"] == "for talking"
        assert (await it.client.get("/v1/models/CHAT")).json() == listed["data"][1]
        missing = await it.client.get("/v1/models/nothing")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"


NOT_THERE = [
    ("GET", "/v1/chat/completions", 405, {"POST"}),
    ("OPTIONS", "/v1/chat/completions", 405, {"POST"}),
    ("OPTIONS", "/v1/models", 405, {"GET", "HEAD"}),
    ("DELETE", "/v1/models/m", 405, {"GET", "HEAD", "POST"}),
    ("TRACE", "/healthz", 405, {"GET", "HEAD"}),
    ("POST", "/v1/nothing", 404, {""}),
    # A redirect would lead wherever the Host header says.
    ("POST", "/v1/chat/completions/", 404, {""}),
    ("GET", "/healthz/", 404, {""}),
    ("GET", "/v1/models/", 404, {""}),
    ("GET", "/v1/models/a%00b", 404, {""}),
    ("GET", "/v1/models/%ff%0d%0a", 404, {""}),
]


async def test_what_is_not_there_is_said_in_openais_shape(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        for method, path, status, allowed in NOT_THERE:
            response = await it.client.request(method, path, headers={"x-forebay-request-id": "mine"})
            assert response.status_code == status, (method, path)
            assert set(response.headers.get("allow", "").split(", ")) == allowed
            assert response.headers["x-forebay-request-id"] == "mine"
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}
            assert "location" not in response.headers
        for path, status in (("/v1/models", 200), ("/v1/models/none", 404), ("/nothing", 404), ("/healthz", 200)):
            head, get = await it.client.head(path), await it.client.get(path)
            assert (head.status_code, head.content) == (status, b"")
            assert head.headers["content-length"] == get.headers["content-length"]


async def test_a_reload_is_seen_by_the_next_request(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        assert (await it.chat("chat")).status_code == 200
        it.config.write_text(config_text(it.providers[0].url).replace("id: chat", "id: talk"))

        async def is_new() -> bool:
            return (await it.chat("talk")).status_code == 200

        await until(is_new)
        assert (await it.chat("chat")).status_code == 404


async def test_a_bad_reload_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it:
        it.config.write_text(it.config.read_text().replace("strategy", "stratgy") + "oops: 1\n")

        async def is_said() -> bool:
            return "config_rejected" in (tmp_path / "resolver.log").read_text()

        await until(is_said)
        assert (await it.chat("chat")).status_code == 200
        lines = [json.loads(line) for line in (tmp_path / "resolver.log").read_text().splitlines()]
        (rejected,) = [line for line in lines if line["event"] == "config_rejected"]
        assert any("did you mean 'strategy'" in error for error in rejected["errors"])
        assert any(re.match(r"line \d+, oops", error) for error in rejected["errors"])
