"""A provider's whole answer, read into the canonical model.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Media,
    MediaKind,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_chat import details, terms, wire
from edge_service.dialects.openai_chat.details import Detail
from edge_service.dialects.openai_chat.terms import WireUsage

_Part: TypeAlias = Text | Refusal | Media | Thinking | ToolCall


class Piece(Struct):
    """Of a content that is an array: Mistral's models that think answer with one."""

    type: str = ""
    text: str | None = None
    thinking: str | list[Piece] | None = None


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Raw] | None = None
    """A few have it as an object."""


class _Call(Struct):
    id: str | None = None
    function: _Function | None = None


class Url(Struct):
    url: str = ""


class Image(Struct):
    image_url: Url | None = None


class _Message(Struct):
    content: str | list[Piece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[_Call] | None = None
    images: list[Image] | None = None


class _Choice(Struct):
    index: int | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Raw = wire.NULL


class _Completion(Struct):
    id: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | UnsetType | None = UNSET
    usage: WireUsage | None = None
    service_tier: str | None = None
    error: Raw = wire.NULL


_completion = msgspec.json.Decoder(_Completion)


def read(body: bytes) -> Answer:
    """Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    try:
        said = wire.decoded(_completion, body)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not a chat completion") from None
    if not wire.is_null(said.error):
        raise ReportedError("the provider reported an error")
    if said.choices is UNSET:
        raise MalformedAnswerError("an answer without 'choices'")
    if not said.choices:
        raise EmptyAnswerError("no choices")
    if any(choice.finish_reason in terms.FAILURES for choice in said.choices):
        raise ReportedError("the provider has failed at the request")
    ids = CallIds(said.id)
    choices = tuple(_choice(choice, ids) for choice in sorted(said.choices, key=lambda choice: choice.index or 0))
    if not any(choice.parts for choice in choices) and not any(choice.finish_reason for choice in said.choices):
        raise EmptyAnswerError("no content")
    return Answer(
        id=said.id or "",
        created_at=seconds(said.created),
        choices=choices,
        usage=Usage() if said.usage is None else terms.usage(said.usage),
        service_tier=said.service_tier or "",
    )


def seconds(created: float | None) -> int:
    return int(created) if created is not None and 0 <= created < 1 << 53 else 0


_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class CallIds:
    """Ids for calls that have none, different in every answer: a client may send back many of them at once."""

    __slots__ = ("_made", "_prefix")

    def __init__(self, answer_id: str | None) -> None:
        self._prefix = f"call_{answer_id}_" if answer_id and _ID.match(answer_id) else "call_"
        self._made = 0

    def of(self, call_id: str | None) -> str:
        if call_id:
            return call_id
        made = f"{self._prefix}{self._made}"
        self._made += 1
        return made


def _choice(choice: _Choice, ids: CallIds) -> Choice:
    said = choice.message or _Message()
    calls = [_read_call(call, ids) for call in said.tool_calls or ()]
    thoughts, signatures, _ = details.read(said.reasoning_details or (), [call.id for call in calls])
    plain = said.reasoning_content or said.reasoning
    if plain and not any(thought.text for thought in thoughts):
        thoughts.insert(0, Thinking(plain))
    parts: list[_Part] = [*thoughts, *read_content(said.content)]
    if said.refusal:
        parts.append(Refusal(said.refusal))
    parts += read_images(said.images or ())
    parts += [msgspec.structs.replace(call, signature=signatures.get(call.id, "")) for call in calls]
    return Choice(
        tuple(parts),
        terms.finish(choice.finish_reason or "", has_calls=bool(calls)),
        logprobs=None if wire.is_null(choice.logprobs) else choice.logprobs,
    )


def _read_call(call: _Call, ids: CallIds) -> ToolCall:
    function = call.function or _Function()
    arguments = function.arguments or ""
    if not isinstance(arguments, str):
        arguments = wire.encode(arguments).decode()
    return ToolCall(ids.of(call.id), function.name or "", arguments)


def read_content(content: str | Sequence[Piece] | None) -> Iterable[Text | Thinking]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    read: list[Text | Thinking] = []
    for piece in content or ():
        if piece.thinking:
            inner = (
                [piece.thinking] if isinstance(piece.thinking, str) else [each.text or "" for each in piece.thinking]
            )
            read.append(Thinking("".join(inner)))
        elif piece.text:
            read.append(Text(piece.text))
    return read


_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?;base64,", re.ASCII)


def read_images(images: Iterable[Image]) -> list[Media]:
    read = []
    for each in images:
        url = each.image_url.url if each.image_url is not None else ""
        data = _DATA_URL.match(url)
        if data is not None:
            read.append(Media(MediaKind.IMAGE, data[1] or "", data=url[data.end() :]))
        elif url:
            read.append(Media(MediaKind.IMAGE, url=url))
    return read
