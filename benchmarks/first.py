"""What a request costs in Forebay, beside nginx as a plain reverse proxy: `make bench`.

Both stand before the same provider and get the same load in turns. CPU time is what the operating system charged the
processes for, divided by the requests that wrk saw completed. An error ends the run: there is no figure with errors.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import signal
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import debian, forebay, nginx, processes, report, wrk
from benchmarks.forebay import Forebay
from benchmarks.processes import Cores
from benchmarks.report import Load, Window

RESULTS = Path(__file__).parent / "results" / "first.md"
WARM_UP_S = 1
TAIL_S = 0.2
"""After a window, for what the load generator left under way: the window pays for it."""
REQUEST_BYTES = 1024
PATH = "/v1/chat/completions"

LOADS = (
    Load("JSON, 1 client", clients=1, route="whole"),
    Load("JSON, 32 clients", clients=32, route="whole", goal=8.0),
    Load("50 events, a write each, 32 clients", clients=32, route="events", goal=1.6),
    Load("50 events in one piece, 32 clients", clients=32, route="burst"),
)
STREAMS = frozenset({"events", "burst"})


class WrongAnswerError(Exception):
    """A system under test does not do the work that is to be measured."""


@dataclass(frozen=True)
class System:
    """Something between clients and the provider."""

    name: str
    url: Callable[[str], str]
    """Where a route's requests go."""
    model: Callable[[str], str]
    """What the model is called in a route's answers."""
    pids: Mapping[str, int]
    """The processes that are charged, by their names in the report."""


def request_body(route: str) -> bytes:
    """A request of 1 KB. nginx gets the same as Forebay."""
    request = {"model": route, "stream": route in STREAMS, "temperature": 0.2, "max_tokens": 512}
    messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": ""}]
    padding = REQUEST_BYTES - len(json.dumps({**request, "messages": messages}))
    messages[-1]["content"] = "x" * padding
    return json.dumps({**request, "messages": messages}).encode()


def verified_bytes(system: System, route: str) -> int:
    """Asks once and compares the answer with the provider's, the model's name apart; its length. Raises
    `WrongAnswerError`."""
    url = urllib.parse.urlsplit(system.url(route))
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", url.path, request_body(route), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    if response.status != 200:
        raise WrongAnswerError(f"{system.name} answered {url.geturl()} with {response.status}: {answer[:500]!r}")
    kind = "text/event-stream" if route in STREAMS else "application/json"
    if not (response.headers["content-type"] or "").startswith(kind):
        raise WrongAnswerError(f"{system.name} answered {url.geturl()} as {response.headers['content-type']}")
    expected = nginx.events() if route in STREAMS else [nginx.completion()]
    got = [event + b"\n\n" for event in answer.split(b"\n\n")[:-1]] if route in STREAMS else [answer]
    if [_content(part) for part in got] != [_content(part, system.model(route)) for part in expected]:
        raise WrongAnswerError(f"{system.name} answered {url.geturl()} with something else: {answer[:500]!r}")
    return len(answer)


def _content(part: bytes, model: str | None = None) -> object:
    if part == nginx.DONE:
        return part
    content = json.loads(part.removeprefix(b"data: "))
    return {**content, "model": model} if model is not None else content


@dataclass(frozen=True)
class Bench:
    """Where the load comes from."""

    wrk: str
    directory: Path
    cores: Cores
    provider_pid: int
    body: Callable[[str], bytes] = request_body
    """What a route is asked."""

    def window(self, system: System, load: Load, seconds: int, answer_bytes: int) -> Window:
        """One system under one load for some seconds."""
        script = wrk.write_script(self.directory / f"{load.route}.lua", self.body(load.route))
        pids = {**system.pids, "provider": self.provider_pid}
        before = {name: processes.cpu_s(pid) for name, pid in pids.items()}
        machine_before, wrk_before, began = processes.machine_cpu_s(), processes.children_cpu_s(), time.perf_counter()
        result = wrk.run(
            self.wrk,
            script,
            system.url(load.route),
            clients=load.clients,
            seconds=seconds,
            answer_bytes=answer_bytes,
            cores=self.cores.others,
        )
        time.sleep(TAIL_S)
        used = {name: processes.cpu_s(pid) - before[name] for name, pid in pids.items()}
        wall_s = time.perf_counter() - began
        wrk_s = processes.children_cpu_s() - wrk_before
        machine_s = processes.machine_cpu_s() - machine_before
        return Window(
            result=result,
            cpu_s={name: used[name] for name in system.pids},
            load_side_s=used["provider"] + wrk_s,
            foreign_s=max(0.0, machine_s - sum(used.values()) - wrk_s),
            wall_s=wall_s,
        )


def systems(services: Forebay, proxy: nginx.Nginx) -> tuple[System, System]:
    return (
        System(
            report.NGINX,
            url=lambda route: f"{proxy.url}/{route}{PATH}",
            model=lambda _: nginx.UPSTREAM_MODEL,
            pids={report.NGINX: proxy.pid},
        ),
        System(
            report.FOREBAY,
            url=lambda _: services.edge.address + PATH,
            model=lambda route: route,
            pids={report.EDGE: services.edge.pid, report.RESOLVER: services.resolver.pid},
        ),
    )


def measure(directory: Path, seconds: int, rounds: int) -> report.Measured:
    """Everything that the report tells."""
    tools = debian.require(debian.NGINX, debian.WRK)
    cores = processes.split_cores()
    print(f"pinned: {cores.description}", flush=True)
    routes = list(dict.fromkeys(load.route for load in LOADS))
    windows: dict[tuple[str, str], list[Window]] = {}
    starts: list[Forebay] = []
    with (
        nginx.provider(tools[debian.NGINX], directory / "provider", cores.others) as provider,
        nginx.proxy(tools[debian.NGINX], directory / "proxy", cores.under_test, provider) as proxy,
    ):
        bench = Bench(tools[debian.WRK], directory, cores, provider.pid)
        configuration = forebay.config(provider.url, routes)
        for number in range(rounds - 1):
            with forebay.running(configuration, directory / f"forebay-{number}", cores) as services:
                starts.append(services)
        with forebay.running(configuration, directory / "forebay", cores) as services:
            starts.append(services)
            both = systems(services, proxy)
            lengths = {(s.name, route): verified_bytes(s, route) for s in both for route in routes}
            print(f"verified: {len(lengths)} answers are the provider's, under the right model name", flush=True)
            for load, number, system in _turns(both, rounds):
                length = lengths[system.name, load.route]
                if number == 0:
                    bench.window(system, load, WARM_UP_S, length)
                    continue
                window = bench.window(system, load, seconds, length)
                windows.setdefault((load.name, system.name), []).append(window)
                print(f"{load.name}, round {number}, {system.name}: {report.line(window)}", flush=True)
            after = {name: processes.rss_bytes(pid) for name, pid in both[1].pids.items()}
    return report.Measured(LOADS, windows, starts, after, cores, tools, seconds, rounds)


def _turns(both: tuple[System, ...], rounds: int) -> Iterator[tuple[Load, int, System]]:
    """The systems take turns in each round; round 0 is for warming up."""
    for load in LOADS:
        for number in range(rounds + 1):
            for system in both:
                yield load, number, system


def _last_lines(directory: Path) -> str:
    """What the processes had to say at the end."""
    logs = {log: log.read_text(errors="replace").splitlines() for log in sorted(directory.glob("*/*.log"))}
    return "\n".join(
        "\n".join([f"--- {log.parent.name}/{log.name}", *lines[-15:]]) for log, lines in logs.items() if lines
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="how long a window is (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="how many windows of each kind (default: 3)")
    given = parser.parse_args()
    if given.seconds < 1 or given.rounds < 1:
        parser.error("--seconds and --rounds are at least 1")
    # As Ctrl-C does, so that whatever was started is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        directory = Path(name)
        try:
            text = report.text(measure(directory, given.seconds, given.rounds))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except (debian.MissingToolError, processes.StartError, WrongAnswerError, wrk.LoadError) as error:
            sys.exit(f"no figures: {error}\n{_last_lines(directory)}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)
    print(f"\n{text}\nwritten to {RESULTS}")


if __name__ == "__main__":
    main()
