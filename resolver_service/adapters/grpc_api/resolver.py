"""`forebay.resolver.v1.ResolverService` over the application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from time import perf_counter
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from google.rpc import status_pb2
from grpc_status import rpc_status

from forebay.resolver.v1 import plan_pb2, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.adapters.grpc_api import messages
from resolver_service.adapters.grpc_api.messages import InvalidRequestError
from resolver_service.adapters.grpc_api.plans import PlanWriter
from resolver_service.adapters.grpc_api.wire import tag, varint
from resolver_service.app.access import ClientKeyError
from resolver_service.app.limits import ClientLimitError
from resolver_service.app.ports import Granted, Revisions, SharedState, Telemetry, Wanted
from resolver_service.app.refusals import (
    BoundElsewhereError,
    NoTargetError,
    ResolveError,
    UnboundError,
    UnknownModelError,
    UnservableError,
)
from resolver_service.app.report import Ended, Event, Reports
from resolver_service.app.resolve import Resolver
from resolver_service.app.watch import Watch

_log = structlog.get_logger("forebay.resolver.grpc")

MAX_REQUEST_ID_CHARS = 128
"""Of a log line. Callers may send longer ones."""

Context = grpc.aio.ServicerContext[Any, Any]

_AUTHENTICATE = plan_pb2.OPERATION_AUTHENTICATE
_STREAM_METADATA = (("x-forebay-closes", "1"),)
"""Says that this resolver heeds `OutcomeReport.closes`; older ones ignore it."""

_ANSWERS = tag(pb.ResolveStreamResponse.DESCRIPTOR, "answers")
_ID, _PLAN, _ERROR = (tag(pb.ResolveAnswer.DESCRIPTOR, name) for name in ("id", "plan", "error"))


class ResolverServicer(resolver_service_pb2_grpc.ResolverServiceServicer):
    def __init__(
        self,
        resolver: Resolver,
        reports: Reports,
        revisions: Revisions,
        telemetry: Telemetry,
        watch: Watch,
        shared: SharedState | None = None,
    ) -> None:
        """`shared` is None for a resolver without a store."""
        self._resolver = resolver
        self._shared = shared
        self._reports = reports
        self._revisions = revisions
        self._telemetry = telemetry
        self._watch = watch
        self._writer = PlanWriter()

    @property
    def stream_handler(self) -> grpc.RpcMethodHandler[Any, Any]:
        """For `ResolveStream`, whose responses are written already."""
        return grpc.stream_stream_rpc_method_handler(
            self.ResolveStream,
            request_deserializer=pb.ResolveStreamRequest.FromString,
            response_serializer=bytes,
        )

    async def Resolve(self, request: pb.ResolveRequest, context: Context) -> pb.ResolveResponse:
        (granted,) = await self._granted([request])
        try:
            plan = self._resolve(request, granted=granted)
        except (ResolveError, InvalidRequestError) as error:
            _tell(request, error)
            await _abort(context, error)
        response = pb.ResolveResponse()
        response.plan.MergeFromString(plan)
        return response

    async def ResolveStream(  # type: ignore[override]  # its responses are written here
        self, request_iterator: AsyncIterator[pb.ResolveStreamRequest], context: Context
    ) -> AsyncIterator[bytes]:
        # At once, so that the caller knows that it has been accepted before it asks anything.
        await context.send_initial_metadata(_STREAM_METADATA)
        self._telemetry.stream_opened()
        caller = object()
        try:
            async for message in request_iterator:
                parts: list[bytes] = []
                if reports := message.reports:
                    for item in reports:
                        self._apply(item.report)
                    acknowledging = pb.ResolveStreamResponse(acknowledged=[item.id for item in reports])
                    parts.append(acknowledging.SerializeToString())
                resolves = message.resolves
                granted = await self._granted([item.request for item in resolves])
                for resolve, its_share in zip(resolves, granted, strict=True):
                    parts += self._answer(resolve, caller, its_share)
                response = b"".join(parts)
                try:
                    yield response
                except GeneratorExit:
                    self._take_back(response)
                    raise
        finally:
            self._resolver.caller_left(caller)
            self._telemetry.stream_closed()

    def _take_back(self, response: bytes) -> None:
        """The stream broke before this was sent, as when a resolver that was frozen answers an edge that has given it
        up: nobody has the plans in it, and nobody would close them."""
        for answer in pb.ResolveStreamResponse.FromString(response).answers:
            if answer.HasField("plan"):
                self._reports.closed(answer.plan.decision_id)

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        try:
            found = self._resolver.explain(messages.query(request.request, "request."))
        except (ResolveError, InvalidRequestError) as error:
            await _abort(context, error)
        return messages.explanation(found, self._writer.write(found.decision) if found.decision else b"")

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        try:
            client = self._resolver.client(request.client_key_sha256, required=request.client_key_required)
        except ClientKeyError as error:
            await _abort(context, error)
        return messages.models(self._revisions.current, client)

    async def Report(self, request: pb.ReportRequest, context: Context) -> pb.ReportResponse:
        try:
            events = [(r, messages.event(r, f"reports[{i}].")) for i, r in enumerate(request.reports)]
        except InvalidRequestError as error:
            await _abort(context, error)
        for report, event in events:
            self._learn(report, event)
        return pb.ReportResponse()

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        # At once, so that the caller knows that it watches even if there is nothing to tell.
        await context.send_initial_metadata(())
        async with contextlib.aclosing(self._watch.events(request.after_revision)) as events:
            async for event in events:
                yield messages.watched(event)

    async def _granted(self, requests: Sequence[pb.ResolveRequest]) -> Sequence[Granted | None]:
        """What the shared store grants to each request; None to one that wants nothing of it."""
        if self._shared is None or not requests:
            return (None,) * len(requests)
        wanted = [self._wanted(request) for request in requests]
        granted = iter(await self._shared.take([each for each in wanted if each is not None]))
        return [None if each is None else next(granted) for each in wanted]

    def _wanted(self, request: pb.ResolveRequest) -> Wanted | None:
        if request.operation == _AUTHENTICATE:
            return None
        try:
            return self._resolver.wanted(messages.query(request))
        except InvalidRequestError:
            return None  # `_resolve` answers it with this error.

    def _answer(self, item: pb.ResolveItem, caller: object, granted: Granted | None) -> tuple[bytes, ...]:
        """A `ResolveAnswer`, encoded as a field of the response."""
        request = item.request
        try:
            result, content = _PLAN, self._resolve(request, caller, granted)
        except (ResolveError, InvalidRequestError) as error:
            _tell(request, error)
            result, content = _ERROR, messages.error_status(error).SerializeToString()
        except Exception:  # noqa: BLE001  # a defect must not take the stream's other requests with it
            _log.exception("resolve_failed", request_id=request.request_id)
            result, content = _ERROR, messages.INTERNAL.SerializeToString()
        head = _ID + varint(item.id) + result + varint(len(content))
        return _ANSWERS, varint(len(head) + len(content)), head, content

    def _resolve(self, request: pb.ResolveRequest, caller: object = None, granted: Granted | None = None) -> bytes:
        """A `Plan`, encoded. `caller` identifies the stream that asks, if it is one. Raises `ResolveError` or
        `InvalidRequestError`."""
        began_at = perf_counter()
        name, result = "", "failed"
        try:
            if caller is not None and not request.timeout_ms:
                raise InvalidRequestError("timeout_ms", "how long the answer is waited for is required")
            query = messages.query(request)
            if request.operation == _AUTHENTICATE:
                decision = self._resolver.authenticated(query)
            else:
                decision = self._resolver.resolve(query, caller, granted)
            plan = self._writer.write(decision)
            name, result = decision.course.name, "ok"
            return plan
        except UnknownModelError:
            result = "not_found"
            raise
        except (NoTargetError, UnservableError, BoundElsewhereError) as error:
            name, result = error.name, error.code
            raise
        except (UnboundError, ClientKeyError, ClientLimitError) as error:
            result = error.code
            raise
        except InvalidRequestError:
            result = "invalid"
            raise
        finally:
            self._telemetry.resolved(name, result, perf_counter() - began_at)

    def _apply(self, report: pb.OutcomeReport) -> None:
        try:
            event = messages.event(report)
        except InvalidRequestError:
            # From a newer edge: acknowledged, so that it is not sent again for ever.
            self._telemetry.reported(report.WhichOneof("event") or "none", "invalid")
            if report.closes:
                self._telemetry.reported("closed", self._reports.closed(report.decision_id))
        else:
            self._learn(report, event)

    def _learn(self, report: pb.OutcomeReport, event: Event) -> None:
        reports, telemetry, decision_id = self._reports, self._telemetry, report.decision_id
        effect = reports.apply(decision_id, event)
        if isinstance(event, Ended):
            telemetry.reported("ended", effect)
            if effect == "applied":
                telemetry.spent(event.target_id, event.input_tokens, event.output_tokens)
        else:
            telemetry.reported(report.WhichOneof("event") or "none", effect)
        if report.closes:
            telemetry.reported("closed", reports.closed(decision_id))


def _tell(request: pb.ResolveRequest, error: Exception) -> None:
    """Logs why a valid request got no plan, with the id by which its caller knows it."""
    if isinstance(error, NoTargetError):
        request_id = request.request_id[:MAX_REQUEST_ID_CHARS]
        _log.info("no_target", request_id=request_id, code=error.code, error=str(error))


async def _abort(context: Context, error: ResolveError | InvalidRequestError) -> NoReturn:
    status: status_pb2.Status = messages.error_status(error)
    await context.abort_with_status(rpc_status.to_status(status))
