"""Anthropic's Messages API, as clients and as providers speak it.

Source: https://platform.claude.com/docs/en/api/messages, the types of the official SDK (anthropic 2.12). What is said
here of models holds for API version 2023-06-01, which our own requests name; a client's own version goes to providers
of the same dialect as it came.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_service.dialects import canonical, exchange
from edge_service.dialects.anthropic import (
    client_answer,
    client_events,
    client_request,
    errors,
    needs,
    passthrough,
    provider_answer,
    provider_events,
    provider_request,
    wire,
)
from edge_service.domain.errors import ApiError

__all__ = ["CLIENT", "COUNTING_CLIENT", "COUNTING_PROVIDER", "PROVIDER", "is_error_body", "needs", "passthrough"]

is_error_body = errors.is_error_body


@dataclass(frozen=True, slots=True)
class Client:
    """The dialect as clients speak it."""

    def read(self, body: bytes) -> canonical.Request:
        return client_request.read(body)

    def write(self, answer: canonical.Answer, request: canonical.Request) -> bytes:
        return client_answer.write(answer, request.model)

    def events(self, request: canonical.Request) -> client_events.Events:
        return client_events.Events(request.model)

    def error_body(self, error: ApiError) -> bytes:
        return errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return errors.error_event(error)


@dataclass(frozen=True, slots=True)
class Provider:
    """The dialect as providers speak it."""

    def write(self, request: canonical.Request, model: str, max_output_tokens: int = 0) -> exchange.Written:
        return provider_request.write(request, model, max_output_tokens)

    def read(self, body: bytes) -> canonical.Answer:
        return provider_answer.read(body)

    def events(self) -> provider_events.Events:
        return provider_events.Events()


@dataclass(frozen=True, slots=True)
class CountingClient:
    """Counting a request's tokens, as clients ask for it."""

    def read(self, body: bytes) -> canonical.Request:
        """Raises `InvalidRequestError`, which names the field."""
        return client_request.read_count(body)

    def write(self, input_tokens: int) -> bytes:
        return wire.encode({"input_tokens": input_tokens})


@dataclass(frozen=True, slots=True)
class CountingProvider:
    """Counting a request's tokens, as providers do it."""

    def write(self, request: canonical.Request, model: str) -> exchange.Written:
        """Raises `InexpressibleError`."""
        return provider_request.write_count(request, model)

    def read(self, body: bytes) -> int:
        """Raises `MalformedAnswerError`."""
        return provider_answer.read_count(body)


CLIENT = Client()
PROVIDER = Provider()
COUNTING_CLIENT = CountingClient()
COUNTING_PROVIDER = CountingProvider()
