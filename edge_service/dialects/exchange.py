"""The interface between the walk and the dialects: a request that can be sent to any target, and answers that come back
in the client's own dialect.

Each dialect is a package with two sides. The client's side reads requests and writes answers, the provider's side
writes requests and reads answers, both to and from `edge_service.dialects.canonical`. Where both sides are of one
dialect there is a third, shorter way: bytes pass through, and only the model's name is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from msgspec import Struct

from edge_service.dialects import canonical
from edge_service.domain.bodies import Body
from edge_service.domain.client_limits import ClientLimits
from edge_service.domain.errors import ApiError
from edge_service.domain.headers import Headers
from edge_service.domain.needs import Needs, Operation
from edge_service.domain.plan import Attempt

EVENT_STREAM = b"text/event-stream"
"""The type of a stream of server-sent events."""
JSON = b"application/json"


class MalformedAnswerError(Exception):
    """The provider's answer is not one of its dialect."""

    code = "malformed_answer"


class EmptyAnswerError(Exception):
    """The provider's answer is a success with nothing in it."""

    code = "empty_answer"


class ReportedError(Exception):
    """The provider's answer is a success in which it reports a failure."""

    code = "reported_error"


class InexpressibleError(Exception):
    """The target's dialect cannot express something that the answer depends on."""

    code = "inexpressible"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        """Fields of the request, by their path in the client's dialect."""
        super().__init__(f"the provider's dialect cannot express: {', '.join(names)}")


class Whole(Struct, frozen=True):
    """An answer that came all at once, as the client gets it."""

    body: bytes
    usage: canonical.Usage | None = None
    """None if the provider does not say."""


class EventKind(Enum):
    """What an event of a stream is to the relay."""

    PREAMBLE = auto()
    """Nothing that a reader would see: a role, a ping, an empty delta, a comment, usage."""
    CONTENT = auto()
    """Text, reasoning, a tool call, a refusal or media."""
    TERMINAL = auto()
    """The marker that proves the stream complete."""
    ERROR = auto()
    """The provider's own report of a failure."""


class EventReader(Protocol):
    """For one stream."""

    @property
    def usage(self) -> canonical.Usage | None:
        """The usage that the provider has told by now; None if none."""

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """The kind of a provider's event (with the blank line that ends it), and what the client gets for it, which may
        be nothing. Raises `MalformedAnswerError`."""


class Voice(Protocol):
    """Errors, heartbeats and limits in the words and the framing of the client's dialect."""

    stream_type: bytes
    """The content's type of a stream."""
    heartbeat: bytes
    """Bytes that readers of a stream ignore; empty if there are none that every reader would."""

    def error_body(self, error: ApiError) -> bytes: ...

    def error_event(self, error: ApiError) -> bytes:
        """The event that ends a stream which broke off. It does not say that the answer is complete."""

    def is_error_body(self, body: bytes) -> bool:
        """Whether a provider's error answer can be passed on as it is."""

    def limit_headers(self, limits: ClientLimits, now: float) -> Headers:
        """What the client may still do. `now` is in seconds since the epoch."""

    def said_event(self, body: bytes) -> bytes | None:
        """A provider's error body as the last event of a stream; None if it cannot be one."""


class Call(Protocol):
    """A request as one target gets it, and what becomes of its answer."""

    written: Written
    is_translated: bool
    """The target speaks another dialect than the client, so that neither side's headers are passed on."""

    @property
    def usage(self) -> canonical.Usage | None:
        """The usage of a whole answer, once it is complete; None if the provider does not say."""

    @property
    def made(self) -> str | None:
        """The id of the response if the provider stores it, empty until it is known; None if it is not stored."""

    def complete(self, body: bytes) -> bytes:
        """A whole answer for the client. Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""

    def reader(self) -> EventReader | None:
        """None if nobody looks into the stream: it goes to the client byte for byte."""


class Asked(Protocol):
    """A client's request, read as far as routing needs."""

    model: str
    """The model's name for the answer. Empty for a stored response: it is known by the name under which it was made."""
    stream: bool
    voice: Voice
    operation: Operation
    needs: Needs
    goes_on_from: str
    """The id of the stored response that the request continues or is about; empty for none."""

    def acts(self) -> bool:
        """Whether the request acts on the provider (see `acting`), so that it must not be done twice. Reads all of the
        request."""

    def of(self, attempt: Attempt) -> Call:
        """Raises `InexpressibleError`; or `InvalidRequestError`, for what only a translation finds wrong."""


class Written(Struct, frozen=True):
    """A request in a provider's dialect."""

    path: str
    """Behind the provider's base URL; it may have a query."""
    body: Body
    headers: Headers = []
    """The dialect's own headers, without the credential and the content type."""
    dropped: tuple[str, ...] = ()
    """The fields that this dialect cannot express and that were left out, in the words of `canonical.Request` (`top_k`,
    `n`, `messages.thinking`)."""
    content_type: bytes = JSON
    """Empty where there is no body."""
    method: str = "POST"


class ProviderEvents(Protocol):
    """Reads one stream of a provider."""

    def read(self, event: bytes) -> Sequence[canonical.Event]:
        """Raises `MalformedAnswerError`, or `ReportedError` for an event that reports a failure."""


class ClientEvents(Protocol):
    """Writes one stream for a client."""

    def write(self, events: Sequence[canonical.Event]) -> bytes:
        """What the client gets for them, which may be nothing. The terminal marker, if the dialect has one, comes with
        `canonical.Ended`."""


class ProviderSide(Protocol):
    """A dialect as providers speak it."""

    def write(self, request: canonical.Request, model: str) -> Written:
        """The request for a provider that calls the model by this name. Raises `InexpressibleError`."""

    def read(self, body: bytes) -> canonical.Answer:
        """Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""

    def events(self) -> ProviderEvents: ...


class ClientSide(Protocol):
    """A dialect as clients speak it."""

    def read(self, body: bytes) -> canonical.Request:
        """Raises `InvalidRequestError`, which names the field."""

    def write(self, answer: canonical.Answer, request: canonical.Request) -> bytes:
        """The answer, under the name that the client asked for."""

    def events(self, request: canonical.Request) -> ClientEvents: ...
