"""OpenAI's chat completions, as clients and as providers speak them.

Source: https://platform.openai.com/docs/api-reference/chat, the types of the official SDK (openai 3.54). Thoughts, of
which OpenAI's own say nothing here, stand where DeepSeek, vLLM and OpenRouter have them.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_service.dialects import canonical, exchange
from edge_service.dialects.openai_chat import (
    client_answer,
    client_events,
    client_request,
    errors,
    needs,
    provider_answer,
    provider_events,
    provider_request,
)
from edge_service.dialects.openai_chat.errors import error_body, error_event, is_error_body
from edge_service.dialects.openai_chat.passthrough import (
    ChatRequest,
    EventReader,
    read_request,
    whole,
)
from edge_service.dialects.openai_chat.quirks import DEFAULT, Quirks
from edge_service.dialects.openai_chat.quirks import of as quirks_of
from edge_service.dialects.openai_chat.wire import PATH
from edge_service.domain.errors import ApiError

__all__ = [
    "CLIENT",
    "DEFAULT",
    "PATH",
    "PROVIDER",
    "ChatRequest",
    "EventReader",
    "Quirks",
    "error_body",
    "error_event",
    "is_error_body",
    "needs",
    "quirks_of",
    "read_request",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Client:
    """The dialect as clients speak it."""

    def read(self, body: bytes) -> canonical.Request:
        return client_request.read(body)

    def write(self, answer: canonical.Answer, request: canonical.Request) -> bytes:
        return client_answer.write(answer, request.model, request.tools)

    def events(self, request: canonical.Request) -> client_events.Events:
        return client_events.Events(request.model, request.tools, wants_usage=request.wants_usage)

    def error_body(self, error: ApiError) -> bytes:
        return errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return errors.error_event(error)


@dataclass(frozen=True, slots=True)
class Provider:
    """The dialect as providers speak it, each with its quirks."""

    def write(self, request: canonical.Request, model: str, quirks: Quirks = DEFAULT) -> exchange.Written:
        return provider_request.write(request, model, quirks)

    def read(self, body: bytes) -> canonical.Answer:
        return provider_answer.read(body)

    def events(self) -> provider_events.Events:
        return provider_events.Events()


CLIENT = Client()
PROVIDER = Provider()
