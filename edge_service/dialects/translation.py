"""A request of one dialect for a target of another, and the answer back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from edge_service.dialects import anthropic, canonical, gemini, known_text, openai_chat, openai_responses, reasoning
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
from edge_service.dialects.known_text import KnownText
from edge_service.dialects.stencil import Known
from edge_service.domain.plan import Attempt

PROVIDERS: Mapping[str, ProviderSide] = MappingProxyType(
    {
        "openai": openai_chat.PROVIDER,
        "anthropic": anthropic.PROVIDER,
        "gemini": gemini.PROVIDER,
    }
)
"""By the dialect that a plan names."""


_PREAMBLE, _CONTENT, _TERMINAL, _ERROR = EventKind


class Translated:
    """A `Call`."""

    __slots__ = ("_client", "_provider", "_request", "usage", "written")

    is_translated = True
    made = None  # Its id is the gateway's own.

    def __init__(self, client: Client, request: canonical.Request, attempt: Attempt) -> None:
        """Raises `InexpressibleError`."""
        if request.bound:
            raise InexpressibleError(request.bound)
        self._client = client
        self._request = request
        self.usage: canonical.Usage | None = None
        if (asked := reasoning.of_suffix(attempt.reasoning)) is not None:
            request = msgspec.structs.replace(request, reasoning=asked)
        self._provider, written = _written(request, attempt)
        self.written = Written(written.path, written.body, written.headers, (*request.unsaid, *written.dropped))

    def complete(self, body: bytes) -> bytes:
        """As the protocol says."""
        answer = self._provider.read(body)
        self.usage = answer.usage if answer.usage != _UNTOLD else None
        return self._client.write(answer, self._request)

    def reader(self) -> EventReader:
        """As the protocol says."""
        return TranslatedEvents(_events(self._provider, self._request), self._client.events(self._request))


_UNTOLD = canonical.Usage()


def _written(request: canonical.Request, attempt: Attempt) -> tuple[ProviderSide, Written]:
    """The request, and the provider's side that wrote it, which also reads the answer."""
    if attempt.responses and attempt.dialect == "openai":
        # It alone shows OpenAI's thoughts and takes them back. What it lacks (stop sequences, several answers, audio)
        # is said by chat completions.
        with contextlib.suppress(InexpressibleError):
            return openai_responses.PROVIDER, openai_responses.PROVIDER.write(request, attempt.upstream_model)
    provider = PROVIDERS.get(attempt.dialect)
    if provider is None:
        raise InexpressibleError(("model",))
    if provider is openai_chat.PROVIDER:
        quirks = openai_chat.quirks_of(attempt.quirks)
        return provider, openai_chat.PROVIDER.write(request, attempt.upstream_model, quirks)
    if provider is anthropic.PROVIDER:
        return provider, anthropic.PROVIDER.write(request, attempt.upstream_model, attempt.max_output_tokens)
    return provider, provider.write(request, attempt.upstream_model)


def _events(provider: ProviderSide, request: canonical.Request) -> ProviderEvents:
    if provider is gemini.PROVIDER:
        return gemini.PROVIDER.events(request.n or 1)  # Its streams end when each of the answers has.
    return provider.events()


class TranslatedEvents:
    """An `EventReader`."""

    __slots__ = ("_client", "_like", "_provider", "_tries", "usage")

    def __init__(self, provider: ProviderEvents, client: ClientEvents) -> None:
        self._provider = provider
        self._client = client
        self._like: KnownText | None = None
        """The last event, if it was a text and nothing else."""
        self._tries = known_text.MOST_TRIED
        self.usage: canonical.Usage | None = None

    def known(self, piece: bytes) -> Known | None:
        """What is known of a piece that is one event with a text: as a stencil's, but the event counts as read."""
        like = self._like
        text = like.read(piece) if like is not None else ""
        if like is None or not text:
            return None
        return 1, self._client.write((canonical.TextDelta(text, like.choice),)), b""

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """As the protocol says."""
        known = self.known(event)
        if known is not None:
            return _CONTENT, known[1]
        try:
            events = self._provider.read(event)
        except ReportedError:
            return _ERROR, event
        kind = _PREAMBLE
        for said in events:
            if type(said) is canonical.Ended:
                kind = _TERMINAL
            elif type(said) is canonical.UsageSeen or type(said) is canonical.Started:
                self.usage = said.usage or self.usage
            elif kind is _PREAMBLE and canonical.is_content(said):
                kind = _CONTENT
        self._like = self._text_of(event, events) if kind is _CONTENT else None
        return kind, self._client.write(events) if events else b""

    def _text_of(self, event: bytes, events: Sequence[canonical.Event]) -> KnownText | None:
        if len(events) > 1 or type(events[0]) is not canonical.TextDelta or not self._tries:
            return None
        self._tries -= 1
        return known_text.of(event, events[0], self._provider)
