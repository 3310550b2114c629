from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import openai_chat
from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Native,
    Output,
    OutputKind,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    ToolKind,
)
from edge_service.domain.errors import InvalidRequestError

from .asked import read, user


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 6, "max_tokens": 5}, "max_tokens", 6),
        ({"max_completion_tokens": None, "max_tokens": 5}, "max_tokens", 5),
        ({"stop": "END"}, "stop", ("END",)),
        ({"stop": ["a", "b"]}, "stop", ("a", "b")),
        ({"stop": None}, "stop", ()),
        ({"user": "u"}, "user", "u"),
        ({"user": "u", "safety_identifier": "s"}, "user", "s"),
        ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
        ({"n": 3}, "n", 3),
        ({"logprobs": True}, "logprobs", True),
        ({"top_logprobs": 2}, "top_logprobs", 2),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"verbosity": "low"}, "verbosity", "low"),
        ({"seed": -7}, "seed", -7),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"stream": True}, "wants_usage", False),
        ({"stream": True, "stream_options": {"include_usage": True}}, "wants_usage", True),
        ({"stream": True, "stream_options": {"include_usage": None}}, "wants_usage", False),
        ({"response_format": {"type": "text"}}, "output", Output(OutputKind.TEXT)),
        ({"response_format": {"type": "json_object"}}, "output", Output(OutputKind.JSON)),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "output", Output(OutputKind.JSON)),
        ({"reasoning_effort": "minimal"}, "reasoning", Reasoning(Effort.MINIMAL)),
        ({"reasoning_effort": "of tomorrow"}, "reasoning", None),
        ({"reasoning": {"effort": "low", "exclude": True}}, "reasoning", Reasoning(Effort.LOW, shown=False)),
        ({"reasoning": {"max_tokens": 2048}}, "reasoning", Reasoning(budget_tokens=2048)),
        ({"reasoning": {"enabled": True}}, "reasoning", Reasoning(budget_tokens=-1)),
        ({"reasoning": {"enabled": False}}, "reasoning", Reasoning(budget_tokens=0)),
        ({"reasoning": {}}, "reasoning", None),
        ({"modalities": ["text"]}, "bound", ()),
        ({"modalities": ["text", "audio"]}, "bound", ("modalities",)),
        ({"functions": [{"name": "f"}]}, "bound", ("functions",)),
        ({"web_search_options": {}}, "bound", ("web_search_options",)),
        ({"response_format": {"type": "grammar"}}, "bound", ("response_format",)),
        ({"logit_bias": {}, "store": True, "prediction": {}}, "unsaid", ("logit_bias", "store", "prediction")),
        ({"reasoning_effort": "of tomorrow"}, "unsaid", ("reasoning_effort",)),
        ({"bad\r\nname": 1}, "unsaid", ("(other)",)),
        ({"store": None}, "unsaid", ()),
    ],
)
def test_fields(fields: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(read(**fields), name) == value


def test_a_schema_is_not_looked_into() -> None:
    body = (
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema",'
        b'"json_schema":{"name":"n","description":"d","strict":true,"schema":{ "b":1, "a":[1.0] }}}}'
    )
    output = openai_chat.CLIENT.read(body).output
    assert output is not None
    assert bytes(output.schema or b"") == b'{ "b":1, "a":[1.0] }'
    assert (output.name, output.description, output.strict) == ("n", "d", True)


FUNCTION = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("choice", "read_choice", "bound"),
    [
        ("auto", ToolChoice(Choosing.AUTO), ()),
        ("none", ToolChoice(Choosing.NONE), ()),
        ("required", ToolChoice(Choosing.REQUIRED), ()),
        ("any", ToolChoice(Choosing.REQUIRED), ()),
        (FUNCTION, ToolChoice(Choosing.NAMED, ("f",)), ()),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [FUNCTION]}},
            ToolChoice(Choosing.REQUIRED, ("f",)),
            (),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "custom"}, FUNCTION]}},
            ToolChoice(Choosing.AUTO, ("f",)),
            ("tool_choice.allowed_tools.tools",),
        ),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice(Choosing.NAMED, ("f",)), ()),
        ({"type": "hologram"}, None, ("tool_choice",)),
    ],
)
def test_how_tools_are_chosen(choice: Any, read_choice: ToolChoice | None, bound: tuple[str, ...]) -> None:
    request = read(tool_choice=choice)
    assert (request.tool_choice, request.bound) == (read_choice, bound)


def test_tools() -> None:
    request = read(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True}},
            {"function": {"name": "g", "parameters": None, "description": None}},
            {"type": "custom", "custom": {"name": "h", "description": "d"}},
            {"type": "hologram"},
        ]
    )
    first, second, third = request.tools
    assert (first.name, first.description, bytes(first.parameters or b""), first.strict) == ("f", "d", b"{}", True)
    assert second == Tool("g")
    assert (third.name, third.description, third.native) == ("h", "d", Native(ToolKind.CUSTOM, "h"))
    assert request.bound == ("tools[3]",)


def test_a_custom_tool_s_grammar_is_told() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    (tool,) = read(tools=[{"type": "custom", "custom": {"name": "h", "format": grammar}}]).tools
    assert tool.description == "`input` has to follow this regex grammar:\na+"
    of_tomorrow = {"type": "custom", "custom": {"name": "h", "format": {"type": "bnf"}}}
    assert read(tools=[of_tomorrow]).bound == ("tools[0].custom.format",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [user([{"type": "text", "text": 7}])]}, "messages[0].content[0].text"),
        ({"messages": [user([{"text": "x"}])]}, "messages[0].content[0].type"),
        ({"messages": [user([{"type": "refusal", "refusal": "x"}])]}, "messages[0].content[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "messages[0].tool_calls[0].function"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": 7}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].name"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"n": 0}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a", 7]}, "stop[1]"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        ({"tool_choice": "whatever"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"response_format": {}}, "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": []}}},
            "response_format.json_schema.schema",
        ),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read(**fields)
    assert raised.value.param == param
    assert param in raised.value.message


def test_half_a_surrogate_pair_is_replaced() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"a\\ud83d \\\\ud83d \\ud83d\\ude00"}]}'
    assert openai_chat.CLIENT.read(body).messages[0].parts == (Text("a\ufffd \\ud83d \U0001f600"),)


def test_a_request_that_names_many_fields_tells_of_some() -> None:
    request = read(**{f"x{i}": 1 for i in range(50)}, tools=[{"type": "hologram"}] * 50)
    assert len(request.unsaid) == len(request.bound) == 16


def test_errors_hold_nothing_of_a_prompt() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        openai_chat.CLIENT.read(
            json.dumps({"model": "m", "messages": [{"role": "my secret", "content": "x"}]}).encode()
        )
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    ("field", "least", "most", "step"),
    [
        ("max_tokens", 0, 1_000_000_000, 1),
        ("max_completion_tokens", 0, 1_000_000_000, 1),
        ("n", 1, 128, 1),
        ("top_logprobs", 0, 20, 1),
        ("temperature", 0, 2, 0.01),
        ("top_p", 0, 1, 0.01),
        ("presence_penalty", -2, 2, 0.01),
        ("frequency_penalty", -2, 2, 0.01),
    ],
)
def test_the_bounds_of_numbers(field: str, least: float, most: float, step: float) -> None:
    for value in (least, most):
        read(**{field: value})
    for value in (least - step, most + step):
        with pytest.raises(InvalidRequestError) as raised:
            read(**{field: value})
        assert raised.value.param == field


@pytest.mark.parametrize("name", ["function_call", "functions", "moderation", "web_search_options"])
def test_what_has_the_provider_do_something_binds(name: str) -> None:
    assert read(**{name: {}}).bound == (name,)


def test_the_end_user_has_two_names() -> None:
    request = read(safety_identifier="s")
    assert (request.user, request.unsaid) == ("s", ())


def test_what_is_said_of_thinking_goes_before_whether_to_think() -> None:
    assert read(reasoning={"effort": "low", "enabled": False}).reasoning == Reasoning(Effort.LOW)
    assert read(reasoning={"max_tokens": 2048, "enabled": False}).reasoning == Reasoning(budget_tokens=2048)
    assert read(reasoning={"exclude": False}).reasoning == Reasoning(shown=True)


def test_only_functions_and_custom_tools_can_be_allowed_elsewhere() -> None:
    function = {"type": "function", "function": {"name": "f"}}
    custom = {"type": "custom", "custom": {"name": "g"}}
    both = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function, custom]}}
    assert read(tool_choice=both).tool_choice == ToolChoice(Choosing.AUTO, ("f", "g"))
    assert read(tool_choice=both).bound == ()
    for other in ({"type": "hologram", "function": {"name": "f"}}, {"type": "function"}):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function, other]}}
        assert read(tool_choice=choice).bound == ("tool_choice.allowed_tools.tools",)
