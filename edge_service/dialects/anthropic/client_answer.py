"""A whole answer for a client.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from edge_service.dialects.anthropic import sealing, terms, wire
from edge_service.dialects.canonical import Answer, Choice, Finish, Media, Part, Refusal, Text, Thinking, ToolCall

NO_ID = "msg_0"
"""For an answer whose provider gives none: the SDKs want one."""

Block: TypeAlias = dict[str, Any]

_NOTHING = Choice((), Finish.STOP)
_object = msgspec.json.Decoder(dict[str, Raw])


def write(answer: Answer, model: str) -> bytes:
    choice = answer.choices[0] if answer.choices else _NOTHING
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    return wire.encode(
        {
            "id": answer.id or NO_ID,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [block for i, part in enumerate(_said(choice.parts)) for block in _WRITERS[type(part)](part, i)],
            "stop_reason": terms.stop_reason(choice.finish, choice.stop_sequence, refused=refused),
            "stop_sequence": choice.stop_sequence or None,
            "usage": terms.wire_usage(answer.usage) | terms.shown_tier(answer.service_tier),
        }
    )


def _said(parts: Sequence[Part]) -> Sequence[Part]:
    """Without a signature at the end, which Gemini puts there. No answer of this dialect ends with a thought, and some
    clients take the last block for what was said."""
    last = len(parts)
    while last > 1 and isinstance(part := parts[last - 1], Thinking) and part.signature and not part.text:
        last -= 1
    return parts[:last]


def _write_text(part: Text | Refusal, _: int) -> tuple[Block, ...]:
    return ({"type": "text", "text": part.text},)


def shown(media: Media) -> str:
    """Media in Markdown: answers of this dialect have only text."""
    where = media.url or media.file_id or f"data:{media.media_type or 'application/octet-stream'};base64,{media.data}"
    return f"![{media.name or media.kind.value}]({where})"


def _write_media(part: Media, _: int) -> tuple[Block, ...]:
    return ({"type": "text", "text": shown(part)},)


def _write_thinking(part: Thinking, _: int) -> tuple[Block, ...]:
    if part.encrypted and not part.text:
        return (redacted(sealing.seal(part)),)
    return ({"type": "thinking", "thinking": part.text, "signature": sealing.seal(part)},)


def redacted(data: str) -> Block:
    return {"type": "redacted_thinking", "data": data}


def _write_tool_call(part: ToolCall, i: int) -> tuple[Block, ...]:
    call_id = part.id or f"call_{i}"
    block = {"type": "tool_use", "id": call_id, "name": part.name, "input": tool_input(part.arguments)}
    return (redacted(sealing.seal_call(call_id, part.signature)), block) if part.signature else (block,)


def tool_input(arguments: str) -> Raw | dict[str, str]:
    """The arguments as this dialect has them, which is an object. Some models write none at all, or what is not JSON:
    nobody is served by losing it."""
    if not arguments.strip():
        return {}
    try:
        _object.decode(arguments)
    except (ValueError, RecursionError):
        return {"arguments": arguments}
    return Raw(arguments.encode())


_WRITERS: Mapping[type, Callable[[Any, int], tuple[Block, ...]]] = MappingProxyType(
    {
        Text: _write_text,
        Refusal: _write_text,
        Media: _write_media,
        Thinking: _write_thinking,
        ToolCall: _write_tool_call,
    }
)
