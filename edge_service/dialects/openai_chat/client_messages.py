"""The messages of a client's request.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct, structs

from edge_service.dialects import native_tools
from edge_service.dialects.canonical import Media, Message, Part, Refusal, Role, Text, Thinking, ToolCall, ToolResult
from edge_service.dialects.openai_chat import client_parts, details, wire
from edge_service.dialects.openai_chat.details import Detail
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError


class _Head(Struct):
    role: str


class _Message(Struct):
    """Of any role but the assistant's."""

    content: str | list[Raw]
    name: str | None = None


class _Result(Struct):
    tool_call_id: str
    content: str | list[Raw] | None = None


class _FunctionResult(Struct):
    name: str
    content: str | None = None


class _Function(Struct):
    name: str
    arguments: str = ""


class _Call(Struct):
    function: _Function
    id: str


class _Custom(Struct):
    name: str
    input: str


class _CustomCall(Struct):
    custom: _Custom
    id: str


class _CallHead(Struct):
    type: str | None = None


class _Assistant(Struct):
    content: str | list[Raw] | None = None
    name: str | None = None
    refusal: str | None = None
    audio: dict[str, Raw] | None = None
    tool_calls: list[Raw] | None = None
    function_call: _Function | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    images: list[Raw] | None = None
    """OpenRouter's, for those that a model has made."""


_raws = msgspec.json.Decoder(list[Raw])
_head = msgspec.json.Decoder(_Head)
_message = msgspec.json.Decoder(_Message)
_result = msgspec.json.Decoder(_Result)
_function_result = msgspec.json.Decoder(_FunctionResult)
_call = msgspec.json.Decoder(_Call)
_custom_call = msgspec.json.Decoder(_CustomCall)
_call_head = msgspec.json.Decoder(_CallHead)
_assistant = msgspec.json.Decoder(_Assistant)


class Conversation:
    """Reads one. Raises `InvalidRequestError`."""

    __slots__ = ("_function_calls", "_names", "reading")

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._names: dict[str, str] = {}
        """Of the tools that were called, by the id of the call."""
        self._function_calls: dict[str, str] = {}
        """The ids that we give to calls of functions, which have none: by name, the last one."""

    def read(self, raw: Raw) -> tuple[Message, ...]:
        said = wire.typed(_raws, raw, "messages")
        if not said:
            raise InvalidRequestError("'messages' is empty: it holds the conversation", param="messages")
        return tuple(self._read(each, f"messages[{i}]") for i, each in enumerate(said))

    def _read(self, raw: Raw, path: str) -> Message:
        reader = _ROLES.get(wire.typed(_head, raw, path).role)
        if reader is None:
            raise InvalidRequestError(f"'{path}.role' must be one of {', '.join(_ROLES)}", param=f"{path}.role")
        return reader(self, raw, path)

    def _leave_name(self, name: str | None) -> None:
        if name:
            self.reading.leave("messages.name")

    def _system(self, raw: Raw, path: str) -> Message:
        said = wire.typed(_message, raw, path)
        self._leave_name(said.name)
        parts = client_parts.read(said.content, f"{path}.content", client_parts.TEXTS, self.reading)
        return Message(Role.SYSTEM, parts)

    def _user(self, raw: Raw, path: str) -> Message:
        said = wire.typed(_message, raw, path)
        self._leave_name(said.name)
        parts = client_parts.read(said.content, f"{path}.content", client_parts.OF_USERS, self.reading)
        return Message(Role.USER, parts)

    def _tool(self, raw: Raw, path: str) -> Message:
        said = wire.typed(_result, raw, path)
        # OpenAI's own takes text alone; others take images too.
        content = client_parts.read(said.content or (), f"{path}.content", client_parts.OF_USERS, self.reading)
        name = self._names.get(said.tool_call_id, "")
        return Message(Role.USER, (ToolResult(said.tool_call_id, name, _shown(content)),))

    def _function(self, raw: Raw, path: str) -> Message:
        said = wire.typed(_function_result, raw, path)
        call_id = self._function_calls.get(said.name, "")
        if not call_id:
            raise InvalidRequestError(f"'{path}.name': no call of '{said.name}' goes before it", param=f"{path}.name")
        return Message(Role.USER, (ToolResult(call_id, said.name, (Text(said.content or ""),)),))

    def _assistant(self, raw: Raw, path: str) -> Message:
        said = wire.typed(_assistant, raw, path)
        self._leave_name(said.name)
        if said.audio:
            self.reading.bind(f"{path}.audio")  # Which only the provider that has spoken it knows.
        calls = self._calls(said, path)
        thoughts, signatures, is_lost = details.read(said.reasoning_details or (), [call.id for call in calls])
        if is_lost:
            self.reading.leave("messages.reasoning_details")
        plain = said.reasoning_content or said.reasoning
        if plain and not any(thought.text for thought in thoughts):
            thoughts.insert(0, Thinking(plain))
        parts: list[Part] = [
            *thoughts,
            *client_parts.read(said.content or (), f"{path}.content", client_parts.OF_ASSISTANTS, self.reading),
        ]
        if said.refusal:
            parts.append(Refusal(said.refusal))
        parts += client_parts.read(said.images or (), f"{path}.images", client_parts.IMAGES, self.reading)
        parts += [
            structs.replace(call, signature=signatures[call.id]) if call.id in signatures else call for call in calls
        ]
        return Message(Role.ASSISTANT, tuple(parts))

    def _calls(self, said: _Assistant, path: str) -> list[ToolCall]:
        calls = []
        for i, raw in enumerate(said.tool_calls or ()):
            where = f"{path}.tool_calls[{i}]"
            kind = wire.typed(_call_head, raw, where).type
            if kind == "custom":
                custom = wire.typed(_custom_call, raw, where)
                self._names[custom.id] = custom.custom.name
                arguments = native_tools.arguments(custom.custom.input)
                calls.append(ToolCall(custom.id, custom.custom.name, arguments))
                continue
            if kind not in (None, "function"):
                self.reading.bind(where)
                continue
            call = wire.typed(_call, raw, where)
            self._names[call.id] = call.function.name
            calls.append(ToolCall(call.id, call.function.name, call.function.arguments))
        if said.function_call is not None:
            name = said.function_call.name
            call_id = f"call_{path[9:-1]}"  # The message's number.
            self._function_calls[name] = call_id
            calls.append(ToolCall(call_id, name, said.function_call.arguments))
        return calls


def _shown(content: Sequence[Part]) -> tuple[Text | Media, ...]:
    return tuple(part for part in content if isinstance(part, Text | Media))


_Reader: TypeAlias = Callable[[Conversation, Raw, str], Message]

_ROLES: Mapping[str, _Reader] = MappingProxyType(
    {
        "system": Conversation._system,
        "developer": Conversation._system,
        "user": Conversation._user,
        "assistant": Conversation._assistant,
        "tool": Conversation._tool,
        "function": Conversation._function,
    }
)
