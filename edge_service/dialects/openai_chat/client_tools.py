"""The tools of a client's request, and how the model is to choose among them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects import native_tools
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


class _Grammar(Struct):
    syntax: str
    definition: str


class _Format(Struct):
    type: str
    grammar: _Grammar | None = None


class _Custom(Struct):
    name: str
    description: str | None = None
    format: _Format | None = None


class _CustomTool(Struct):
    custom: _Custom


class _Named(Struct):
    name: str


class _NamedChoice(Struct):
    function: _Named


class _CustomChoice(Struct):
    custom: _Named


class _AllowedTool(Struct):
    type: str = "function"
    function: _Named | None = None
    custom: _Named | None = None


class _Allowed(Struct):
    mode: str
    tools: list[_AllowedTool]


class _AllowedChoice(Struct):
    allowed_tools: _Allowed


_head = msgspec.json.Decoder(_Head)
_tool = msgspec.json.Decoder(_Tool)
_custom_tool = msgspec.json.Decoder(_CustomTool)
_string = msgspec.json.Decoder(str)
_named_choice = msgspec.json.Decoder(_NamedChoice)
_custom_choice = msgspec.json.Decoder(_CustomChoice)
_allowed_choice = msgspec.json.Decoder(_AllowedChoice)

_CHOICE = "tool_choice"


def read(raws: Iterable[Raw] | None, reading: Reading) -> tuple[Tool, ...]:
    tools = []
    for i, raw in enumerate(raws or ()):
        path = f"tools[{i}]"
        kind = wire.typed(_head, raw, path).type
        if kind == "custom":
            tools.append(_read_custom(raw, path, reading))
            continue
        if kind not in (None, "function"):
            reading.bind(path)  # One that the provider carries out.
            continue
        function = wire.typed(_tool, raw, path).function
        parameters = None if wire.is_null(function.parameters) else function.parameters
        if parameters is not None and wire.first_byte(parameters) != b"{":
            path += ".function.parameters"
            raise InvalidRequestError(f"'{path}' must be an object", param=path)
        tools.append(Tool(function.name, function.description or "", parameters, function.strict))
    return tuple(tools)


def _read_custom(raw: Raw, path: str, reading: Reading) -> Tool:
    tool = wire.typed(_custom_tool, raw, path).custom
    form = tool.format or _Format("text")
    reading.bind(f"{path}.custom.format", form.type not in ("text", "grammar"))
    grammar = form.grammar or _Grammar("", "")
    return native_tools.custom(tool.name, tool.description or "", grammar.syntax, grammar.definition)


def read_choice(raw: Raw | None, reading: Reading) -> ToolChoice | None:
    if raw is None:
        return None
    if wire.first_byte(raw) == b'"':
        return ToolChoice(_mode(wire.typed(_string, raw, _CHOICE), _CHOICE))
    kind = wire.typed(_head, raw, _CHOICE).type
    if kind == "function":
        return ToolChoice(Choosing.NAMED, (wire.typed(_named_choice, raw, _CHOICE).function.name,))
    if kind == "custom":
        return ToolChoice(Choosing.NAMED, (wire.typed(_custom_choice, raw, _CHOICE).custom.name,))
    if kind == "allowed_tools":
        allowed = wire.typed(_allowed_choice, raw, _CHOICE).allowed_tools
        named = [tool.custom if tool.type == "custom" else tool.function for tool in allowed.tools]
        if None in named or any(tool.type not in ("function", "custom") for tool in allowed.tools):
            reading.bind(f"{_CHOICE}.allowed_tools.tools")
        names = tuple(tool.name for tool in named if tool is not None)
        return ToolChoice(_mode(allowed.mode, f"{_CHOICE}.allowed_tools.mode"), names)
    reading.bind(_CHOICE)
    return None


def _mode(word: str, path: str) -> Choosing:
    mode = terms.MODES.get(word)
    if mode is None:
        raise InvalidRequestError(f"'{path}' must be one of {', '.join(terms.MODES)}", param=path)
    return mode
