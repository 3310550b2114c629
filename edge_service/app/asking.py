"""One call to a target: its request, its time limits, and the release of its connection."""

from __future__ import annotations

import asyncio

from edge_service.app.answers import read_whole
from edge_service.app.incoming import Incoming, Services
from edge_service.app.ports import UpstreamFailure, UpstreamResponse
from edge_service.app.record import Record, Tokens, tokens
from edge_service.app.rulings import Rulings
from edge_service.dialects import overrides
from edge_service.dialects.exchange import Asked, Call, EventReader
from edge_service.domain import headers
from edge_service.domain.headers import PROVIDER_REQUEST_ID
from edge_service.domain.plan import Attempt

MAX_ANSWER_BYTES = 32 * 1024 * 1024
DRAIN_S = 1.0
"""How long a stream's connection may take to end after the terminal marker, before it is closed instead of kept."""


class Asking:
    """The call that one attempt makes."""

    __slots__ = (
        "_clock",
        "_incoming",
        "_record",
        "_response",
        "_services",
        "_teller",
        "_waiting_from",
        "attempt",
        "call",
        "is_bound",
        "opened_at",
        "provider_request_id",
    )

    call: Call
    """Set by `put`."""

    def __init__(self, services: Services, incoming: Incoming, attempt: Attempt, record: Record) -> None:
        self._services = services
        self._clock = services.clock
        self._incoming = incoming
        self._record = record
        self._response: UpstreamResponse | None = None
        self._waiting_from: float | None = None
        self._teller: Call | EventReader | None = None
        """Knows how many tokens the response has used."""
        self.attempt = attempt
        self.opened_at = self._clock()
        self.is_bound = False
        """The resolver has been told that this target made the stored response."""
        self.provider_request_id = ""
        """What the provider calls the request; empty until it has answered."""

    def put(self, request: Asked) -> None:
        """Puts the request into this target's dialect. Raises `InexpressibleError`."""
        self.opened_at = self._clock()
        self._teller = self.call = request.of(self.attempt)

    async def send(self) -> UpstreamResponse:
        """Sends the request and waits for the head of the response. Raises `UpstreamFailure` or `CredentialError`."""
        written = self.call.written
        head = [] if self.call.is_translated else headers.to_upstream(self._incoming.headers)
        head += written.headers
        if written.content_type:
            head.append((b"content-type", written.content_type))
        head.append((PROVIDER_REQUEST_ID, self._incoming.request_id.encode()))
        self.wait()
        self._response = await self._services.upstream.send(
            self.attempt, written.path, head, overrides.applied(self.attempt, written), written.method
        )
        self.waited()
        self.provider_request_id = headers.provider_request_id(self._response.headers)
        return self._response

    async def body(self) -> bytes | None:
        """The body of a response that is not streamed; None if it is too large. Raises `UpstreamFailure`."""
        self.wait()
        body = await read_whole(self.response, MAX_ANSWER_BYTES)
        self.waited()
        return body

    def reader(self) -> EventReader | None:
        """The reader of the stream's events; None for a stream that is passed on unread."""
        reader = self.call.reader()
        self._teller = reader or self._teller
        return reader

    @property
    def tokens(self) -> Tokens | None:
        """The tokens that the response has used, as far as the provider has told by now."""
        usage = None if self._teller is None else self._teller.usage
        return None if usage is None else tokens(usage)

    @property
    def response(self) -> UpstreamResponse:
        """The provider's response: there from `send` until `release`."""
        assert self._response is not None  # noqa: S101 - nobody looks at an answer that has not come
        return self._response

    @property
    def rulings(self) -> Rulings:
        return Rulings(self.attempt.rules, self._incoming.headers, self._incoming.body)

    def wait(self) -> None:
        """Starts counting time as waiting for the provider, which is not the gateway's own time."""
        self._waiting_from = self._clock()

    def waited(self) -> None:
        """Stops counting, if `wait` has started it."""
        if self._waiting_from is not None:
            self._record.upstream_s += self._clock() - self._waiting_from
            self._waiting_from = None

    async def drain(self) -> None:
        """Reads a complete stream to the end of its body, so that the connection can be used again."""
        if self.response.rest() is not None:  # Mostly the end is there already.
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                async for _ in self.response.chunks():
                    pass
        except (TimeoutError, UpstreamFailure):
            pass

    async def release(self) -> None:
        """Gives the connection back, if there is one."""
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()
