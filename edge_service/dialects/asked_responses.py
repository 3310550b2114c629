"""Requests that came in by OpenAI's Responses API."""

from __future__ import annotations

from edge_service.dialects import acting, canonical, openai_responses
from edge_service.dialects.asked import HEARTBEAT, Conversation
from edge_service.dialects.exchange import EVENT_STREAM, Asked, Call, ClientEvents, Written
from edge_service.dialects.openai_responses import passthrough as passing
from edge_service.dialects.openai_responses.client_events import Events
from edge_service.domain import client_limits
from edge_service.domain.client_limits import ClientLimits
from edge_service.domain.errors import ApiError
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt


class NumberedVoice:
    """A `Voice` for streams whose events are numbered, an error's too."""

    __slots__ = ("stream",)

    stream_type = EVENT_STREAM
    heartbeat = HEARTBEAT

    def __init__(self) -> None:
        self.stream: Events | openai_responses.EventReader | openai_responses.RetoldReader | None = None
        """The stream that the client gets."""

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
    request = passing.read(body)
    name = request.model
    voice = NumberedVoice()

    def passed(attempt: Attempt) -> Call:
        return _Passed(request.write(attempt.upstream_model), name, voice, is_kept=request.is_kept)

    client = _Client(voice)
    return Conversation(
        name,
        request.stream,
        voice,
        openai_responses.needs.of(request.fields),
        _has_it,
        passed,
        client,
        lambda: client.read(body),
        lambda: acting.in_response(body),
        request.previous_response_id,
    )


class _Passed:
    """A `Call` of a target that has this API."""

    __slots__ = ("_is_kept", "_model", "_told", "_voice", "written")

    is_translated = False

    def __init__(self, written: Written, model: str, voice: NumberedVoice, *, is_kept: bool) -> None:
        self.written = written
        self._model = model
        self._voice = voice
        self._is_kept = is_kept
        self._told: openai_responses.EventReader | passing.Whole | None = None

    @property
    def made(self) -> str | None:
        """As the protocol says."""
        if not self._is_kept:
            return None
        return "" if self._told is None else self._told.response_id

    @property
    def usage(self) -> canonical.Usage | None:
        """As the protocol says."""
        return None if self._told is None else self._told.usage

    def complete(self, body: bytes) -> bytes:
        """As the protocol says."""
        self._told = passing.whole(body, self._model)
        return self._told.body

    def reader(self) -> openai_responses.EventReader:
        """As the protocol says."""
        it = self._told = self._voice.stream = openai_responses.EventReader(self._model)
        return it


def _has_it(attempt: Attempt) -> bool:
    return attempt.responses and attempt.dialect == "openai" and not attempt.reasoning


class _Client:
    """The client side for one request, whose voice has to know the stream."""

    __slots__ = ("_voice",)

    def __init__(self, voice: NumberedVoice) -> None:
        self._voice = voice

    def read(self, body: bytes) -> canonical.Request:
        return openai_responses.CLIENT.read(body)

    def write(self, answer: canonical.Answer, request: canonical.Request) -> bytes:
        return openai_responses.CLIENT.write(answer, request)

    def events(self, request: canonical.Request) -> ClientEvents:
        it = self._voice.stream = openai_responses.CLIENT.events(request)
        return it
