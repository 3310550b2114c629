"""What an event of a stream costs, passed through and translated: `make bench-dialects`.

Clients of each API ask providers of each for the same text in 50 pieces; nginx as a plain reverse proxy gets the same
streams. All take turns in every round. CPU time is what the operating system charged the edge for, over the requests
that wrk saw completed; an error ends the run.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import signal
import statistics
import sys
import tempfile
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import codecs, debian, forebay, nginx, processes, report, streams, wrk
from benchmarks.first import Bench, System, WrongAnswerError
from benchmarks.forebay import Forebay
from benchmarks.report import Load, Window
from benchmarks.streams import APIS, PIECES

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
    def route(self) -> str:
        return f"{self.client}-{self.provider}"

    @property
    def is_translated(self) -> bool:
        return self.client != self.provider


PAIRS = [Pair(client, provider) for provider in APIS for client in APIS if (client, provider) not in _PASSES]
"""Those of one provider stand together: what else the machine does changes from minute to minute."""


def config(provider_url: str) -> str:
    """A provider of each API, with a model named after it."""
    lines = ["providers:"]
    for api in APIS:
        dialect = "openai" if api in ("chat", "responses") else api
        base = f"{provider_url}/{api}" + ("/v1" if dialect == "openai" else "")
        lines.append(f"  - {{id: {api}, dialect: {dialect}, base-url: '{base}', models: [{api}-model],")
        lines.append(f"     responses: {str(api == 'responses').lower()}, allow-private: true}}")
    return "\n".join([*lines, ""])


def system(pair: Pair, services: Forebay) -> System:
    address = services.edge.address
    return System(
        report.FOREBAY,
        url=lambda _: address + streams.path(pair.client, f"{pair.provider}-model"),
        model=lambda _: f"{pair.provider}-model",
        pids={report.EDGE: services.edge.pid},
    )


def limit(api: str, proxy: nginx.Nginx) -> System:
    """nginx, with the stream of a provider."""
    return System(report.NGINX, url=lambda _: f"{proxy.url}/{api}/", model=lambda _: "", pids={report.NGINX: proxy.pid})


def verified_bytes(asked: System, pair: Pair) -> int:
    """Asks once; how long the answer is. Raises `WrongAnswerError` if its text is not the provider's."""
    url = urllib.parse.urlsplit(asked.url(""))
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    body = streams.request(pair.client, f"{pair.provider}-model")
    with contextlib.closing(connection):
        target = url.path + (f"?{url.query}" if url.query else "")
        connection.request("POST", target, body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    api = pair.provider if asked.name == report.NGINX else pair.client
    if response.status != 200 or streams.text(api, answer) != "".join(streams.TEXTS):
        raise WrongAnswerError(f"{asked.name}, {pair.route}: {response.status}, {answer[:500]!r}")
    return len(answer)


@dataclass(frozen=True)
class Measured:
    edge: dict[Pair, list[Window]]
    nginx: dict[str, list[Window]]
    cores: processes.Cores
    seconds: int
    rounds: int


def measure(directory: Path, seconds: int, rounds: int) -> Measured:
    tools = debian.require(debian.NGINX, debian.WRK)
    cores = processes.split_cores()
    print(f"pinned: {cores.description}", flush=True)
    files = {api: streams.events(api) for api in APIS}
    with (
        nginx.streams(tools[debian.NGINX], directory / "provider", cores.others, files) as provider,
        nginx.proxy(tools[debian.NGINX], directory / "proxy", cores.under_test, provider) as proxy,
        forebay.running(config(provider.url), directory / "forebay", cores) as services,
    ):
        asked = [(pair, system(pair, services)) for pair in PAIRS]
        asked += [(Pair(api, api), limit(api, proxy)) for api in APIS]
        lengths = [verified_bytes(under_test, pair) for pair, under_test in asked]
        print(f"verified: {len(lengths)} answers have the provider's text", flush=True)
        found = Measured({pair: [] for pair in PAIRS}, {api: [] for api in APIS}, cores, seconds, rounds)
        for number in range(rounds + 1):
            for (pair, under_test), length in zip(asked, lengths, strict=True):
                body = streams.request(pair.client, f"{pair.provider}-model")
                bench = Bench(tools[debian.WRK], directory, cores, provider.pid, lambda _, body=body: body)
                load = Load(pair.route, CLIENTS, pair.route)
                if number == 0:
                    bench.window(under_test, load, WARM_UP_S, length)
                    continue
                window = bench.window(under_test, load, seconds, length)
                of_nginx = under_test.name == report.NGINX
                (found.nginx[pair.provider] if of_nginx else found.edge[pair]).append(window)
                print(f"round {number}, {under_test.name}, {pair.route}: {report.line(window)}", flush=True)
    return found


def _us(windows: Sequence[Window], process: str) -> float:
    return statistics.median(window.cpu_us(process) for window in windows)


def above_us(measured: Measured, pair: Pair) -> list[float]:
    """What an event costs more than where the same stream is passed through, round by round."""
    passed = measured.edge[Pair(pair.provider, pair.provider)]
    return [
        (translated.cpu_us(report.EDGE) - same.cpu_us(report.EDGE)) / PIECES
        for translated, same in zip(measured.edge[pair], passed, strict=True)
    ]


def text(measured: Measured) -> str:
    """The report, in Markdown."""
    head = ["clients of", *(f"from {NAMES[api]}" for api in APIS)]
    streams_ = [[NAMES[client], *(_cost(measured, Pair(client, api)) for api in APIS)] for client in APIS]
    limits = ["nginx as a proxy", *(f"{_us(measured.nginx[api], report.NGINX):,.0f}" for api in APIS)]
    events = [[NAMES[client], *(_above(measured, Pair(client, api)) for api in APIS)] for client in APIS]
    alone = [[NAMES[client], *(_alone(Pair(client, api)) for api in APIS)] for client in APIS]
    windows = [window for each in (*measured.edge.values(), *measured.nginx.values()) for window in each]
    foreign = statistics.median(window.foreign_s / window.wall_s for window in windows)
    return "\n".join(
        [
            f"CPU of the edge, us per stream of {PIECES} pieces of text, {CLIENTS} clients; a write for each event:",
            "",
            *_table([head, *streams_, limits]),
            "",
            f"Above the same stream passed through, us per event (goal: {GOAL_US}):",
            "",
            *_table([head, *events]),
            "",
            "The codecs alone, us per event, the least of many blocks:",
            "",
            *_table([head, *alone]),
            "",
            f"`make bench-dialects`: medians of {measured.rounds} rounds of windows of {measured.seconds} s, in which "
            f"all take turns, {sum(window.result.requests for window in windows):,} streams without an error; "
            f"{os.cpu_count()} cores, {measured.cores.description}; other processes took {foreign:.0%} of a core.",
            "",
        ]
    )


def _cost(measured: Measured, pair: Pair) -> str:
    return f"{_us(measured.edge[pair], report.EDGE):,.0f}" if pair in measured.edge else "passed"


def _above(measured: Measured, pair: Pair) -> str:
    if pair not in measured.edge or not pair.is_translated:
        return "passed"
    return f"{statistics.median(above_us(measured, pair)):.1f}"


def _alone(pair: Pair) -> str:
    return f"{codecs.event_us(pair.client, pair.provider):.1f}" if pair in PAIRS else "passed"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *others = rows
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *others)]


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
        except (debian.MissingToolError, processes.StartError, WrongAnswerError, wrk.LoadError) as error:
            sys.exit(f"no figures: {error}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(told)
    print(f"\n{told}\nwritten to {RESULTS}")


if __name__ == "__main__":
    main()
