"""Clients' requests, by the API that they came in by."""

from __future__ import annotations

from collections.abc import Callable

from edge_service.dialects import acting, anthropic, canonical, gemini, openai_chat
from edge_service.dialects.exchange import EVENT_STREAM, Asked, Call, ClientSide, EventReader, Voice, Whole, Written
from edge_service.dialects.gemini.client_events import Framing
from edge_service.dialects.stencil import StencilReader
from edge_service.dialects.translation import Translated
from edge_service.domain import client_limits, sse
from edge_service.domain.client_limits import ClientLimits
from edge_service.domain.errors import ApiError
from edge_service.domain.headers import Headers
from edge_service.domain.needs import Needs, Operation
from edge_service.domain.plan import Attempt

HEARTBEAT = b": forebay\n\n"
"""A comment, which every reader of a stream passes over."""


class EventVoice:
    """A `Voice` of those who read server-sent events."""

    __slots__ = ("_named", "error_body", "error_event", "is_error_body", "limit_headers")

    stream_type = EVENT_STREAM
    heartbeat = HEARTBEAT

    def __init__(
        self,
        error_body: Callable[[ApiError], bytes],
        error_event: Callable[[ApiError], bytes],
        is_error_body: Callable[[bytes], bool],
        named: bytes = b"",
        limit_headers: Callable[[ClientLimits, float], Headers] = client_limits.headers,
    ) -> None:
        """`named` is what stands before the data of an error's event."""
        self._named = named
        self.error_body = error_body
        self.error_event = error_event
        self.is_error_body = is_error_body
        self.limit_headers = limit_headers

    def said_event(self, body: bytes) -> bytes | None:
        return self._named + sse.with_data(b"", body) if self.is_error_body(body) else None


OPENAI: Voice = EventVoice(openai_chat.error_body, openai_chat.error_event, openai_chat.is_error_body)
ANTHROPIC: Voice = EventVoice(
    anthropic.CLIENT.error_body,
    anthropic.CLIENT.error_event,
    anthropic.is_error_body,
    named=b"event: error\n",
    limit_headers=client_limits.anthropic_headers,
)
GEMINI: Voice = EventVoice(gemini.CLIENT.error_body, gemini.CLIENT.error_event, openai_chat.is_error_body)


class ArrayVoice:
    """A `Voice` of those who read a stream as one JSON array, which has to stay one when it breaks off."""

    __slots__ = ("stream",)

    stream_type = gemini.ARRAY_TYPE
    heartbeat = b" "

    def __init__(self) -> None:
        self.stream: Framing | gemini.ClientEvents | gemini.passthrough.EventReader = Framing(array=True)
        """The stream that the client gets."""

    def error_body(self, error: ApiError) -> bytes:
        return GEMINI.error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return self.stream.error(error)

    def is_error_body(self, body: bytes) -> bool:
        return GEMINI.is_error_body(body)

    def limit_headers(self, limits: ClientLimits, now: float) -> Headers:
        return GEMINI.limit_headers(limits, now)

    def said_event(self, body: bytes) -> bytes | None:
        return None  # Where in the array the stream is, only those know who write it.


class Passed:
    """A `Call` of a target that speaks the client's own dialect."""

    __slots__ = ("_whole", "reader", "usage", "written")

    is_translated = False
    made = None

    def __init__(
        self, written: Written, whole: Callable[[bytes], Whole], reader: Callable[[], EventReader | None]
    ) -> None:
        self.written = written
        self.usage: canonical.Usage | None = None
        self.reader = reader
        self._whole = whole

    def complete(self, body: bytes) -> bytes:
        """As the protocol says."""
        answer = self._whole(body)
        self.usage = answer.usage
        return answer.body


class Conversation:
    """An `Asked`."""

    __slots__ = (
        "_client",
        "_pass",
        "_passes",
        "_read",
        "_request",
        "acts",
        "goes_on_from",
        "model",
        "needs",
        "stream",
        "voice",
    )

    operation = Operation.GENERATE

    def __init__(
        self,
        model: str,
        stream: bool,
        voice: Voice,
        needs: Needs,
        passes: Callable[[Attempt], bool],
        passed: Callable[[Attempt], Call],
        client: ClientSide,
        read: Callable[[], canonical.Request],
        acts: Callable[[], bool],
        goes_on_from: str = "",
    ) -> None:
        """`passed` is the call of a target that the request `passes` through to, since it speaks the client's dialect;
        `read` reads all of the request, for the others."""
        self.model = model
        self.stream = stream
        self.voice = voice
        self.needs = needs
        self.acts = acts
        self.goes_on_from = goes_on_from
        self._passes = passes
        self._pass = passed
        self._client = client
        self._read = read
        self._request: canonical.Request | None = None

    def of(self, attempt: Attempt) -> Call:
        """As the protocol says."""
        if self._passes(attempt):
            return self._pass(attempt)
        if self._request is None:
            self._request = self._read()
        return Translated(self._client, self._request, attempt)


def _speaks_openai(attempt: Attempt) -> bool:
    return attempt.dialect == "openai"


def _unlevelled(dialect: str) -> Callable[[Attempt], bool]:
    """Whether the request passes through: not if the name has a reasoning level. Which field that goes to depends on
    the model, and only the translation knows it; OpenAI's has one field."""
    return lambda attempt: attempt.dialect == dialect and not attempt.reasoning


def chat_completion(body: bytes, head: Headers) -> Asked:
    """Raises `InvalidRequestError`, as the others do."""
    request = openai_chat.read_request(body)
    name = request.model
    written_for: object = None
    written: Written

    def passed(attempt: Attempt) -> Call:
        nonlocal written, written_for
        read_by = attempt.upstream_model, attempt.reasoning, attempt.quirks
        if written_for != read_by:  # Else it is the last target's, with another key or at another place.
            quirks = openai_chat.quirks_of(attempt.quirks)
            levelled = request.at_level(attempt.reasoning, quirks) if attempt.reasoning else request
            written, written_for = levelled.write(attempt.upstream_model, quirks), read_by
        return Passed(written, lambda it: openai_chat.whole(it, name), lambda: StencilReader(request.reader()))

    client = openai_chat.CLIENT
    return Conversation(
        name,
        request.stream,
        OPENAI,
        openai_chat.needs.of(request.fields),
        _speaks_openai,
        passed,
        client,
        lambda: client.read(body),
        lambda: acting.in_chat(body),
    )


def message(body: bytes, head: Headers) -> Asked:
    """`head` are the client's headers."""
    request = anthropic.passthrough.read(body)
    name = request.model

    def passed(attempt: Attempt) -> Call:
        reading = anthropic.passthrough
        written = request.write(attempt.upstream_model, head)
        return Passed(written, lambda it: reading.whole(it, name), lambda: StencilReader(reading.EventReader(name)))

    client = anthropic.CLIENT
    return Conversation(
        name,
        request.stream,
        ANTHROPIC,
        anthropic.needs.of(request.fields),
        _unlevelled("anthropic"),
        passed,
        client,
        lambda: client.read(body),
        lambda: acting.in_messages(body),
    )


def generation(body: bytes, model: str, *, stream: bool, array: bool) -> Asked:
    """`array`: the client reads a stream as one JSON array."""
    request = gemini.passthrough.read_request(body, model, stream, array=array)
    voice = ArrayVoice() if array else GEMINI

    def reader() -> EventReader:
        it = request.reader()
        if isinstance(voice, ArrayVoice):
            voice.stream = it
        return it

    def passed(attempt: Attempt) -> Call:
        written = Written(request.path(attempt.upstream_model), body)
        return Passed(written, lambda it: gemini.passthrough.whole(it, model), reader)

    client = _GeminiClient(model, stream, voice if isinstance(voice, ArrayVoice) else None)
    return Conversation(
        model,
        stream,
        voice,
        request.needs,
        _unlevelled("gemini"),
        passed,
        client,
        lambda: client.read(body),
        lambda: acting.in_contents(body),
    )


class _GeminiClient:
    """Gemini's client side for one request, of which a part is in the path."""

    __slots__ = ("_model", "_stream", "_voice")

    def __init__(self, model: str, stream: bool, voice: ArrayVoice | None) -> None:
        self._model = model
        self._stream = stream
        self._voice = voice

    def read(self, body: bytes) -> canonical.Request:
        return gemini.CLIENT.read(body, self._model, self._stream)

    def write(self, answer: canonical.Answer, request: canonical.Request) -> bytes:
        return gemini.CLIENT.write(answer, request)

    def events(self, request: canonical.Request) -> gemini.ClientEvents:
        events = gemini.CLIENT.events(request, array=self._voice is not None)
        if self._voice is not None:
            self._voice.stream = events
        return events
