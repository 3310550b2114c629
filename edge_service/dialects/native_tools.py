"""Tools that other dialects have no word for, offered to them as functions, and their calls turned back.

    custom      a function with one string, `input`; what its grammar is, the description says
    namespace   its tools each by itself, with the namespace before the name
    search      a function with the parameters that it has

OpenAI's APIs have them, and coding agents offer them to every model. Sources:
https://platform.openai.com/docs/guides/function-calling#custom-tools,
https://platform.openai.com/docs/guides/tools-tool-search
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.canonical import Native, Tool, ToolKind

_PARAMETERS = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)
_MAX_NAME_CHARS = 64
_SHORTENED_CHARS = 55
_NONE: Mapping[str, Native] = MappingProxyType({})


class _Input(Struct):
    input: str


_input = msgspec.json.Decoder(_Input)


def custom(name: str, description: str, syntax: str, grammar: str, namespace: str = "") -> Tool:
    """`grammar` is empty if the text may have any form."""
    if grammar:
        description = f"{description}\n\n`input` has to follow this {syntax} grammar:\n{grammar}".lstrip()
    return Tool(
        joined(namespace, name),
        description,
        _PARAMETERS,
        native=Native(ToolKind.CUSTOM, name, namespace),
    )


def joined(namespace: str, name: str) -> str:
    """The name of the function: the same one for the tool and for its calls in every later turn."""
    if not namespace:
        return name
    whole = f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"
    if len(whole) <= _MAX_NAME_CHARS:
        return whole
    return f"{whole[:_SHORTENED_CHARS]}_{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def natives(tools: Iterable[Tool]) -> Mapping[str, Native]:
    """By the names of functions."""
    return {tool.name: tool.native for tool in tools if tool.native is not None} or _NONE


def arguments(text: str) -> str:
    """A custom tool's text as a function's arguments."""
    return msgspec.json.encode(_Input(text)).decode()


def text(arguments: str) -> str:
    """The text in the arguments. Some models write it as it is: nobody is served by losing it."""
    try:
        return _input.decode(arguments).input
    except (ValueError, RecursionError):
        return arguments
