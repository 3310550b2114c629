"""The hot paths of the edge, with everything around them faked: what is counted is their own work."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from benchmarks import nginx, streams
from benchmarks.routes import ROUTES
from edge_service.adapters.resolver_grpc import messages
from edge_service.adapters.telemetry_prometheus import PrometheusTelemetry
from edge_service.adapters.telemetry_structlog import Lines, RequestLog, Timestamps
from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts
from edge_service.app.ports import Question, Report
from edge_service.dialects import asked
from edge_service.dialects.asked import OPENAI
from edge_service.dialects.exchange import Asked
from edge_service.domain.failover import ReportEnded
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt, Plan

SMALL = ROUTES["whole"].body("chat", "the-name")
LARGE = ROUTES["large"].body("chat", "the-name")
STREAMED = ROUTES["events-50"].body("chat", "the-name")
HEADERS: Headers = [(b"content-type", b"application/json"), (b"host", b"edge"), (b"user-agent", b"counted")]
REFUSAL = nginx.REFUSAL


def target(dialect: str = "openai", number: int = 0) -> Attempt:
    return Attempt(f"p{number}/m#0", f"p{number}", dialect, "https://p.example/v1", "upstream-model", "")


class Resolver:
    """Has one plan, and notes nothing."""

    is_connected = True
    reports_dropped = reports_unacknowledged = 0

    def __init__(self, targets: tuple[Attempt, ...]) -> None:
        self._plan = Plan("decision", targets, len(targets), 600.0, name="the-name")

    async def resolve(self, question: Question) -> Plan:
        return self._plan

    def report(self, decision_id: str, report: Report, latency_s: float = 0.0) -> None:
        pass


class Response:
    def __init__(self, status: int, headers: Headers, content: Sequence[bytes]) -> None:
        self.status, self.headers, self._content = status, headers, iter(content)

    def rest(self) -> bytes:
        return b"".join(self._content)

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._content:
            yield chunk

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        return all(map(take, self._content))

    def quotes_credential(self, content: bytes) -> bool:
        return False

    async def aclose(self) -> None:
        pass


class Upstream:
    """Answers in turn, one thing after the other."""

    def __init__(self, *answers: tuple[int, bytes, Sequence[bytes]]) -> None:
        self._answers, self._next = answers, 0

    async def send(self, attempt: Attempt, path: str, headers: Headers, body: bytes, method: str = "POST") -> Response:
        status, kind, content = self._answers[self._next]
        self._next = (self._next + 1) % len(self._answers)
        return Response(status, [(b"content-type", kind), (b"x-request-id", b"r-1")], content)


class Client:
    async def respond(self, status: int, headers: Headers, content: bytes) -> None:
        if status != 200:
            raise AssertionError(f"the path that is counted answers {status}: {content!r}")

    async def start(self, status: int, headers: Headers, content: bytes = b"") -> None:
        pass

    async def send(self, content: bytes) -> None:
        pass

    def write(self, content: bytes) -> bool:
        return True

    async def end(self, content: bytes = b"") -> None:
        pass


def log() -> RequestLog:
    return RequestLog(Lines(sys.stderr.buffer), Timestamps(time.time))


def _walk(body: bytes, targets: int, *answers: tuple[int, bytes, Sequence[bytes]]) -> Callable[[], Any]:
    resolver: Any = Resolver(tuple(target(number=number) for number in range(targets)))
    upstream: Any = Upstream(*answers)
    telemetry = PrometheusTelemetry(CollectorRegistry(), resolver, log().write)
    estimator: Any = None
    services = Services(resolver, upstream, time.perf_counter, time.time, telemetry, estimator)
    gateway, client = Gateway(services), Client()

    async def walk() -> None:
        incoming = Incoming("request", HEADERS, body, time.perf_counter())
        await gateway.serve(incoming, client, Interrupts(), asked.chat_completion, OPENAI)

    return walk


def _translated(provider: str, request: Asked) -> Callable[[], None]:
    events, attempt = streams.events(provider), target(provider if provider != "chat" else "openai")

    def translate() -> None:
        reader = request.of(attempt).reader()
        if reader is None:
            raise AssertionError("the path that is counted translates nothing")
        for event in events:
            reader.read(event)

    return translate


def _report() -> None:
    attempt = target()
    messages.outcome_report("decision", ReportEnded(attempt, 10, 20), 0.1).SerializeToString()


def _resolve_message() -> None:
    messages.resolve_request(Question("request", "the-name", stream=True), 300).SerializeToString()


_JSON, _EVENTS = b"application/json", b"text/event-stream"


def paths() -> Mapping[str, Callable[[], Any]]:
    """Each goes its way once; those of the walk are coroutines, which wait for nothing."""
    whole = (200, _JSON, [nginx.completion()])
    each, pieces = nginx.events(50), b"".join(nginx.events(1000))
    large_pieces = [pieces[at : at + 65536] for at in range(0, len(pieces), 65536)]
    messages_request = streams.request("anthropic", "the-name")
    return {
        "edge: read a request of 1 KB": lambda: asked.chat_completion(SMALL, []),
        "edge: read a request of 200 KB": lambda: asked.chat_completion(LARGE, []),
        "edge: read 1 KB and put in the model": lambda: asked.chat_completion(SMALL, []).of(target()).written,
        "edge: read 200 KB and put in the model": lambda: asked.chat_completion(LARGE, []).of(target()).written,
        "edge: walk, JSON": _walk(SMALL, 1, whole),
        "edge: walk, 429 and then JSON": _walk(SMALL, 2, (429, _JSON, [REFUSAL]), whole),
        "edge: walk, 50 events one by one": _walk(STREAMED, 1, (200, _EVENTS, each)),
        "edge: walk, 1,000 events in large pieces": _walk(STREAMED, 1, (200, _EVENTS, large_pieces)),
        "edge: 50 pieces of Anthropic's for chat completions": _translated(
            "anthropic", asked.chat_completion(STREAMED, [])
        ),
        "edge: 50 pieces of chat completions for Anthropic's": _translated("chat", asked.message(messages_request, [])),
        "edge: write a resolve": _resolve_message,
        "edge: write the reports of a request": _report,
    }
