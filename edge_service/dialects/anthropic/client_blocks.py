"""Content blocks of a client's messages.

A block whose type has no place in the canonical model is not read any further: its path goes into `Reading.bound`,
since leaving it out would change what is asked. So it is with types that are newer than this module.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.anthropic import sealing, wire
from edge_service.dialects.canonical import Family, Media, MediaKind, Part, Role, Text, Thinking, ToolCall, ToolResult
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError


class BlockReading(Reading):
    """A `Reading` that also keeps what later blocks need of earlier ones."""

    __slots__ = ("call_signatures", "tool_names")

    def __init__(self) -> None:
        super().__init__()
        self.tool_names: dict[str, str] = {}
        """By the id of the call."""
        self.call_signatures: dict[str, str] = {}
        """Likewise: what another family has signed a call with, see `sealing`."""


_Anything: TypeAlias = dict[str, Raw]


class _Head(Struct):
    type: str


class _Text(Struct):
    text: str
    cache_control: _Anything | None = None
    citations: list[Raw] | None = None


class _Image(Struct):
    source: Raw
    cache_control: _Anything | None = None
    transformations: _Anything | None = None


class _Citing(Struct):
    enabled: bool | None = None


class _Document(Struct):
    source: Raw
    title: str | None = None
    context: str | None = None
    citations: _Citing | None = None
    cache_control: _Anything | None = None


class _SearchResult(Struct):
    source: str
    title: str
    content: list[Raw]
    citations: _Citing | None = None
    cache_control: _Anything | None = None


class _Bytes(Struct):
    data: str
    media_type: str


class _Url(Struct):
    url: str


class _File(Struct):
    file_id: str


class _Content(Struct):
    content: str | list[Raw]


class _ToolUse(Struct):
    id: str
    name: str
    input: Raw
    cache_control: _Anything | None = None
    toolset_name: str | None = None


class _ToolResult(Struct):
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None
    cache_control: _Anything | None = None
    toolset_name: str | None = None


class _ToolReference(Struct):
    tool_name: str


class _ServerUse(Struct):
    name: str


class _Thinking(Struct):
    thinking: str
    signature: str


class _Redacted(Struct):
    data: str


_head = msgspec.json.Decoder(_Head)
_text = msgspec.json.Decoder(_Text)
_image = msgspec.json.Decoder(_Image)
_document = msgspec.json.Decoder(_Document)
_search_result = msgspec.json.Decoder(_SearchResult)
_bytes = msgspec.json.Decoder(_Bytes)
_url = msgspec.json.Decoder(_Url)
_file = msgspec.json.Decoder(_File)
_content = msgspec.json.Decoder(_Content)
_tool_use = msgspec.json.Decoder(_ToolUse)
_tool_result = msgspec.json.Decoder(_ToolResult)
_tool_reference = msgspec.json.Decoder(_ToolReference)
_server_use = msgspec.json.Decoder(_ServerUse)
_thinking = msgspec.json.Decoder(_Thinking)
_redacted = msgspec.json.Decoder(_Redacted)


def read_content(content: str | list[Raw], path: str, allowed: Allowed, reading: BlockReading) -> tuple[Part, ...]:
    """A string stands for one block of text. Raises `InvalidRequestError`."""
    if isinstance(content, str):
        return (Text(content),)
    parts: list[Part] = []
    for i, raw in enumerate(content):
        parts += _read(raw, f"{path}[{i}]", allowed, reading)
    return tuple(parts)


def _read(raw: Raw, path: str, allowed: Allowed, reading: BlockReading) -> tuple[Part, ...]:
    kind = wire.typed(_head, raw, path).type
    reader = allowed.get(kind)
    if reader is not None:
        return reader(raw, path, reading)
    if kind in _ALL:
        raise InvalidRequestError(f"'{path}': a block of type '{kind}' cannot stand here", param=path)
    reading.bind(path)
    return ()


def _read_text(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    block = wire.typed(_text, raw, path)
    if block.cache_control:
        reading.leave("cache_control")
    if block.citations:
        reading.leave("messages.content.citations")
    return (Text(block.text),)


def _read_image(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    block = wire.typed(_image, raw, path)
    if block.cache_control:
        reading.leave("cache_control")
    if block.transformations:
        reading.leave("messages.content.transformations")
    media = _read_source(block.source, f"{path}.source", MediaKind.IMAGE)
    if media is None:
        reading.bind(f"{path}.source")
        return ()
    return (media,)


def _read_document(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    block = wire.typed(_document, raw, path)
    if block.cache_control:
        reading.leave("cache_control")
    if block.citations is not None and block.citations.enabled:
        reading.bind(f"{path}.citations")
    source = f"{path}.source"
    kind = wire.typed(_head, block.source, source).type
    parts: tuple[Part, ...]
    if kind == "content":
        content = wire.typed(_content, block.source, source).content
        parts = read_content(content, f"{source}.content", _IN_DOCUMENTS, reading)
        if block.title:
            parts = (Text(block.title), *parts)
    elif kind == "text":
        text = wire.typed(_bytes, block.source, source)
        data = base64.b64encode(text.data.encode()).decode()
        parts = (Media(MediaKind.FILE, media_type=text.media_type, data=data, name=block.title or ""),)
    else:
        media = _read_source(block.source, source, MediaKind.FILE, block.title or "")
        if media is None:
            reading.bind(source)
            return ()
        parts = (media,)
    # What the client tells the model about the document stands before it.
    return (Text(block.context), *parts) if block.context else parts


def _read_search_result(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    """What a client has found by itself. Elsewhere it is a text like any other."""
    block = wire.typed(_search_result, raw, path)
    if block.cache_control:
        reading.leave("cache_control")
    if block.citations is not None and block.citations.enabled:
        reading.bind(f"{path}.citations")
    found = read_content(block.content, f"{path}.content", TEXTS, reading)
    return (Text(f"{block.title}\n{block.source}"), *found)


def _read_source(raw: Raw, path: str, kind: MediaKind, name: str = "") -> Media | None:
    """None for a type that is not known here."""
    match wire.typed(_head, raw, path).type:
        case "base64":
            sent = wire.typed(_bytes, raw, path)
            return Media(kind, media_type=sent.media_type, data=sent.data, name=name)
        case "url":
            return Media(kind, url=wire.typed(_url, raw, path).url, name=name)
        case "file":
            file_id = wire.typed(_file, raw, path).file_id
            return Media(kind, file_id=file_id, family=Family.ANTHROPIC, name=name)
        case _:
            return None


def _read_tool_use(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    block = wire.typed(_tool_use, raw, path)
    if wire.first_byte(block.input) != b"{":
        raise InvalidRequestError(f"'{path}.input' must be an object", param=f"{path}.input")
    if block.cache_control:
        reading.leave("cache_control")
    if block.toolset_name:
        reading.bind(f"{path}.toolset_name")
    reading.tool_names[block.id] = block.name
    signature = reading.call_signatures.pop(block.id, "")
    return (ToolCall(block.id, block.name, bytes(block.input).decode(), signature),)


def _read_tool_result(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    block = wire.typed(_tool_result, raw, path)
    if block.cache_control:
        reading.leave("cache_control")
    if block.toolset_name:
        reading.bind(f"{path}.toolset_name")
    content = read_content(block.content or [], f"{path}.content", _FOUND, reading)
    return (
        ToolResult(
            block.tool_use_id,
            reading.tool_names.get(block.tool_use_id, ""),
            tuple(part for part in content if isinstance(part, Text | Media)),
            bool(block.is_error),
        ),
    )


def _read_tool_reference(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    """A tool that the client has found: it is offered anyway."""
    return (Text(wire.typed(_tool_reference, raw, path).tool_name),)


def _leave_server_use(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    """What Anthropic has looked up. What it found is encrypted; what the model made of it stands behind."""
    name = wire.typed(_server_use, raw, path).name
    if name.startswith(_LOOKED_UP):
        reading.leave("messages.content.server_tool_use")
    else:
        reading.bind(path)
    return ()


def _leave_found(raw: Raw, path: str, reading: BlockReading) -> tuple[Part, ...]:
    return ()  # Its call is named.


_LOOKED_UP = ("web_search", "web_fetch", "tool_search_tool_")


def _read_thinking(raw: Raw, path: str, reading: BlockReading) -> tuple[Thinking]:
    block = wire.typed(_thinking, raw, path)
    return (sealing.opened(block.thinking, block.signature),)


def _read_redacted(raw: Raw, path: str, reading: BlockReading) -> tuple[Thinking, ...]:
    data = wire.typed(_redacted, raw, path).data
    of_call = sealing.opened_call(data)
    if of_call is not None:
        call_id, signature = of_call
        reading.call_signatures[call_id] = signature
        return ()
    return (sealing.opened("", data, redacted=True),)


Allowed: TypeAlias = Mapping[str, Callable[[Raw, str, BlockReading], tuple[Part, ...]]]
"""Which blocks may stand somewhere, and who reads them."""

TEXTS: Allowed = MappingProxyType({"text": _read_text})
_IN_DOCUMENTS: Allowed = MappingProxyType({**TEXTS, "image": _read_image})
_IN_RESULTS: Allowed = MappingProxyType(
    {**_IN_DOCUMENTS, "document": _read_document, "search_result": _read_search_result}
)
_FOUND: Allowed = MappingProxyType({**_IN_RESULTS, "tool_reference": _read_tool_reference})

BY_ROLE: Mapping[Role, Allowed] = MappingProxyType(
    {
        Role.SYSTEM: TEXTS,
        Role.USER: MappingProxyType({**_IN_RESULTS, "tool_result": _read_tool_result}),
        Role.ASSISTANT: MappingProxyType(
            {
                **TEXTS,
                "tool_use": _read_tool_use,
                "thinking": _read_thinking,
                "redacted_thinking": _read_redacted,
                "server_tool_use": _leave_server_use,
                "web_search_tool_result": _leave_found,
                "web_fetch_tool_result": _leave_found,
                "tool_search_tool_result": _leave_found,
            }
        ),
    }
)

_ALL = frozenset(kind for allowed in BY_ROLE.values() for kind in allowed)
