from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from edge_service.dialects import anthropic
from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Family,
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
from tests.support import published_anthropic

from .asked import HELLO, write

OLD, BOTH, NEW, ALWAYS, OTHER = (
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-5",
    "claude-fable-5",
    "kimi-k2",
)
NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}
TOOL = Tool("f", "does f", Raw(b'{"type":"object"}'))
BEGUN = Message(Role.ASSISTANT, (Text("One,"),))
CALLED = Message(Role.ASSISTANT, (ToolCall("1", "f", ""),))
TOLD = Message(Role.USER, (ToolResult("1", "f", (Text("r"),)),))


def test_where_it_goes() -> None:
    written = anthropic.PROVIDER.write(Request("m", True, (HELLO,)), "claude-sonnet-4-5")
    assert written.path == "/v1/messages"
    assert written.headers == [(b"anthropic-version", b"2023-06-01")]
    body = published_anthropic.check_request(written.body)
    assert (body["model"], body["stream"]) == ("claude-sonnet-4-5", True)
    assert "stream" not in write()[0]


@pytest.mark.parametrize(
    ("model", "limit", "reasoning", "said"),
    [
        (OLD, None, None, 32_000),
        (NEW, None, None, 32_000),
        (OTHER, None, None, 8_192),
        (OTHER, None, Reasoning(budget_tokens=20_000), 28_192),
        (OLD, None, Reasoning(budget_tokens=20_000), 32_000),
        (OLD, 7, None, 7),
        (OLD, 30_000, Reasoning(budget_tokens=20_000), 30_000),
    ],
)
def test_the_dialect_demands_a_limit(model: str, limit: int | None, reasoning: Reasoning | None, said: int) -> None:
    assert write(model, max_tokens=limit, reasoning=reasoning)[0]["max_tokens"] == said


def enabled(budget: int, **more: Any) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget, **more}


ADAPTIVE = {"type": "adaptive"}


@pytest.mark.parametrize(
    ("model", "asked", "thinking", "effort"),
    [
        (OLD, Reasoning(), None, None),
        (OLD, Reasoning(Effort.NONE), {"type": "disabled"}, None),
        (OLD, Reasoning(budget_tokens=0), {"type": "disabled"}, None),
        (OLD, Reasoning(Effort.MINIMAL), enabled(1024), None),
        (OLD, Reasoning(Effort.MEDIUM), enabled(8192), None),
        (OLD, Reasoning(Effort.HIGH), enabled(24_576), None),
        (OLD, Reasoning(Effort.MAX), enabled(24_000), None),
        (OLD, Reasoning(budget_tokens=5), enabled(1024), None),
        (OLD, Reasoning(budget_tokens=5000), enabled(5000), None),
        (OLD, Reasoning(budget_tokens=-1), enabled(8192), None),
        (OLD, Reasoning(Effort.HIGH, -1), enabled(24_576), None),
        (OTHER, Reasoning(Effort.LOW), enabled(1024), None),
        (NEW, Reasoning(Effort.NONE), {"type": "disabled"}, None),
        (NEW, Reasoning(Effort.MINIMAL), ADAPTIVE, "low"),
        (NEW, Reasoning(Effort.XHIGH), ADAPTIVE, "xhigh"),
        (NEW, Reasoning(budget_tokens=20_000), ADAPTIVE, "high"),
        (NEW, Reasoning(budget_tokens=-1), ADAPTIVE, None),
        (NEW, Reasoning(Effort.LOW, -1), ADAPTIVE, "low"),
        (BOTH, Reasoning(Effort.XHIGH), ADAPTIVE, "high"),
        (BOTH, Reasoning(Effort.MAX), ADAPTIVE, "max"),
        (NEW, Reasoning(Effort.LOW, shown=True), ADAPTIVE | {"display": "summarized"}, "low"),
        (NEW, Reasoning(Effort.LOW, shown=False), ADAPTIVE | {"display": "omitted"}, "low"),
        (NEW, Reasoning(Effort.LOW, summary="auto"), ADAPTIVE | {"display": "summarized"}, "low"),
        (OLD, Reasoning(Effort.LOW, shown=False, summary="auto"), enabled(1024, display="omitted"), None),
    ],
)
def test_each_generation_is_told_to_think_in_its_own_words(
    model: str, asked: Reasoning, thinking: Any, effort: str | None
) -> None:
    body, dropped = write(model, reasoning=asked)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert dropped == ()


@pytest.mark.parametrize(
    ("limit", "budget"), [(30_000, 20_000), (20_000, 15_000), (1367, 1026), (1364, None), (1, None)]
)
def test_thinking_leaves_room_for_the_answer(limit: int, budget: int | None) -> None:
    body, dropped = write(OLD, max_tokens=limit, reasoning=Reasoning(budget_tokens=20_000))
    assert body.get("thinking") == (None if budget is None else enabled(budget))
    assert dropped == (("reasoning",) if budget is None else ())
    assert body["max_tokens"] == limit


@pytest.mark.parametrize("model", [OLD, NEW])
@pytest.mark.parametrize(
    "fields",
    [
        {"tools": (TOOL,), "tool_choice": ToolChoice(Choosing.REQUIRED)},
        {"tools": (TOOL,), "tool_choice": ToolChoice(Choosing.NAMED, ("f",))},
        {"messages": (HELLO, BEGUN)},
    ],
)
def test_what_rules_out_thinking(model: str, fields: dict[str, Any]) -> None:
    body, dropped = write(model, reasoning=Reasoning(Effort.LOW), temperature=0.5, **fields)
    assert "thinking" not in body
    assert "reasoning" in dropped
    assert body.get("output_config") == (None if model == OLD else {"effort": "low"})


def test_a_model_with_a_budget_wants_to_see_the_thoughts_before_its_calls() -> None:
    asked = Reasoning(Effort.LOW)
    assert write(OLD, messages=(HELLO, CALLED, TOLD), reasoning=asked)[1] == ("reasoning",)
    assert write(NEW, messages=(HELLO, CALLED, TOLD), reasoning=asked)[1] == ()
    thought = Thinking("a", signature="s", family=Family.ANTHROPIC)
    shown = Message(Role.ASSISTANT, (thought, *CALLED.parts))
    assert write(OLD, messages=(HELLO, shown, TOLD), reasoning=asked)[1] == ()
    done = Message(Role.ASSISTANT, (Text("so"),))
    assert write(OLD, messages=(HELLO, CALLED, TOLD, done, HELLO), reasoning=asked)[1] == ()


def test_some_cannot_be_kept_from_thinking() -> None:
    body, dropped = write(ALWAYS, reasoning=Reasoning(Effort.NONE))
    assert "thinking" not in body
    assert dropped == ("reasoning",)


THINKS = {"reasoning": Reasoning(Effort.LOW)}


@pytest.mark.parametrize(
    ("model", "fields", "said", "dropped"),
    [
        (OLD, {"temperature": 0.5, "top_k": 5}, {"temperature": 0.5, "top_k": 5}, ()),
        (OLD, {"temperature": 0.0}, {"temperature": 0.0}, ()),
        (OLD, {"temperature": 1.0}, {"temperature": 1.0}, ()),
        (OLD, {"temperature": 1.7}, {"temperature": 1.0}, ("temperature",)),
        (OLD, {"temperature": -1.0}, {"temperature": 0.0}, ("temperature",)),
        (OLD, {"top_p": 0.5}, {"top_p": 0.5}, ()),
        (OLD, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
        (OLD, {"temperature": 0.5, "top_p": 1.0}, {"temperature": 0.5}, ()),
        (OTHER, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}, ()),
        (OLD, {"temperature": 0.5, **THINKS}, {}, ("temperature",)),
        (OLD, {"temperature": 1.0, **THINKS}, {}, ()),
        (OLD, {"temperature": 2.0, "top_k": 5, **THINKS}, {}, ("temperature", "top_k")),
        (OLD, {"top_p": 0.95, **THINKS}, {"top_p": 0.95}, ()),
        (OLD, {"top_p": 0.96, **THINKS}, {"top_p": 0.96}, ()),
        (OLD, {"temperature": 0.5, "top_p": 0.96, **THINKS}, {"top_p": 0.96}, ("temperature",)),
        (OLD, {"top_p": 0.9, **THINKS}, {}, ("top_p",)),
        (NEW, {"temperature": 0.5, "top_p": 0.5, "top_k": 5}, {}, ("temperature", "top_k", "top_p")),
        (NEW, {"temperature": 1.0, "top_p": 1.0}, {}, ()),
        (BOTH, {"temperature": 0.5}, {"temperature": 0.5}, ()),
        (BOTH, {"temperature": 0.5, **THINKS}, {}, ("temperature",)),
        (OLD, {"temperature": 0.5, "reasoning": Reasoning(Effort.NONE)}, {"temperature": 0.5}, ()),
    ],
)
def test_sampling(model: str, fields: dict[str, Any], said: dict[str, float], dropped: tuple[str, ...]) -> None:
    body, left_out = write(model, **fields)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == said
    assert left_out == dropped


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": ToolChoice(Choosing.AUTO)}, {"type": "auto"}),
        ({"tool_choice": ToolChoice(Choosing.NONE)}, {"type": "none"}),
        ({"tool_choice": ToolChoice(Choosing.REQUIRED)}, {"type": "any"}),
        ({"tool_choice": ToolChoice(Choosing.NAMED, ("f",))}, {"type": "tool", "name": "f"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, {"type": "auto", "disable_parallel_tool_use": False}),
        (
            {"tool_choice": ToolChoice(Choosing.REQUIRED), "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": ToolChoice(Choosing.NONE), "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_choosing_tools(fields: dict[str, Any], choice: Any) -> None:
    body, _ = write(tools=(TOOL, Tool("g", strict=True)), **fields)
    assert body.get("tool_choice") == choice
    assert body["tools"] == [
        {"name": "f", "description": "does f", "input_schema": {"type": "object"}},
        {"name": "g", "strict": True, "input_schema": NO_PARAMETERS},
    ]


def test_only_tools_that_may_be_used_are_sent() -> None:
    body, _ = write(tools=(TOOL, Tool("g")), tool_choice=ToolChoice(Choosing.REQUIRED, ("g",)))
    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}


def test_without_tools_there_is_no_choice() -> None:
    body, _ = write(tool_choice=ToolChoice(Choosing.AUTO), parallel_tool_calls=False)
    assert "tool_choice" not in body
    with pytest.raises(InexpressibleError) as caught:
        write(tool_choice=ToolChoice(Choosing.REQUIRED))
    assert caught.value.names == ("tool_choice",)


def test_a_schema_for_the_answer() -> None:
    output = Output(OutputKind.SCHEMA, Raw(b'{"type":"integer"}'), name="n", description="d", strict=False)
    body, dropped = write(NEW, output=output, reasoning=Reasoning(Effort.LOW))
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "integer"}}}
    assert dropped == ("output.description",)
    assert "output_config" not in write(output=Output(OutputKind.TEXT))[0]


def test_limits_in_it_are_told_and_named() -> None:
    body, dropped = write(output=Output(OutputKind.SCHEMA, Raw(b'{"type":"integer","minimum":1}')))
    assert body["output_config"]["format"]["schema"] == {"type": "integer", "description": "{minimum: 1}"}
    assert dropped == ("output.schema",)


def strict(name: str, properties: Any, **more: Any) -> Tool:
    fields = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return Tool(name, parameters=Raw(json.dumps(fields).encode()), strict=True)


LIMITED = {"n": {"type": "integer", "maximum": 9}}
NULLABLE = {"n": {"type": ["integer", "null"]}}


@pytest.mark.parametrize(
    ("tools", "are_strict", "dropped"),
    [
        ((Tool("f", strict=False),), [False], ()),
        ((strict("f", LIMITED, required=["n"]), Tool("g", strict=False)), [True, False], ("tools.strict",)),
        # Closed it would take no arguments.
        (
            (Tool("f", parameters=Raw(b'{"type":"object"}'), strict=True), strict("g", {})),
            [False, True],
            ("tools.strict",),
        ),
        (tuple(strict(f"f{i}", {}) for i in range(20)), [True] * 20, ()),
        (tuple(strict(f"f{i}", {}) for i in range(21)), [False] * 21, ("tools.strict",)),
        ((strict("f", {f"p{i}": {"type": "null"} for i in range(24)}),), [True], ()),
        ((strict("f", {f"p{i}": {"type": "null"} for i in range(25)}),), [False], ("tools.strict",)),
        (tuple(strict(f"f{i}", NULLABLE, required=["n"]) for i in range(16)), [True] * 16, ()),
        (tuple(strict(f"f{i}", NULLABLE, required=["n"]) for i in range(17)), [False] * 17, ("tools.strict",)),
    ],
)
def test_tools_are_strict_as_far_as_the_provider_can_make_them(
    tools: tuple[Tool, ...], are_strict: list[bool], dropped: tuple[str, ...]
) -> None:
    body, named = write(tools=tools)
    assert ([tool["strict"] for tool in body["tools"]], named) == (are_strict, dropped)


def test_what_is_not_strict_keeps_its_schema() -> None:
    body, _ = write(
        tools=(Tool("f", parameters=Raw(b'{"type":"object","maxProperties":3}'), strict=True), strict("g", LIMITED))
    )
    assert [tool["input_schema"] for tool in body["tools"]] == [
        {"type": "object", "maxProperties": 3},
        {
            "type": "object",
            "properties": {"n": {"type": "integer", "description": "{maximum: 9}"}},
            "additionalProperties": False,
        },
    ]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"output": Output(OutputKind.JSON)}, ("output",)),
        ({"n": 2}, ("n",)),
        ({"bound": ("tools[0]", "background")}, ("tools[0]", "background")),
    ],
)
def test_what_would_change_the_answer_is_refused(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    with pytest.raises(InexpressibleError) as caught:
        write(**fields)
    assert caught.value.names == names


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        (
            {
                "n": 1,
                "seed": 0,
                "presence_penalty": 0.0,
                "frequency_penalty": 0.0,
                "logprobs": False,
                "top_logprobs": 0,
            },
            (),
        ),
        ({"seed": 1}, ("seed",)),
        ({"presence_penalty": 0.5, "frequency_penalty": -1.0}, ("presence_penalty", "frequency_penalty")),
        ({"logprobs": True, "top_logprobs": 5}, ("logprobs", "top_logprobs")),
        ({"verbosity": "low"}, ("verbosity",)),
        ({"metadata": {"a": "b"}}, ("metadata",)),
        ({"service_tier": "flex"}, ("service_tier",)),
        ({"stop": ("END", "\n", "")}, ("stop",)),
    ],
)
def test_what_the_dialect_does_without_is_named(fields: dict[str, Any], dropped: tuple[str, ...]) -> None:
    assert write(**fields)[1] == dropped


def test_other_fields() -> None:
    body, _ = write(stop=("END", "\n"), user="u", service_tier="default")
    assert (body["stop_sequences"], body["metadata"], body["service_tier"]) == (
        ["END"],
        {"user_id": "u"},
        "standard_only",
    )
    assert "stop_sequences" not in write(stop=(" ",))[0]
    assert write(service_tier="priority")[0]["service_tier"] == "auto"


def test_counting_sends_what_counts_and_misses_nothing_else() -> None:
    request = Request(
        "m",
        True,
        (Message(Role.SYSTEM, (Text("s"),)), HELLO),
        tools=(TOOL,),
        tool_choice=ToolChoice(Choosing.AUTO),
        reasoning=Reasoning(Effort.LOW),
        max_tokens=5000,
        temperature=2.0,
        seed=1,
        n=3,
        user="u",
        stop=(" ",),
    )
    written = anthropic.COUNTING_PROVIDER.write(request, OLD)
    assert (written.path, written.dropped) == ("/v1/messages/count_tokens", ())
    body = published_anthropic.check_count(written.body)
    assert body.keys() == {"model", "messages", "system", "tools", "tool_choice", "thinking"}
    assert anthropic.COUNTING_PROVIDER.read(b'{"input_tokens":14,"context_management":null}') == 14
