"""Secrets and prompts are nowhere but where they must be, whatever goes wrong. Besides this, every test of this
directory is searched when it is over: see conftest.py."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from edge_service.adapters.http.asgi import UNASKED_BYTES
from tests.support import canaries
from tests.support.canaries import Canary
from tests.support.faulty_upstream import Connection, Script, refuses, says
from tests.support.metrics import operations_of
from tests.support.scripts import answers, cut, error, hangs, streams
from tests.support.standing import Standing

on_the_standing_services = pytest.mark.asyncio(loop_scope="session")

CONTENTS = {"contents": [{"parts": [{"text": "hello"}]}]}
QUOTED = f"{canaries.PROVIDER_KEY.value} {canaries.OTHER_PROVIDER_KEY.value} {canaries.PROMPT.value}"


def quoting(status: int) -> Script:
    """A provider whose error quotes what it was shown, in every place that there is."""
    return answers(
        status,
        error(f"{QUOTED} {status}", type=QUOTED, code=QUOTED),
        openai_organization=canaries.OTHER_PROVIDER_KEY.value,
        set_cookie=QUOTED,
        x_request_id=canaries.PROVIDER_KEY.value,
        x_ratelimit_reset_tokens=QUOTED,
        www_authenticate=QUOTED,
    )


async def says_a_canary(connection: Connection) -> None:
    await says(canaries.COMPLETION.value)(connection)


async def no_http(connection: Connection) -> None:
    await connection.raw(QUOTED.encode() + b"\r\n\r\n")
    connection.writer.close()


async def no_status(connection: Connection) -> None:
    await connection.raw(f"HTTP/1.1 {QUOTED}\r\n\r\n".encode())
    connection.writer.close()


FAULTS: dict[str, Script] = {
    "quoted in a 401": quoting(401),
    "quoted in a 402": quoting(402),
    "quoted in a 403": quoting(403),
    "quoted in a 404": quoting(404),
    "quoted in a 429": quoting(429),
    "quoted in a 500": quoting(500),
    "quoted in a 503": quoting(503),
    "quoted in a redirect": answers(307, b"", location=f"http://127.0.0.1:9/{QUOTED.replace(' ', '')}"),
    "quoted in a status line": no_status,
    "quoted in an error event": streams(b"data: " + error(QUOTED, code=QUOTED) + b"\n\n"),
    "quoted in an event of another shape": streams(f"data: {QUOTED}\n\n".encode()),
    "quoted in no HTTP": no_http,
    "quoted in what is cut": cut(QUOTED.encode(), "chunked", stream=True),
    "silence": hangs(),
}


@on_the_standing_services
@pytest.mark.parametrize(
    ("fault", "stream"),
    # Of a silence in a whole answer nobody knows before it is over.
    [(fault, stream) for fault in FAULTS for stream in (False, True) if stream or fault != "silence"],
)
async def test_a_provider_that_quotes_what_it_was_shown_is_heard_by_nobody(
    it: Standing, fault: str, stream: bool
) -> None:
    slot = await it.slot(FAULTS[fault], says_a_canary, kind="hasty")
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    assert canaries.COMPLETION.value in response.text
    shown = slot.providers[0].calls[0].headers["authorization"]
    assert shown == f"Bearer {canaries.PROVIDER_KEY.value}", "it had something to quote"
    assert canaries.PROMPT.value.encode() in slot.providers[0].calls[0].body
    sent = [str(call.headers).encode() + call.body for each in slot.providers for call in each.calls]
    for secret in (canaries.CLIENT_KEY, canaries.TOKEN, canaries.MANAGEMENT_KEY):
        assert not any(secret.value.encode() in request for request in sent)
    assert slot.hits == [1, 1]
    await it.requests({response.headers["x-forebay-request-id"]})
    await it.keep_artefacts()
    assert canaries.found(it.directory) == []


@on_the_standing_services
@pytest.mark.parametrize("status", [401, 402, 403])
async def test_what_is_told_of_the_gateways_account_quotes_nothing(it: Standing, status: int) -> None:
    slot = await it.slot(*[quoting(status)] * 3)
    response = await slot.chat()
    assert response.status_code == 502
    assert "canary" not in response.text + str(response.headers)


@on_the_standing_services
@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503])
async def test_an_error_that_quotes_the_key_is_told_in_our_own_words(it: Standing, status: int) -> None:
    slot = await it.slot(quoting(status))
    response = await slot.chat()
    assert response.status_code >= 400
    assert canaries.PROVIDER_KEY.value not in response.text + str(response.headers)
    assert response.json()["error"]["message"]


def behind_a_head(rest: bytes) -> Script:
    async def script(connection: Connection) -> None:
        kind = "text/event-stream" if connection.call.json.get("stream") else "application/json"
        await connection.head(200, kind, transfer_encoding="chunked")
        await connection.raw(rest)
        connection.writer.close()

    return script


def escaped(status: int) -> Script:
    """The key as other writers of JSON may have it."""
    key = canaries.PROVIDER_KEY.value.upper().replace("-", "\\u002d")
    return answers(status, f'{{"error": {{"message": "Bad key {key}"}}}}'.encode())


NO_ANSWERS: dict[str, Script] = {
    "status line": no_status,
    "no HTTP": no_http,
    "header": answers(200, b"{}", **{f"{canaries.PROVIDER_KEY.value} x": QUOTED}),
    "chunk size": behind_a_head(QUOTED.encode() + b"\r\n"),
    "trailer": behind_a_head(b"0\r\n" + QUOTED.encode() + b"\r\n\r\n"),
    "escapes": escaped(400),
    "escapes of a 500": escaped(500),
}


@on_the_standing_services
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("place", NO_ANSWERS)
async def test_what_is_no_answer_is_not_quoted(it: Standing, place: str, stream: bool) -> None:
    slot = await it.slot(NO_ANSWERS[place])
    response = await slot.chat(stream=stream)
    assert response.status_code >= 400
    tail = canaries.PROVIDER_KEY.value.rpartition("-")[2]
    assert tail not in (response.text + str(response.headers)).lower()


@on_the_standing_services
@pytest.mark.parametrize("size", [1, UNASKED_BYTES + 1])
@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        ({"authorization": "Bearer {}"}, ""),
        ({"x-api-key": "{}"}, ""),
        ({"x-goog-api-key": "{}"}, ""),
        ({}, "?key={}"),
    ],
)
async def test_a_clients_key_goes_to_the_resolver_as_a_hash_and_nowhere_else(
    it: Standing, shown: dict[str, str], asked: str, size: int
) -> None:
    key = canaries.OTHER_CLIENT_KEY.value
    slot = await it.slot(quoting(503), says_a_canary)
    head = {name: value.format(key) for name, value in shown.items()}
    body = {"model": slot.name, "messages": [{"role": "user", "content": "x" * size}]}
    for path in ("/v1/chat/completions", f"/v1beta/models/{slot.name}:generateContent", "/v1/nothing"):
        response = await it.client.post(path + asked.format(key), json=body | CONTENTS, headers=head)
        it.answered(repr(response.headers.raw).encode() + response.content)
    for path in ("/v1/models", f"/v1beta/models/{slot.name}", "/v1/models/nothing"):
        response = await it.client.get(path + asked.format(key), headers=head)
        it.answered(repr(response.headers.raw).encode() + response.content)
    calls = [repr(call).encode() for each in slot.providers for call in each.calls]
    assert calls
    assert not any(key.encode() in call for call in calls)
    await it.keep_artefacts()
    assert canaries.found(it.directory) == []
    assert hashlib.sha256(key.encode()).digest() in it.wire


@on_the_standing_services
async def test_what_was_searched_was_there_to_be_found(it: Standing) -> None:
    """An empty place holds no secrets: the services did write, and what went between them can be read."""
    slot = await it.slot(refuses(429, retry_after="100"), says_a_canary)
    await slot.chat()
    await slot.cools("rate-limited", 100)
    await it.keep_artefacts()
    files = {file.name: file.read_bytes() for file in it.directory.rglob("*") if file.is_file()}
    target = slot.target().encode()
    expected = {"edge.log", "resolver.log", canaries.WIRE, canaries.ANSWERS, "edge-metrics.txt", "state.sqlite3"}
    assert expected <= files.keys()
    assert ("resolver-metrics.txt" in files) == (operations_of(it.resolver) is not None)
    for name in ("edge.log", "resolver.log", canaries.WIRE, "edge-metrics.txt"):
        assert target in files[name], name
    assert canaries.TOKEN.value.encode() in files[canaries.WIRE], "gRPC's metadata can be read"
    assert canaries.COMPLETION.value.encode() in files[canaries.ANSWERS]


@pytest.mark.parametrize("canary", canaries.ALL, ids=lambda canary: canary.value)
@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_a_canary_that_escapes_is_found(tmp_path: Path, canary: Canary, before: str) -> None:
    (tmp_path / "deep").mkdir()
    log = tmp_path / "deep" / "edge.log"
    log.write_text(json.dumps({"event": f"{before}{canary.value}!"}))
    assert canaries.found(tmp_path) == [f"{log}: {canary.value}"]
    log.write_bytes(base64.b64encode(f"{before}{canary.value}!".encode()))
    assert canaries.found(tmp_path) == [f"{log}: {canary.value}"]
    log.unlink()
    for allowed in canary.may_be_in:
        (tmp_path / allowed).write_text(canary.value)
    assert canaries.found(tmp_path) == []


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "edge.log").write_text("canary-of-another-mine")
    assert canaries.found(tmp_path) == []
