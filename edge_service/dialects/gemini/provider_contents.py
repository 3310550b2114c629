"""Messages as `systemInstruction` and `contents`, for a provider.

Source: https://ai.google.dev/api/caching#Content
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

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
from edge_service.dialects.gemini import results, words
from edge_service.dialects.gemini.models import Model
from edge_service.dialects.gemini.signatures import SKIP

_ROLES = {Role.USER: "user", Role.ASSISTANT: "model"}
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

_UNTYPED = {MediaKind.IMAGE: "image/jpeg"}
"""Of an image whose bytes tell nothing: Google looks at them itself."""


class Contents:
    """Writes one conversation. Raises `InexpressibleError`."""

    __slots__ = ("_model", "_names", "contents", "dropped", "system")

    def __init__(self, messages: Sequence[Message], model: Model) -> None:
        self._model = model
        self.dropped: dict[str, None] = {}
        """In order, each once."""
        self._names = {
            part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)
        }
        self.system: list[dict[str, Any]] = []
        self.contents: list[dict[str, Any]] = []
        for message in messages:
            self._write(message)
        if not self.contents and self.system:
            # Google answers to contents alone; others answer to instructions too.
            self.contents = [{"role": "user", "parts": self.system}]
            self.system = []

    def _write(self, message: Message) -> None:
        parts = [written for part in message.parts for written in self._part(part)]
        if not parts:
            return
        if message.role is Role.SYSTEM:
            self.system += parts
            return
        role = _ROLES[message.role]
        # The results of parallel calls belong into one content, and a call right behind what the user has said.
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _part(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Text(text) | Refusal(text):
                return [{"text": text}] if text else []
            case Media():
                return [self._media(part)]
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return [self._call(part)]
            case ToolResult():
                return self._result(part)

    def _thinking(self, part: Thinking) -> list[dict[str, Any]]:
        if part.family is not Family.GEMINI or not part.signature:
            self.dropped["messages.thinking"] = None
            return []
        if not part.text:
            return [{"text": "", "thoughtSignature": part.signature}]
        return [{"text": part.text, "thought": True, "thoughtSignature": part.signature}]

    def _media(self, media: Media) -> dict[str, Any]:
        if media.detail not in ("", "auto"):
            self.dropped["messages.detail"] = None
        if media.data:
            media_type = media.media_type or words.type_by_beginning(media.data) or _UNTYPED.get(media.kind, "")
            if not media_type:
                raise InexpressibleError([f"messages.{media.kind}.media_type"])
            return {"inlineData": {"mimeType": media_type, "data": media.data}}
        if media.file_id:
            if media.family is not Family.GEMINI:
                raise InexpressibleError(["messages.file_id"])
            uri = media.file_id
        else:
            uri = media.url
            if not (self._model.urls and uri.startswith("https://")):
                raise InexpressibleError([f"messages.{media.kind}.url"])
        media_type = media.media_type or words.type_by_ending(uri)
        return {"fileData": {"fileUri": uri} | ({"mimeType": media_type} if media_type else {})}

    def _call(self, call: ToolCall) -> dict[str, Any]:
        arguments = call.arguments.strip() or "{}"
        try:
            _object.decode(arguments)
        except (ValueError, RecursionError):
            raise InexpressibleError(["messages.tool_calls.arguments"]) from None
        written: dict[str, Any] = {"name": call.name, "args": msgspec.Raw(arguments.encode())}
        if call.id:
            written["id"] = call.id
        if call.signature:
            return {"functionCall": written, "thoughtSignature": call.signature}
        return {"functionCall": written}

    def _result(self, result: ToolResult) -> list[dict[str, Any]]:
        name = result.name or self._names.get(result.call_id, "")
        if not name:
            raise InexpressibleError(["messages.tool_call_id"])
        text = "\n".join(part.text for part in result.content if isinstance(part, Text))
        media = [self._media(part) for part in result.content if isinstance(part, Media)]
        written: dict[str, Any] = {"name": name, "response": results.write(text, is_error=result.is_error)}
        if result.call_id:
            written["id"] = result.call_id
        if not media:
            return [{"functionResponse": written}]
        if self._model.media_in_results:
            return [{"functionResponse": written | {"parts": media}}]
        return [{"functionResponse": written}, *media]

    def sign(self) -> None:
        """Puts what stands in for a signature on calls that no Gemini model has made. Of parallel calls the first
        alone is signed."""
        for content in self.contents:
            calls = [part for part in content["parts"] if "functionCall" in part]
            if calls and not any("thoughtSignature" in call for call in calls):
                calls[0]["thoughtSignature"] = SKIP
