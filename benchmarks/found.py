"""Everything that was found out, and what was not, with the reason: there is never a made-up figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.loads import Load
from benchmarks.window import Window

NOT_ASKED = "not measured in this run"
Value = Callable[[Window], float]


class MissingError(Exception):
    """There is no such figure; the message says why."""


@dataclass
class Row:
    """One system under one load."""

    windows: list[Window] = field(default_factory=list)
    ended: str = ""
    """Why it has no figure."""


@dataclass
class Found:
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    """By load and system."""
    times_s: dict[str, list[float]] = field(default_factory=dict)
    sizes_bytes: dict[str, list[float]] = field(default_factory=dict)
    """These two are what is measured otherwise."""
    missing: dict[str, str] = field(default_factory=dict)
    """Systems, times and sizes that there are not, and why."""
    machine: list[str] = field(default_factory=list)
    """What it was found out on, and with which versions."""
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)

    def reason(self, load: Load, system: str) -> str:
        """Why there is no figure; empty if there is one."""
        row = self.rows.get((load.name, system), Row())
        return "" if row.windows and not row.ended else row.ended or self.missing.get(system, NOT_ASKED)

    def windows(self, load: Load, system: str) -> Sequence[Window]:
        """Raises `MissingError`."""
        if reason := self.reason(load, system):
            raise MissingError(reason)
        return self.rows[load.name, system].windows

    def each(self, load: Load, system: str, value: Value) -> list[float]:
        """Round by round. Raises `MissingError`."""
        return [value(window) for window in self.windows(load, system)]

    def ratios(self, one: tuple[Load, str, Value], other: tuple[Load, str, Value]) -> list[float]:
        """Round by round, so that a disturbance that lasts meets both. Raises `MissingError`."""
        bases = self.each(*other)
        if not all(bases):
            raise MissingError(f"{other[1]} took nothing that can be measured")
        return [value / base for value, base in zip(self.each(*one), bases, strict=True)]

    def differences(self, one: tuple[Load, str, Value], other: tuple[Load, str, Value]) -> list[float]:
        """Round by round. Raises `MissingError`."""
        return [value - base for value, base in zip(self.each(*one), self.each(*other), strict=True)]

    def fact(self, name: str) -> Sequence[float]:
        """A time or a size. Raises `MissingError`."""
        values = self.times_s.get(name) or self.sizes_bytes.get(name)
        if name in self.missing or not values:
            raise MissingError(self.missing.get(name, NOT_ASKED))
        return values

    def took(self, name: str, seconds: float) -> None:
        """Once more."""
        self.times_s.setdefault(name, []).append(seconds)

    def is_of(self, name: str, size_bytes: float) -> None:
        """Once more."""
        self.sizes_bytes.setdefault(name, []).append(size_bytes)
