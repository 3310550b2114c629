"""Serves a client's request, from its bytes to the answer."""

from __future__ import annotations

from collections.abc import Callable

from edge_service.app.counting import Counting
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts
from edge_service.app.ports import Client, Question
from edge_service.app.record import Record
from edge_service.app.walk import Walk
from edge_service.dialects.counting import Countable
from edge_service.dialects.exchange import Asked, Voice
from edge_service.domain import allowance
from edge_service.domain.errors import ApiError, EncodedBodyError, InvalidRequestError
from edge_service.domain.headers import REQUEST_ID, Headers, first
from edge_service.domain.needs import Operation


class Gateway:
    """Serves requests; keeps no state between them."""

    def __init__(self, services: Services) -> None:
        self.clock = services.clock
        self._services = services

    async def authenticate(self, request_id: str, client_key: bytes) -> None:
        """Checks the client's key before a large body is read. Raises `ApiError`."""
        question = Question(request_id, "", stream=False, operation=Operation.AUTHENTICATE, client_key=client_key)
        record = Record(request_id, self.clock())
        record.operation = Operation.AUTHENTICATE
        try:
            await self._services.resolver.resolve(question)
        except ApiError as error:
            record.status, record.code = error.status, error.code
            self._services.telemetry.began()
            self._services.telemetry.ended(record, self.clock())
            raise

    async def serve(
        self,
        incoming: Incoming,
        client: Client,
        interrupts: Interrupts,
        read: Callable[[bytes, Headers], Asked | Countable],
        voice: Voice,
    ) -> None:
        """Answers a request, with an error if need be. `read` parses the request from its body and headers, and may
        raise `ApiError`; `voice` writes errors in the client's dialect."""
        record = Record(incoming.request_id, incoming.arrived_at)
        self._services.telemetry.began()
        try:
            try:
                request = read(incoming.body, incoming.headers)
            except InvalidRequestError:
                if first(incoming.headers, b"content-encoding") not in (None, b"", b"identity"):
                    raise EncodedBodyError from None
                raise
            allowed_s = allowance.allowed_s(incoming.headers)
            if isinstance(request, Countable):
                record.operation = Operation.COUNT
                await Counting(self._services, incoming, request, client, interrupts, record).run(allowed_s)
                return
            record.operation, record.stream = request.operation, request.stream
            await Walk(self._services, incoming, request, client, interrupts, record).run(allowed_s)
        except ApiError as error:
            interrupts.close()  # The client may take its time to read this.
            record.status, record.code = error.status, error.code
            head = [*error.headers, (REQUEST_ID, incoming.request_id.encode())]
            if error.limits is not None:
                head += voice.limit_headers(error.limits, self._services.wall_clock())
            await client.respond(error.status, head, voice.error_body(error))
        finally:
            self._services.telemetry.ended(record, self.clock())
