"""The hot paths of the resolver, over memory and without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from benchmarks import forebay
from benchmarks.nginx import Nginx
from benchmarks.routes import ROUTES
from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from resolver_service.app.decisions import Query
from resolver_service.app.report import Closed, Ended
from tests.support.resolving import Resolving

BATCH = 32
POOLS = (10, 10_000)


class Anything:
    """For what is told and answers nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Context:
    async def send_initial_metadata(self, _: object) -> None:
        pass


def resolving(pools: int) -> Resolving:
    """As the end-to-end measurement has it: ten targets behind one name, and the other pools beside them."""
    return Resolving(forebay.config(Nginx(0, 1, 2), [ROUTES["ten"]], pools=pools))


def _plan(it: Resolving) -> Callable[[], None]:
    def plan() -> None:
        decision = it.resolver.resolve(Query("ten", will_report=True, stream=True))
        first = decision.course.targets[0].id
        it.reports.apply(decision.id, Ended(first, decision.course.health_generation, 10, 20))
        it.reports.apply(decision.id, Closed())

    return plan


def _batch(it: Resolving) -> Callable[[], Any]:
    """What 32 requests at a time ask, and report of the 32 before them, from bytes to bytes."""
    anything: Any = Anything()
    servicer = ResolverServicer(it.resolver, it.reports, it.configuration, anything, anything)
    context: Any = Context()
    target = it.resolver.resolve(Query("ten")).course.targets[0].id
    before: list[str] = []

    async def asked() -> AsyncIterator[pb.ResolveStreamRequest]:
        message = pb.ResolveStreamRequest()
        for number, decision_id in enumerate(before):
            ended = pb.AttemptEnded(target_id=target, input_tokens=10)
            report = pb.OutcomeReport(decision_id=decision_id, ended=ended, closes=True)
            message.reports.add(id=number + 1, report=report)
        for number in range(BATCH):
            request = pb.ResolveRequest(
                request_id="request",
                model="ten",
                operation=plan_pb2.OPERATION_GENERATE,
                stream=True,
                timeout_ms=300,
                will_report=True,
            )
            message.resolves.add(id=number + 1, request=request)
        yield pb.ResolveStreamRequest.FromString(message.SerializeToString())

    async def batch() -> None:
        async for response in servicer.ResolveStream(asked(), context):
            answers = pb.ResolveStreamResponse.FromString(response).answers
            before[:] = [answer.plan.decision_id for answer in answers]

    return batch


def paths() -> Mapping[str, Callable[[], Any]]:
    """Each goes its way once; those of the stream are coroutines, which wait for nothing."""
    few, many = (resolving(pools) for pools in POOLS)
    return {
        f"resolver: a plan and its reports, {POOLS[0]} pools": _plan(few),
        f"resolver: a plan and its reports, {POOLS[1]:,} pools": _plan(many),
        f"resolver: {BATCH} resolves and their reports, on the wire": _batch(few),
    }
