"""Why a request gets no plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from resolver_service.domain.abilities import Shortfall


class ResolveError(Exception):
    """A request that gets no plan."""

    code: str


class UnknownModelError(ResolveError):
    """Nothing has this name."""

    code = "model_not_found"

    def __init__(self, name: str, closest_names: tuple[str, ...]) -> None:
        self.name = name
        self.closest = closest_names
        hint = f"; the closest names are: {', '.join(closest_names)}" if closest_names else ""
        super().__init__(f"the model '{name[:200]}' does not exist{hint}")


NoTargetCode: TypeAlias = Literal["rate_limited", "busy", "unavailable"]

_WHY: Mapping[NoTargetCode, str] = MappingProxyType(
    {
        "rate_limited": "has reached a limit",
        "busy": "is busy or out of service",
        "unavailable": "is out of service",
    }
)


class NoTargetError(ResolveError):
    """The name is known, but none of its targets may be tried now."""

    def __init__(self, name: str, code: NoTargetCode, retry_after_s: float | None) -> None:
        self.name = name
        self.code = code
        self.retry_after_s = retry_after_s
        why = _WHY[code]
        when = "" if retry_after_s is None else f"; try again in {math.ceil(retry_after_s)} s"
        super().__init__(f"every target of '{name}' {why}{when}")


class UnservableError(ResolveError):
    """The name is known, but it is also known that no target behind it can serve such a request: waiting is no use."""

    code = "needs_unmet"

    def __init__(self, name: str, needed: Shortfall) -> None:
        self.name = name
        self.lacking = needed.words
        super().__init__(f"no target of '{name}' offers {needed.text}")


class UnboundError(ResolveError):
    """No target is known to have made the stored response."""

    code = "unbound"

    def __init__(self) -> None:
        super().__init__("nothing is known under this id")


class BoundElsewhereError(ResolveError):
    """The name is known, but the target that made the stored response is not behind it."""

    code = "bound_elsewhere"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"'{name}' does not lead to the provider that made what the request goes on from: ask by a name that does"
        )
