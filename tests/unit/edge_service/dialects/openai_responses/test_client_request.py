from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from edge_service.dialects import openai_responses
from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Message,
    Native,
    OutputKind,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolKind,
)
from edge_service.domain.errors import InvalidRequestError

from .asked import read


def test_instructions_stand_before_the_conversation() -> None:
    assert read(instructions="Be brief").messages == (
        Message(Role.SYSTEM, (Text("Be brief"),)),
        Message(Role.USER, (Text("Hi"),)),
    )


def test_null_is_unsaid() -> None:
    names = ["instructions", "tools", "tool_choice", "text", "reasoning", "temperature", "metadata", "conversation"]
    assert read(**dict.fromkeys([*names, "brand_new"])) == read()


@pytest.mark.parametrize(
    ("said", "reasoning"),
    [
        ({"effort": "high"}, Reasoning(Effort.HIGH)),
        ({"effort": "minimal", "summary": "auto"}, Reasoning(Effort.MINIMAL, summary="auto")),
        ({"generate_summary": "concise"}, Reasoning(summary="concise")),
        ({"effort": "none", "mode": "standard"}, Reasoning(Effort.NONE)),
        ({"effort": None}, None),
        ({}, None),
    ],
)
def test_reasoning(said: dict[str, Any], reasoning: Reasoning | None) -> None:
    request = read(reasoning=said)
    assert (request.reasoning, request.unsaid) == (reasoning, ())


def test_probabilities_are_told_only_if_they_are_to_be_included() -> None:
    request = read(include=["message.output_text.logprobs"], top_logprobs=2)
    assert (request.logprobs, request.top_logprobs, request.unsaid) == (True, 2, ())
    request = read(include=["reasoning.encrypted_content"], top_logprobs=2)
    assert (request.logprobs, request.top_logprobs, request.unsaid) == (None, None, ("top_logprobs",))


def test_of_two_ways_to_name_the_user_the_newer_counts() -> None:
    assert read(user="old").user == "old"
    assert read(user="old", safety_identifier="new").user == "new"


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"store": True}, ("store",)),
        ({"store": False, "background": False, "truncation": "disabled"}, ()),
        ({"truncation": "auto", "max_tool_calls": 1}, ("max_tool_calls", "truncation")),
        ({"stream_options": {"include_obfuscation": False}}, ()),
        ({"stream_options": {"include_obfuscation": True}}, ("stream_options",)),
        ({"include": ["file_search_call.results"]}, ("include",)),
        ({"reasoning": {"effort": "extreme", "context": "auto", "mode": "pro"}}, ("reasoning.effort",)),
        ({"text": {"verbosity": "loud"}, "service_tier": "scale"}, ("text.verbosity", "service_tier")),
        (
            {"prompt_cache_key": "k", "prompt_cache_options": {"ttl": "30m"}},
            ("prompt_cache_key", "prompt_cache_options"),
        ),
        ({"brand_new": {"a": 1}, "no header\nholds this": 1}, ("brand_new", "(other)")),
    ],
)
def test_what_can_be_done_without_is_named(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    request = read(**fields)
    assert request.unsaid[: len(names)] == names
    assert bool(request.unsaid) == bool(names)
    assert request.bound == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
        {"context_management": [{"type": "compaction"}]},
        {"moderation": {"model": "omni"}},
    ],
)
def test_what_only_the_own_dialect_can_do_binds(fields: dict[str, Any]) -> None:
    assert read(**fields).bound == tuple(fields)


def test_a_request_without_input_may_go_on_from_something() -> None:
    assert read(input=None, previous_response_id="resp_1").messages == ()


def test_to_fill_a_cache_is_bound() -> None:
    assert read(prompt_cache_options={"prewarm": True}).bound == ("prompt_cache_options.prewarm",)


def test_formats() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    output = read(text={"format": schema}).output
    assert output is not None
    assert (output.kind, output.name, output.strict) == (OutputKind.SCHEMA, "n", True)
    assert output.schema is not None
    assert bytes(output.schema) == b'{"type": "object"}'
    assert read(text={"format": {"type": "grammar"}}).bound == ("text.format",)


def test_tools() -> None:
    function = {"type": "function", "name": "f", "parameters": None, "strict": None, "description": None}
    assert read(tools=[function]).tools == (Tool("f"),)
    only_by_program = {**function, "allowed_callers": ["programmatic"], "defer_loading": True}
    request = read(tools=[{"type": "web_search"}, only_by_program])
    assert request.bound == ("tools[1].allowed_callers",)
    assert request.unsaid == ("tools.defer_loading", "tools.web_search")


def test_a_custom_tool_is_a_function_with_one_string() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: A"}
    plain, bound = read(
        tools=[{"type": "custom", "name": "c", "description": "d"}, {"type": "custom", "name": "g", "format": grammar}]
    ).tools
    assert (plain.name, plain.description, plain.native) == ("c", "d", Native(ToolKind.CUSTOM, "c"))
    assert plain.parameters is not None
    assert msgspec.json.decode(plain.parameters)["properties"] == {"input": {"type": "string"}}
    assert bound.description == "`input` has to follow this lark grammar:\nstart: A"
    of_tomorrow = {"type": "custom", "name": "c", "format": {"type": "bnf"}, "defer_loading": True}
    request = read(tools=[of_tomorrow])
    assert (request.bound, request.unsaid) == (("tools[0].format",), ("tools.defer_loading",))


def test_tools_of_a_namespace_stand_by_themselves() -> None:
    group = [{"type": "function", "name": "f", "description": "d"}, {"type": "custom", "name": "c"}]
    request = read(tools=[{"type": "namespace", "name": "crm", "description": "Customers.", "tools": group}])
    assert [(tool.name, tool.description, tool.native) for tool in request.tools] == [
        ("crm__f", "Customers.\n\nd", Native(ToolKind.FUNCTION, "f", "crm")),
        ("crm__c", "", Native(ToolKind.CUSTOM, "c", "crm")),
    ]
    wrong = {"type": "namespace", "name": "crm", "tools": [{"type": "function"}]}
    with pytest.raises(InvalidRequestError, match=r"'tools\[0\].tools\[0\].name' is missing"):
        read(tools=[wrong])


def test_a_search_for_tools_is_a_function_if_the_client_does_it() -> None:
    search = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}
    (tool,) = read(tools=[search]).tools
    assert (tool.name, tool.native) == ("tool_search", Native(ToolKind.SEARCH, "tool_search"))
    request = read(tools=[{"type": "tool_search"}])
    assert (request.tools, request.bound, request.unsaid) == ((), (), ("tools.tool_search",))


def test_a_web_search_can_be_done_without_if_there_are_other_tools() -> None:
    for kind in ("web_search", "web_search_preview_2025_03_11"):
        alone = read(tools=[{"type": kind}])
        assert (alone.bound, alone.unsaid) == (("tools[0]",), ())
        beside = read(tools=[{"type": kind}, {"type": "function", "name": "f"}])
        assert (beside.bound, beside.unsaid) == ((), ("tools.web_search",))


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("auto", ToolChoice(Choosing.AUTO)),
        ("none", ToolChoice(Choosing.NONE)),
        ("required", ToolChoice(Choosing.REQUIRED)),
        ({"type": "function", "name": "f"}, ToolChoice(Choosing.NAMED, ("f",))),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice(Choosing.AUTO, ("f",)),
        ),
    ],
)
def test_choices(said: Any, choice: ToolChoice) -> None:
    assert read(tool_choice=said).tool_choice == choice


def test_choices_among_what_only_the_provider_has() -> None:
    assert read(tool_choice={"type": "file_search"}).bound == ("tool_choice.type",)
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]}
    assert read(tool_choice=allowed).bound == ("tool_choice.tools[0]",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 1}, "model"),
        ({"model": " "}, "model"),
        ({"model": "m" * 513}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"role": "friend", "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "Hi"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "refusal", "refusal": "no"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,x"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call", "call_id": "", "name": "f", "arguments": ""}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 1}]}, "input[0].output"),
        ({"input": [{"type": "reasoning", "summary": [{"text": 1}]}]}, "input[0].summary[0].text"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"text": {"format": {"type": "json_schema", "schema": "s"}}}, "text.format.schema"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "any"}}, "tool_choice.mode"),
        ({"tool_choice": 1}, "tool_choice"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**fields)
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "'model' is missing"),
        (b'{"model":"\xff"}', "not valid UTF-8 (byte 10)"),
        (b'{"model":"m","input":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_none(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message.replace("(", r"\(").replace(")", r"\)")):
        openai_responses.CLIENT.read(body)


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    request = openai_responses.CLIENT.read(b'{"model":"m","input":[{"role":"user","content":"a\\ud83d"}]}')
    assert request.messages == (Message(Role.USER, (Text("a\ufffd"),)),)


def test_names_are_not_without_end() -> None:
    fields = {f"f{i}": i for i in range(100)}
    request = read(**fields, input=[{"type": "new"}] * 100)
    assert (len(request.unsaid), len(request.bound)) == (16, 16)
    assert len(json.dumps(request.bound)) < 1000


@pytest.mark.parametrize(("limit", "is_taken"), [(0, False), (1, True), (1_000_000_000, True), (1_000_000_001, False)])
def test_the_bounds_of_a_limit(limit: int, is_taken: bool) -> None:
    if is_taken:
        assert read(max_output_tokens=limit).max_tokens == limit
        return
    with pytest.raises(InvalidRequestError) as caught:
        read(max_output_tokens=limit)
    assert caught.value.param == "max_output_tokens"


def test_what_is_missing_and_what_is_empty() -> None:
    for said, word in ((None, "missing"), ([], "empty")):
        with pytest.raises(InvalidRequestError, match=f"'input' is {word}"):
            read(input=said)


def test_another_mode_of_reasoning_is_named() -> None:
    assert read(reasoning={"mode": "pro"}).unsaid == ("reasoning.mode",)
    assert read(reasoning={"mode": "standard"}).unsaid == ()


def test_a_tool_that_the_client_itself_may_call_is_a_function() -> None:
    tool = {"type": "function", "name": "f", "parameters": {}, "output_schema": {"type": "object"}}
    request = read(tools=[{**tool, "allowed_callers": ["program", "direct"]}])
    assert (request.bound, request.unsaid) == ((), ("tools.output_schema",))
    assert read(tools=[{**tool, "allowed_callers": ["program"]}]).bound == ("tools[0].allowed_callers",)


def test_tools_that_may_be_called_have_names() -> None:
    allowed = [{"name": "f"}, {"type": "function"}, {"type": "mcp", "name": "g"}]
    request = read(tool_choice={"type": "allowed_tools", "tools": allowed})
    assert request.tool_choice == ToolChoice(Choosing.AUTO, ("f",))
    assert request.bound == ("tool_choice.tools[1]", "tool_choice.tools[2]")
    assert read(tool_choice={"type": "allowed_tools"}).tool_choice == ToolChoice(Choosing.AUTO)
