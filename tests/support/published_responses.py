"""Whether something has the shape that OpenAI publishes of its Responses API: the types of its SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import BaseModel, TypeAdapter

from edge_service.domain.sse import EventSplitter, data_of

_WHOLE: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)
_STREAMING: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsStreaming)
_ANSWER = TypeAdapter(Response)
_EVENTS: dict[str, type[BaseModel]] = {
    get_args(event.model_fields["type"].annotation)[0]: event for event in get_args(get_args(ResponseStreamEvent)[0])
}


def check_request(body: bytes) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(body)
    adapter = _STREAMING if said.get("stream") else _WHOLE
    assert _plain(adapter.validate_python(said, strict=True)) == said
    return said


def check_answer(body: bytes) -> Response:
    answer = _ANSWER.validate_json(body, strict=True)
    _check_known(answer)
    return answer


def check_error(body: bytes) -> None:
    told = msgspec.json.decode(body)["error"]
    assert told.keys() == {"message", "type", "param", "code"}
    assert all(isinstance(told[name], str) for name in ("message", "type", "code"))


def events(stream: bytes) -> Iterator[dict[str, Any]]:
    """Every event of a stream of ours, checked."""
    sent = EventSplitter().feed(stream)
    assert b"".join(sent) == stream
    for i, each in enumerate(sent):
        data = data_of(each)
        assert data is not None
        said = msgspec.json.decode(data)
        assert each.startswith(b"event: %b\n" % said["type"].encode())
        assert said["sequence_number"] == i
        _check_known(_EVENTS[said["type"]].model_validate_json(data, strict=True))
        yield said


def _plain(value: Any) -> Any:
    """What pydantic has read: iterables are only checked when they are read, and fields that it does not know are left
    out."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return [_plain(each) for each in value]


def _check_known(model: BaseModel) -> None:
    # Of tokens in a stream the types do not have the bytes, which are in all other places; they do no harm there.
    assert not set(model.model_extra or ()) - {"bytes"}, model.model_extra
    for name in type(model).model_fields:
        for each in value if isinstance(value := getattr(model, name), list) else [value]:
            if isinstance(each, BaseModel):
                _check_known(each)
