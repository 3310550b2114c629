"""The tools of a client's request, and how the model is to choose among them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.canonical import Choosing, Tool, ToolChoice
from edge_service.dialects.openai_chat import terms, wire
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError


class _Head(Struct):
    type: str | None = None


class _Function(Struct):
    name: str
    description: str | None = None
    parameters: Raw = wire.NULL
    strict: bool | None = None


class _Tool(Struct):
    function: _Function


class _Named(Struct):
    name: str


class _NamedChoice(Struct):
    function: _Named


class _AllowedTool(Struct):
    type: str = "function"
    function: _Named | None = None


class _Allowed(Struct):
    mode: str
    tools: list[_AllowedTool]


class _AllowedChoice(Struct):
    allowed_tools: _Allowed


_head = msgspec.json.Decoder(_Head)
_tool = msgspec.json.Decoder(_Tool)
_string = msgspec.json.Decoder(str)
_named_choice = msgspec.json.Decoder(_NamedChoice)
_allowed_choice = msgspec.json.Decoder(_AllowedChoice)

_CHOICE = "tool_choice"


def read(raws: Iterable[Raw] | None, reading: Reading) -> tuple[Tool, ...]:
    tools = []
    for i, raw in enumerate(raws or ()):
        path = f"tools[{i}]"
        if wire.typed(_head, raw, path).type not in (None, "function"):
            reading.bind(path)  # A custom tool, whose input is no JSON, or one that the provider carries out.
            continue
        function = wire.typed(_tool, raw, path).function
        parameters = None if wire.is_null(function.parameters) else function.parameters
        if parameters is not None and wire.first_byte(parameters) != b"{":
            path += ".function.parameters"
            raise InvalidRequestError(f"'{path}' must be an object", param=path)
        tools.append(Tool(function.name, function.description or "", parameters, function.strict))
    return tuple(tools)


def read_choice(raw: Raw | None, reading: Reading) -> ToolChoice | None:
    if raw is None:
        return None
    if wire.first_byte(raw) == b'"':
        return ToolChoice(_mode(wire.typed(_string, raw, _CHOICE), _CHOICE))
    kind = wire.typed(_head, raw, _CHOICE).type
    if kind == "function":
        return ToolChoice(Choosing.NAMED, (wire.typed(_named_choice, raw, _CHOICE).function.name,))
    if kind == "allowed_tools":
        allowed = wire.typed(_allowed_choice, raw, _CHOICE).allowed_tools
        if any(tool.type != "function" or tool.function is None for tool in allowed.tools):
            reading.bind(f"{_CHOICE}.allowed_tools.tools")
        names = tuple(tool.function.name for tool in allowed.tools if tool.function is not None)
        return ToolChoice(_mode(allowed.mode, f"{_CHOICE}.allowed_tools.mode"), names)
    reading.bind(_CHOICE)
    return None


def _mode(word: str, path: str) -> Choosing:
    mode = terms.MODES.get(word)
    if mode is None:
        raise InvalidRequestError(f"'{path}' must be one of {', '.join(terms.MODES)}", param=path)
    return mode
