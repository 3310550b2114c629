"""The official libraries as clients of providers of every dialect: what is asked, what is received, what is seen."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from pydantic.alias_generators import to_camel

from tests.compat.scenarios import REASONING, SCENARIOS, THOUGHTS, Scenario, second, turns
from tests.support import gemini_types, published_anthropic, published_openai_chat, published_responses
from tests.support.faulty_upstream import Call, Provider, provider
from tests.support.processes import forebay
from tests.support.replies import SIGNATURE, Reply, replies, wire
from tests.support.sdks import CLIENTS, WAYS, Sdks, Weather, sdks

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROVIDERS = ("chat", "responses", "anthropic", "gemini")
"""By the API that is spoken to them."""

CONFIG = """
providers:
  - {{id: chat, dialect: openai, base-url: '{chat}', models: [gpt-4.1, gpt-5.2], {local}}}
  - {{id: responses, dialect: openai, responses: true, base-url: '{responses}', models: [gpt-4.1, gpt-5.2], {local}}}
  - {{id: anthropic, dialect: anthropic, base-url: '{anthropic}', models: [claude-sonnet-4-5], {local}}}
  - {{id: gemini, dialect: gemini, base-url: '{gemini}', models: [gemini-3-flash-preview], {local}}}
model-pools:
  pools:
"""
MODELS = {
    "chat": ("gpt-4.1", "gpt-5.2"),
    "responses": ("gpt-4.1", "gpt-5.2"),
    "anthropic": ("claude-sonnet-4-5",) * 2,
    "gemini": ("gemini-3-flash-preview",) * 2,
}
"""What each provider calls the model, and the one that thinks."""


@dataclass
class It:
    sdks: Sdks
    providers: dict[str, Provider]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[It]:
    directory = tmp_path_factory.mktemp("sdks")
    async with contextlib.AsyncExitStack() as stack:
        nothing = replies(Reply())
        providers = {name: await stack.enter_async_context(provider(nothing)) for name in PROVIDERS}
        bases = {
            name: it.url if name in ("chat", "responses") else it.url.removesuffix("/v1")
            for name, it in providers.items()
        }
        config = directory / "forebay.yaml"
        pools = [
            f"    - {{id: {name}{end}, members: [{{provider: {name}, model: {model}}}]}}\n"
            for name, models in MODELS.items()
            for end, model in zip(("", "-thinks"), models, strict=True)
        ]
        config.write_text(CONFIG.format(local="allow-private: true", **bases) + "".join(pools))
        services = await stack.enter_async_context(forebay(config, directory))
        yield It(await stack.enter_async_context(sdks(services.url)), providers)


def everyday(client: str, speaks: str) -> bool:
    """The diagonal, and one client at all providers."""
    return client in (speaks, "anthropic")


def pairs() -> list[Any]:
    """Every client and provider; those that are not everyday's are slow."""
    return [
        pytest.param(client, speaks, marks=() if everyday(client, speaks) else pytest.mark.slow)
        for client, speaks in itertools.product(CLIENTS, PROVIDERS)
    ]


def spoken(client: str, speaks: str, scenario: Scenario) -> str:
    """The API that a provider is spoken to in. One of OpenAI's dialect is spoken to in its client's, and in chat
    completions where Responses lack the words."""
    if speaks != "responses":
        return speaks
    lacks = scenario is SCENARIOS["sampling"] and client != "responses"
    return "chat" if client == "chat" or lacks else "responses"


def missing(expected: Any, got: Any, where: str = "") -> list[str]:
    """What is expected, and not in what was got: objects may have more fields, and nothing else may."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return [
            line
            for name, value in expected.items()
            for line in ([f"{where}.{name}"] if name not in got else missing(value, got[name], f"{where}.{name}"))
        ]
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [line for i, each in enumerate(expected) for line in missing(each, got[i], f"{where}[{i}]")]
    if where.endswith(".arguments"):
        expected, got = json.loads(expected), json.loads(got)
    return [] if expected == got else [f"{where}: {got!r}, and not {expected!r}"]


def camel(value: Any) -> Any:
    """Google's library writes some fields in the other case, which Google takes as well."""
    if isinstance(value, dict):
        return {to_camel(name): camel(each) for name, each in value.items()}
    return [camel(each) for each in value] if isinstance(value, list) else value


CHECKS = {
    "chat": published_openai_chat.check_request,
    "responses": published_responses.check_request,
    "anthropic": published_anthropic.check_request,
    "gemini": gemini_types.request,
}


def check_received(call: Call, client: str, api: str, scenario: Scenario) -> None:
    """That it has the published shape, and says what was asked."""
    assert wire(call.path) == api
    CHECKS[api](call.body)
    body = camel(json.loads(call.body)) if api == "gemini" else json.loads(call.body)
    expected = dict(scenario.receives[api])
    if client == api:
        expected = dict(scenario.native.get(api) or (expected if api == "gemini" else scenario.asks[client]))
    elif (pair := scenario.fields.get(f"{client}>{api}")) is not None:
        expected = dict(pair)
    assert not missing(expected, body)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("client", "speaks"), pairs())
@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_is_asked_is_received_and_what_is_answered_is_seen(
    it: It, name: str, client: str, speaks: str, way: str
) -> None:
    scenario = SCENARIOS[name]
    it.providers[speaks].script = replies(scenario.reply)
    model = f"{speaks}-thinks" if scenario.thinks else speaks
    seen = await it.sdks.ask(client, way, {"model": model, **scenario.asks[client]})
    api = spoken(client, speaks, scenario)
    check_received(it.providers[speaks].calls[-1], client, api, scenario)
    reply = scenario.reply
    assert (seen.text, seen.thought) == (reply.text, reply.thought)
    assert seen.calls == [(call.name, call.arguments) for call in reply.calls]
    assert (seen.finish, seen.usage) == (reply.finish, reply.usage)
    if name == "a schema" and (client, "streamed" in way) != ("gemini", True):  # There it parses nothing.
        assert seen.parsed == Weather(city="Oslo", degrees=-3)


SEALED = {"chat", "responses", "anthropic"}
"""The clients in whose dialect there is a place to keep what other families have signed."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("client", "speaks"), pairs())
@pytest.mark.parametrize("before", THOUGHTS)
async def test_a_thought_comes_back_to_the_family_that_had_it(
    it: It, before: str, client: str, speaks: str, way: str
) -> None:
    reply = THOUGHTS[before]
    it.providers[speaks].script = replies(reply)
    asked = turns(client, reply, f"{speaks}-thinks")
    seen = await it.sdks.ask(client, way, asked)
    assert (seen.thought, len(seen.calls)) == (reply.thought, len(reply.calls))
    await it.sdks.ask(client, way, second(client, asked, seen.said, reply))
    call = it.providers[speaks].calls[-1]
    api = spoken(client, speaks, REASONING)
    CHECKS[api](call.body)
    assert b"forebay~" not in call.body
    # Gemini signs an answer at its end, where Anthropic's dialect has no thoughts.
    is_at_the_end = (client, api) == ("anthropic", "gemini") and not reply.calls
    is_back = api != "chat" and (client == api or client in SEALED) and not is_at_the_end
    assert (SIGNATURE.encode() in call.body) == is_back
    if api == "anthropic":  # It refuses calls whose thoughts are missing, while it thinks.
        assert ("thinking" in call.json) == (is_back or not reply.calls)
