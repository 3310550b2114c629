"""Everything that takes part, started side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import debian, forebay, nginx, peers, processes, systems
from benchmarks.debian import MissingToolError
from benchmarks.forebay import Forebay
from benchmarks.found import Found
from benchmarks.loads import Among, Load
from benchmarks.nginx import Nginx
from benchmarks.processes import Cores, StartError
from benchmarks.routes import ROUTES, provided
from benchmarks.systems import System

POOLS = (10, 1_000, 10_000)


def with_pools(count: int) -> str:
    """What Forebay with so many pools is called."""
    return f"{systems.FOREBAY}, {count:,} pools"


WORKER = "worker"
"""What a worker's process is called in the report, with its number."""
ONE_WORKER = f"{systems.FOREBAY}, 1 worker"
TWO_WORKERS = f"{systems.FOREBAY}, 2 workers"


@dataclass(frozen=True)
class Arrangement:
    provider: Nginx
    services: Forebay
    among: dict[Among, list[System]] = field(default_factory=dict)

    def asked(self, load: Load) -> Sequence[System]:
        return self.among.get(load.among, ())


@contextlib.contextmanager
def arranged(
    found: Found, tools: Mapping[str, str], directory: Path, cores: Cores, *, is_quick: bool
) -> Iterator[Arrangement]:
    """For the time of the block. What cannot be had is told to `found`; raises `StartError` if that is nginx or Forebay
    itself."""
    with contextlib.ExitStack() as stack:
        program = tools[debian.NGINX]
        streams = provided(with_pauses=debian.LUA in tools)
        provider = stack.enter_context(nginx.provider(program, directory / "provider", cores.others, streams))
        proxy = stack.enter_context(nginx.proxy(program, directory / "proxy", cores.under_test, provider))
        configuration = forebay.config(provider, ROUTES.values())
        services = stack.enter_context(forebay.running(configuration, directory / "forebay", cores))
        direct, both = systems.direct(provider), [systems.proxied(proxy), systems.gateway(services)]
        arrangement = Arrangement(provider, services)
        arrangement.among.update({Among.BOTH: both, Among.LATENCY: [direct, *both], Among.ALL: [direct, *both]})
        if not is_quick:
            arrangement.among[Among.ALL] += list(_peers(found, stack, directory, cores, provider))
            arrangement.among[Among.POOLS] = list(_pools(stack, directory, cores, provider))
            arrangement.among[Among.WORKERS] = list(_workers(stack, directory, cores, services))
        yield arrangement


def _peers(
    found: Found, stack: contextlib.ExitStack, directory: Path, cores: Cores, provider: Nginx
) -> Iterator[System]:
    for peer in peers.PEERS:
        print(f"starting {peer.name}", flush=True)
        try:
            yield stack.enter_context(peers.running(peer, directory / peer.name, cores.under_test, provider))
        except (MissingToolError, StartError, OSError) as error:
            found.missing[peer.name] = ": ".join(filter(None, (str(error), processes.last_line(directory / peer.name))))
            print(f"SKIPPED: {peer.name}: {found.missing[peer.name]}", flush=True)


def _pools(stack: contextlib.ExitStack, directory: Path, cores: Cores, provider: Nginx) -> Iterator[System]:
    for count in POOLS:
        configuration = forebay.config(provider, [ROUTES["ten"]], pools=count)
        running = forebay.running(configuration, directory / f"pools-{count}", cores)
        yield systems.gateway(stack.enter_context(running), with_pools(count))


def _workers(stack: contextlib.ExitStack, directory: Path, cores: Cores, services: Forebay) -> Iterator[System]:
    """Both edges are of the same resolver, and on the same cores."""
    for name, flags in ((ONE_WORKER, ()), (TWO_WORKERS, ("--workers", "2"))):
        place = directory / name.replace(" ", "-")
        place.mkdir()
        edge = stack.enter_context(forebay.edge(services.resolver.address, place, cores.pair, *flags))
        system = systems.gateway(Forebay(services.resolver, edge), name)
        children = processes.children(edge.pid)
        workers = {f"{WORKER} {number}": [pid] for number, pid in enumerate(children, 1)}
        yield replace(system, pids={**system.pids, **workers})
