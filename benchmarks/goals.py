"""The goals, and what one run reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks import apart, loads, peers
from benchmarks.arranged import ONE_WORKER, POOLS, TWO_WORKERS, WORKER, with_pools
from benchmarks.found import Found, MissingError, Value
from benchmarks.loads import Load
from benchmarks.processes import CORES_FOR_TWO
from benchmarks.routes import TRANSLATED
from benchmarks.streams import PIECES
from benchmarks.systems import EDGE, FOREBAY, NGINX, PROVIDER, RESOLVER
from benchmarks.window import Window

MIB, KIB = 2**20, 2**10


def edge(window: Window) -> float:
    return window.cpu_us(EDGE)


def resolver(window: Window) -> float:
    return window.cpu_us(RESOLVER)


def whole(window: Window) -> float:
    """All processes under test."""
    return window.cpu_us()


@dataclass(frozen=True)
class Goal:
    figure: str
    bound: float
    shown: Callable[[float], str]
    reached: Callable[[Found], Sequence[float]]
    """Round by round. Raises `MissingError`."""
    is_least: bool = False
    """At least the bound is to be reached, and not at most."""
    load: Load | None = None
    """It is of this load's ratio to nginx."""

    @property
    def told(self) -> str:
        return f"at {'least' if self.is_least else 'most'} {self.shown(self.bound)}"


@dataclass(frozen=True)
class Verdict:
    goal: Goal
    reached: Sequence[float]
    missing: str = ""
    """Why nothing is known of it."""

    @property
    def word(self) -> str:
        if self.missing:
            return "not measured"
        middle, bound = statistics.median(self.reached), self.goal.bound
        return "met" if (middle >= bound if self.goal.is_least else middle <= bound) else "**missed**"


def verdicts(found: Found) -> list[Verdict]:
    return [_verdict(found, goal) for goal in GOALS]


def _verdict(found: Found, goal: Goal) -> Verdict:
    try:
        return Verdict(goal, goal.reached(found))
    except MissingError as error:
        return Verdict(goal, (), str(error))


_times = "{:.2f}x".format
_us = "{:,.1f} us".format
_ms = "{:.2f} ms".format
_s = "{:.2f} s".format
_mib = "{:.1f} MiB".format
_kib = "{:.1f} KiB".format


def _to_nginx(load: Load, most: float) -> Goal:
    def reached(found: Found) -> Sequence[float]:
        return found.ratios((load, FOREBAY, edge), (load, NGINX, whole))

    return Goal(f"edge CPU to nginx's: {load.name}", most, _times, reached, load=load)


def _to_peer(name: str, most: float) -> Goal:
    load = loads.JSON_8

    def reached(found: Found) -> Sequence[float]:
        return found.ratios((load, FOREBAY, edge), (load, name, whole))

    return Goal(f"edge CPU to {name}'s: {load.name}", most, "{:.4f}x".format, reached)


def _above(client: str, provider: str) -> Goal:
    """What translating adds to an event, over the same provider's stream passed through."""
    load, same = loads.pair(client, provider), loads.pair(provider, provider)

    def reached(found: Found) -> Sequence[float]:
        return [us / PIECES for us in found.differences((load, FOREBAY, edge), (same, FOREBAY, edge))]

    return Goal(f"translated, per event above passed through: {provider} to {client}", 8, _us, reached)


def _added(what: str, most: float, load: Load, value: Value) -> Goal:
    def reached(found: Found) -> Sequence[float]:
        return [s * 1000 for s in found.differences((load, FOREBAY, value), (load, PROVIDER, value))]

    return Goal(f"{what} over the provider: {load.name}", most, _ms, reached)


def _fact(figure: str, most: float, shown: Callable[[float], str], name: str, unit: float = 1.0) -> Goal:
    return Goal(figure, most, shown, lambda found: [value / unit for value in found.fact(name)])


def _goals() -> Iterator[Goal]:
    yield _to_nginx(loads.JSON_32, 8)
    yield _to_nginx(loads.JSON_256, 8)
    yield _to_peer(peers.LITELLM, 1 / 60)
    yield _to_peer(peers.PORTKEY, 1 / 5)
    yield _to_peer(peers.FERROGW, 1)
    yield _to_peer(peers.SMG, 1)
    yield _to_nginx(loads.EVENTS_50, 1.6)
    yield _to_nginx(loads.PACED_64, 2.3)
    yield _to_nginx(loads.EVENTS_1000, 1.2)
    for client, provider in TRANSLATED:
        yield _above(client, provider)
    yield _to_nginx(loads.LARGE, 3)
    few, many = with_pools(POOLS[0]), with_pools(POOLS[-1])
    yield Goal(
        f"resolver CPU per request, with its reports: {loads.POOLS.name}",
        60,
        _us,
        lambda found: found.each(loads.POOLS, few, resolver),
    )
    yield Goal(
        f"resolver CPU, {POOLS[-1]:,} pools to {POOLS[0]}",
        1.3,
        _times,
        lambda found: found.ratios((loads.POOLS, many, resolver), (loads.POOLS, few, resolver)),
    )
    yield _added("p50", 0.8, loads.JSON_1, lambda window: window.result.p50_s)
    yield _added("p99", 2.5, loads.JSON_1, lambda window: window.result.p99_s)
    yield _added("time to first token", 1, loads.PACED_1, lambda window: window.result.first_s)
    yield Goal(f"pieces held back, of a stream: {loads.PACED_1.name}", 0, "{:.0f}".format, _held_back)
    yield Goal(
        "edge CPU of a 429 and then a 200, to a 200 at once: 32 clients",
        1.6,
        _times,
        lambda found: found.ratios((loads.LIMITED, FOREBAY, edge), (loads.JSON_32, FOREBAY, edge)),
    )
    yield _fact("edge's memory, idle", 80, _mib, f"edge, 100 pools, {apart.IDLE}", MIB)
    yield _fact("edge's memory, per open stream", 30, _kib, f"edge, {apart.PER_STREAM}", KIB)
    yield _fact("resolver's memory, 100 pools", 60, _mib, f"resolver, 100 pools, {apart.IDLE}", MIB)
    yield _fact("resolver's memory, 10,000 pools", 300, _mib, f"resolver, 10,000 pools, {apart.IDLE}", MIB)
    yield _fact("resolver serves after", 1, _s, f"resolver, 100 pools, {apart.START}")
    yield _fact("edge serves after", 1, _s, f"edge, 100 pools, {apart.START}")
    for pools, most in (("1,000", 1), ("10,000", 5)):
        yield _fact(f"reload of {pools} pools in effect after", most, _s, f"resolver, {pools} pools, {apart.IN_EFFECT}")
        yield _fact(
            f"longest resolve meanwhile, {pools} pools", 20, _ms, f"resolver, {pools} pools, {apart.WAITED}", 1e-3
        )
    yield Goal("rate of two edge workers to that of one", 1.8, _times, _second_worker, is_least=True)
    yield Goal("the busier worker's share of the CPU of two", 0.55, "{:.0%}".format, _balance)


def _held_back(found: Found) -> Sequence[float]:
    """Pieces fewer than there are events: the client got several at once."""
    direct = found.each(loads.PACED_1, PROVIDER, lambda window: window.result.pieces)
    via = found.each(loads.PACED_1, FOREBAY, lambda window: window.result.pieces)
    return [max(0.0, sent - got) for sent, got in zip(direct, via, strict=True)]


def _second_worker(found: Found) -> Sequence[float]:
    def rate(window: Window) -> float:
        return window.rate

    rates = found.ratios((loads.WORKERS, TWO_WORKERS, rate), (loads.WORKERS, ONE_WORKER, rate))
    if found.cores < CORES_FOR_TWO:
        raise MissingError(f"it takes {CORES_FOR_TWO} cores, and there are {found.cores}")
    return rates


def _balance(found: Found) -> Sequence[float]:
    def busier(window: Window) -> float:
        shares = [used for name, used in window.cpu_s.items() if name.startswith(WORKER)]
        if not sum(shares):
            raise MissingError("the edge has no processes that could be its workers")
        return max(shares) / sum(shares)

    return found.each(loads.WORKERS, TWO_WORKERS, busier)


GOALS = tuple(_goals())
