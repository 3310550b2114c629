"""What these tests share: one pair of services for whoever needs nothing special of it, and the search for leaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support import canaries
from tests.support.setup import DEAD_URL
from tests.support.standing import Kind, Standing, standing

KINDS = {
    "of 1": Kind(30, members=1),
    "of 2": Kind(30, members=2),
    "of 3": Kind(1, members=3),
    "of 6": Kind(1, members=6),
    "three of five": Kind(1, members=5, policy={"attempts": 3}),
    "for longer contexts": Kind(1, members=2, policy={"failover": {"also": ["context-length"]}}),
}


@pytest.fixture(autouse=True)
def nothing_leaks(tmp_path: Path) -> Iterator[None]:
    """What a test leaves behind has no secret in it, and no prompt."""
    yield
    assert canaries.found(tmp_path) == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    """Both services. In the end nothing that they leave behind has a secret in it."""
    directory = tmp_path_factory.mktemp("standing")
    async with standing(directory, {"unreachable": DEAD_URL}, KINDS) as services:
        yield services
    assert canaries.found(directory) == []
