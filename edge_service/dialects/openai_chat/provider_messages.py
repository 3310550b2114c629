"""Messages as a provider takes them: each result in a message of its own, right behind the calls.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

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
from edge_service.dialects.openai_chat import call_ids, details, models, terms
from edge_service.dialects.openai_chat.quirks import Quirks

Written: TypeAlias = dict[str, Any]


class Messages:
    """Writes one conversation. Raises `InexpressibleError`."""

    __slots__ = ("_family", "_quirks", "_shown", "dropped", "written")

    def __init__(self, messages: Iterable[Message], model: str, quirks: Quirks) -> None:
        self._quirks = quirks
        self._family = models.family(model)
        self.dropped: dict[str, None] = {}
        self.written: list[Written] = []
        self._shown: list[Written] = []
        """What the results of tools show, for which their messages have no place. It waits until all have come."""
        for message in messages:
            if message.role is Role.USER:
                self._user(message)
                continue
            self._show()
            if message.role is Role.SYSTEM:
                self._system(message)
            else:
                self._assistant(message)
        self._show()

    def _system(self, message: Message) -> None:
        self.written.append({"role": self._quirks.system, "content": _joined(self._texts(message.parts))})

    def _texts(self, parts: Iterable[Part]) -> list[str]:
        """Of a message that can have no other parts."""
        texts = []
        for part in parts:
            if isinstance(part, Media):
                raise InexpressibleError([f"messages.{part.kind.value}"])
            if isinstance(part, Text | Refusal):
                texts.append(part.text)
        return texts

    def _user(self, message: Message) -> None:
        parts: list[Written] = []
        has_results = False
        for part in message.parts:
            match part:
                case ToolResult():
                    has_results = True
                    self._result(part)
                case Text(text) | Refusal(text):
                    parts.append({"type": "text", "text": text})
                case Media():
                    parts.append(self._media(part))
                case _:
                    self.dropped["messages.thinking"] = None
        if has_results:
            self._shown += parts
            return
        parts = [*self._shown, *parts]
        self._shown = []
        self.written.append({"role": "user", "content": _content(parts)})

    def _show(self) -> None:
        if self._shown:
            self.written.append({"role": "user", "content": _content(self._shown)})
            self._shown = []

    def _result(self, part: ToolResult) -> None:
        texts = []
        for each in part.content:
            if isinstance(each, Text):
                texts.append(each.text)
            else:
                self._shown.append(self._media(each))
        if part.is_error:
            self.dropped["messages.is_error"] = None
        self.written.append({"role": "tool", "tool_call_id": self._id(part.call_id), "content": _joined(texts)})

    def _assistant(self, message: Message) -> None:
        knows_refusals = "messages.refusal" not in self._quirks.unknown
        refusals = [part.text for part in message.parts if isinstance(part, Refusal) and knows_refusals]
        texts = self._texts(part for part in message.parts if not (knows_refusals and isinstance(part, Refusal)))
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        other: Written = {"refusal": "".join(refusals)} if any(refusals) else {}
        other |= self._thoughts([part for part in message.parts if isinstance(part, Thinking)], calls)
        if calls:
            other["tool_calls"] = [self._call(call) for call in calls]
        content = "".join(texts)
        if content or other:
            has_place = calls or any(refusals)
            said = {"role": "assistant", "content": content or (None if has_place else "")}
            self.written.append(said | other)

    def _thoughts(self, thoughts: list[Thinking], calls: list[ToolCall]) -> Written:
        fields = () if "messages.thinking" in self._quirks.unknown else self._quirks.thoughts
        said: Written = {}
        plain = "".join(thought.text for thought in thoughts if thought.family is None)
        for field in fields:
            # One that thinks wants the field back with every call, if only an empty one: DeepSeek does.
            if field != details.FIELD and (plain or (calls and field == "reasoning_content")):
                said[field] = plain
        has_details = details.FIELD in fields
        written: list[details.Written] = []
        for thought in thoughts:
            if has_details and thought.family in (None, self._family):
                written += details.write(thought, len(written), "")
            elif thought.family is not None or not said:
                self.dropped["messages.thinking"] = None
        for call in calls:
            if call.signature and has_details and self._family is Family.GEMINI:
                written.append(details.encrypted(call.signature, self._family, len(written), self._id(call.id)))
            elif call.signature:
                self.dropped["messages.thinking"] = None
        return said | ({details.FIELD: written} if written else {})

    def _call(self, part: ToolCall) -> Written:
        function = {"name": part.name, "arguments": part.arguments if part.arguments.strip() else "{}"}
        return {"id": self._id(part.id), "type": "function", "function": function}

    def _id(self, call_id: str) -> str:
        return call_ids.fitting(call_id, self._quirks.call_id_chars)

    def _media(self, part: Media) -> Written:
        name = f"messages.{part.kind.value}"
        if part.kind is MediaKind.FILE and part.data and part.media_type.startswith("text/"):
            return _inlined(part)
        if name in self._quirks.unknown or (written := _media(part)) is None:
            raise InexpressibleError([name])
        return written


def _media(part: Media) -> Written | None:
    """None if the dialect has no such thing."""
    if part.kind is MediaKind.IMAGE and not part.file_id:
        image = {"url": part.url or _data_url(part)}
        return {"type": "image_url", "image_url": image | ({"detail": part.detail} if part.detail else {})}
    if part.kind is MediaKind.AUDIO and part.data:
        sound = terms.AUDIO_FORMATS.get(part.media_type.partition(";")[0].strip().lower())
        return None if sound is None else {"type": "input_audio", "input_audio": {"data": part.data, "format": sound}}
    if part.kind is MediaKind.FILE and part.file_id and part.family is Family.OPENAI:
        return {"type": "file", "file": {"file_id": part.file_id}}
    if part.kind is MediaKind.FILE and part.data:
        return {"type": "file", "file": {"filename": part.name or "file", "file_data": _data_url(part)}}
    return None


_UNTYPED = {MediaKind.IMAGE: "image/jpeg", MediaKind.FILE: "application/octet-stream"}
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)


def _data_url(part: Media) -> str:
    media_type = part.media_type if _MEDIA_TYPE.fullmatch(part.media_type) else ""
    guessed = (found for beginning, found in terms.BEGINNINGS.items() if part.data.startswith(beginning))
    return f"data:{media_type or next(guessed, _UNTYPED[part.kind])};base64,{part.data}"


def _inlined(part: Media) -> Written:
    """A text that came as a file: everyone can read it as a text."""
    try:
        text = base64.b64decode(part.data, validate=True).decode()
    except ValueError:
        raise InexpressibleError([f"messages.{part.kind.value}"]) from None
    return {"type": "text", "text": f"{part.name}\n\n{text}" if part.name else text}


def _content(parts: list[Written]) -> str | list[Written]:
    """Text alone as a string: there are those that take no array."""
    if all(part["type"] == "text" for part in parts):
        return _joined([part["text"] for part in parts])
    return parts


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(texts)
