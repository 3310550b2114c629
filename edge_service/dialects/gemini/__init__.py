"""Gemini's API (`generateContent`), as clients speak it and as providers do.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_service.dialects.canonical import Answer, Request
from edge_service.dialects.exchange import Written
from edge_service.dialects.gemini import (
    client_answer,
    client_request,
    errors,
    passthrough,
    paths,
    provider_answer,
    provider_request,
)
from edge_service.dialects.gemini.client_events import ClientEvents
from edge_service.dialects.gemini.provider_events import ProviderEvents
from edge_service.domain.errors import ApiError

__all__ = ["ARRAY_TYPE", "CLIENT", "PROVIDER", "ClientEvents", "passthrough", "paths"]

ARRAY_TYPE = b"application/json; charset=UTF-8"
"""The content's type of a stream that was asked for without `alt=sse`."""


@dataclass(frozen=True, slots=True)
class Client:
    """As `exchange.ClientSide`; but what stands in the path comes beside the body, and a stream has two forms."""

    def read(self, body: bytes, model: str, stream: bool) -> Request:
        return client_request.read(body, model, stream)

    def write(self, answer: Answer, request: Request) -> bytes:
        return client_answer.write(answer, request.model)

    def events(self, request: Request, *, array: bool = False) -> ClientEvents:
        return ClientEvents(request.model, array=array)

    def error_body(self, error: ApiError) -> bytes:
        return errors.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        """For server-sent events. An array is ended by its `ClientEvents`."""
        return errors.error_event(error)


@dataclass(frozen=True, slots=True)
class Provider:
    """As `exchange.ProviderSide`."""

    def write(self, request: Request, model: str) -> Written:
        return provider_request.write(request, model)

    def read(self, body: bytes) -> Answer:
        return provider_answer.read(body)

    def events(self, candidates: int = 1) -> ProviderEvents:
        """`candidates`: how many answers the stream has."""
        return ProviderEvents(candidates)


CLIENT = Client()
PROVIDER = Provider()
