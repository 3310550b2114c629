"""A request of one dialect for a target of another, and the answer back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from edge_service.dialects import anthropic, canonical, gemini, openai_chat, reasoning
from edge_service.dialects.exchange import (
    ClientEvents,
    EventKind,
    EventReader,
    InexpressibleError,
    ProviderEvents,
    ProviderSide,
    ReportedError,
    Written,
)
from edge_service.dialects.exchange import ClientSide as Client
from edge_service.domain.plan import NO_QUIRKS, Attempt

PROVIDERS: Mapping[str, ProviderSide] = MappingProxyType(
    {
        "openai": openai_chat.PROVIDER,
        "anthropic": anthropic.PROVIDER,
        "gemini": gemini.PROVIDER,
    }
)
"""By the dialect that a plan names."""


class Translated:
    """A `Call`."""

    __slots__ = ("_client", "_provider", "_request", "written")

    is_translated = True
    made = None  # Its id is the gateway's own.

    def __init__(self, client: Client, request: canonical.Request, attempt: Attempt) -> None:
        """Raises `InexpressibleError`."""
        if request.bound:
            raise InexpressibleError(request.bound)
        provider = PROVIDERS.get(attempt.dialect)
        if provider is None:
            raise InexpressibleError(("model",))
        self._client = client
        self._provider = provider
        self._request = request
        if (asked := reasoning.of_suffix(attempt.reasoning)) is not None:
            request = msgspec.structs.replace(request, reasoning=asked)
        written = _write(provider, request, attempt)
        self.written = Written(written.path, written.body, written.headers, (*request.unsaid, *written.dropped))

    def complete(self, body: bytes) -> bytes:
        """As the protocol says."""
        return self._client.write(self._provider.read(body), self._request.model)

    def reader(self) -> EventReader:
        """As the protocol says."""
        return TranslatedEvents(_events(self._provider, self._request), self._client.events(self._request))


def _write(provider: ProviderSide, request: canonical.Request, attempt: Attempt) -> Written:
    if provider is openai_chat.PROVIDER and attempt.quirks is not NO_QUIRKS:
        quirks = openai_chat.Quirks(
            names={"max_tokens": attempt.quirks.max_tokens_field}, system=attempt.quirks.system_role
        )
        return openai_chat.PROVIDER.write(request, attempt.upstream_model, quirks)
    return provider.write(request, attempt.upstream_model)


def _events(provider: ProviderSide, request: canonical.Request) -> ProviderEvents:
    if provider is gemini.PROVIDER:
        return gemini.PROVIDER.events(request.n or 1)  # Its streams end when each of the answers has.
    return provider.events()


class TranslatedEvents:
    """An `EventReader`."""

    __slots__ = ("_client", "_provider")

    def __init__(self, provider: ProviderEvents, client: ClientEvents) -> None:
        self._provider = provider
        self._client = client

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """As the protocol says."""
        try:
            events = self._provider.read(event)
        except ReportedError:
            return EventKind.ERROR, event
        kind = EventKind.PREAMBLE
        for said in events:
            if type(said) is canonical.Ended:
                kind = EventKind.TERMINAL
            elif kind is EventKind.PREAMBLE and canonical.is_content(said):
                kind = EventKind.CONTENT
        return kind, self._client.write(events) if events else b""
