"""Rows 1 to 6 of the fault matrix: providers that answer with an error status."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc
from tests.support import canaries
from tests.support.faulty_upstream import Connection, Script, refuses, says
from tests.support.scripts import answers, error
from tests.support.setup import setup, until
from tests.support.standing import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAIT_S = 100


def limited(status: int = 429, **headers: Callable[[], str] | str) -> Script:
    """A provider that refuses with headers that are made when it does."""

    async def script(connection: Connection) -> None:
        made = {name: value if isinstance(value, str) else value() for name, value in headers.items()}
        await refuses(status, **made)(connection)

    return script


def in_the_body(delay: str) -> Script:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    said = {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details": [retry]}
    return answers(429, json.dumps({"error": said}).encode())


def rfc_3339() -> str:
    return datetime.fromtimestamp(time.time() + WAIT_S, UTC).isoformat().replace("+00:00", "Z")


# Each asks for 100 seconds.
FORMS = {
    "seconds": limited(retry_after="100"),
    "a fraction": limited(retry_after="99.5"),
    "an HTTP date": limited(retry_after=lambda: formatdate(time.time() + WAIT_S, usegmt=True)),
    "retry-after-ms": limited(retry_after_ms="99500", retry_after="7"),
    "x-ratelimit-reset, a duration": limited(x_ratelimit_reset_requests="1m40s"),
    "x-ratelimit-reset, milliseconds": limited(x_ratelimit_reset_tokens="99500ms"),
    "x-ratelimit-reset, an epoch": limited(x_ratelimit_reset=lambda: str(int(time.time()) + WAIT_S)),
    "x-ratelimit-reset, an epoch in ms": limited(x_ratelimit_reset=lambda: str(int(time.time() * 1000) + 100_000)),
    "anthropic-ratelimit-reset": limited(anthropic_ratelimit_requests_reset=rfc_3339),
    "RetryInfo": in_the_body("99.5s"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_429_moves_on_and_cools_its_target_as_long_as_it_asks(it: Standing, form: str) -> None:
    slot = await it.slot(FORMS[form], says("hello"))
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    await slot.cools("rate-limited", WAIT_S)
    assert (await slot.chat()).headers["x-forebay-attempts"] == "1"
    assert (await slot.explain("n"))[slot.target(0, "n")].available, "another model has a limit of its own"
    assert slot.hits == [1, 2]


@pytest.mark.parametrize(
    ("script", "cools_s"),
    [
        (refuses(429), 30),
        (refuses(429, retry_after="soon"), 30),
        (refuses(429, retry_after="0"), 1),
        (refuses(429, retry_after="99999"), 300),
    ],
    ids=["no time", "no time that can be read", "too short a time", "too long a time"],
)
async def test_a_429_without_a_time_that_can_be_used(it: Standing, script: Script, cools_s: float) -> None:
    slot = await it.slot(script, says("hello"))
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    assert slot.hits == [1, 1]
    await slot.cools("rate-limited", cools_s)


async def test_a_429_with_a_longer_time_than_the_configuration_allows(tmp_path: Path) -> None:
    async with (
        setup(tmp_path, refuses(429, retry_after="100"), policy="{cool-down: {max: 10s}}") as it,
        grpc.aio.insecure_channel(it.services.resolver.address) as channel,
    ):
        assert (await it.chat()).headers["retry-after"] == "100", "the client hears what the provider said"
        resolver: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
        waits_ms: list[int] = []

        async def cools() -> bool:
            request = pb.ExplainRequest(request=pb.ResolveRequest(model="chat", will_report=True))
            (target,) = (await resolver.Explain(request, timeout=20.0)).targets
            waits_ms.append(target.retry_after_ms)
            return str(target.reason) == "cooling: rate-limited"

        await until(cools)
        assert 5_000 <= waits_ms[-1] <= 10_000
        assert it.hits == [1]


@pytest.mark.parametrize("stream", [False, True])
async def test_when_nobody_is_left_the_client_gets_the_429_and_when_to_come_back(it: Standing, stream: bool) -> None:
    slot = await it.slot(
        refuses(429, retry_after="100"), refuses(429, retry_after="50", message="the last"), refuses(503)
    )
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.json()["error"]["message"]) == (429, "the last")
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("50", "false")
    assert slot.hits == [1, 1, 1]
    assert (await slot.chat(stream=stream)).status_code == 503
    assert slot.hits == [1, 1, 2], "only the last was left, and that was its second failure in a row"
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limited")
    assert 5 <= int(response.headers["retry-after"]) <= 10, "when the first of them comes back"
    assert slot.hits == [1, 1, 2]


@pytest.mark.parametrize(
    "script",
    [
        answers(429, error("You exceeded your current quota", code="insufficient_quota", type="insufficient_quota")),
        answers(402, error("pay")),
    ],
    ids=["insufficient_quota", "402"],
)
async def test_a_quota_that_is_used_up_takes_out_every_target_of_the_credential(it: Standing, script: Script) -> None:
    slot = await it.slot(script, says("hello"), kind="with two keys")
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    assert slot.hits == [2, 1], "each key is asked once"
    for model in ("m", "n"):
        for key in (0, 1):
            await slot.cools("quota", 300, slot.target(0, model, key), model)
    assert (await slot.chat("n")).headers["x-forebay-target"] == slot.target(1, "n")
    assert slot.hits == [2, 2]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_takes_out_its_targets_and_no_others(it: Standing, status: int) -> None:
    async def knows_the_second_key(connection: Connection) -> None:
        if canaries.PROVIDER_KEY.value in connection.call.headers["authorization"]:
            await answers(status, error(f"Incorrect API key: {canaries.PROVIDER_KEY.value}"))(connection)
        else:
            await says("hello")(connection)

    slot = await it.slot(knows_the_second_key, kind="with two keys")
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(0, "m", 1)
    await slot.cools("credential", 300)
    await slot.cools("credential", 300, slot.target(0, "n"), "n")
    assert (await slot.chat("n")).headers["x-forebay-attempts"] == "1"
    assert slot.hits == [3]
    warned = [line for line in it.resolver.errors.read_text().splitlines() if "credential_refused" in line]
    assert any(slot.target() in line for line in warned)


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_what_is_said_of_the_gateways_account_is_not_for_clients(it: Standing, status: int) -> None:
    slot = await it.slot(*[answers(status, error(f"bad key {canaries.PROVIDER_KEY.value}"))] * 3)
    response = await slot.chat()
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_credentials"
    assert canaries.PROVIDER_KEY.value not in response.text
    assert slot.hits == [1, 1, 1]


async def test_a_model_that_a_provider_does_not_have_cools_at_that_provider(it: Standing) -> None:
    slot = await it.slot(refuses(404), says("hello"), kind="with two keys")
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    await slot.cools("model-missing", 300)
    await slot.cools("model-missing", 300, slot.target(0, "m", 1))
    assert (await slot.explain("n"))[slot.target(0, "n")].available
    assert "model_missing" in it.resolver.errors.read_text()


@pytest.mark.parametrize("status", [503, 529])
async def test_five_overloaded_targets_lead_to_the_sixth(it: Standing, status: int) -> None:
    slot = await it.slot(*[refuses(status)] * 5, says("sixth"), kind="long")
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(5))
    assert response.headers["x-forebay-attempts"] == "6"
    assert slot.hits == [1] * 6
    await slot.cools_not()
    await slot.chat()
    assert slot.hits == [2] * 6
    await slot.cools("overloaded", 10)


@pytest.mark.parametrize("status", [503, 529])
async def test_an_overload_with_a_time_cools_at_once(it: Standing, status: int) -> None:
    slot = await it.slot(refuses(status, retry_after="100"), says("hello"))
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    await slot.cools("overloaded", WAIT_S)
    await slot.chat()
    assert slot.hits == [1, 2]


@pytest.mark.parametrize("status", [500, 502, 302, 599])
async def test_a_server_error_moves_on_and_cools_after_five_in_a_row(it: Standing, status: int) -> None:
    slot = await it.slot(refuses(status), says("hello"))
    for _ in range(4):
        assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    await slot.cools_not()
    await slot.chat()
    await slot.cools("server-error", 30)
    await slot.chat()
    assert slot.hits == [5, 6]


@pytest.mark.parametrize("status", [504, 408])
async def test_a_time_out_that_the_provider_tells_of_moves_on_once(it: Standing, status: int) -> None:
    slot = await it.slot(refuses(status), refuses(status), says("never asked"))
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-attempts"]) == (status, "2")
    assert response.json()["error"]["message"] == "no", "in the provider's words"
    assert slot.hits == [1, 1, 0]
    for _ in range(4):
        await slot.chat()
    await slot.cools("timeout", 30)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 409, 413, 422, 418])
async def test_a_fault_of_the_request_passes_through_unmodified(it: Standing, status: int, stream: bool) -> None:
    said = error(f"'{canaries.PROMPT.value}' is no good", type="invalid_request_error", param="messages")
    slot = await it.slot(answers(status, said), says("never asked"))
    for _ in range(6):
        response = await slot.chat(stream=stream)
        assert (response.status_code, response.content) == (status, said)
        assert "x-should-retry" not in response.headers
    assert slot.hits == [6, 0]
    await slot.cools_not()


async def test_a_context_that_is_too_long_moves_on_where_the_policy_says_so(it: Standing) -> None:
    too_long = answers(400, error("too long", code="context_length_exceeded"))
    slot = await it.slot(too_long, says("hello"), kind="for longer contexts")
    assert [(await slot.chat()).headers["x-forebay-target"] for _ in range(6)] == [slot.target(1)] * 6
    assert slot.hits == [6, 6]
    slot = await it.slot(too_long, says("never asked"))
    assert (await slot.chat()).status_code == 400
    assert slot.hits == [1, 0]
    await slot.cools_not()
