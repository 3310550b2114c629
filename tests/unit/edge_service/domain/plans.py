"""Plans to walk, as short as a test likes them."""

from __future__ import annotations

from collections.abc import Iterable

from edge_service.domain.outcome import Disposition
from edge_service.domain.plan import Attempt, Plan


def attempt(
    name: str,
    *,
    model: str = "model",
    key: int = 0,
    never: Iterable[Disposition] = (),
    also: Iterable[Disposition] = (),
) -> Attempt:
    return Attempt(
        target_id=f"{name}/{model}#{key}",
        provider=name,
        dialect="openai",
        base_url=f"https://{name}.test/v1",
        upstream_model=model,
        credential_ref=f"env:KEY_{key}",
        never=frozenset(never),
        also=frozenset(also),
    )


def plan(*attempts: Attempt, allowed: int = 10) -> Plan:
    return Plan("decision", attempts, attempts_allowed=allowed, total_s=600.0)
