"""Walking a plan: each attempt in its order, until one has served.

What a service owes those that share the providers with it is here: it moves on only where that is right, it gives each
attempt the time that the plan gives it, and it reports what became of every one, so that a target that has failed here
rests for everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc.aio
import httpx2

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1.plan_pb2 import Disposition
from forebay.resolver.v1.resolver_service_pb2_grpc import ResolverServiceStub

RESOLVE_S = 1.0

BY_STATUS = {
    401: plan_pb2.DISPOSITION_CREDENTIAL,
    402: plan_pb2.DISPOSITION_QUOTA,
    403: plan_pb2.DISPOSITION_CREDENTIAL,
    404: plan_pb2.DISPOSITION_MODEL_MISSING,
    408: plan_pb2.DISPOSITION_TIMEOUT,
    429: plan_pb2.DISPOSITION_RATE_LIMITED,
    503: plan_pb2.DISPOSITION_OVERLOADED,
    504: plan_pb2.DISPOSITION_TIMEOUT,
    529: plan_pb2.DISPOSITION_OVERLOADED,
}
STAYS = {plan_pb2.DISPOSITION_CLIENT_FAULT, plan_pb2.DISPOSITION_CONTEXT_LENGTH, plan_pb2.DISPOSITION_CANCELLED}
"""No other target would do better."""
AMBIGUOUS = {plan_pb2.DISPOSITION_TIMEOUT, plan_pb2.DISPOSITION_BROKEN}
"""The provider may have run the request, and billed it: to move on once is enough."""


class GaveUpError(Exception):
    """Nobody has served. The text says what the last one answered."""


class FailedError(Exception):
    """An attempt that did not serve."""

    def __init__(self, disposition: Disposition, status: int = 0, retry_after_ms: int = 0) -> None:
        super().__init__(Disposition.Name(disposition).removeprefix("DISPOSITION_").lower())
        self.disposition = disposition
        self.status = status
        self.retry_after_ms = retry_after_ms


class Walker:
    def __init__(self, resolver: grpc.aio.Channel, http: httpx2.AsyncClient, environment: Mapping[str, str]) -> None:
        self._resolver: Any = ResolverServiceStub(resolver)
        self._http = http
        self._environment = environment
        token = environment.get("FOREBAY_TOKEN")
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def answer(self, name: str, question: str, *, stream: bool) -> AsyncIterator[str]:
        """The answer in the parts in which it comes. Raises `GaveUpError`, or `AioRpcError` if there is no plan."""
        request = pb.ResolveRequest(request_id=str(uuid.uuid4()), model=name, stream=stream, will_report=True)
        plan = (await self._resolver.Resolve(request, timeout=RESOLVE_S, metadata=self._metadata)).plan
        try:
            async for text in self._walk(plan, question, stream):
                yield text
        finally:
            await self._report(plan, closed=pb.DecisionClosed())

    async def _walk(self, plan: plan_pb2.Plan, question: str, stream: bool) -> AsyncIterator[str]:
        now = asyncio.get_running_loop().time
        deadline = _sooner(math.inf, plan.total_ms)
        was_ambiguous, last = False, "none of its targets can be called from here"
        for attempt in plan.attempts[: plan.attempts_allowed]:
            secret = self._secret(attempt.credential_ref)
            if attempt.dialect != "openai" or secret is None:
                continue  # Nothing has been tried, and there is nothing to report.
            about = {"target_id": attempt.target_id, "health_generation": attempt.health_generation}
            began_at, has_content = now(), False
            try:
                async with contextlib.aclosing(self._call(attempt, question, secret, stream, deadline)) as texts:
                    async for text in texts:
                        if not has_content:
                            has_content = True
                            latency_ms = int((now() - began_at) * 1000)
                            await self._report(plan, content=pb.AttemptContent(**about, latency_ms=latency_ms))
                        yield text
            except FailedError as failed:
                _say(f"{attempt.target_id}: {failed.status or 'no answer'}: {failed}")
                told = {"status": failed.status, "retry_after_ms": failed.retry_after_ms}
                report = pb.AttemptFailed(**about, disposition=failed.disposition, **told)
                await self._report(plan, failed=report)
                is_ambiguous = failed.disposition in AMBIGUOUS
                stays = has_content or not _moves_on(attempt, failed.disposition) or (is_ambiguous and was_ambiguous)
                last, was_ambiguous = f"{attempt.target_id}: {failed}", was_ambiguous or is_ambiguous
                if stays or now() >= deadline:
                    break
            except BaseException:  # Whoever asked has gone.
                report = pb.AttemptFailed(**about, disposition=plan_pb2.DISPOSITION_CANCELLED)
                await self._report(plan, failed=report)
                raise
            else:
                _say(f"{attempt.target_id}: served")
                await self._report(plan, ended=pb.AttemptEnded(**about))
                return
        raise GaveUpError(last)

    async def _call(
        self, attempt: plan_pb2.Attempt, question: str, secret: str, stream: bool, deadline: float
    ) -> AsyncIterator[str]:
        """What one provider answers. Raises `FailedError`."""
        times = attempt.timeouts
        request = self._http.build_request(
            "POST",
            f"{attempt.base_url}/chat/completions",
            json=_body(attempt, question, stream),
            headers={"authorization": f"Bearer {secret}"} if secret else {},
            timeout=httpx2.Timeout(None, connect=times.connect_ms / 1000 or None),
        )
        try:
            # Whoever does not stream sends the head when all is done: `deadline` alone bounds that.
            async with asyncio.timeout_at(_sooner(deadline, times.headers_ms if stream else 0)):
                response = await self._http.send(request, stream=True)
            try:
                async with asyncio.timeout_at(deadline):
                    content = b"" if stream and response.status_code == 200 else await response.aread()
                if response.status_code != 200:
                    raise _failure(response, content)
                if not stream:
                    yield json.loads(content)["choices"][0]["message"]["content"] or ""
                    return
                lines = response.aiter_lines()
                limit = _sooner(deadline, times.first_content_ms)
                while True:
                    async with asyncio.timeout_at(limit):
                        line = await anext(lines, None)
                    if line is None:
                        raise FailedError(plan_pb2.DISPOSITION_BROKEN, 200)  # Cut: a stream ends with its mark.
                    data = line.removeprefix("data: ")
                    if data == "[DONE]":
                        return
                    choices = json.loads(data).get("choices") if line.startswith("data: ") else None
                    if choices and (text := choices[0]["delta"].get("content")):
                        yield text
                        limit = _sooner(math.inf, times.idle_ms)
            finally:
                await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise FailedError(plan_pb2.DISPOSITION_UNREACHABLE) from None
        except TimeoutError:
            raise FailedError(plan_pb2.DISPOSITION_TIMEOUT) from None
        except (httpx2.TransportError, ValueError, LookupError):
            raise FailedError(plan_pb2.DISPOSITION_BROKEN) from None

    async def _report(self, plan: plan_pb2.Plan, **event: Any) -> None:
        report = pb.ReportRequest(reports=[pb.OutcomeReport(decision_id=plan.decision_id, **event)])
        # One that gets lost costs freshness, and nothing else.
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._resolver.Report(report, timeout=RESOLVE_S, metadata=self._metadata)

    def _secret(self, reference: str) -> str | None:
        """Empty if none is asked for, None if there is none here."""
        return self._environment.get(reference.removeprefix("env:")) if reference else ""


def _sooner(deadline: float, ms: int) -> float:
    """The sooner of the two, on the event loop's clock; 0 ms is no limit."""
    return min(deadline, asyncio.get_running_loop().time() + (ms / 1000 or math.inf))


def _body(attempt: plan_pb2.Attempt, question: str, stream: bool) -> dict[str, object]:
    """As the client would have it, and the operator's `params` over it."""
    asked = {"model": attempt.upstream_model, "messages": [{"role": "user", "content": question}], "stream": stream}
    fills, replaces = (json.loads(text or b"{}") for text in (attempt.params_default_json, attempt.params_set_json))
    return {name: value for name, value in {**fills, **asked, **replaces}.items() if name not in attempt.params_drop}


def _failure(response: httpx2.Response, content: bytes) -> FailedError:
    status = response.status_code
    disposition = BY_STATUS.get(status)
    if disposition is None:
        is_theirs = status < 400 or status >= 500
        disposition = plan_pb2.DISPOSITION_SERVER_ERROR if is_theirs else plan_pb2.DISPOSITION_CLIENT_FAULT
    if status == 429 and b"insufficient_quota" in content:
        disposition = plan_pb2.DISPOSITION_QUOTA
    try:
        retry_after_ms = int(float(response.headers.get("retry-after", "0")) * 1000)
    except ValueError:  # A date, which the resolver makes up for with a time of its own.
        retry_after_ms = 0
    return FailedError(disposition, status, max(retry_after_ms, 0))


def _moves_on(attempt: plan_pb2.Attempt, disposition: Disposition) -> bool:
    """By the defaults, and what the configuration says otherwise."""
    if disposition in attempt.failover.never:
        return False
    return disposition not in STAYS or disposition in attempt.failover.also


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
