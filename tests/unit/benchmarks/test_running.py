from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import debian, loads, systems
from benchmarks.loads import Load
from benchmarks.nginx import Nginx
from benchmarks.processes import Cores
from benchmarks.running import Running
from benchmarks.window import LoadError


@pytest.mark.parametrize(
    ("load", "tool"),
    [(loads.JSON_32, debian.WRK), (loads.JSON_RATE, debian.K6), (loads.PACED_1, debian.LUA)],
    ids=["by time", "by rate", "with pauses"],
)
def test_a_load_without_its_tool_names_it(load: Load, tool: str) -> None:
    tools = {name: "/bin/false" for name in (debian.WRK, debian.K6, debian.LUA) if name != tool}
    running = Running(tools, Path(), Cores((), ()), 0)
    with pytest.raises(LoadError, match=f"{tool} is missing"):
        running.warm_up(systems.direct(Nginx(0, 1)), load, 1.0)
