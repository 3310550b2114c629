"""A client's `contents` and `systemInstruction` as messages.

Source: https://ai.google.dev/api/caching#Content
"""

from __future__ import annotations

from collections import deque

from edge_service.dialects.canonical import Family, Media, Message, Part, Role, Text, Thinking, ToolCall, ToolResult
from edge_service.dialects.gemini import results, words
from edge_service.dialects.gemini.fields import Fields, wrong
from edge_service.dialects.gemini.signatures import STAND_INS
from edge_service.domain.errors import InvalidRequestError

_HOSTED = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
"""What Google's hosted tools leave in a conversation; other dialects do not have it."""

_URL_SAFE = str.maketrans("-_", "+/")
_GOOGLES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")


class Contents:
    """Reads one conversation."""

    __slots__ = ("_answered", "_given", "_made", "_waiting", "bound", "unsaid")

    def __init__(self) -> None:
        self.unsaid: list[str] = []
        self.bound: list[str] = []
        self._made = 0
        self._given: set[str] = set()
        self._waiting: dict[str, deque[str]] = {}
        """By the name of the function: the ids of calls, in order, that may have no result yet."""
        self._answered: set[str] = set()

    def system(self, content: Fields) -> Message:
        content.text("role")  # Whatever it says, nobody looks.
        return Message(Role.SYSTEM, self._parts(content))

    def message(self, content: Fields) -> Message:
        role = words.ROLES.get(content.text("role").lower())
        if role is None:
            raise wrong(content.at("role"), "'user' or 'model'")
        return Message(role, self._parts(content))

    def _parts(self, content: Fields) -> tuple[Part, ...]:
        parts = tuple(part for fields in content.objects("parts") for part in self._part(fields))
        self.unsaid += content.left()
        return parts

    def _part(self, part: Fields) -> list[Part]:
        """One, as a rule: two if text is signed, none if it is empty."""
        thought = part.boolean("thought")
        signature = part.text("thoughtSignature")
        if signature in STAND_INS:
            signature = ""
        read: list[Part] = []
        is_empty = True
        if part.has("text"):
            is_empty = False
            text = part.text("text")
            if thought:
                return [Thinking(text, signature, family=Family.GEMINI if signature else None)]
            if text:
                read.append(Text(text))
        if (blob := part.object("inlineData")) is not None:
            read.append(self._inline(blob))
        if (file := part.object("fileData")) is not None:
            read.append(self._file(file))
        if (call := part.object("functionCall")) is not None:
            read.append(self._call(call, signature))
            signature = ""
        if (response := part.object("functionResponse")) is not None:
            read.append(self._response(response))
        if signature:
            read.append(Thinking(signature=signature, family=Family.GEMINI))
        if part.left() or not read:
            self._leave(part, is_empty=is_empty and not read)
        return read

    def _leave(self, part: Fields, *, is_empty: bool) -> None:
        """What is not carried over."""
        hosted = [part.at(name) for name in _HOSTED if part.raw(name) is not None]
        if part.raw("videoMetadata") is not None:
            hosted.append(part.at("videoMetadata"))  # Which seconds of it to look at.
        self.bound += hosted
        left = part.left()
        if not is_empty or hosted:
            self.unsaid += left
        elif left:  # A kind of part that is not known: without it the conversation is another one.
            self.bound += left
        else:
            raise InvalidRequestError(f"'{part.path}' is empty: a part holds text, media or a call", param=part.path)

    def _inline(self, blob: Fields) -> Media:
        media_type = blob.needed("mimeType")
        # Google's own SDK for Python sends the alphabet for URLs.
        data = blob.needed("data").translate(_URL_SAFE)
        name = blob.text("displayName")
        self.unsaid += blob.left()
        return Media(words.kind(media_type), media_type, data=data, name=name)

    def _file(self, file: Fields) -> Media:
        uri, media_type, name = file.needed("fileUri"), file.text("mimeType"), file.text("displayName")
        self.unsaid += file.left()
        kind = words.kind(media_type or words.type_by_ending(uri), uri)
        if uri.startswith(_GOOGLES):
            return Media(kind, media_type, file_id=uri, family=Family.GEMINI, name=name)
        return Media(kind, media_type, url=uri, name=name)

    def _call(self, call: Fields, signature: str) -> ToolCall:
        name, id_ = call.needed("name"), call.text("id")
        arguments = call.object_text("args")
        self.unsaid += call.left()
        if id_:
            self._given.add(id_)
        else:
            id_ = self._make_id()
        self._waiting.setdefault(name, deque()).append(id_)
        return ToolCall(id_, name, arguments, signature)

    def _make_id(self) -> str:
        while (made := f"call_{self._made}") in self._given:
            self._made += 1
        self._made += 1
        return made

    def _response(self, response: Fields) -> ToolResult:
        name, id_ = response.needed("name"), response.text("id")
        text, is_error = results.read(response.object_text("response"))
        content: list[Text | Media] = [Text(text)]
        for part in response.objects("parts"):
            if (blob := part.object("inlineData")) is not None:
                content.append(self._inline(blob))
            elif (file := part.object("fileData")) is not None:
                content.append(self._file(file))
            else:
                self.bound.append(part.path)
            self.unsaid += part.left()
        self.unsaid += response.left()
        if not id_:
            id_ = self._first_waiting(name)
        self._answered.add(id_)
        return ToolResult(id_, name, tuple(content), is_error)

    def _first_waiting(self, name: str) -> str:
        """The id of the call that a result without one is of: Google's SDK leaves it out even where the call had it."""
        waiting = self._waiting.get(name, deque())
        while waiting:
            id_ = waiting.popleft()
            if id_ not in self._answered:
                return id_
        return self._make_id()
