"""Encodes plans.

Most of a plan depends on nothing but the configuration. These parts are encoded once and joined for each request, which
costs a tenth of building protobuf messages.
"""

from __future__ import annotations

from forebay.resolver.v1 import plan_pb2
from resolver_service.adapters.grpc_api.messages import TO_WIRE, limits, ms
from resolver_service.adapters.grpc_api.wire import sized, tag, varint
from resolver_service.app.decisions import Course, Decision
from resolver_service.app.usual import MOST_KEPT
from resolver_service.domain.catalog import Target
from resolver_service.domain.providers import Provider
from resolver_service.domain.quirks import NO_QUIRKS

_PLAN, _ATTEMPT = plan_pb2.Plan.DESCRIPTOR, plan_pb2.Attempt.DESCRIPTOR
_DECISION_ID, _ATTEMPTS, _LIMITS = (tag(_PLAN, name) for name in ("decision_id", "attempts", "limits"))
_REASONING, _PROBE, _GENERATION = (tag(_ATTEMPT, name) for name in ("reasoning", "probe", "health_generation"))


class PlanWriter:
    """Writes plans. What never changes within a revision is written once."""

    def __init__(self) -> None:
        self._revision = 0
        self._generation = 0
        # By identity: a target is one object within a revision, and hashing its fields would cost more than the rest.
        self._targets: dict[int, tuple[Target, bytes]] = {}
        """Each target, encoded as an `Attempt`."""
        self._attempts: dict[int, bytes] = {}
        """The same as a field of a plan, with the present health generation."""
        self._terms: dict[tuple[str, int, float, bool], bytes] = {}
        """The fields of a plan beside its attempts."""
        self._courses: dict[int, tuple[Course, bytes]] = {}
        """Usual ones, by identity as well."""

    def write(self, decision: Decision) -> bytes:
        """The encoded `Plan`."""
        _, course = self._courses.get(id(decision.course)) or self._written(decision.course)
        decision_id = decision.id.encode()
        head = _DECISION_ID + varint(len(decision_id)) + decision_id
        if decision.limits is not None:
            head += _LIMITS + sized(limits(decision.limits).SerializeToString())
        return head + course

    def _written(self, course: Course) -> tuple[Course, bytes]:
        """The encoded plan but for the decision id and the client's limits."""
        if course.revision != self._revision:
            self._revision = course.revision
            self._targets, self._terms, self._attempts, self._courses = {}, {}, {}, {}
        if course.health_generation != self._generation:
            self._generation = course.health_generation
            self._attempts, self._courses = {}, {}
        if course.reasoning or course.probes:
            parts = [self._special(target, course) for target in course.targets]
        else:
            parts = [self._attempts.get(id(target)) or self._usual(target) for target in course.targets]
        terms = (course.name, course.attempts_allowed, course.total_s, course.depends_on_needs)
        parts.append(self._terms.get(terms) or self._whole(terms))
        written = (course, b"".join(parts))
        if course.is_usual:
            if len(self._courses) >= MOST_KEPT:
                self._courses = {}
            self._courses[id(course)] = written
        return written

    def _usual(self, target: Target) -> bytes:
        written = self._attempts[id(target)] = _ATTEMPTS + sized(self._static(target) + self._under_generation())
        return written

    def _special(self, target: Target, course: Course) -> bytes:
        parts = [self._static(target), self._under_generation()]
        if course.reasoning:
            parts += (_REASONING, sized(course.reasoning.encode()))
        if target.id in course.probes:
            parts += (_PROBE, varint(1))
        return _ATTEMPTS + sized(b"".join(parts))

    def _static(self, target: Target) -> bytes:
        known = self._targets.get(id(target))
        if known is None:
            known = self._targets[id(target)] = (target, _attempt(target).SerializeToString())
        return known[1]

    def _under_generation(self) -> bytes:
        return _GENERATION + varint(self._generation) if self._generation else b""

    def _whole(self, terms: tuple[str, int, float, bool]) -> bytes:
        name, attempts_allowed, total_s, depends_on_needs = terms
        plan = plan_pb2.Plan(
            attempts_allowed=attempts_allowed,
            total_ms=ms(total_s),
            revision=self._revision,
            name=name,
            depends_on_needs=depends_on_needs,
        )
        written = self._terms[terms] = plan.SerializeToString()
        return written


def _attempt(target: Target) -> plan_pb2.Attempt:
    timeouts = target.timeouts
    return plan_pb2.Attempt(
        target_id=target.id,
        provider=target.provider.id,
        dialect=target.provider.dialect.value,
        base_url=target.provider.base_url,
        upstream_model=target.model,
        credential_ref=target.credential.ref,
        allow_private=target.provider.allow_private,
        path=target.path,
        reasoning=target.reasoning,
        timeouts=plan_pb2.Timeouts(
            connect_ms=ms(timeouts.connect_s),
            headers_ms=ms(timeouts.headers_s),
            first_content_ms=ms(timeouts.first_content_s),
            idle_ms=ms(timeouts.idle_s),
            stream_ms=ms(timeouts.stream_s),
        ),
        failover=plan_pb2.FailoverPolicy(
            never=[TO_WIRE[d] for d in target.failover.never],
            also=[TO_WIRE[d] for d in target.failover.also],
        ),
        rules=[
            plan_pb2.AnswerRule(status=r.status, body_contains=r.body_contains, disposition=TO_WIRE[r.disposition])
            for r in target.provider.rules
        ],
        quirks=_quirks(target.provider),
        responses=target.provider.responses,
        params_set_json=target.params.set_json,
        params_default_json=target.params.default_json,
        params_drop=target.params.drop,
        max_output_tokens=target.abilities.max_output_tokens,
    )


def _quirks(provider: Provider) -> plan_pb2.Quirks | None:
    quirks = provider.quirks
    if quirks == NO_QUIRKS:
        return None
    return plan_pb2.Quirks(
        max_tokens_field=quirks.max_tokens_field,
        system_role=quirks.system_role,
        drop=quirks.drop,
        auth_header=quirks.auth_header or "",
        headers=[plan_pb2.Header(name=name, value=value) for name, value in quirks.headers],
        api_version=quirks.api_version,
        deployment_paths=quirks.deployment_paths,
        takes=quirks.takes,
        lacks=quirks.lacks,
        rename=dict(quirks.rename),
        efforts=quirks.efforts,
        effort_field=quirks.effort_field,
        thoughts=quirks.thoughts,
        max_stops=quirks.max_stops,
        call_id_chars=quirks.call_id_chars,
    )
