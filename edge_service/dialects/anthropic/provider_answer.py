"""A provider's whole answer, read into the canonical model.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.anthropic import terms, wire
from edge_service.dialects.anthropic.terms import WireUsage
from edge_service.dialects.canonical import Answer, Choice, Family, Finish, Refusal, Text, Thinking, ToolCall
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError

_Part: TypeAlias = Text | Refusal | Thinking | ToolCall


class StopDetails(Struct):
    explanation: str | None = None


class _Message(Struct):
    type: str | None = None
    id: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: WireUsage | None = None
    error: Raw = wire.NULL


class _Head(Struct):
    type: str


class _Text(Struct):
    text: str


class _Thinking(Struct):
    thinking: str
    signature: str | None = None


class _Redacted(Struct):
    data: str


class _ToolUse(Struct):
    id: str
    name: str
    input: Raw


class _Count(Struct):
    input_tokens: int


_message = msgspec.json.Decoder(_Message)
_head = msgspec.json.Decoder(_Head)
_text = msgspec.json.Decoder(_Text)
_thinking = msgspec.json.Decoder(_Thinking)
_redacted = msgspec.json.Decoder(_Redacted)
_tool_use = msgspec.json.Decoder(_ToolUse)
_count = msgspec.json.Decoder(_Count)


def read(body: bytes) -> Answer:
    """Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    try:
        if not body.isascii():
            body.decode()  # What stays raw is checked for everything but its encoding.
        message = _message.decode(body)
        if message.type == "error" or not wire.is_null(message.error):
            raise ReportedError("the provider reported an error")
        if message.content is None:
            raise MalformedAnswerError("an answer without 'content'")
        parts = [part for raw in message.content for part in _read_block(raw)]
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not a message") from None
    if message.stop_details is not None and message.stop_details.explanation:
        parts.append(Refusal(message.stop_details.explanation))
    if not parts and message.stop_reason is None:
        raise EmptyAnswerError("no content")
    said = message.usage or WireUsage()
    return Answer(
        id=message.id or "",
        created_at=0,
        choices=(Choice(tuple(parts), finish(message.stop_reason), message.stop_sequence or ""),),
        usage=terms.usage(said),
        service_tier=terms.TIERS.get(said.service_tier or "", ""),
    )


def finish(stop_reason: str | None) -> Finish:
    return terms.FINISHES.get(stop_reason or "", Finish.STOP)


def read_count(body: bytes) -> int:
    """Raises `MalformedAnswerError`."""
    try:
        return _count.decode(body).input_tokens
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not a count of tokens") from None


def _read_block(raw: Raw) -> tuple[_Part, ...]:
    """Nothing for blocks of tools that the provider carries out: only clients of this dialect can ask for them."""
    reader = _READERS.get(_head.decode(raw).type)
    return () if reader is None else (reader(raw),)


def _read_thinking(raw: Raw) -> Thinking:
    block = _thinking.decode(raw)
    signature = block.signature or ""
    return Thinking(block.thinking, signature=signature, family=Family.ANTHROPIC if signature else None)


def _read_tool_use(raw: Raw) -> ToolCall:
    block = _tool_use.decode(raw)
    return ToolCall(block.id, block.name, bytes(block.input).decode())


_READERS: Mapping[str, Callable[[Raw], _Part]] = MappingProxyType(
    {
        "text": lambda raw: Text(_text.decode(raw).text),
        "thinking": _read_thinking,
        "redacted_thinking": lambda raw: Thinking(encrypted=_redacted.decode(raw).data, family=Family.ANTHROPIC),
        "tool_use": _read_tool_use,
    }
)
