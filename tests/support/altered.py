"""A service of which something is altered that nobody can alter from outside: `python -m tests.support.altered MODULE`.

`ALTERED_CLOCK` names a file with seconds in it by which the wall clock is off; it may be rewritten at any time.
`ALTERED_SETTLED_MS` is how long changes of the configuration file are gathered, and it has to stay as it is to count.
`ALTERED_ANSWER_S` is how long a resolver waits for the store that it shares, `ALTERED_RESOLVE_S` an edge for a plan.
"""

from __future__ import annotations

import functools
import os
import runpy
import sys
import time
from pathlib import Path

from edge_service.adapters.resolver_grpc import client
from resolver_service.adapters import config_file
from resolver_service.adapters.stores_redis.state import RedisState


def main() -> None:
    if file := os.environ.get("ALTERED_CLOCK"):
        right = time.time
        time.time = lambda: right() + float(Path(file).read_text())
    if settled := os.environ.get("ALTERED_SETTLED_MS"):
        config_file.SETTLED_MS = config_file.GATHER_MS = int(settled)
    if answer := os.environ.get("ALTERED_ANSWER_S"):
        patient = functools.partialmethod(RedisState.__init__, answer_s=float(answer))
        RedisState.__init__ = patient  # type: ignore[assignment,method-assign]
    if patience := os.environ.get("ALTERED_RESOLVE_S"):
        client.RESOLVE_TIMEOUT_S = client.RESOLVE_TOTAL_S = float(patience)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
