"""Requests that came in by OpenAI's Responses API."""

from __future__ import annotations

from edge_service.dialects import canonical, openai_responses
from edge_service.dialects.asked import HEARTBEAT, Conversation, Passed
from edge_service.dialects.exchange import EVENT_STREAM, Asked, Call, ClientEvents, EventReader
from edge_service.dialects.openai_responses.client_events import Events
from edge_service.domain import client_limits
from edge_service.domain.client_limits import ClientLimits
from edge_service.domain.errors import ApiError
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt


class NumberedVoice:
    """A `Voice` of those who read events with numbers, the one of an error too."""

    __slots__ = ("stream",)

    stream_type = EVENT_STREAM
    heartbeat = HEARTBEAT

    def __init__(self) -> None:
        self.stream: Events | openai_responses.EventReader | None = None
        """The one that the client gets to see."""

    def error_body(self, error: ApiError) -> bytes:
        return openai_responses.CLIENT.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return openai_responses.CLIENT.error_event(error) if self.stream is None else self.stream.error(error)

    def is_error_body(self, body: bytes) -> bool:
        return openai_responses.is_error_body(body)

    def limit_headers(self, limits: ClientLimits, now: float) -> Headers:
        return client_limits.headers(limits, now)

    def said_event(self, body: bytes) -> bytes | None:
        return None  # It has another shape than an error that stands alone.


def response(body: bytes, head: Headers) -> Asked:
    """Raises `InvalidRequestError`."""
    passing = openai_responses.passthrough
    request = passing.read(body)
    name = request.model
    voice = NumberedVoice()

    def reader() -> EventReader:
        it = voice.stream = openai_responses.EventReader(name)
        return it

    def passed(attempt: Attempt) -> Call:
        return Passed(request.write(attempt.upstream_model), lambda it: passing.complete(it, name), reader)

    client = _Client(voice)
    return Conversation(name, request.stream, voice, _has_it, passed, client, lambda: client.read(body))


def _has_it(attempt: Attempt) -> bool:
    return attempt.responses and attempt.dialect == "openai" and not attempt.reasoning


class _Client:
    """The side of clients for one request, whose stream its voice has to know."""

    __slots__ = ("_voice",)

    def __init__(self, voice: NumberedVoice) -> None:
        self._voice = voice

    def read(self, body: bytes) -> canonical.Request:
        return openai_responses.CLIENT.read(body)

    def write(self, answer: canonical.Answer, model: str) -> bytes:
        return openai_responses.CLIENT.write(answer, model)

    def events(self, request: canonical.Request) -> ClientEvents:
        it = self._voice.stream = openai_responses.CLIENT.events(request)
        return it
