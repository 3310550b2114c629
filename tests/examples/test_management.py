"""Every command of docs/management.md, in its order, against a resolver and an edge."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from edge_service.adapters.http.management_operations import OPERATIONS
from tests.support.faulty_upstream import says
from tests.support.setup import setup, until

DOCUMENT = Path(__file__).parents[2] / "docs" / "management.md"
KEY = "the-management-key"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, int]]:
    """Each with the status that it is to be answered with."""
    lines = "".join(BLOCK.findall(DOCUMENT.read_text())).replace("\\\n", "").splitlines()
    found = [line.partition("  # ") for line in lines]
    return [(command, int(status or 200)) for command, _, status in found]


async def test_every_command_is_answered_as_it_says(tmp_path: Path) -> None:
    environment = {"FOREBAY_MANAGEMENT_KEY": KEY, "FOREBAY_RESOLVER_ALLOW_PROVIDER_EDITS": "1"}
    async with setup(tmp_path, says("hello"), **environment) as it:

        async def is_ready() -> bool:
            return (await it.client.get("/readyz")).status_code == 200

        await until(is_ready)
        told = [
            r"""curl() { command curl -w '%{stderr}%{http_code}\n' "$@"; }""",  # The status of each, on a line.
            *(command for command, _ in commands()),
        ]
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            "\n".join(told),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "EDGE": it.services.url, "KEY": KEY},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, statuses = await shell.communicate()
    assert statuses.decode().split() == [str(status) for _, status in commands()], output.decode()


def test_every_operation_is_shown() -> None:
    shown = set()
    for command, _ in commands():
        method = re.search(r"-X (\w+)", command)
        path = re.search(r"\$EDGE/v0/management([^\s\"?]*)", command)
        assert path is not None
        shown.add((method[1] if method else "GET", path[1]))
    wanted = {(operation.method, operation.path.format(n="1", id="p0/m%230")) for operation in OPERATIONS} | {
        ("GET", "/openapi.json")
    }
    assert shown == wanted
