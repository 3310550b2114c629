"""The budget of the hot paths, and whether they keep to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

TOLERANCE = 0.05
"""For counted instructions, which are the same from run to run."""
TOLERANCE_CALIBRATED = 0.5
"""For ratios to a calibration, which vary with the machine's other work."""

WHOLE = 1000
"""Larger figures are written without decimals."""


class CountError(Exception):
    """Nothing was counted; the message says why."""


@dataclass(frozen=True)
class Row:
    path: str
    allowed: float | None
    """None: the budget does not know this path."""
    counted: float | None
    """None: nothing goes this path any more."""
    tolerance: float

    @property
    def change(self) -> float:
        """Relative to what is allowed; above 0 is dearer."""
        return self.counted / self.allowed - 1 if self.counted is not None and self.allowed else 0.0

    @property
    def complaint(self) -> str:
        """Empty if it keeps to the budget."""
        if self.allowed is None:
            return "not in the budget: write it"
        if self.counted is None:
            return "in the budget, but not counted: write it"
        if self.change > self.tolerance:
            return f"{self.change:+.1%}: more than the {self.tolerance:.0%} that are tolerated"
        return ""

    @property
    def hint(self) -> str:
        return "cheaper than the budget: lower it" if self.change < -self.tolerance else ""

    def __str__(self) -> str:
        allowed, counted = map(_shown, (self.allowed, self.counted))
        said = f"OVER {self.complaint}" if self.complaint else self.hint or "ok"
        return f"{self.path:55} {allowed:>16} {counted:>16} {self.change:+7.1%}  {said}"


def _shown(value: float | None) -> str:
    """Instructions as they are, ratios with what is behind the point."""
    return "-" if value is None else f"{value:,.0f}" if value >= WHOLE else f"{value:.3f}"


def compared(allowed: Mapping[str, float], counted: Mapping[str, float], tolerance: float) -> list[Row]:
    """In the order of what was counted."""
    names = [*counted, *(name for name in allowed if name not in counted)]
    return [Row(name, allowed.get(name), counted.get(name), tolerance) for name in names]


def per_call(names: Sequence[str], totals: Sequence[int], times: int) -> dict[str, float]:
    """The cost of one call of each path. Between the marks of a path there are something before it, N calls, and 2N
    calls; what it takes to begin is in both and cancels out. Raises `CountError`."""
    if len(totals) < 3 * len(names):
        raise CountError(f"{len(names)} paths have {3 * len(names)} marks, and there are {len(totals)}")
    costs = {name: (totals[3 * number + 2] - totals[3 * number + 1]) / times for number, name in enumerate(names)}
    if free := [name for name, cost in costs.items() if cost <= 0]:
        raise CountError(f"nothing was counted on {len(free)} of {len(names)} paths: {', '.join(free)}")
    return costs


def written(python: str, instructions: Mapping[str, float], calibrated: Mapping[str, float]) -> str:
    """The budget as a file."""

    def table(name: str, values: Mapping[str, float], digits: int) -> Iterator[str]:
        yield f"\n[{name}]"
        for path, value in values.items():
            yield f'"{path}" = {value:.{digits}f}'

    return "\n".join(
        [
            "# What the hot paths may cost, per call. `make bench-guard` checks it, and writes it with WRITE=1.",
            "# instructions: counted by callgrind. calibrated: CPU time, in units of a fixed loop in the same run.",
            f'python = "{python}"',
            *table("instructions", instructions, 0),
            *table("calibrated", calibrated, 3),
            "",
        ]
    )
