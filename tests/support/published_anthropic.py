"""Whether something has the shape that Anthropic publishes: the types of its SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from anthropic.types import Message, MessageCountTokensParams, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from anthropic.types.shared import ErrorResponse
from pydantic import TypeAdapter

from tests.support.published import check_known, events_of, plain

_WHOLE: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
_STREAMING: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)
_COUNT: TypeAdapter[Any] = TypeAdapter(MessageCountTokensParams)
_ANSWER = TypeAdapter(Message)
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_ERROR = TypeAdapter(ErrorResponse)

_ONLY_BEFORE_2026_10_21 = ("temperature", "top_p", "top_k")
"""The SDK speaks that version, and our requests the one before."""


def check_request(body: bytes) -> dict[str, Any]:
    sent: dict[str, Any] = msgspec.json.decode(body)
    said = {name: value for name, value in sent.items() if name not in _ONLY_BEFORE_2026_10_21}
    adapter = _STREAMING if said.get("stream") else _WHOLE
    assert plain(adapter.validate_python(said, strict=True)) == said
    return sent


def check_count(body: bytes) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(body)
    assert plain(_COUNT.validate_python(said, strict=True)) == said
    return said


def check_answer(body: bytes) -> Message:
    message = _ANSWER.validate_json(body, strict=True)
    check_known(message)
    return message


def check_error(body: bytes) -> None:
    check_known(_ERROR.validate_json(body, strict=True))


def events(stream: bytes) -> Iterator[dict[str, Any]]:
    """Every event of a stream of ours, checked."""
    for each, data in events_of(stream):
        said = msgspec.json.decode(data)
        assert each.startswith(b"event: %b\n" % said["type"].encode())
        if said["type"] == "error":
            check_error(data)
        else:
            check_known(_EVENT.validate_json(data, strict=True))
        yield said
