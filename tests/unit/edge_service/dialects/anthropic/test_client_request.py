from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import anthropic
from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Message,
    Output,
    OutputKind,
    Reasoning,
    Role,
    Text,
    ToolChoice,
)
from edge_service.domain.errors import InvalidRequestError

from .asked import read, user


@pytest.mark.parametrize(
    ("system", "parts"),
    [
        (None, None),
        ("", None),
        ([], None),
        ("Be brief.", (Text("Be brief."),)),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], (Text("a"), Text("b"))),
    ],
)
def test_system(system: Any, parts: Any) -> None:
    messages = read(system=system).messages
    assert messages[:-1] == (() if parts is None else (Message(Role.SYSTEM, parts),))


def test_a_system_message_stays_where_it_stands() -> None:
    request = read(messages=[user("a"), {"role": "system", "content": "b"}, user("c")])
    assert [message.role for message in request.messages] == [Role.USER, Role.SYSTEM, Role.USER]


@pytest.mark.parametrize(
    ("fields", "reasoning", "unsaid"),
    [
        ({}, None, ()),
        ({"thinking": {"type": "disabled"}}, Reasoning(budget_tokens=0), ()),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(budget_tokens=2048), ()),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning(budget_tokens=-1, shown=False), ()),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "xhigh"}},
            Reasoning(Effort.XHIGH, -1, shown=True),
            (),
        ),
        ({"output_config": {"effort": "low"}}, Reasoning(Effort.LOW), ()),
        ({"thinking": {"type": "between_tools"}}, Reasoning(budget_tokens=0), ("thinking.type",)),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            Reasoning(budget_tokens=0),
            ("output_config.effort",),
        ),
        ({"thinking": {"type": "of tomorrow", "x": 1}}, None, ("thinking.type",)),
        ({"output_config": {"effort": "of tomorrow"}}, None, ("output_config.effort",)),
        ({"output_config": {"effort": "none"}}, None, ("output_config.effort",)),
        ({"output_config": {"effort": "minimal"}}, None, ("output_config.effort",)),
        ({"thinking": {"type": "of tomorrow"}}, None, ("thinking.type",)),
    ],
)
def test_thinking(fields: dict[str, Any], reasoning: Reasoning | None, unsaid: tuple[str, ...]) -> None:
    request = read(**fields)
    assert request.reasoning == reasoning
    assert request.unsaid == unsaid


@pytest.mark.parametrize(
    ("choice", "mode", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(Choosing.AUTO), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(Choosing.REQUIRED), False),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, ToolChoice(Choosing.NAMED, ("f",)), True),
        ({"type": "none"}, ToolChoice(Choosing.NONE), None),
    ],
)
def test_tool_choice(choice: Any, mode: ToolChoice, parallel: bool | None) -> None:
    request = read(tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == (mode, parallel)


def test_tools_of_the_client_are_read_and_others_only_named() -> None:
    request = read(
        tools=[
            {
                "name": "f",
                "description": "d",
                "input_schema": {"type": "object"},
                "strict": True,
                "defer_loading": True,
                "eager_input_streaming": True,
            },
            {"type": "web_search_20250305", "name": "web_search", "max_uses": "any", "user_location": 7},
            {"type": "custom", "name": "g", "input_schema": {}, "cache_control": {"type": "ephemeral"}},
            {"name": "h", "input_schema": {}, "allowed_callers": ["code_execution_20260120"]},
            {"name": "i", "input_schema": {}, "allowed_callers": ["direct", "code_execution_20260120"]},
        ]
    )
    assert [(tool.name, tool.description, tool.strict) for tool in request.tools] == [
        ("f", "d", True),
        ("g", "", None),
        ("h", "", None),
        ("i", "", None),
    ]
    assert bytes(request.tools[0].parameters or b"") == b'{"type": "object"}'
    assert request.bound == ("tools[3].allowed_callers",)
    assert request.unsaid == ("tools.defer_loading", "tools.eager_input_streaming", "cache_control", "tools.web_search")


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("web_search_20250305", "tools.web_search"),
        ("web_fetch_20250910", "tools.web_fetch"),
        ("tool_search_tool_bm25_20251119", "tools.tool_search"),
    ],
)
def test_a_look_up_can_be_done_without_if_there_are_other_tools(kind: str, left: str) -> None:
    look_up = {"type": kind, "name": "look_up"}
    alone = read(tools=[look_up])
    assert (alone.bound, alone.unsaid) == (("tools[0]",), ())
    beside = read(tools=[look_up, {"name": "f", "input_schema": {}}])
    assert (beside.bound, beside.unsaid) == ((), (left,))
    assert read(tools=[{"type": "code_execution_20250825"}, {"name": "f", "input_schema": {}}]).bound == ("tools[0]",)


def test_a_schema_for_the_answer() -> None:
    output = read(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}).output
    assert isinstance(output, Output)
    assert (output.kind, bytes(output.schema or b"")) == (OutputKind.SCHEMA, b'{"type": "object"}')


@pytest.mark.parametrize(
    ("edits", "bound"),
    [
        (["clear_tool_uses_20250919"], True),
        (["clear_thinking_20251015", "compact_20260112"], True),
        (["clear_thinking_20251015"], False),
        ([], False),
        (None, False),
    ],
)
def test_clearing_thoughts_is_done_without(edits: list[str] | None, bound: bool) -> None:
    request = read(context_management={"edits": edits and [{"type": edit, "keep": "all"} for edit in edits]})
    name = ("context_management",)
    assert (request.bound, request.unsaid) == ((name, ()) if bound else ((), name))


@pytest.mark.parametrize("name", ["container", "mcp_servers", "compaction", "inference_geo", "thread"])
def test_what_only_this_dialect_can_do_binds_the_request_to_it(name: str) -> None:
    assert read(**{name: {"any": 1}}).bound == (name,)
    assert read(**{name: None}).bound == ()


def test_no_servers_are_needed_for_an_empty_list_of_them() -> None:
    for said, bound in (([], ()), ([{}], ("mcp_servers",))):
        assert read(mcp_servers=said).bound == bound
    assert (
        anthropic.CLIENT.read(
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"mcp_servers":[ ]}'
        ).bound
        == ()
    )


def test_what_is_newer_than_this_dialect_as_it_is_known_here_binds_the_request() -> None:
    request = read(tool_choice={"type": "of tomorrow"}, output_config={"format": {"type": "of tomorrow"}})
    assert (request.tool_choice, request.output) == (None, None)
    assert request.bound == ("tool_choice.type", "output_config.format")


def test_what_is_new_or_does_without_is_named() -> None:
    request = read(speed="fast", new=1, diagnostics={}, metadata={"user_id": "u", "x": 1}, cache_control={"type": "x"})
    assert request.unsaid == ("speed", "new", "diagnostics", "cache_control", "metadata")
    assert request.user == "u"


def test_a_request_that_only_fills_the_cache_is_bound() -> None:
    assert read(max_tokens=0).bound == ("max_tokens",)


@pytest.mark.parametrize(("tier", "canonical"), [("auto", "auto"), ("standard_only", "default"), (None, "")])
def test_service_tier(tier: str | None, canonical: str) -> None:
    assert read(service_tier=tier).service_tier == canonical


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"model": " "}, "model"),
        ({"model": "x" * 513}, "model"),
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [user("x"), {"role": "user"}]}, "messages[1].content"),
        ({"messages": [user(5)]}, "messages[0].content"),
        ({"messages": [user([5])]}, "messages[0].content[0]"),
        ({"messages": [user([{"text": "x"}])]}, "messages[0].content[0].type"),
        ({"stream": 1}, "stream"),
        ({"system": 1}, "system"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"system": [{"type": "image"}]}, "system[0]"),
        ({"temperature": 1.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": ["x", 1]}, "stop_sequences[1]"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": "x"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": 1, "input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "thinking.budget_tokens"),
        ({"thinking": {}}, "thinking.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"effort": 1}}, "output_config.effort"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
        ({"context_management": {"edits": [{}]}}, "context_management.edits[0].type"),
    ],
)
def test_a_fault_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**fields)
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize("body", [b"", b"[]", b"nul", b'"x"', b"{", b'{"model":"\xff"}', b'{"a":' + b"[" * 100_000])
def test_a_body_that_is_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="body"):
        anthropic.CLIENT.read(body)


def test_a_lone_surrogate_is_no_character() -> None:
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\\ud800"}]}'
    with pytest.raises(InvalidRequestError, match="not valid JSON"):
        anthropic.CLIENT.read(body)


def test_counting_needs_no_max_tokens() -> None:
    body = json.dumps({"model": "m", "messages": [user("Hi")], "system": "s", "tools": []}).encode()
    request = anthropic.COUNTING_CLIENT.read(body)
    assert (request.max_tokens, request.stream, len(request.messages)) == (None, False, 2)
    assert anthropic.COUNTING_CLIENT.write(14) == b'{"input_tokens":14}'


def test_names_come_to_an_end_and_fit_into_a_header() -> None:
    request = read(messages=[user([{"type": f"new{i}"} for i in range(100)])], **{f"new{i}": 1 for i in range(100)})
    assert len(request.bound) == 16
    assert len(request.unsaid) == 16
    odd = {"a\r\nb": 1, "é": 1, "x" * 100: 1, "": 1, "a,b": 1}
    assert read(**odd).unsaid == ("(other)",)
