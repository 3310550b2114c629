"""The tools of a client's request, and how the model is to choose among them.

Source: https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.canonical import Choosing, Tool, ToolChoice
from edge_service.dialects.openai_responses import terms, wire
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError


class _Head(Struct):
    type: str


class _Tool(Struct):
    name: str
    description: str | None = None
    parameters: Raw = wire.NULL
    strict: bool | None = None
    defer_loading: bool | None = None
    output_schema: dict[str, Raw] | None = None
    allowed_callers: list[str] | None = None


class _Choice(Struct):
    type: str
    name: str | None = None
    mode: str | None = None
    tools: list[Raw] | None = None


class _Allowed(Struct):
    type: str | None = None
    name: str | None = None


_head = msgspec.json.Decoder(_Head)
_tool = msgspec.json.Decoder(_Tool)
_mode = msgspec.json.Decoder(str)
_choice = msgspec.json.Decoder(_Choice)
_allowed = msgspec.json.Decoder(_Allowed)

_LEFT = ("defer_loading", "output_schema")


def read(raws: Iterable[Raw] | None, reading: Reading) -> tuple[Tool, ...]:
    tools = []
    for i, raw in enumerate(raws or ()):
        path = f"tools[{i}]"
        if wire.typed(_head, raw, path).type != "function":
            reading.bind(path)  # One that the provider carries out, or with input that is no JSON.
            continue
        tool = wire.typed(_tool, raw, path)
        parameters = None if wire.is_null(tool.parameters) else tool.parameters
        if parameters is not None and wire.first_byte(parameters) != b"{":
            path += ".parameters"
            raise InvalidRequestError(f"'{path}' must be an object", param=path)
        for name in _LEFT:
            reading.leave(f"tools.{name}", getattr(tool, name))
        reading.bind(f"{path}.allowed_callers", tool.allowed_callers and "direct" not in tool.allowed_callers)
        tools.append(Tool(tool.name, tool.description or "", parameters, tool.strict))
    return tuple(tools)


def read_choice(raw: Raw, reading: Reading) -> ToolChoice | None:
    if wire.is_null(raw):
        return None
    if wire.first_byte(raw) == b'"':
        return ToolChoice(_read_mode(wire.typed(_mode, raw, "tool_choice"), "tool_choice"))
    choice = wire.typed(_choice, raw, "tool_choice")
    if choice.type == "function":
        if choice.name is None:
            raise InvalidRequestError("'tool_choice.name' is missing", param="tool_choice.name")
        return ToolChoice(Choosing.NAMED, (choice.name,))
    if choice.type != "allowed_tools":
        reading.bind("tool_choice.type")
        return None
    mode = _read_mode(choice.mode or "auto", "tool_choice.mode")
    return ToolChoice(mode, tuple(_read_allowed(choice.tools or (), reading)))


def _read_mode(word: str, path: str) -> Choosing:
    mode = terms.MODES.get(word)
    if mode is None:
        raise InvalidRequestError(f"'{path}' must be one of {', '.join(terms.MODES)}", param=path)
    return mode


def _read_allowed(raws: Iterable[Raw], reading: Reading) -> Iterable[str]:
    for i, raw in enumerate(raws):
        path = f"tool_choice.tools[{i}]"
        tool = wire.typed(_allowed, raw, path)
        if tool.type in (None, "function") and tool.name is not None:
            yield tool.name
        else:
            reading.bind(path)
