"""What an event of a stream costs, passed through and translated: `make bench-dialects`.

Clients of each API ask providers of each for the same text in 50 pieces; nginx as a plain reverse proxy gets the same
streams. All take turns in every round. CPU time is what the operating system charged the edge for, over the requests
that wrk saw completed; an error ends the run.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import codecs, debian, forebay, nginx, processes, streams, systems, wrk
from benchmarks.nginx import Stream
from benchmarks.routes import Route
from benchmarks.spread import table
from benchmarks.streams import APIS, PIECES
from benchmarks.systems import EDGE, NGINX, System, WrongAnswerError, verified_bytes
from benchmarks.window import LoadError, Result, Window, charged

RESULTS = Path(__file__).parent / "results" / "dialects.md"
CLIENTS = 32
WARM_UP_S = 2
GOAL_US = 8
NAMES = {"chat": "chat completions", "responses": "Responses", "anthropic": "Anthropic", "gemini": "Gemini"}
_PASSES = {("chat", "responses")}
"""A client of chat completions is passed on to a provider with Responses by the API that it came by: nothing new."""


@dataclass(frozen=True)
class Pair:
    client: str
    provider: str

    @property
    def route(self) -> Route:
        events = len(streams.events(self.provider))
        name = f"{self.client}-{self.provider}"
        return Route(name, places=(self.provider,), client=self.client, provider=self.provider, events=events)

    @property
    def is_translated(self) -> bool:
        return self.client != self.provider


PAIRS = [Pair(client, provider) for provider in APIS for client in APIS if (client, provider) not in _PASSES]
"""Those of one provider stand together: what else the machine does changes from minute to minute."""


@dataclass(frozen=True)
class Measured:
    edge: dict[Pair, list[Window]]
    nginx: dict[str, list[Window]]
    cores: processes.Cores
    seconds: int
    rounds: int


def measure(directory: Path, seconds: int, rounds: int) -> Measured:
    """Raises `LoadError` and `WrongAnswerError`: an error ends it all."""
    tools = debian.require(debian.NGINX, debian.WRK)
    cores = processes.split_cores()
    print(f"pinned: {cores.description}", flush=True)
    events = {api: streams.events(api) for api in APIS}
    provided = {api: Stream(its, min(map(len, its))) for api, its in events.items()}
    with (
        nginx.provider(tools[debian.NGINX], directory / "provider", cores.others, provided) as provider,
        nginx.proxy(tools[debian.NGINX], directory / "proxy", cores.under_test, provider) as proxy,
        forebay.running(
            forebay.config(provider, [pair.route for pair in PAIRS]), directory / "forebay", cores
        ) as services,
    ):
        gateway, limit = systems.gateway(services), systems.proxied(proxy)
        asked: list[tuple[Pair, System]] = [(pair, gateway) for pair in PAIRS]
        asked += [(Pair(api, api), limit) for api in APIS]
        lengths = [verified_bytes(system, pair.route) for pair, system in asked]
        print(f"verified: {len(lengths)} answers have the provider's text", flush=True)
        found = Measured({pair: [] for pair in PAIRS}, {api: [] for api in APIS}, cores, seconds, rounds)
        for number in range(rounds + 1):
            for (pair, system), length in zip(asked, lengths, strict=True):

                def load(pair: Pair = pair, system: System = system, length: int = length) -> Result:
                    return wrk.run(
                        tools[debian.WRK],
                        directory / "load.lua",
                        system.asked(pair.route),
                        clients=CLIENTS,
                        seconds=seconds if number else WARM_UP_S,  # noqa: B023 - called at once
                        answer_bytes=length,
                        cores=cores.others,
                    )

                window = charged(load, system.pids, provider.pid)
                if number == 0:
                    continue
                (found.nginx[pair.provider] if system is limit else found.edge[pair]).append(window)
                print(f"round {number}, {system.name}, {pair.route.name}: {window}", flush=True)
    return found


def _us(windows: Sequence[Window], process: str) -> float:
    return statistics.median(window.cpu_us(process) for window in windows)


def above_us(measured: Measured, pair: Pair) -> list[float]:
    """What an event costs more than where the same stream is passed through, round by round."""
    passed = measured.edge[Pair(pair.provider, pair.provider)]
    return [
        (translated.cpu_us(EDGE) - same.cpu_us(EDGE)) / PIECES
        for translated, same in zip(measured.edge[pair], passed, strict=True)
    ]


def text(measured: Measured) -> str:
    """The report, in Markdown."""
    head = ["clients of", *(f"from {NAMES[api]}" for api in APIS)]
    streams_ = [[NAMES[client], *(_cost(measured, Pair(client, api)) for api in APIS)] for client in APIS]
    limits = ["nginx as a proxy", *(f"{_us(measured.nginx[api], NGINX):,.0f}" for api in APIS)]
    events = [[NAMES[client], *(_above(measured, Pair(client, api)) for api in APIS)] for client in APIS]
    alone = [[NAMES[client], *(_alone(Pair(client, api)) for api in APIS)] for client in APIS]
    windows = [window for each in (*measured.edge.values(), *measured.nginx.values()) for window in each]
    foreign = statistics.median(window.foreign_s / window.wall_s for window in windows)
    return "\n".join(
        [
            f"CPU of the edge, us per stream of {PIECES} pieces of text, {CLIENTS} clients; a write for each event:",
            "",
            *table(head, [*streams_, limits]),
            "",
            f"Above the same stream passed through, us per event (goal: {GOAL_US}):",
            "",
            *table(head, events),
            "",
            "The codecs alone, us per event, the least of many blocks:",
            "",
            *table(head, alone),
            "",
            f"`make bench-dialects`: medians of {measured.rounds} rounds of windows of {measured.seconds} s, in which "
            f"all take turns, {sum(window.result.requests for window in windows):,} streams without an error; "
            f"{os.cpu_count()} cores, {measured.cores.description}; other processes took {foreign:.0%} of a core.",
            "",
        ]
    )


def _cost(measured: Measured, pair: Pair) -> str:
    return f"{_us(measured.edge[pair], EDGE):,.0f}" if pair in measured.edge else "passed"


def _above(measured: Measured, pair: Pair) -> str:
    if pair not in measured.edge or not pair.is_translated:
        return "passed"
    return f"{statistics.median(above_us(measured, pair)):.1f}"


def _alone(pair: Pair) -> str:
    return f"{codecs.event_us(pair.client, pair.provider):.1f}" if pair in PAIRS else "passed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="how long a window is (default: 2)")
    parser.add_argument("--rounds", type=int, default=5, help="how many windows of each kind (default: 5)")
    given = parser.parse_args()
    if given.seconds < 1 or given.rounds < 1:
        parser.error("--seconds and --rounds are at least 1")
    # As Ctrl-C does, so that whatever was started is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        try:
            told = text(measure(Path(name), given.seconds, given.rounds))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except (debian.MissingToolError, processes.StartError, WrongAnswerError, LoadError) as error:
            sys.exit(f"no figures: {error}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(told)
    print(f"\n{told}\nwritten to {RESULTS}")


if __name__ == "__main__":
    main()
