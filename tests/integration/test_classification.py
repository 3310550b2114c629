"""Two real processes, and providers that say in their own ways what is wrong and for how long."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.faulty_upstream import Connection, Script, delta, refuses, says
from tests.support.standing import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOLDEN = Path(__file__).parent.parent / "golden" / "errors"


def answers(status: int, name: str, **headers: str) -> Script:
    """A provider that answers with this body of the corpus."""

    async def script(connection: Connection) -> None:
        await connection.answer(status, (GOLDEN / f"{name}.json").read_bytes(), **headers)

    return script


def limited(status: int = 429, **headers: Callable[[], str] | str) -> Script:
    """A provider that refuses with headers that are made when it does."""

    async def script(connection: Connection) -> None:
        made = {name: value if isinstance(value, str) else value() for name, value in headers.items()}
        await refuses(status, **made)(connection)

    return script


def rfc_3339() -> str:
    return datetime.fromtimestamp(time.time() + 100, UTC).isoformat().replace("+00:00", "Z")


def epoch_ms() -> str:
    return str(int(time.time() * 1000) + 100_000)


# Each asks for 100 seconds.
FORMS = {
    "seconds": limited(retry_after="100"),
    "fraction": limited(retry_after="99.5"),
    "date": limited(retry_after=lambda: formatdate(time.time() + 100, usegmt=True)),
    "milliseconds": limited(retry_after_ms="99500", retry_after="7"),
    "of an overload": limited(503, retry_after="100"),
    "duration": limited(x_ratelimit_reset_requests="1m40s"),
    "duration in milliseconds": limited(x_ratelimit_reset_tokens="99500ms"),
    "the limit that is reached": limited(
        x_ratelimit_reset_requests="6m0s",
        x_ratelimit_remaining_requests="59",
        x_ratelimit_reset_tokens="1m40s",
        x_ratelimit_remaining_tokens="0",
    ),
    "epoch": limited(x_ratelimit_reset=lambda: str(int(time.time()) + 100)),
    "epoch in milliseconds": limited(x_ratelimit_reset=epoch_ms),
    "RFC 3339": limited(anthropic_ratelimit_requests_reset=rfc_3339),
}


async def in_the_body(connection: Connection) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "99.074824224s"}
    error = {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details": [retry]}
    await connection.answer(429, json.dumps({"error": error}).encode())


@pytest.mark.parametrize("script", [*FORMS.values(), in_the_body], ids=[*FORMS, "in the body"])
async def test_a_target_is_left_alone_for_as_long_as_it_asks(it: Standing, script: Script) -> None:
    slot = await it.exactly(script)
    first = await slot.chat()
    assert first.status_code in (429, 503)
    assert 98 <= int(first.headers["retry-after"]) <= 100, "in whole seconds, whatever the provider's form"
    second = await slot.chat()
    assert 95 <= int(second.headers["retry-after"]) <= 100
    assert second.json()["error"]["code"] in ("rate_limited", "unavailable")
    assert slot.hits == [1]


async def test_a_quota_that_is_used_up_is_not_waited_for_by_the_minute(it: Standing) -> None:
    script = answers(429, "openai_insufficient_quota", x_ratelimit_reset_requests="1s")
    slot = await it.exactly(script)
    first = await slot.chat()
    assert (first.status_code, first.json()["error"]["code"]) == (429, "insufficient_quota")
    assert "retry-after" not in first.headers
    assert 290 <= int((await slot.chat()).headers["retry-after"]) <= 300
    assert slot.hits == [1]


@pytest.mark.parametrize(
    ("status", "name", "told", "code"),
    [
        (400, "anthropic_credit_balance", 429, "quota_exceeded"),
        (400, "gemini_api_key_invalid", 502, "upstream_credentials"),
        (403, "openai_model_not_in_project", 502, "upstream_credentials"),
    ],
)
async def test_what_speaks_of_the_gateways_account_moves_on_and_is_not_repeated(
    it: Standing, status: int, name: str, told: int, code: str
) -> None:
    slot = await it.exactly(answers(status, name), says("hello"))
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    slot.providers[1].script = refuses(503)
    assert (await slot.chat()).headers["x-forebay-attempts"] == "1", "the first is cooling"
    slot = await it.exactly(answers(status, name))
    response = await slot.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (told, code)
    message = json.loads((GOLDEN / f"{name}.json").read_bytes())["error"]["message"]
    assert message not in response.text


async def test_moderation_that_names_the_gateways_account_is_told_in_other_words(it: Standing) -> None:
    slot = await it.exactly(answers(403, "xai_usage_guidelines"), says("never asked"))
    for _ in range(2):
        response = await slot.chat()
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, "invalid_request")
        assert "content_policy_violation" in error["message"]
        assert "1111" not in response.text
    assert slot.hits == [2, 0], "nothing cools"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "openai_context_length"),
        (400, "anthropic_prompt_too_long"),
        (404, "openai_previous_response_not_found"),
        (400, "azure_content_filter"),
        (403, "openrouter_moderation"),
    ],
)
async def test_what_is_wrong_with_the_request_itself_stays(
    it: Standing, status: int, name: str, *, stream: bool
) -> None:
    slot = await it.exactly(answers(status, name), says("never asked"))
    for _ in range(2):
        response = await slot.chat(stream=stream)
        assert response.status_code == status
        assert response.content == (GOLDEN / f"{name}.json").read_bytes()
    assert slot.hits == [2, 0], "and cools nobody"


async def test_a_context_that_is_too_long_moves_on_where_the_policy_says_so(it: Standing) -> None:
    scripts = [answers(400, "openai_context_length"), says("a longer one")]
    slot = await it.slot(*scripts, kind="for longer contexts")
    for _ in range(2):
        assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    assert slot.hits == [2, 2]


def reports(error: dict[str, object]) -> Script:
    """A provider whose success has this error in it."""

    async def script(connection: Connection) -> None:
        body = json.dumps({"error": error}).encode()
        if not connection.call.json.get("stream"):
            await connection.answer(200, body)
            return
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(role="assistant", content=""), b"data: " + body + b"\n\n", b"")

    return script


RETRY = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "100s"}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code", "cools_s"),
    [
        ({"code": "insufficient_quota"}, 429, "quota_exceeded", 300),
        ({"type": "rate_limit_error"}, 429, "rate_limited", 30),
        ({"code": 429}, 429, "rate_limited", 30),
        ({"status": "RESOURCE_EXHAUSTED", "details": RETRY}, 429, "rate_limited", 100),
        ({"code": "invalid_api_key"}, 502, "upstream_credentials", 300),
        ({"type": "overloaded_error"}, 503, "upstream_overloaded", None),
        ({"message": "boom"}, 502, "upstream_error", None),
        ({"type": "invalid_request_error"}, 400, "invalid_request", None),
        ({"code": "context_length_exceeded"}, 400, "context_length_exceeded", None),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
async def test_an_error_within_a_success_is_known_by_its_code(
    it: Standing, error: dict[str, object], status: int, code: str, cools_s: int | None, *, stream: bool
) -> None:
    slot = await it.exactly(reports(error))
    first = await slot.chat(stream=stream)
    assert (first.status_code, first.json()["error"]["code"]) == (status, code)
    second = await slot.chat(stream=stream)
    if cools_s is None:
        assert slot.hits == [2]
    else:
        assert cools_s - 10 <= int(second.headers["retry-after"]) <= cools_s
        assert slot.hits == [1]
