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

from tests.support.published import check_known, events_of, plain

_WHOLE: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)
_STREAMING: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsStreaming)
_ANSWER = TypeAdapter(Response)
_ADDED = frozenset({"bytes"})
"""Of a token: the types do not have them in a stream, but everywhere else."""
_EVENTS: dict[str, type[BaseModel]] = {
    get_args(event.model_fields["type"].annotation)[0]: event for event in get_args(get_args(ResponseStreamEvent)[0])
}


def check_request(body: bytes) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(body)
    adapter = _STREAMING if said.get("stream") else _WHOLE
    assert plain(adapter.validate_python(said, strict=True)) == said
    return said


def check_answer(body: bytes) -> Response:
    answer = _ANSWER.validate_json(body, strict=True)
    check_known(answer, _ADDED)
    return answer


def check_error(body: bytes) -> None:
    told = msgspec.json.decode(body)["error"]
    assert told.keys() == {"message", "type", "param", "code"}
    assert all(isinstance(told[name], str) for name in ("message", "type", "code"))


def events(stream: bytes) -> Iterator[dict[str, Any]]:
    """Every event of a stream of ours, checked."""
    for i, (each, data) in enumerate(events_of(stream)):
        said = msgspec.json.decode(data)
        assert each.startswith(b"event: %b\n" % said["type"].encode())
        assert said["sequence_number"] == i
        check_known(_EVENTS[said["type"]].model_validate_json(data, strict=True), _ADDED)
        yield said
