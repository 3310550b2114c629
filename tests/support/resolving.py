"""The resolver's application without its network: configuration, resolver and reports over memory and a clock that
stands still until a test moves it."""

from __future__ import annotations

import itertools

from resolver_service.adapters import config_yaml
from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.app.access import Access
from resolver_service.app.bindings import Bindings
from resolver_service.app.configure import Configuration
from resolver_service.app.decisions import Decision, Explanation, PlannedAttempt, Query
from resolver_service.app.in_flight import InFlight
from resolver_service.app.limits import ClientLimits
from resolver_service.app.operate import Operator
from resolver_service.app.ports import HealthChanged, Stores
from resolver_service.app.probes import ProbeBook
from resolver_service.app.refusals import NoTargetError
from resolver_service.app.report import Bound, Closed, Ended, Failed, Reports
from resolver_service.app.resolve import Resolver
from resolver_service.domain.health import PROBE_LEASE_S, Health, worst
from resolver_service.domain.policy import Disposition


class Clock:
    """Seconds, as told."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Resolving:
    """Everything between a configuration's text and plans."""

    def __init__(
        self, text: str = "", *, clock: Clock | None = None, stores: Stores | None = None, boot: str = "decision"
    ) -> None:
        """`boot` tells this life's decisions from those of another."""
        self.clock = clock or Clock()
        stores = stores or Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())
        self.rotation, self.health, self.drains = stores.rotation, stores.health, stores.drains
        self.told: list[HealthChanged] = []
        self.probes = ProbeBook(PROBE_LEASE_S)
        self.in_flight = InFlight()
        self.shared = stores.shared
        self.limits = ClientLimits(stores.shared.limits if stores.shared else None)
        self.wall_clock = Clock(1_700_000_000.0)
        self.bindings = Bindings(stores.bindings, self.wall_clock)
        self.configuration = Configuration(config_yaml.parsed, lambda: 1_700_000_000.5, text.encode())
        numbers = itertools.count(1)
        self.resolver = Resolver(
            revisions=self.configuration,
            rotation=self.rotation,
            health=self.health,
            drains=self.drains,
            clock=self.clock,
            new_id=lambda: f"{boot}-{next(numbers)}",
            probes=self.probes,
            in_flight=self.in_flight,
            access=Access(self.wall_clock),
            limits=self.limits,
            bindings=self.bindings,
            shared=stores.shared,
        )
        self.reports = Reports(
            self.configuration,
            self.health,
            self.clock,
            self.probes,
            self.in_flight,
            self.bindings,
            self.limits,
            self.told.append,
        )
        self.operator = Operator(self.configuration, self.health, self.drains, self.told.append)
        self._others = itertools.count(1)

    def some_decision(self) -> str:
        """The id of a decision that this resolver knows nothing of, another one each time."""
        return f"another-{next(self._others)}"

    def decide(
        self, model: str, *, counting: bool = False, will_report: bool = True, excluded: tuple[str, ...] = ()
    ) -> Decision:
        return self.resolver.resolve(Query(model, counting, will_report, frozenset(excluded)))

    def plan(
        self, model: str, *, counting: bool = False, will_report: bool = True, excluded: tuple[str, ...] = ()
    ) -> list[str]:
        """The ids of the targets to try."""
        decision = self.decide(model, counting=counting, will_report=will_report, excluded=excluded)
        return [attempt.target.id for attempt in decision.attempts]

    def refusal(
        self, model: str, *, counting: bool = False, will_report: bool = True, excluded: tuple[str, ...] = ()
    ) -> tuple[str, float | None]:
        """The code and the seconds to wait of the error that stands in for a plan."""
        try:
            found = self.plan(model, counting=counting, will_report=will_report, excluded=excluded)
        except NoTargetError as error:
            return error.code, error.retry_after_s
        raise AssertionError(f"there is a plan: {found}")

    def explain(
        self, model: str, *, counting: bool = False, will_report: bool = True, excluded: tuple[str, ...] = ()
    ) -> Explanation:
        return self.resolver.explain(Query(model, counting, will_report, frozenset(excluded)))

    def fail(
        self,
        target_id: str,
        disposition: Disposition = Disposition.RATE_LIMITED,
        retry_after_s: float | None = None,
        generation: int | None = None,
    ) -> Health:
        """Reports a failure, of the present generation unless told; the target's health after it."""
        planned = self.health.latest if generation is None else generation
        self.reports.apply(self.some_decision(), Failed(target_id, planned, disposition, retry_after_s))
        return self.health_of(target_id)

    def serve(self, attempt: PlannedAttempt) -> Health:
        """Reports that an attempt served; the target's health after it."""
        self.reports.apply(self.some_decision(), Ended(attempt.target.id, attempt.health_generation))
        return self.health_of(attempt.target.id)

    def health_of(self, target_id: str) -> Health:
        """The worst of its scopes'."""
        scopes = self.configuration.current.catalog.scopes.get(target_id, (target_id,))
        return worst(map(self.health.get, scopes), self.clock())

    def bind(self, decision: Decision, key: bytes, target_id: str = "") -> str:
        """Reports that an attempt of the decision, the first unless told, made something; what came of it."""
        return self.reports.apply(decision.id, Bound(target_id or decision.attempts[0].target.id, key))

    def close(self, decision: Decision) -> None:
        self.reports.apply(decision.id, Closed())
