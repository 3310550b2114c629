"""A provider's whole answer, read into the canonical model.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Family,
    Media,
    MediaKind,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_responses import logprobs, terms, wire
from edge_service.dialects.openai_responses.terms import WireUsage

Part: TypeAlias = Text | Refusal | Media | Thinking | ToolCall


class _Incomplete(Struct):
    reason: str | None = None


class Response(Struct):
    id: str | None = None
    created_at: float | None = None
    status: str | None = None
    error: Raw = wire.NULL
    incomplete_details: _Incomplete | None = None
    output: list[Raw] | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it is incomplete."""
        return None if self.incomplete_details is None else self.incomplete_details.reason

    @property
    def created(self) -> int:
        """In seconds since the epoch; 0 if it does not say."""
        at = self.created_at or 0.0
        return int(at) if 0 <= at < _END_OF_TIME else 0


_END_OF_TIME = 2.0**53


class _Content(Struct):
    type: str
    text: str = ""
    refusal: str = ""
    logprobs: list[Raw] | None = None


class _Thought(Struct):
    text: str = ""


class Item(Struct):
    """Each kind has some of the fields."""

    type: str
    id: str | None = None
    content: list[Raw] | None = None
    summary: list[_Thought] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    result: str | None = None
    output_format: str | None = None


class _Head(Struct):
    type: str


_response = msgspec.json.Decoder(Response)
_head = msgspec.json.Decoder(_Head)
_item = msgspec.json.Decoder(Item)
_content = msgspec.json.Decoder(_Content)
_thought = msgspec.json.Decoder(_Thought)


def read(body: bytes) -> Answer:
    """Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    try:
        if not body.isascii():
            body.decode()  # What stays raw is checked for everything but its encoding.
        response = _response.decode(wire.translatable(body))
        check(response)
        if response.output is None:
            raise MalformedAnswerError("an answer without 'output'")
        tokens: list[Raw] = []
        parts = [part for raw in response.output for part in read_item(raw, tokens)]
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not a response") from None
    if response.status in terms.UNFINISHED:
        raise MalformedAnswerError("an answer that is not finished")
    if not parts and response.status != terms.INCOMPLETE:
        raise EmptyAnswerError("no output")
    finish = terms.finish(
        response.status,
        response.reason,
        called=any(isinstance(part, ToolCall) for part in parts),
        refused=any(isinstance(part, Refusal) for part in parts),
    )
    return Answer(
        id=response.id or "",
        created_at=response.created,
        choices=(Choice(tuple(parts), finish, logprobs=logprobs.read(tokens)),),
        usage=terms.usage(response.usage) or Usage(),
        service_tier=response.service_tier or "",
    )


def check(response: Response) -> None:
    """Raises `ReportedError` if it says that it failed."""
    if response.status in terms.FAILED or not wire.is_null(response.error):
        raise ReportedError("the provider reported an error")


def read_item(raw: Raw, tokens: list[Raw]) -> Sequence[Part]:
    """Nothing for what the provider carries out: only clients of this dialect can ask for it. The probabilities of
    tokens are put into `tokens`."""
    reader = _ITEMS.get(_head.decode(raw).type)
    return () if reader is None else reader(_item.decode(raw), tokens)


def read_message(item: Item, tokens: list[Raw]) -> Sequence[Text | Refusal]:
    parts: list[Text | Refusal] = []
    for raw in item.content or ():
        if _head.decode(raw).type not in ("output_text", "refusal"):
            continue
        content = _content.decode(raw)
        if content.type == "refusal":
            parts.append(Refusal(content.refusal))
        else:
            parts.append(Text(content.text))
            tokens += content.logprobs or ()
    return parts


def shown(item: Item) -> str:
    """What OpenAI shows of a thought is a summary; others show the thought itself."""
    summary = [thought.text for thought in item.summary or ()]
    return "\n\n".join(summary or [_thought.decode(raw).text for raw in item.content or ()])


def _read_reasoning(item: Item, _: list[Raw]) -> Sequence[Part]:
    """Nothing for a thought of which nothing is told."""
    text, encrypted = shown(item), item.encrypted_content or ""
    family = Family.OPENAI if encrypted else None
    return (Thinking(text, encrypted=encrypted, family=family, id=item.id or ""),) if text or encrypted else ()


def _read_call(item: Item, _: list[Raw]) -> Sequence[Part]:
    if item.name is None:
        raise MalformedAnswerError("a call without a name")
    return (ToolCall(item.call_id or item.id or "", item.name, item.arguments or ""),)


def read_image(item: Item, _: list[Raw]) -> Sequence[Media]:
    if not item.result:
        return ()
    media_type = f"image/{item.output_format}" if item.output_format else ""
    return (Media(MediaKind.IMAGE, media_type, data=item.result),)


_ITEMS: Mapping[str, Callable[[Item, list[Raw]], Sequence[Part]]] = MappingProxyType(
    {
        "message": read_message,
        "reasoning": _read_reasoning,
        "function_call": _read_call,
        "image_generation_call": read_image,
    }
)
