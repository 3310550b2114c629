"""The conversation of a client's request, which comes as a list of items.

What the assistant has said, thought and called are items of their own: those in a row become one message, up to the
next thing that is said right after another. An item whose type has no place in the canonical model is not read any
further: its path goes into `Reading.bound`, since leaving it out would change what is asked. So it is with types that
are newer than this module.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses_create-input
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from edge_service.dialects import native_tools, sealing
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
from edge_service.dialects.openai_responses import client_tools, media, wire
from edge_service.dialects.openai_responses.client_tools import Offered
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError

_CallId: TypeAlias = Annotated[str, Meta(min_length=1)]
_Content: TypeAlias = str | list[Raw]


class _Head(Struct):
    type: str | None = None
    role: str | None = None


class _Message(Struct):
    role: str
    content: _Content
    phase: str | None = None


class _PartHead(Struct):
    type: str


class _Text(Struct):
    text: str
    annotations: list[Raw] | None = None
    prompt_cache_breakpoint: dict[str, Raw] | None = None


class _Refusal(Struct):
    refusal: str


class _Image(Struct):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: dict[str, Raw] | None = None


class _File(Struct):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: dict[str, Raw] | None = None


class _Caller(Struct):
    type: str


class _Call(Struct):
    call_id: _CallId
    name: str
    arguments: str
    namespace: str | None = None
    caller: _Caller | None = None


class _CustomCall(Struct):
    call_id: _CallId
    name: str
    input: str
    namespace: str | None = None
    caller: _Caller | None = None


class _SearchCall(Struct):
    arguments: Raw
    call_id: str | None = None


class _Found(Struct):
    tools: list[Raw]
    call_id: str | None = None


class _MoreTools(Struct):
    tools: list[Raw]


class _Output(Struct):
    output: _Content
    call_id: _CallId | None = None
    namespace: str | None = None
    caller: _Caller | None = None


class _Thought(Struct):
    text: str = ""


class _Reasoning(Struct):
    id: str | None = None
    summary: list[_Thought] | None = None
    content: list[_Thought] | None = None
    encrypted_content: str | None = None


class _GeneratedImage(Struct):
    result: str | None = None
    output_format: str | None = None


_head = msgspec.json.Decoder(_Head)
_message = msgspec.json.Decoder(_Message)
_part_head = msgspec.json.Decoder(_PartHead)
_text = msgspec.json.Decoder(_Text)
_refusal = msgspec.json.Decoder(_Refusal)
_image = msgspec.json.Decoder(_Image)
_file = msgspec.json.Decoder(_File)
_call = msgspec.json.Decoder(_Call)
_custom_call = msgspec.json.Decoder(_CustomCall)
_search_call = msgspec.json.Decoder(_SearchCall)
_found = msgspec.json.Decoder(_Found)
_more_tools = msgspec.json.Decoder(_MoreTools)
_output = msgspec.json.Decoder(_Output)
_reasoning = msgspec.json.Decoder(_Reasoning)
_generated = msgspec.json.Decoder(_GeneratedImage)


def read(said: _Content, offered: Offered, reading: Reading) -> tuple[Message, ...]:
    """A string stands for one message of the user's. Tools among the items go to those that are `offered`. Raises
    `InvalidRequestError`."""
    if isinstance(said, str):
        return (Message(Role.USER, (Text(said),)),)
    conversation = _Conversation(offered, reading)
    for i, raw in enumerate(said):
        path = f"input[{i}]"
        head = wire.typed(_head, raw, path)
        # What has neither is a reference to an item that OpenAI keeps.
        reader = _ITEMS.get(head.type or ("message" if head.role is not None else "item_reference"))
        if reader is None:
            reading.bind(f"{path}.id" if head.type in (None, "item_reference") else path)
        else:
            reader(conversation, raw, path)
    return conversation.messages()


class _Conversation:
    __slots__ = ("_call_signatures", "_offered", "_reading", "_tool_names", "_turns")

    def __init__(self, offered: Offered, reading: Reading) -> None:
        self._offered = offered
        self._reading = reading
        self._turns: list[tuple[Role, list[Part], bool]] = []
        """The last says whether more of its kind may follow in the same message."""
        self._tool_names: dict[str, str] = {}
        """By the id of the call."""
        self._call_signatures: dict[str, str] = {}
        """Likewise: what another family has signed a call with, see `sealing`."""

    def messages(self) -> tuple[Message, ...]:
        return tuple(Message(role, tuple(parts)) for role, parts, _ in self._turns)

    def _add(self, role: Role, parts: tuple[Part, ...], *, in_rows: bool = False, is_message: bool = False) -> None:
        """`in_rows`: it stands in a message with what goes before, unless both are messages in themselves."""
        last = self._turns[-1] if self._turns else None
        if (
            in_rows
            and last is not None
            and last[0] is role
            and last[2]
            and not (is_message and _ends_in_words(last[1]))
        ):
            last[1].extend(parts)
        else:
            self._turns.append((role, list(parts), in_rows))

    def read_message(self, raw: Raw, path: str) -> None:
        message = wire.typed(_message, raw, path)
        role = _ROLES.get(message.role)
        if role is None:
            path += ".role"
            raise InvalidRequestError(f"'{path}' must be 'user', 'assistant', 'system' or 'developer'", param=path)
        self._reading.leave("input.phase", message.phase)
        parts = _read_content(message.content, f"{path}.content", _BY_ROLE[role], self._reading)
        self._add(role, parts, in_rows=role is Role.ASSISTANT, is_message=True)

    def read_call(self, raw: Raw, path: str) -> None:
        call = wire.typed(_call, raw, path)
        self._reading.bind(f"{path}.caller", _is_program(call.caller))
        self._call(call.call_id, native_tools.joined(call.namespace or "", call.name), call.arguments)

    def read_custom_call(self, raw: Raw, path: str) -> None:
        call = wire.typed(_custom_call, raw, path)
        self._reading.bind(f"{path}.caller", _is_program(call.caller))
        name = native_tools.joined(call.namespace or "", call.name)
        self._call(call.call_id, name, native_tools.arguments(call.input))

    def read_search(self, raw: Raw, path: str) -> None:
        """Of tools. Where the provider has searched nothing is lost: what it has found is offered anyway."""
        call = wire.typed(_search_call, raw, path)
        if call.call_id:
            self._call(call.call_id, client_tools.SEARCH, bytes(call.arguments).decode())

    def read_found(self, raw: Raw, path: str) -> None:
        found = wire.typed(_found, raw, path)
        names = self._offered.read_said(found.tools, f"{path}.tools")
        if found.call_id:
            told = f"Found: {', '.join(names)}" if names else "Found nothing."
            result = ToolResult(found.call_id, client_tools.SEARCH, (Text(told),))
            self._add(Role.USER, (result,), in_rows=True)

    def read_more_tools(self, raw: Raw, path: str) -> None:
        self._offered.read_said(wire.typed(_more_tools, raw, path).tools, f"{path}.tools")

    def leave_web_search(self, raw: Raw, path: str) -> None:
        """What was found is OpenAI's secret; what the model made of it stands behind."""
        self._reading.leave("input.web_search_call")

    def _call(self, call_id: str, name: str, arguments: str) -> None:
        self._tool_names[call_id] = name
        signature = self._call_signatures.pop(call_id, "")
        self._add(Role.ASSISTANT, (ToolCall(call_id, name, arguments, signature),), in_rows=True)

    def read_output(self, raw: Raw, path: str) -> None:
        output = wire.typed(_output, raw, path)
        if output.call_id is None:
            self._reading.bind(path)
            return
        self._reading.bind(f"{path}.caller", _is_program(output.caller))
        content = _read_content(output.output or [], f"{path}.output", _INPUT, self._reading)
        result = ToolResult(
            output.call_id,
            self._tool_names.get(output.call_id, ""),
            tuple(part for part in content if isinstance(part, Text | Media)),
        )
        self._add(Role.USER, (result,), in_rows=True)

    def read_reasoning(self, raw: Raw, path: str) -> None:
        item = wire.typed(_reasoning, raw, path)
        sealed = item.encrypted_content or ""
        of_call = sealing.opened_call(sealed)
        if of_call is not None:
            call_id, signature = of_call
            self._call_signatures[call_id] = signature
            return
        text = "\n\n".join(thought.text for thought in item.summary or item.content or ())
        if sealed.startswith(sealing.MARK):
            thought = sealing.opened(text, sealed, Family.OPENAI)
        else:
            thought = Thinking(text, encrypted=sealed, family=Family.OPENAI if sealed else None, id=item.id or "")
        self._add(Role.ASSISTANT, (thought,), in_rows=True)

    def read_generated_image(self, raw: Raw, path: str) -> None:
        image = wire.typed(_generated, raw, path)
        if not image.result:
            self._reading.bind(path)
            return
        media_type = f"image/{image.output_format}" if image.output_format else ""
        self._add(Role.ASSISTANT, (Media(MediaKind.IMAGE, media_type, data=image.result),), in_rows=True)


def _ends_in_words(parts: list[Part]) -> bool:
    return bool(parts) and isinstance(parts[-1], Text | Refusal)


def _is_program(caller: _Caller | None) -> bool:
    return caller is not None and caller.type != "direct"


def _read_content(content: _Content, path: str, allowed: _Allowed, reading: Reading) -> tuple[Part, ...]:
    """A string stands for one part of text."""
    if isinstance(content, str):
        return (Text(content),)
    parts: list[Part] = []
    for i, raw in enumerate(content):
        where = f"{path}[{i}]"
        kind = wire.typed(_part_head, raw, where).type
        reader = allowed.get(kind)
        if reader is not None:
            parts += reader(raw, where, reading)
        elif kind in _SPOKEN and allowed is _INPUT:
            raise InvalidRequestError(f"'{where}': a part of type '{kind}' cannot stand here", param=where)
        else:
            reading.bind(where)
    return tuple(parts)


def _read_text(raw: Raw, path: str, reading: Reading) -> tuple[Part, ...]:
    part = wire.typed(_text, raw, path)
    reading.leave("prompt_cache_breakpoint", part.prompt_cache_breakpoint)
    reading.leave("input.content.annotations", part.annotations)
    return (Text(part.text),)


def _read_refusal(raw: Raw, path: str, _: Reading) -> tuple[Part, ...]:
    return (Refusal(wire.typed(_refusal, raw, path).refusal),)


def _read_image(raw: Raw, path: str, reading: Reading) -> tuple[Part, ...]:
    part = wire.typed(_image, raw, path)
    reading.leave("prompt_cache_breakpoint", part.prompt_cache_breakpoint)
    detail = "" if part.detail in (None, "auto") else part.detail or ""
    image = media.read_image(part.image_url or "", part.file_id or "", detail)
    if image is None:
        path += ".image_url"
        raise InvalidRequestError(f"'{path}' must be a URL, or an image as data:image/...;base64,...", param=path)
    return (image,)


def _read_file(raw: Raw, path: str, reading: Reading) -> tuple[Part, ...]:
    part = wire.typed(_file, raw, path)
    reading.leave("prompt_cache_breakpoint", part.prompt_cache_breakpoint)
    reading.leave("input.content.detail", part.detail not in (None, "auto"))
    file = media.read_file(part.file_data or "", part.file_url or "", part.file_id or "", part.filename or "")
    if file is None:
        path += ".file_data"
        raise InvalidRequestError(f"'{path}' must be a file in base64, or as data:...;base64,...", param=path)
    return (file,)


_Allowed: TypeAlias = Mapping[str, Callable[[Raw, str, Reading], tuple[Part, ...]]]
"""Which parts may stand somewhere, and who reads them."""

_TEXT: _Allowed = MappingProxyType({"input_text": _read_text})
_INPUT: _Allowed = MappingProxyType({**_TEXT, "input_image": _read_image, "input_file": _read_file})
_OUTPUT: _Allowed = MappingProxyType({**_TEXT, "output_text": _read_text, "refusal": _read_refusal})
_SPOKEN = frozenset({"output_text", "refusal"})

_ROLES: Mapping[str, Role] = MappingProxyType(
    {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.SYSTEM}
)
_BY_ROLE: Mapping[Role, _Allowed] = MappingProxyType({Role.SYSTEM: _TEXT, Role.USER: _INPUT, Role.ASSISTANT: _OUTPUT})

_ITEMS: Mapping[str, Callable[[_Conversation, Raw, str], None]] = MappingProxyType(
    {
        "message": _Conversation.read_message,
        "function_call": _Conversation.read_call,
        "function_call_output": _Conversation.read_output,
        "custom_tool_call": _Conversation.read_custom_call,
        "custom_tool_call_output": _Conversation.read_output,
        "tool_search_call": _Conversation.read_search,
        "tool_search_output": _Conversation.read_found,
        "additional_tools": _Conversation.read_more_tools,
        "web_search_call": _Conversation.leave_web_search,
        "reasoning": _Conversation.read_reasoning,
        "image_generation_call": _Conversation.read_generated_image,
    }
)
