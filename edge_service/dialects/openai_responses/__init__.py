"""OpenAI's Responses API, as clients and as providers speak it.

Source: https://platform.openai.com/docs/api-reference/responses, the types of the official SDK (openai 3.54).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_service.dialects import canonical, exchange
from edge_service.dialects.openai_responses import (
    client_answer,
    client_events,
    client_request,
    errors,
    needs,
    passing_events,
    passthrough,
    provider_answer,
    provider_events,
    provider_request,
)
from edge_service.domain.errors import ApiError

__all__ = ["CLIENT", "PROVIDER", "EventReader", "RetoldReader", "is_error_body", "needs", "passthrough"]

EventReader = passing_events.EventReader
RetoldReader = passing_events.RetoldReader
is_error_body = errors.is_error_body


@dataclass(frozen=True, slots=True)
class Client:
    """The dialect as clients speak it."""

    def read(self, body: bytes) -> canonical.Request:
        return client_request.read(body)

    def write(self, answer: canonical.Answer, request: canonical.Request) -> bytes:
        return client_answer.write(answer, request.model, request.tools)

    def events(self, request: canonical.Request) -> client_events.Events:
        return client_events.Events(request.model, request.tools)

    def error_body(self, error: ApiError) -> bytes:
        return errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        """Without knowing how far the stream has come. Who writes it, or passes it on, does: see their `error`."""
        return errors.error_event(error)


@dataclass(frozen=True, slots=True)
class Provider:
    """The dialect as providers speak it."""

    def write(self, request: canonical.Request, model: str) -> exchange.Written:
        return provider_request.write(request, model)

    def read(self, body: bytes) -> canonical.Answer:
        return provider_answer.read(body)

    def events(self) -> provider_events.Events:
        return provider_events.Events()


CLIENT = Client()
PROVIDER = Provider()
