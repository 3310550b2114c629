"""The tools of a client's request, and how the model is to choose among them."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.anthropic import wire
from edge_service.dialects.canonical import Choosing, Tool, ToolChoice
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError


class _ToolHead(Struct):
    type: str | None = None


class _Tool(Struct):
    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: dict[str, Raw] | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: list[Raw] | None = None
    allowed_callers: list[str] | None = None


class _ToolChoice(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_tool_head = msgspec.json.Decoder(_ToolHead)
_tool = msgspec.json.Decoder(_Tool)
_tool_choice = msgspec.json.Decoder(_ToolChoice)

_OF_TOOLS = ("defer_loading", "eager_input_streaming", "input_examples")

_LOOK_UP = MappingProxyType(
    {"web_search_": "tools.web_search", "web_fetch_": "tools.web_fetch", "tool_search_tool_": "tools.tool_search"}
)
"""What the types of tools begin with by which the provider looks something up, and their names where they are left out.
All that a search for tools could find is offered anyway."""


def read(raws: Iterable[Raw] | None, reading: Reading) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    look_ups: list[tuple[str, str]] = []
    for i, raw in enumerate(raws or ()):
        path = f"tools[{i}]"
        kind = wire.typed(_tool_head, raw, path).type
        if kind is not None and kind != "custom":
            found = next((name for name in _LOOK_UP if kind.startswith(name)), None)
            if found is None:
                reading.bind(path)  # One that the provider carries out, or that only its models know.
            else:
                look_ups.append((path, _LOOK_UP[found]))
            continue
        tool = wire.typed(_tool, raw, path)
        if wire.first_byte(tool.input_schema) != b"{":
            path += ".input_schema"
            raise InvalidRequestError(f"'{path}' must be an object", param=path)
        if tool.cache_control:
            reading.leave("cache_control")
        for name in _OF_TOOLS:
            if getattr(tool, name):
                reading.leave(f"tools.{name}")
        if tool.allowed_callers and "direct" not in tool.allowed_callers:
            reading.bind(f"{path}.allowed_callers")
        tools.append(Tool(tool.name, tool.description or "", tool.input_schema, tool.strict))
    for path, name in look_ups:
        reading.look_up(path, name, is_alone=not tools)
    return tuple(tools)


_MODES = MappingProxyType({"auto": Choosing.AUTO, "any": Choosing.REQUIRED, "none": Choosing.NONE})


def read_choice(raw: Raw | None, reading: Reading) -> tuple[ToolChoice | None, bool | None]:
    """The tool choice, and whether calls may be parallel."""
    if raw is None:
        return None, None
    choice = wire.typed(_tool_choice, raw, "tool_choice")
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if choice.type == "tool":
        if choice.name is None:
            raise InvalidRequestError("'tool_choice.name' is missing", param="tool_choice.name")
        return ToolChoice(Choosing.NAMED, (choice.name,)), parallel
    mode = _MODES.get(choice.type)
    if mode is None:
        reading.bind("tool_choice.type")
        return None, parallel
    return ToolChoice(mode), parallel
