"""`forebay.resolver.v1.ResolverService` over the application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc.aio
import structlog
from google.rpc import status_pb2
from grpc_status import rpc_status

from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc
from resolver_service.adapters.grpc_api import messages
from resolver_service.adapters.grpc_api.messages import InvalidRequestError
from resolver_service.app.ports import Revisions
from resolver_service.app.report import Reports
from resolver_service.app.resolve import NoTargetError, ResolveError, Resolver

_log = structlog.get_logger("forebay.resolver.grpc")

MAX_REQUEST_ID_CHARS = 128
"""Of a log line. Callers may send longer ones."""

Context = grpc.aio.ServicerContext[Any, Any]


class ResolverServicer(resolver_service_pb2_grpc.ResolverServiceServicer):
    def __init__(self, resolver: Resolver, reports: Reports, revisions: Revisions) -> None:
        self._resolver = resolver
        self._reports = reports
        self._revisions = revisions
        self._writer = messages.PlanWriter()

    async def Resolve(self, request: pb.ResolveRequest, context: Context) -> pb.ResolveResponse:
        response = pb.ResolveResponse()
        try:
            self._writer.write(self._resolver.resolve(messages.query(request)), response.plan)
        except (ResolveError, InvalidRequestError) as error:
            _tell(request, error)
            await _abort(context, error)
        return response

    async def ResolveStream(
        self, request_iterator: AsyncIterator[pb.ResolveStreamRequest], context: Context
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        # At once, so that the caller knows that it has been accepted before it asks anything.
        await context.send_initial_metadata(())
        async for message in request_iterator:
            response = pb.ResolveStreamResponse()
            for item in message.reports:
                self._apply(item.report)
                response.acknowledged.append(item.id)
            for resolve in message.resolves:
                self._answer(resolve, response.answers.add())
            yield response

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        try:
            found = self._resolver.explain(messages.query(request.request, "request."))
        except (ResolveError, InvalidRequestError) as error:
            await _abort(context, error)
        return messages.explanation(found, self._writer)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        return messages.models(self._revisions.current)

    async def Report(self, request: pb.ReportRequest, context: Context) -> pb.ReportResponse:
        try:
            events = [(r.decision_id, messages.event(r, f"reports[{i}].")) for i, r in enumerate(request.reports)]
        except InvalidRequestError as error:
            await _abort(context, error)
        for decision_id, event in events:
            if event is not None:
                self._reports.apply(decision_id, event)
        return pb.ReportResponse()

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this resolver cannot be watched yet")
        yield pb.WatchResponse()  # Never reached: it makes this a stream.

    def _answer(self, item: pb.ResolveItem, answer: pb.ResolveAnswer) -> None:
        answer.id = item.id
        try:
            if not item.request.timeout_ms:
                raise InvalidRequestError("timeout_ms", "how long the answer is waited for is required")
            self._writer.write(self._resolver.resolve(messages.query(item.request)), answer.plan)
        except (ResolveError, InvalidRequestError) as error:
            _tell(item.request, error)
            answer.error.CopyFrom(messages.error_status(error))
        except Exception:  # noqa: BLE001  # a defect must not take the stream's other requests with it
            _log.exception("resolve_failed", request_id=item.request.request_id)
            answer.error.CopyFrom(messages.INTERNAL)

    def _apply(self, report: pb.OutcomeReport) -> None:
        try:
            event = messages.event(report)
        except InvalidRequestError:
            # From a newer edge: acknowledged, so that it is not sent again for ever.
            return
        if event is not None:
            self._reports.apply(report.decision_id, event)


def _tell(request: pb.ResolveRequest, error: Exception) -> None:
    """Why a request that has done nothing wrong came to nothing, under the id that whoever asked knows it by."""
    if isinstance(error, NoTargetError):
        request_id = request.request_id[:MAX_REQUEST_ID_CHARS]
        _log.info("no_target", request_id=request_id, code=error.code, error=str(error))


async def _abort(context: Context, error: ResolveError | InvalidRequestError) -> NoReturn:
    status: status_pb2.Status = messages.error_status(error)
    await context.abort_with_status(rpc_status.to_status(status))
