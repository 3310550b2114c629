"""A whole answer for a client.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Raw

from edge_service.dialects import native_tools, sealing
from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Finish,
    Media,
    Native,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
)
from edge_service.dialects.openai_responses import client_output, logprobs, terms, wire
from edge_service.dialects.openai_responses.client_output import Item, Names

_WITH_STATUS = frozenset({"message", "function_call", "tool_search_call"})
_NOTHING = Choice((), Finish.STOP)


def write(answer: Answer, model: str, tools: Sequence[Tool] = ()) -> bytes:
    """`tools` are those that the client has offered."""
    choice = answer.choices[0] if answer.choices else _NOTHING
    names = Names(answer.id)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    reason = terms.incomplete_reason(choice.finish, refused=refused)
    output = _Output(names, choice.logprobs, native_tools.natives(tools))
    return wire.encode(
        client_output.response(
            names,
            model,
            answer.created_at,
            terms.COMPLETED if reason is None else terms.INCOMPLETE,
            output.items(choice.parts, is_complete=reason is None),
            reason=reason,
            usage=answer.usage,
            service_tier=answer.service_tier,
        )
    )


class _Output:
    """The items of an answer. What is said in a row is one message."""

    __slots__ = ("_content", "_items", "_logprobs", "_names", "_natives")

    def __init__(self, names: Names, probabilities: Raw | None, natives: Mapping[str, Native]) -> None:
        self._names = names
        self._natives = natives
        self._items: list[Item] = []
        self._content: list[Item] | None = None
        """Of the message that is being written."""
        self._logprobs = logprobs.write(probabilities)
        """They are those of the whole answer, which has one text nearly always: the first gets them."""

    def items(self, parts: Sequence[Any], *, is_complete: bool) -> list[Item]:
        for part in parts:
            _WRITERS[type(part)](self, part)
        if not is_complete and self._items and self._items[-1]["type"] in _WITH_STATUS:
            self._items[-1]["status"] = terms.INCOMPLETE
        return self._items

    def _say(self, item: Item) -> None:
        if self._content is None:
            self._content = []
            self._items.append(client_output.message(self._names.item("msg", len(self._items)), self._content))
        self._content.append(item)

    def _add(self, item: Item) -> None:
        self._content = None
        self._items.append(item)

    def write_text(self, part: Text) -> None:
        self._say(client_output.text(part.text, self._logprobs))
        self._logprobs = []

    def write_refusal(self, part: Refusal) -> None:
        self._say(client_output.refusal(part.text))

    def write_media(self, part: Media) -> None:
        image = client_output.image(self._names.item("ig", len(self._items)), part)
        if image is None:
            self._say(client_output.text(client_output.shown(part)))
        else:
            self._add(image)

    def write_thinking(self, part: Thinking) -> None:
        name = self._names.thought(part, len(self._items))
        self._add(client_output.reasoning(name, part.text, client_output.seal(part)))

    def write_call(self, part: ToolCall) -> None:
        call_id = part.id or f"call_{len(self._items)}"
        if part.signature:
            name = self._names.item("rs", len(self._items))
            self._add(client_output.reasoning(name, "", sealing.seal_call(call_id, part.signature)))
        native = self._natives.get(part.name)
        name = self._names.item(client_output.call_kind(native), len(self._items))
        arguments = part.arguments if part.arguments.strip() else "{}"
        self._add(client_output.call(name, call_id, part.name, arguments, native=native))


_WRITERS: Mapping[type, Callable[[_Output, Any], None]] = MappingProxyType(
    {
        Text: _Output.write_text,
        Refusal: _Output.write_refusal,
        Media: _Output.write_media,
        Thinking: _Output.write_thinking,
        ToolCall: _Output.write_call,
    }
)
