"""A service of which something is altered that nobody can alter from outside: `python -m tests.support.altered MODULE`.

`ALTERED_CLOCK` names a file with seconds in it by which the wall clock is off; it may be rewritten at any time.
`ALTERED_SETTLED_MS` is how long changes of the configuration file are gathered, and it has to stay as it is to count.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path

from resolver_service.adapters import config_file


def main() -> None:
    if file := os.environ.get("ALTERED_CLOCK"):
        right = time.time
        time.time = lambda: right() + float(Path(file).read_text())
    if settled := os.environ.get("ALTERED_SETTLED_MS"):
        config_file.SETTLED_MS = config_file.GATHER_MS = int(settled)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
