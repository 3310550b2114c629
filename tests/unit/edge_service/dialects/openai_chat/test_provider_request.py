from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from edge_service.dialects import openai_chat
from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Output,
    OutputKind,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
)
from edge_service.dialects.exchange import InexpressibleError
from edge_service.dialects.openai_chat import DEFAULT, Quirks

from .asked import FULL, HELLO, write

SCHEMA = msgspec.Raw(b'{"type":"object"}')
CLOSED = msgspec.Raw(b'{"type":"object","additionalProperties":false}')
TOOLS = (Tool("f", "d", CLOSED, strict=True), Tool("g"))


def test_a_request_as_a_whole() -> None:
    written = openai_chat.PROVIDER.write(Request("m", True, (HELLO,), max_tokens=5), "up")
    assert written.path == "/chat/completions"
    assert written.headers == []
    assert written.body == (
        b'{"model":"up","messages":[{"role":"user","content":"Hello"}],"max_tokens":5,'
        b'"stream":true,"stream_options":{"include_usage":true}}'
    )


EVERYTHING: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "seed": 1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "stop": ("a",),
    "n": 2,
    "logprobs": True,
    "top_logprobs": 2,
    "top_k": 3,
    "verbosity": "low",
    "service_tier": "flex",
    "user": "u",
    "metadata": {"a": "b"},
    "max_tokens": 5,
}


def test_one_that_knows_everything_is_told_everything() -> None:
    body, dropped = write(quirks=FULL, **EVERYTHING, reasoning=Reasoning(Effort.XHIGH), tools=TOOLS)
    assert dropped == ()
    assert {name: body[name] for name in EVERYTHING if name != "max_tokens"} == {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in EVERYTHING.items()
        if name != "max_tokens"
    }
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (5, "xhigh")
    assert body["tools"][0]["function"]["strict"] is True


def test_one_of_which_nothing_is_known_is_told_what_all_take() -> None:
    body, dropped = write(**EVERYTHING, reasoning=Reasoning(Effort.HIGH), tools=TOOLS)
    assert dropped == ("top_k", "verbosity", "service_tier", "metadata", "tools.strict", "reasoning", "user")
    assert body["max_tokens"] == 5
    assert not set(body) & {"top_k", "verbosity", "service_tier", "metadata", "user", "reasoning_effort"}


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"n": 1}, ()),
        ({"temperature": 1.0, "top_p": 1, "presence_penalty": 0.0, "logprobs": False, "service_tier": "auto"}, ()),
        ({"temperature": 0.5}, ("temperature",)),
        ({"logprobs": True, "top_logprobs": 2}, ("logprobs", "top_logprobs")),
        ({"parallel_tool_calls": True, "tools": TOOLS[1:]}, ()),
        ({"parallel_tool_calls": False, "tools": TOOLS[1:]}, ("parallel_tool_calls",)),
        ({"parallel_tool_calls": False}, ()),
    ],
)
def test_what_is_the_default_anyway_is_not_missed(fields: dict[str, Any], dropped: tuple[str, ...]) -> None:
    unknown = frozenset({*fields, "parallel_tool_calls"}) - {"tools"}
    body, left_out = write(quirks=Quirks(unknown=unknown), **fields)
    assert left_out == dropped
    assert not set(body) - {"model", "messages", "tools"}


@pytest.mark.parametrize(
    ("fields", "unknown", "names"),
    [
        ({"n": 2}, "n", ("n",)),
        ({"tools": TOOLS}, "tools", ("tools",)),
        ({"tools": TOOLS, "tool_choice": ToolChoice(Choosing.REQUIRED)}, "tool_choice", ("tool_choice",)),
        ({"tools": TOOLS, "tool_choice": ToolChoice(Choosing.NAMED, ("f",))}, "tool_choice", ("tool_choice",)),
        ({"stop": ("a",)}, "stop", ("stop",)),
        ({"output": Output(OutputKind.JSON)}, "output", ("output",)),
        ({"output": Output(OutputKind.SCHEMA, SCHEMA)}, "output.schema", ("output",)),
        ({"tool_choice": ToolChoice(Choosing.REQUIRED)}, "", ("tool_choice",)),
        ({"tool_choice": ToolChoice(Choosing.REQUIRED, ("x",)), "tools": TOOLS}, "", ("tool_choice",)),
        ({"stop": ("a", "b", "c", "d", "e")}, "", ("stop",)),
        ({"bound": ("tools[0]",)}, "", ("tools[0]",)),
    ],
)
def test_what_would_change_the_answer_is_not_left_out(
    fields: dict[str, Any], unknown: str, names: tuple[str, ...]
) -> None:
    with pytest.raises(InexpressibleError) as raised:
        write(quirks=Quirks(unknown=frozenset({unknown})), **fields)
    assert raised.value.names == names


@pytest.mark.parametrize(
    ("choice", "said", "tools"),
    [
        (ToolChoice(Choosing.AUTO), "auto", ["f", "g"]),
        (ToolChoice(Choosing.NONE), "none", ["f", "g"]),
        (ToolChoice(Choosing.REQUIRED), "required", ["f", "g"]),
        (ToolChoice(Choosing.REQUIRED, ("g",)), "required", ["g"]),
        (ToolChoice(Choosing.AUTO, ("f",)), "auto", ["f"]),
        (ToolChoice(Choosing.NAMED, ("f",)), {"type": "function", "function": {"name": "f"}}, ["f", "g"]),
    ],
)
def test_how_tools_are_chosen(choice: ToolChoice, said: Any, tools: list[str]) -> None:
    body, _ = write(tools=TOOLS, tool_choice=choice)
    assert body["tool_choice"] == said
    assert [tool["function"]["name"] for tool in body["tools"]] == tools


def test_without_tools_there_is_nothing_to_choose() -> None:
    body, dropped = write(tool_choice=ToolChoice(Choosing.AUTO), parallel_tool_calls=False)
    assert set(body) == {"model", "messages"}
    assert not dropped


@pytest.mark.parametrize(
    ("parameters", "strict", "said", "dropped"),
    [
        (None, True, True, ()),
        (CLOSED, True, True, ()),
        (CLOSED, False, False, ()),
        (SCHEMA, False, False, ()),
        (SCHEMA, True, False, ("tools.strict",)),
    ],
)
def test_a_tool_is_strict_if_its_schema_can_be(
    parameters: msgspec.Raw | None, strict: bool, said: bool, dropped: tuple[str, ...]
) -> None:
    body, named = write(tools=(Tool("f", parameters=parameters, strict=strict),), quirks=FULL)
    assert (body["tools"][0]["function"]["strict"], named) == (said, dropped)


@pytest.mark.parametrize(
    ("schema", "strict", "said", "dropped"),
    [
        (CLOSED, True, True, ()),
        (CLOSED, False, False, ()),
        (SCHEMA, False, False, ()),
        (SCHEMA, True, False, ("output.strict",)),
    ],
)
def test_an_answer_is_strict_if_its_schema_can_be(
    schema: msgspec.Raw, strict: bool, said: bool, dropped: tuple[str, ...]
) -> None:
    body, named = write(output=Output(OutputKind.SCHEMA, schema, strict=strict))
    assert (body["response_format"]["json_schema"]["strict"], named) == (said, dropped)


def test_a_schema_needs_a_name() -> None:
    output = Output(OutputKind.SCHEMA, SCHEMA, "a b" * 40, "d", strict=False)
    body, _ = write(output=output)
    schema = body["response_format"]["json_schema"]
    assert schema == {"name": ("a_b" * 40)[:64], "schema": {"type": "object"}, "description": "d", "strict": False}
    body, _ = write(output=Output(OutputKind.SCHEMA, SCHEMA))
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("model", "efforts", "asked", "said", "dropped"),
    [
        ("m", (), Reasoning(Effort.HIGH), None, ("reasoning",)),
        ("m", (), Reasoning(Effort.NONE), None, ()),
        ("m", (), Reasoning(budget_tokens=-1), None, ()),
        ("m", (Effort.LOW, Effort.HIGH), Reasoning(budget_tokens=30000), "high", ("reasoning.effort",)),
        ("m", (Effort.LOW, Effort.HIGH), Reasoning(budget_tokens=500), "low", ()),
        ("m", tuple(Effort), Reasoning(Effort.NONE), "none", ()),
        ("gpt-5", (), Reasoning(Effort.MEDIUM), "medium", ()),
        ("openai/o3-mini", (), Reasoning(Effort.NONE), "low", ("reasoning.effort",)),
        ("gpt-4.1", tuple(Effort), Reasoning(Effort.LOW), None, ("reasoning",)),
        ("gpt-5-chat-latest", tuple(Effort), Reasoning(Effort.LOW), None, ("reasoning",)),
    ],
)
def test_how_hard_to_think(
    model: str, efforts: tuple[Effort, ...], asked: Reasoning, said: str | None, dropped: tuple[str, ...]
) -> None:
    body, left_out = write(model, Quirks(efforts=efforts), reasoning=asked)
    assert (body.get("reasoning_effort"), left_out) == (said, dropped)


def test_how_hard_to_think_may_stand_within_an_object() -> None:
    quirks = Quirks(efforts=tuple(Effort), effort_within="reasoning")
    written = openai_chat.PROVIDER.write(Request("m", False, (HELLO,), reasoning=Reasoning(Effort.LOW)), "up", quirks)
    body = msgspec.json.decode(written.body)
    assert (body["reasoning"], written.dropped) == ({"effort": "low"}, ())
    assert "reasoning_effort" not in body


def test_one_that_does_not_know_of_thinking_is_not_told_of_it_whatever_the_model() -> None:
    body, dropped = write("gpt-5", Quirks(unknown=frozenset({"reasoning"})), reasoning=Reasoning(Effort.LOW))
    assert ("reasoning_effort" in body, dropped) == (False, ("reasoning",))


def test_one_that_leaves_the_choice_to_the_model_is_not_told_of_it() -> None:
    quirks = Quirks(unknown=frozenset({"tool_choice", "tools.strict"}))
    body, dropped = write(quirks=quirks, tools=TOOLS[1:], tool_choice=ToolChoice(Choosing.AUTO))
    assert ("tools" in body, "tool_choice" in body, dropped) == (True, False, ())
    body, dropped = write(quirks=quirks, tools=TOOLS[1:], tool_choice=ToolChoice(Choosing.NONE))
    assert ("tools" in body, "tool_choice" in body, dropped) == (False, False, ())


@pytest.mark.parametrize("model", ["o1", "o3-mini", "gpt-5", "gpt-5.1-codex", "openai/gpt-5-mini"])
def test_models_that_think_take_no_sampling(model: str) -> None:
    body, dropped = write(model, temperature=0.5, top_p=1.0, max_tokens=5)
    assert body["max_completion_tokens"] == 5
    assert dropped == ("temperature",)
    assert "top_p" in body
    with pytest.raises(InexpressibleError):
        write(model, stop=("a",))


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-oss-120b", "gpt-5-chat-latest", "olmo", "llama-o3"])
def test_other_models_do(model: str) -> None:
    body, dropped = write(model, temperature=0.5, max_tokens=5, stop=("a", ""))
    assert (body["temperature"], body["max_tokens"], body["stop"], dropped) == (0.5, 5, ["a"], ())


def test_a_long_user_is_known_by_a_digest() -> None:
    quirks = replace(DEFAULT, unknown=frozenset())
    user = write(quirks=quirks, user="x" * 65)[0]["user"]
    assert len(user) == 64
    assert user == write(quirks=quirks, user="x" * 65)[0]["user"] != write(quirks=quirks, user="y" * 65)[0]["user"]


def test_usage_is_asked_for_unless_it_is_told_unasked() -> None:
    assert write(stream=True)[0]["stream_options"] == {"include_usage": True}
    body, dropped = write(quirks=Quirks(unknown=frozenset({"stream_options"})), stream=True)
    assert "stream_options" not in body
    assert not dropped
