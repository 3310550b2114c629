"""What each well-known provider gets: from its preset, by way of the plan, to the body of the request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from edge_service.adapters.resolver_grpc import messages
from edge_service.dialects import canonical
from edge_service.dialects.asked import chat_completion
from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Media,
    MediaKind,
    Message,
    Output,
    OutputKind,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from edge_service.dialects.exchange import InexpressibleError
from edge_service.dialects.openai_chat import CLIENT
from edge_service.dialects.overrides import applied
from edge_service.dialects.translation import Translated
from edge_service.domain.plan import Attempt
from resolver_service.domain import quirks
from resolver_service.domain.presets import PRESETS
from resolver_service.domain.providers import Dialect
from tests.contract.serving import Served, serving

OPENAI = [name for name, preset in PRESETS.items() if preset.dialect is Dialect.OPENAI]
"""The others speak dialects of their own, in which providers do not differ."""

CONFIG = json.dumps(
    {
        "providers": [
            {"id": name, "preset": name, "models": [f"model-of-{name}"], "allow-private": True}
            | ({} if PRESETS[name].base_url else {"base-url": "https://r.openai.azure.com/openai/v1"})
            for name in OPENAI
        ]
    }
)


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Served]:
    async with serving(CONFIG) as served:
        yield served


async def attempt_at(it: Served, name: str) -> Attempt:
    return messages.plan(await it.resolve(f"model-of-{name}")).attempts[0]


def translated(attempt: Attempt, request: Request) -> tuple[dict[str, Any], tuple[str, ...]]:
    call = Translated(CLIENT, request, attempt)
    body: dict[str, Any] = json.loads(applied(attempt, call.written))
    return body, call.written.dropped


HELLO = Message(Role.USER, (Text("Hello"),))
TOOLS = (Tool("f", "", msgspec.Raw(b'{"type":"object","additionalProperties":false}'), strict=True),)
CALLED = (
    HELLO,
    Message(Role.ASSISTANT, (Thinking("hm"), ToolCall("call_1", "f", "{}"))),
    Message(Role.USER, (ToolResult("call_1", "f", (Text("1"),)),)),
)
EVERYTHING = Request(
    "m",
    True,
    CALLED,
    TOOLS,
    ToolChoice(Choosing.AUTO),
    max_tokens=5,
    temperature=0.5,
    top_p=0.5,
    top_k=3,
    seed=7,
    presence_penalty=0.5,
    frequency_penalty=0.5,
    stop=("a",),
    logprobs=True,
    top_logprobs=2,
    parallel_tool_calls=False,
    verbosity="low",
    service_tier="flex",
    user="u",
    metadata={"a": "b"},
    reasoning=Reasoning(Effort.XHIGH),
)

ALL = {
    *("model", "stream", "messages", "tools", "temperature", "top_p", "presence_penalty", "frequency_penalty", "stop"),
    *("max_tokens", "seed", "logprobs", "top_logprobs", "tool_choice", "parallel_tool_calls", "stream_options"),
}
"""What nearly everyone takes."""

GETS: dict[str, tuple[set[str], set[str], set[str]]] = {
    # Of everything: what is sent beyond `ALL`, what of `ALL` is not, and what the client is told to have been lost.
    "openai": (
        {"max_completion_tokens", "service_tier", "user"},
        {"max_tokens"},
        {"top_k", "verbosity", "metadata", "reasoning", "messages.thinking"},
    ),
    "azure-openai": (
        {"max_completion_tokens", "user"},
        {"max_tokens"},
        {"top_k", "verbosity", "metadata", "service_tier", "reasoning", "messages.thinking"},
    ),
    "openrouter": (
        {"top_k", "user", "verbosity", "reasoning"},
        set(),
        {"metadata", "service_tier", "tools.strict"},
    ),
    "groq": (
        {"user"},
        {"logprobs", "top_logprobs"},
        {
            *("top_k", "verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "messages.thinking"),
            *("logprobs", "top_logprobs"),
        },
    ),
    "mistral": (
        {"random_seed"},
        {"seed", "logprobs", "top_logprobs", "stream_options"},
        {
            *("top_k", "verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "messages.thinking"),
            *("logprobs", "top_logprobs", "user"),
        },
    ),
    "deepseek": (
        {"reasoning_effort"},
        {"seed", "parallel_tool_calls"},
        {"top_k", "verbosity", "metadata", "service_tier", "tools.strict", "user", "seed", "parallel_tool_calls"},
    ),
    "xai": (
        set(),
        set(),
        {
            *("top_k", "verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "messages.thinking"),
            "user",
        },
    ),
    "together": (
        {"top_k"},
        set(),
        {"verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "messages.thinking", "user"},
    ),
    "fireworks": (
        {"top_k", "metadata", "reasoning_effort"},
        set(),
        {"verbosity", "service_tier", "tools.strict", "reasoning.effort", "user"},
    ),
    "ollama": (
        set(),
        {"tool_choice", "parallel_tool_calls"},
        {
            *("top_k", "verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "user"),
            "parallel_tool_calls",
        },
    ),
    "vllm": (
        {"top_k"},
        set(),
        {"verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "messages.thinking", "user"},
    ),
    "lm-studio": (
        {"top_k"},
        set(),
        {"verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "messages.thinking", "user"},
    ),
    "llama-cpp": (
        {"top_k"},
        set(),
        {"verbosity", "metadata", "service_tier", "tools.strict", "reasoning", "user"},
    ),
}


def test_the_table_is_complete() -> None:
    assert list(GETS) == OPENAI


@pytest.mark.parametrize("name", OPENAI)
async def test_what_each_gets_of_everything(it: Served, name: str) -> None:
    more, less, lost = GETS[name]
    body, dropped = translated(await attempt_at(it, name), EVERYTHING)
    assert (set(body), set(dropped)) == (ALL - less | more, lost)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("openrouter", "reasoning", {"effort": "xhigh"}),
        ("deepseek", "reasoning_effort", "xhigh"),
        ("fireworks", "reasoning_effort", "high"),
        ("mistral", "random_seed", 7),
    ],
)
async def test_in_their_own_words(it: Served, name: str, field: str, value: Any) -> None:
    assert translated(await attempt_at(it, name), EVERYTHING)[0][field] == value


THOUGHT_AT = {
    "openrouter": {"reasoning", "reasoning_details"},
    "deepseek": {"reasoning_content"},
    "fireworks": {"reasoning_content"},
    "ollama": {"reasoning"},
    "llama-cpp": {"reasoning_content"},
}


@pytest.mark.parametrize("name", OPENAI)
async def test_thoughts_are_given_back_where_they_are_taken(it: Served, name: str) -> None:
    body, _ = translated(await attempt_at(it, name), EVERYTHING)
    assistant = body["messages"][1]
    assert set(assistant) - {"role", "content", "tool_calls"} == THOUGHT_AT.get(name, set())
    call_id = assistant["tool_calls"][0]["id"]
    assert body["messages"][2]["tool_call_id"] == call_id
    assert call_id == "call_1" if name != "mistral" else (len(call_id), call_id.isalnum()) == (9, True)


FILE = Message(Role.USER, (Media(MediaKind.FILE, "application/pdf", data="aGk="),))
SCHEMA = Output(OutputKind.SCHEMA, msgspec.Raw(b'{"type":"object"}'))


@pytest.mark.parametrize(
    ("fields", "takers"),
    [
        ({"n": 2}, set(OPENAI) - {"groq", "deepseek", "ollama"}),
        ({"output": SCHEMA}, set(OPENAI) - {"deepseek"}),
        ({"output": Output(OutputKind.JSON)}, set(OPENAI)),
        ({"tools": TOOLS, "tool_choice": ToolChoice(Choosing.REQUIRED)}, set(OPENAI) - {"ollama"}),
        ({"stop": ("a", "b", "c", "d", "e")}, {"deepseek"}),
        # The last four have the Responses API, which has a place for files.
        ({"messages": (FILE,)}, {"openai", "openrouter", "azure-openai", "fireworks", "lm-studio", "xai"}),
    ],
)
async def test_who_is_passed_over(it: Served, fields: dict[str, Any], takers: set[str]) -> None:
    request = Request(**{"model": "m", "stream": False, "messages": (HELLO,), **fields})
    found = set()
    for name in OPENAI:
        try:
            translated(await attempt_at(it, name), request)
        except InexpressibleError:
            continue
        found.add(name)
    assert found == takers


PASSED: dict[str, dict[str, Any]] = {
    # What is changed in a request that passes through; None for what is taken out.
    "groq": {"logprobs": None, "top_logprobs": None, "logit_bias": None},
    "mistral": {
        **dict.fromkeys(("logprobs", "top_logprobs", "logit_bias", "user", "verbosity", "service_tier", "store")),
        "seed": None,
        "random_seed": 7,
        "max_completion_tokens": None,
        "max_tokens": 5,
    },
}


@pytest.mark.parametrize("name", OPENAI)
async def test_what_passes_through(it: Served, name: str) -> None:
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {},
        "user": "u",
        "verbosity": "low",
        "store": True,
        "service_tier": "flex",
        "n": 2,
        "reasoning_effort": "xhigh",
        "top_k": 3,
        "unheard_of": None,
    }
    attempt = await attempt_at(it, name)
    sent = json.loads(applied(attempt, chat_completion(json.dumps(asked).encode(), []).of(attempt).written))
    expected = asked | {"model": f"model-of-{name}"} | PASSED.get(name, {})
    gone = {field for field, value in PASSED.get(name, {}).items() if value is None}
    assert sent == {field: value for field, value in expected.items() if field not in gone}


@pytest.mark.parametrize("name", OPENAI)
async def test_a_stream_that_passes_through_is_asked_for_its_usage(it: Served, name: str) -> None:
    attempt = await attempt_at(it, name)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()
    sent = json.loads(applied(attempt, chat_completion(body, []).of(attempt).written))
    assert sent.get("stream_options") == (None if name == "mistral" else {"include_usage": True})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("openrouter", "reasoning", {"effort": "xhigh"}),
        ("fireworks", "reasoning_effort", "high"),
        ("deepseek", "reasoning_effort", "xhigh"),
        ("xai", "reasoning_effort", "xhigh"),
    ],
)
async def test_the_level_behind_a_name_is_said_in_their_words(it: Served, name: str, field: str, value: Any) -> None:
    attempt = messages.plan(await it.resolve(f"model-of-{name}(xhigh)")).attempts[0]
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "low"}
    sent = json.loads(chat_completion(json.dumps(asked).encode(), []).of(attempt).written.body)
    assert sent[field] == value
    assert ("reasoning_effort" in sent) == (field == "reasoning_effort")


def test_the_words_of_the_configuration_are_those_of_the_edge() -> None:
    assert [effort.value for effort in quirks.Effort] == [effort.value for effort in canonical.Effort]
