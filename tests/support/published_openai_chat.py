"""Whether something has the shape that OpenAI publishes: its SDK's types, and the fields that others have added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from tests.support.published import check_known, events_of, plain

_WHOLE: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
_STREAMING: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsStreaming)
_ANSWER = TypeAdapter(ChatCompletion)
_CHUNK = TypeAdapter(ChatCompletionChunk)

_ADDED = frozenset({"reasoning_content", "reasoning", "reasoning_details", "images"})
_ADDED_TO_REQUESTS = ("top_k",)


def check_request(body: bytes) -> dict[str, Any]:
    sent: dict[str, Any] = msgspec.json.decode(body)
    said = {name: value for name, value in sent.items() if name not in _ADDED_TO_REQUESTS}
    said["messages"] = [
        {name: value for name, value in message.items() if name not in _ADDED} for message in said["messages"]
    ]
    adapter = _STREAMING if said.get("stream") else _WHOLE
    assert plain(adapter.validate_python(said, strict=True)) == said
    return sent


def check_answer(body: bytes) -> ChatCompletion:
    answer = _ANSWER.validate_json(body, strict=True)
    check_known(answer, _ADDED)
    return answer


def chunks(stream: bytes) -> Iterator[ChatCompletionChunk]:
    """Every chunk of a stream of ours, checked. Nothing may follow `[DONE]`."""
    sent = events_of(stream)
    for _, data in sent:
        if data == b"[DONE]":
            assert next(sent, None) is None
            return
        chunk = _CHUNK.validate_json(data, strict=True)
        check_known(chunk, _ADDED)
        yield chunk
