"""One target while it is asked: the call to it, how long it is waited for, and the connection that goes back."""

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
    """Of one attempt."""

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
    """Once the request has been put into the target's dialect."""

    def __init__(self, services: Services, incoming: Incoming, attempt: Attempt, record: Record) -> None:
        self._services = services
        self._clock = services.clock
        self._incoming = incoming
        self._record = record
        self._response: UpstreamResponse | None = None
        self._waiting_from: float | None = None
        self._teller: Call | EventReader | None = None
        """Of what the answer costs."""
        self.attempt = attempt
        self.opened_at = self._clock()
        self.is_bound = False
        """The resolver has been told of what was made."""
        self.provider_request_id = ""
        """Empty until it has been told."""

    def put(self, request: Asked) -> None:
        """Writes the request for this target. Raises `InexpressibleError`."""
        self.opened_at = self._clock()
        self._teller = self.call = request.of(self.attempt)

    async def send(self) -> UpstreamResponse:
        """Waits for the head of the answer. Raises `UpstreamFailure` or `CredentialError`."""
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
        """Of an answer that comes all at once; None if it is too large. Raises `UpstreamFailure`."""
        self.wait()
        body = await read_whole(self.response, MAX_ANSWER_BYTES)
        self.waited()
        return body

    def reader(self) -> EventReader | None:
        """Of an answer that comes in events; None if nobody looks into it."""
        reader = self.call.reader()
        self._teller = reader or self._teller
        return reader

    @property
    def tokens(self) -> Tokens | None:
        """What the answer has cost, as far as the provider has told it by now."""
        usage = None if self._teller is None else self._teller.usage
        return None if usage is None else tokens(usage)

    @property
    def response(self) -> UpstreamResponse:
        """Once it has been sent for, until it is released."""
        assert self._response is not None  # noqa: S101 - nobody looks at an answer that has not come
        return self._response

    @property
    def rulings(self) -> Rulings:
        return Rulings(self.attempt.rules, self._incoming.headers, self._incoming.body)

    def wait(self) -> None:
        """From now on it is the provider that takes its time."""
        self._waiting_from = self._clock()

    def waited(self) -> None:
        """If the provider was waited for, it is not any more."""
        if self._waiting_from is not None:
            self._record.upstream_s += self._clock() - self._waiting_from
            self._waiting_from = None

    async def drain(self) -> None:
        """Reads a complete stream to the end of its body, so that the connection can be used again."""
        if self.response.rest() is not None:  # As it mostly is.
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                async for _ in self.response.chunks():
                    pass
        except (TimeoutError, UpstreamFailure):
            pass

    async def release(self) -> None:
        """Gives the connection back. What was never sent for, or is released already, has none."""
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()
