"""A conversation as a provider takes it: a list of items.

Sources: https://platform.openai.com/docs/guides/conversation-state, https://platform.openai.com/docs/guides/reasoning.
That ids of items have a beginning of their kind's, at most 64 characters and no double, is nowhere written but in the
errors that tell of it, as in https://github.com/BerriAI/litellm/issues/27333.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from edge_service.dialects import sealing
from edge_service.dialects.canonical import (
    Family,
    Media,
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
from edge_service.dialects.openai_responses import media, wire

Item: TypeAlias = dict[str, Any]


class Items:
    """A conversation, written."""

    __slots__ = ("dropped", "instructions", "items")

    def __init__(self, messages: Iterable[Message]) -> None:
        """Raises `InexpressibleError`."""
        self.dropped: dict[str, None] = {}
        self.instructions = ""
        self.items: list[Item] = []
        for i, message in enumerate(messages):
            if i == 0 and message.role is Role.SYSTEM and len(message.parts) == 1:
                (only,) = message.parts
                if isinstance(only, Text) and only.text:
                    self.instructions = only.text
                    continue
            if message.role is Role.ASSISTANT:
                self._say(message)
            else:
                self._ask(message)

    def _say(self, message: Message) -> None:
        """What the assistant has said in a row, has thought or called: each is an item."""
        words: list[Text | Refusal] = []
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                if part.text:
                    words.append(part)
                continue
            self._write_words(words)
            words = []
            writer = _DONE.get(type(part))
            if writer is None:
                kind = part.kind.value if isinstance(part, Media) else "tool_result"
                raise InexpressibleError([f"messages.{kind}"])
            self.items += writer(self, part)
        self._write_words(words)

    def _ask(self, message: Message) -> None:
        """What a user or the system says, and the results of tools, which are items apart."""
        content: list[Item] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._close(message.role, content)
                content = []
                self.items.append(self._result(part))
            else:
                content += self._parts(part)
        self._close(message.role, content)

    def _close(self, role: Role, content: list[Item]) -> None:
        if content:
            self.items.append({"role": role.value, "content": _short(content)})

    def _parts(self, part: Part) -> tuple[Item, ...]:
        if isinstance(part, Text | Refusal):
            return ({"type": "input_text", "text": part.text},)
        if isinstance(part, Media):
            written = media.write(part)
            if written is None:
                raise InexpressibleError([f"messages.{part.kind.value}"])
            return (written,)
        self.dropped["messages.thinking"] = None  # Of a user there is none.
        return ()

    def _result(self, result: ToolResult) -> Item:
        if result.is_error:
            self.dropped["messages.is_error"] = None
        content = [item for part in result.content for item in self._parts(part)]
        output = _short(content) if content else ""
        return {"type": "function_call_output", "call_id": short_id(result.call_id), "output": output}

    def _write_words(self, words: list[Text | Refusal]) -> None:
        """A single text needs neither an id nor parts."""
        if len(words) == 1 and isinstance(words[0], Text):
            self.items.append({"role": "assistant", "content": words[0].text})
        elif words:
            content = [
                {"type": "refusal", "refusal": part.text}
                if isinstance(part, Refusal)
                else {"type": "output_text", "text": part.text, "annotations": []}
                for part in words
            ]
            name = f"msg_{len(self.items)}"
            item = {"type": "message", "id": name, "role": "assistant", "status": "completed", "content": content}
            self.items.append(item)

    def _write_thinking(self, part: Thinking) -> tuple[Item, ...]:
        # One that is not encrypted would be looked for at OpenAI, by its id.
        if not sealing.is_native(part, Family.OPENAI) or not part.encrypted:
            self.dropped["messages.thinking"] = None
            return ()
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        name = part.id or f"rs_{len(self.items)}"
        return ({"type": "reasoning", "id": name, "summary": summary, "encrypted_content": part.encrypted},)

    def _write_call(self, part: ToolCall) -> tuple[Item, ...]:
        if part.signature:
            self.dropped["messages.thinking"] = None
        return (
            {
                "type": "function_call",
                "call_id": short_id(part.id),
                "name": part.name,
                "arguments": part.arguments if part.arguments.strip() else "{}",
            },
        )


def _short(content: list[Item]) -> str | list[Item]:
    """A single text needs no part."""
    return content[0]["text"] if len(content) == 1 and content[0]["type"] == "input_text" else content


def short_id(call_id: str) -> str:
    """As the dialect takes it: a call and its result have the same."""
    if 0 < len(call_id) <= wire.MAX_ID_CHARS:
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:40]


_DONE: Mapping[type, Callable[[Items, Any], tuple[Item, ...]]] = MappingProxyType(
    {
        Thinking: Items._write_thinking,
        ToolCall: Items._write_call,
    }
)
