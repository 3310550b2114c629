"""What Gemini takes and answers, by the types that Google publishes in its SDK. Unknown fields are errors."""

from __future__ import annotations

from typing import Any

from google.genai import types
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class GenerateContentRequest(BaseModel):
    """The SDK puts the body together by hand, of these: https://ai.google.dev/api/generate-content#request-body"""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    contents: list[types.Content]
    model: str | None = None
    system_instruction: types.Content | None = None
    tools: list[types.Tool] | None = None
    tool_config: types.ToolConfig | None = None
    generation_config: types.GenerationConfig | None = None
    labels: dict[str, str] | None = None
    service_tier: types.ServiceTier | None = None


def request(body: bytes) -> GenerateContentRequest:
    return GenerateContentRequest.model_validate_json(body)


def answer(body: bytes) -> types.GenerateContentResponse:
    return types.GenerateContentResponse.model_validate_json(body)


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """Of server-sent events, each checked."""
    events = [event for event in stream.split(b"\n\n") if event]
    assert all(event.startswith(b"data: ") for event in events)
    return [answer(event[6:]).model_dump(exclude_none=True) for event in events]
