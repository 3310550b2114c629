"""Messages as a provider takes them: system messages apart, roles in turns, the results of tools first.

Source: https://platform.claude.com/docs/en/build-with-claude/working-with-messages
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from edge_service.dialects.anthropic import sealing
from edge_service.dialects.anthropic.client_answer import tool_input
from edge_service.dialects.canonical import (
    Family,
    Media,
    MediaKind,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from edge_service.dialects.exchange import InexpressibleError

Block: TypeAlias = dict[str, Any]

_FIRST = ({"type": "text", "text": "."},)
"""For a conversation that a user does not begin: the dialect has it that one does, and takes no empty text."""


class Messages:
    """A conversation, written."""

    __slots__ = ("dropped", "system", "turns")

    def __init__(self, messages: Iterable[Message]) -> None:
        """Raises `InexpressibleError`."""
        self.dropped: dict[str, None] = {}
        self.system: list[Block] = []
        self.turns: list[tuple[str, list[Block]]] = []
        for message in messages:
            blocks = [block for part in message.parts for block in self._blocks(part, message.role)]
            if message.role is Role.SYSTEM:
                self.system += blocks
            elif blocks and self.turns and self.turns[-1][0] == message.role.value:
                self.turns[-1][1].extend(blocks)
            elif blocks:
                self.turns.append((message.role.value, blocks))
        if not self.turns or self.turns[0][0] != Role.USER.value:
            self.turns.insert(0, (Role.USER.value, list(_FIRST)))
        for role, blocks in self.turns:
            if role == Role.USER.value:
                blocks.sort(key=lambda block: block["type"] != "tool_result")  # Stable.
        if self.is_prefilled:
            _strip_end(self.turns[-1][1])

    @property
    def is_prefilled(self) -> bool:
        """Whether the answer has been begun for the model."""
        return self.turns[-1][0] == Role.ASSISTANT.value

    @property
    def lacks_thought(self) -> bool:
        """Whether results are given for calls before which no thought is shown. A model that thinks by a budget demands
        it: https://platform.claude.com/docs/en/build-with-claude/extended-thinking#extended-thinking-with-tool-use"""
        last = next((blocks for role, blocks in reversed(self.turns) if role == Role.ASSISTANT.value), [])
        calls = any(block["type"] == "tool_use" for block in last)
        return calls and last[0]["type"] not in ("thinking", "redacted_thinking")

    def fields(self) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if self.system:
            said["system"] = self.system[0]["text"] if len(self.system) == 1 else self.system
        said["messages"] = [{"role": role, "content": _short(blocks)} for role, blocks in self.turns]
        return said

    def _blocks(self, part: Part, role: Role) -> Iterable[Block]:
        if isinstance(part, Thinking) and not sealing.is_native(part):
            self.dropped["messages.thinking"] = None
            return ()
        if isinstance(part, ToolCall) and part.signature:
            self.dropped["messages.thinking"] = None
        elif isinstance(part, Media):
            if role is not Role.USER:
                raise InexpressibleError([f"messages.{part.kind.value}"])
            self._notice(part)
        elif isinstance(part, ToolResult):
            for each in part.content:
                if isinstance(each, Media):
                    self._notice(each)
        return _WRITERS[type(part)](part)

    def _notice(self, media: Media) -> None:
        if media.detail not in ("", "auto"):
            self.dropped["messages.detail"] = None


def _short(blocks: list[Block]) -> str | list[Block]:
    """A single text needs no block."""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0]["type"] == "text" else blocks


def _strip_end(blocks: list[Block]) -> None:
    """An answer that has been begun may not end in white space."""
    if blocks[-1]["type"] == "text":
        blocks[-1]["text"] = blocks[-1]["text"].rstrip()


def _write_text(part: Text | Refusal) -> tuple[Block, ...]:
    # Text that is empty, or nothing but white space, is refused.
    return ({"type": "text", "text": part.text},) if part.text.strip() else ()


def _write_thinking(part: Thinking) -> tuple[Block, ...]:
    if part.encrypted:
        return ({"type": "redacted_thinking", "data": part.encrypted},)
    return ({"type": "thinking", "thinking": part.text, "signature": part.signature},)


_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def _id(call_id: str) -> str:
    """As the dialect takes it."""
    return _NOT_IN_IDS.sub("_", call_id) or "_"


def _write_tool_call(part: ToolCall) -> tuple[Block, ...]:
    return ({"type": "tool_use", "id": _id(part.id), "name": part.name, "input": tool_input(part.arguments)},)


def _write_tool_result(part: ToolResult) -> tuple[Block, ...]:
    block: Block = {"type": "tool_result", "tool_use_id": _id(part.call_id)}
    content = [block for each in part.content for block in _WRITERS[type(each)](each)]
    if content:
        block["content"] = _short(content)
    if part.is_error:
        block["is_error"] = True
    return (block,)


def _write_media(part: Media) -> tuple[Block, ...]:
    source = _source(part)
    if source is None:
        raise InexpressibleError([f"messages.{part.kind.value}"])
    block: Block = {"type": "document" if part.kind is MediaKind.FILE else "image", "source": source}
    if part.kind is MediaKind.FILE and part.name:
        block["title"] = part.name
    return (block,)


def _source(part: Media) -> Block | None:
    """None if the dialect has no such thing."""
    if part.kind not in (MediaKind.IMAGE, MediaKind.FILE):
        return None
    if part.file_id:
        return {"type": "file", "file_id": part.file_id} if part.family is Family.ANTHROPIC else None
    media_type = part.media_type.partition(";")[0].strip().lower()
    if part.url:
        takes = part.kind is MediaKind.IMAGE or media_type in ("", "application/pdf")
        web = part.url.lower().startswith(("https://", "http://"))
        return {"type": "url", "url": part.url} if takes and web else None
    if part.kind is MediaKind.FILE and media_type.startswith("text/"):
        text = _decoded(part.data)
        return None if text is None else {"type": "text", "media_type": "text/plain", "data": text}
    media_type = _IMAGE_TYPES.get(media_type, media_type) or _guessed(part.data)
    if media_type not in _BASE64_TYPES[part.kind]:
        return None
    return {"type": "base64", "media_type": media_type, "data": part.data}


_BASE64_TYPES = MappingProxyType(
    {
        MediaKind.IMAGE: frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"}),
        MediaKind.FILE: frozenset({"application/pdf"}),
    }
)
_IMAGE_TYPES = MappingProxyType({"image/jpg": "image/jpeg", "image/*": ""})

_BEGINNINGS = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
)
"""The first bytes of each format, in base64."""


def _guessed(data: str) -> str:
    return next((media_type for beginning, media_type in _BEGINNINGS if data.startswith(beginning)), "")


def _decoded(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return None


_WRITERS: Mapping[type, Callable[[Any], tuple[Block, ...]]] = MappingProxyType(
    {
        Text: _write_text,
        Refusal: _write_text,
        Media: _write_media,
        Thinking: _write_thinking,
        ToolCall: _write_tool_call,
        ToolResult: _write_tool_result,
    }
)
