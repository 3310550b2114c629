"""The tools of a client's request, and how the model is to choose among them.

Source: https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct, structs

from edge_service.dialects import native_tools
from edge_service.dialects.canonical import Choosing, Native, Tool, ToolChoice, ToolKind
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


class _Format(Struct):
    type: str
    syntax: str = ""
    definition: str = ""


class _Custom(Struct):
    name: str
    description: str | None = None
    format: _Format | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None


class _Namespace(Struct):
    name: str
    tools: list[Raw]
    description: str | None = None


class _Search(Struct):
    execution: str | None = None
    description: str | None = None
    parameters: Raw = wire.NULL


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
_custom = msgspec.json.Decoder(_Custom)
_namespace = msgspec.json.Decoder(_Namespace)
_search = msgspec.json.Decoder(_Search)
_mode = msgspec.json.Decoder(str)
_choice = msgspec.json.Decoder(_Choice)
_allowed = msgspec.json.Decoder(_Allowed)

_LEFT = ("defer_loading", "output_schema")

SEARCH = "tool_search"
"""The type of the tool that finds others, and the function's name."""

_WEB_SEARCH = "web_search"
"""What the types of OpenAI's own search begin with: some end in a date."""


class Offered:
    """Collects the tools of a request: some stand among what is said."""

    __slots__ = ("_reading", "_searches", "_tools")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._tools: list[Tool] = []
        self._searches: list[str] = []
        """The paths of web searches."""

    def tools(self) -> tuple[Tool, ...]:
        """All of them, and only now: what else is offered decides about a web search."""
        for path in self._searches:
            self._reading.look_up(path, "tools.web_search", is_alone=not self._tools)
        return tuple(self._tools)

    def read(self, raws: Iterable[Raw] | None, path: str = "tools") -> None:
        for i, raw in enumerate(raws or ()):
            self._read(raw, f"{path}[{i}]", "")

    def read_said(self, raws: Iterable[Raw], path: str) -> list[str]:
        """Tools that stand in the conversation: a client may repeat them, and the last counts. Gives their names."""
        before, self._tools = self._tools, []
        self.read(raws, path)
        names = [tool.name for tool in self._tools]
        known = frozenset(names)
        self._tools = [*(tool for tool in before if tool.name not in known), *self._tools]
        return names

    def _read(self, raw: Raw, path: str, namespace: str) -> None:
        kind = wire.typed(_head, raw, path).type
        reader = _READERS.get(kind)
        if reader is not None:
            reader(self, raw, path, namespace)
        elif kind.startswith(_WEB_SEARCH):
            self._searches.append(path)
        else:
            self._reading.bind(path)  # One that the provider carries out, or that only its models know.

    def _function(self, raw: Raw, path: str, namespace: str) -> None:
        tool = wire.typed(_tool, raw, path)
        for name in _LEFT:
            self._reading.leave(f"tools.{name}", getattr(tool, name))
        self._bind_callers(tool.allowed_callers, path)
        native = Native(ToolKind.FUNCTION, tool.name, namespace) if namespace else None
        name = native_tools.joined(namespace, tool.name)
        parameters = _parameters(tool.parameters, path)
        self._tools.append(Tool(name, tool.description or "", parameters, tool.strict, native))

    def _custom(self, raw: Raw, path: str, namespace: str) -> None:
        tool = wire.typed(_custom, raw, path)
        form = tool.format or _Format("text")
        self._reading.leave("tools.defer_loading", tool.defer_loading)
        self._bind_callers(tool.allowed_callers, path)
        self._reading.bind(f"{path}.format", form.type not in ("text", "grammar"))
        self._tools.append(
            native_tools.custom(tool.name, tool.description or "", form.syntax, form.definition, namespace)
        )

    def _namespace(self, raw: Raw, path: str, _: str) -> None:
        group = wire.typed(_namespace, raw, path)
        first = len(self._tools)
        for i, its in enumerate(group.tools):
            self._read(its, f"{path}.tools[{i}]", group.name)
        if group.description and len(self._tools) > first:
            tool = self._tools[first]
            told = f"{group.description}\n\n{tool.description}".rstrip()
            self._tools[first] = structs.replace(tool, description=told)

    def _search(self, raw: Raw, path: str, _: str) -> None:
        tool = wire.typed(_search, raw, path)
        if tool.execution != "client":
            self._reading.leave("tools.tool_search")  # All that it could find is offered anyway.
            return
        native = Native(ToolKind.SEARCH, SEARCH)
        self._tools.append(Tool(SEARCH, tool.description or "", _parameters(tool.parameters, path), native=native))

    def _bind_callers(self, callers: list[str] | None, path: str) -> None:
        self._reading.bind(f"{path}.allowed_callers", callers and "direct" not in callers)


_READERS: Mapping[str, Callable[[Offered, Raw, str, str], None]] = MappingProxyType(
    {
        "function": Offered._function,
        "custom": Offered._custom,
        "namespace": Offered._namespace,
        SEARCH: Offered._search,
    }
)


def _parameters(raw: Raw, path: str) -> Raw | None:
    if wire.is_null(raw):
        return None
    if wire.first_byte(raw) != b"{":
        path += ".parameters"
        raise InvalidRequestError(f"'{path}' must be an object", param=path)
    return raw


_CALLED = frozenset({"function", "custom"})
"""What a choice may name."""


def read_choice(raw: Raw, reading: Reading) -> ToolChoice | None:
    if wire.is_null(raw):
        return None
    if wire.first_byte(raw) == b'"':
        return ToolChoice(_read_mode(wire.typed(_mode, raw, "tool_choice"), "tool_choice"))
    choice = wire.typed(_choice, raw, "tool_choice")
    if choice.type in _CALLED:
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
        if (tool.type is None or tool.type in _CALLED) and tool.name is not None:
            yield tool.name
        else:
            reading.bind(path)
