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
from pydantic import BaseModel, TypeAdapter

from edge_service.domain.sse import EventSplitter, data_of

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
    assert _plain(adapter.validate_python(said, strict=True)) == said
    return sent


def check_answer(body: bytes) -> ChatCompletion:
    answer = _ANSWER.validate_json(body, strict=True)
    _check_known(answer)
    return answer


def chunks(stream: bytes) -> Iterator[ChatCompletionChunk]:
    """Of a stream of ours, each checked; whether it is complete, who asks sees by `[DONE]`."""
    sent = EventSplitter().feed(stream)
    assert b"".join(sent) == stream
    for i, each in enumerate(sent):
        data = data_of(each)
        assert data is not None
        if data == b"[DONE]":
            assert i == len(sent) - 1
            return
        chunk = _CHUNK.validate_json(data, strict=True)
        _check_known(chunk)
        yield chunk


def _plain(value: Any) -> Any:
    """What pydantic has read: iterables are only checked when they are read, and fields that it does not know are left
    out."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return [_plain(each) for each in value]


def _check_known(model: BaseModel) -> None:
    assert not set(model.model_extra or ()) - _ADDED, model.model_extra
    for name in type(model).model_fields:
        for each in value if isinstance(value := getattr(model, name), list) else [value]:
            if isinstance(each, BaseModel):
                _check_known(each)
