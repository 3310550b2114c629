"""A client's request, read into the canonical model.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from edge_service.dialects.anthropic import client_tools, terms, wire
from edge_service.dialects.anthropic.client_blocks import BY_ROLE, TEXTS, BlockReading, read_content
from edge_service.dialects.canonical import (
    Effort,
    Message,
    Output,
    OutputKind,
    Reasoning,
    Request,
    Role,
)
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError

_T = TypeVar("_T")
_Tokens = Annotated[int, Meta(ge=0, le=1_000_000_000)]
_Share = Annotated[float, Meta(ge=0, le=1)]


class _Message(Struct):
    role: str
    content: str | list[Raw]


class _Budget(Struct):
    budget_tokens: Annotated[int, Meta(ge=1024, le=1_000_000_000)]


class _Edit(Struct):
    type: str


class _ContextManagement(Struct):
    edits: list[_Edit] | None = None


class _ThinkingConfig(Struct):
    type: str
    display: str | None = None


class _Format(Struct):
    type: str
    schema: Raw = wire.NULL


class _OutputConfig(Struct):
    effort: str | None = None
    format: _Format | None = None


_context_management = msgspec.json.Decoder(_ContextManagement)
_raw = msgspec.json.Decoder(Raw)
_raws = msgspec.json.Decoder(list[Raw])
_message = msgspec.json.Decoder(_Message)
_system = msgspec.json.Decoder(str | list[Raw])
_thinking = msgspec.json.Decoder(_ThinkingConfig)
_budget = msgspec.json.Decoder(_Budget)
_output_config = msgspec.json.Decoder(_OutputConfig)
_tokens = msgspec.json.Decoder(_Tokens)
_share = msgspec.json.Decoder(_Share)
_texts = msgspec.json.Decoder(tuple[str, ...])
_string = msgspec.json.Decoder(str)
_object = msgspec.json.Decoder(dict[str, Raw])


def read(body: bytes) -> Request:
    """Raises `InvalidRequestError`, which names the field."""
    fields = wire.request_fields(body)
    if "max_tokens" not in fields or wire.is_null(fields["max_tokens"]):
        raise InvalidRequestError("'max_tokens' is missing: it limits the answer", param="max_tokens")
    return _read(fields)


def read_count(body: bytes) -> Request:
    """A request to count its tokens: the same fields, but for those that concern only the answer. Raises
    `InvalidRequestError`."""
    return _read(wire.request_fields(body))


def _read(fields: dict[str, Raw]) -> Request:
    model, stream = wire.routing(fields)
    fields = {name: value for name, value in fields.items() if not wire.is_null(value)}
    reading = BlockReading()
    messages = (*_read_system(fields, reading), *_read_messages(fields["messages"], reading))
    for name in fields:
        if name in _BOUND and not _says_nothing(name, fields[name]):
            reading.bind(name)
        elif name not in _KNOWN:
            reading.leave(name)
    choice, parallel = client_tools.read_choice(_take(fields, "tool_choice", _raw), reading)
    output, effort = _read_output_config(fields, reading)
    max_tokens = _take(fields, "max_tokens", _tokens)
    if max_tokens == 0:  # Fills the cache, and generates nothing.
        reading.bind("max_tokens")
    return Request(
        model=model,
        stream=stream,
        messages=messages,
        tools=client_tools.read(_take(fields, "tools", _raws), reading),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output=output,
        reasoning=_read_reasoning(fields, effort, reading),
        max_tokens=max_tokens,
        temperature=_take(fields, "temperature", _share),
        top_p=_take(fields, "top_p", _share),
        top_k=_take(fields, "top_k", _tokens),
        stop=_take(fields, "stop_sequences", _texts) or (),
        service_tier=_read_tier(fields),
        user=_read_user(fields, reading),
        unsaid=reading.unsaid,
        bound=reading.bound,
    )


_KNOWN = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "stream",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "service_tier",
        "metadata",
    }
)

_BOUND = frozenset(
    {
        "compaction",
        "container",
        "context_management",
        "inference_geo",
        "mcp_servers",
        "thread",
    }
)
"""Fields that have the provider do something, or keep it from doing it. What else is not known can be left out."""


def _says_nothing(name: str, raw: Raw) -> bool:
    """Whether nothing is lost without the field: an empty list of servers; or that thoughts are to be cleared, which
    coding agents ask for with every request. Only Anthropic is shown them."""
    if name == "mcp_servers":
        return b"".join(bytes(raw).split()) == b"[]"
    if name != "context_management":
        return False
    edits = wire.typed(_context_management, raw, name).edits or ()
    return all(edit.type.startswith("clear_thinking_") for edit in edits)


def _take(fields: Mapping[str, Raw], name: str, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    return wire.typed(decoder, fields[name], name) if name in fields else None


def _read_system(fields: Mapping[str, Raw], reading: BlockReading) -> tuple[Message, ...]:
    system = _take(fields, "system", _system)
    if not system:
        return ()
    return (Message(Role.SYSTEM, read_content(system, "system", TEXTS, reading)),)


_ROLES = MappingProxyType({role.value: role for role in Role})


def _read_messages(raw: Raw, reading: BlockReading) -> list[Message]:
    said = wire.typed(_raws, raw, "messages")
    if not said:
        raise InvalidRequestError("'messages' is empty: it holds the conversation", param="messages")
    messages = []
    for i, each in enumerate(said):
        path = f"messages[{i}]"
        message = wire.typed(_message, each, path)
        role = _ROLES.get(message.role)
        if role is None:
            path += ".role"
            raise InvalidRequestError(f"'{path}' must be 'user', 'assistant' or 'system'", param=path)
        parts = read_content(message.content, f"{path}.content", BY_ROLE[role], reading)
        messages.append(Message(role, parts))
    return messages


_SHOWN = MappingProxyType({"summarized": True, "omitted": False})


def _read_reasoning(fields: Mapping[str, Raw], effort: Effort | None, reading: Reading) -> Reasoning | None:
    thinking = _take(fields, "thinking", _thinking)
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort)
    read = _THINKING.get(thinking.type)
    if read is None:
        reading.leave("thinking.type")
        return None if effort is None else Reasoning(effort=effort)
    budget_tokens = read(fields["thinking"])
    if thinking.type == "between_tools":
        reading.leave("thinking.type")
    if budget_tokens == 0 and effort is not None:
        # It still governs how much the model writes, but elsewhere it would make it think.
        reading.leave("output_config.effort")
        effort = None
    return Reasoning(effort, budget_tokens, _SHOWN.get(thinking.display or ""))


_THINKING: Mapping[str, Callable[[Raw], int]] = MappingProxyType(
    {
        "enabled": lambda raw: wire.typed(_budget, raw, "thinking").budget_tokens,
        "disabled": lambda _: 0,
        "adaptive": lambda _: -1,
        # No thinking, but notes on the way from tool to tool.
        "between_tools": lambda _: 0,
    }
)
"""The budget that stands for each type."""

_EFFORTS = MappingProxyType({effort.value: effort for effort in Effort if effort not in (Effort.NONE, Effort.MINIMAL)})


def _read_output_config(fields: Mapping[str, Raw], reading: Reading) -> tuple[Output | None, Effort | None]:
    config = _take(fields, "output_config", _output_config)
    if config is None:
        return None, None
    for name in wire.typed(_object, fields["output_config"], "output_config"):
        if name not in ("effort", "format"):
            reading.leave(f"output_config.{name}")
    effort = None
    if config.effort is not None:
        effort = _EFFORTS.get(config.effort)
        if effort is None:
            reading.leave("output_config.effort")
    if config.format is None:
        return None, effort
    if config.format.type != "json_schema":
        reading.bind("output_config.format")
        return None, effort
    schema = config.format.schema
    if wire.first_byte(schema) != b"{":
        path = "output_config.format.schema"
        raise InvalidRequestError(f"'{path}' must be an object", param=path)
    return Output(OutputKind.SCHEMA, schema, strict=True), effort


def _read_tier(fields: Mapping[str, Raw]) -> str:
    tier = _take(fields, "service_tier", _string)
    if tier is None:
        return ""
    if tier not in terms.ASKED_TIERS:
        raise InvalidRequestError("'service_tier' must be 'auto' or 'standard_only'", param="service_tier")
    return terms.ASKED_TIERS[tier]


def _read_user(fields: Mapping[str, Raw], reading: Reading) -> str:
    metadata: dict[str, Any] = _take(fields, "metadata", _object) or {}
    for name in metadata:
        if name != "user_id":
            reading.leave("metadata")
    user = metadata.get("user_id")
    return "" if user is None or wire.is_null(user) else wire.typed(_string, user, "metadata.user_id")
