"""What the tests of faults share: one pair of services, and the search for leaks in all that they leave behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support import canaries
from tests.support.elsewhere import Elsewhere, elsewhere
from tests.support.standing import Standing, standing


@pytest.fixture(autouse=True)
def nothing_leaks(tmp_path: Path) -> Iterator[None]:
    """What a test with services of its own leaves behind has no secret in it, and no prompt."""
    yield
    assert canaries.found(tmp_path) == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def places(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Elsewhere]:
    async with elsewhere(tmp_path_factory.mktemp("elsewhere")) as them:
        yield them


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def it(tmp_path_factory: pytest.TempPathFactory, places: Elsewhere) -> AsyncIterator[Standing]:
    """Both services, for whoever does not stop them. In the end nothing that they leave behind has a secret in it."""
    directory = tmp_path_factory.mktemp("standing")
    async with standing(directory, places.urls, FOREBAY_EDGE_UPSTREAM_CA=str(places.ca_file)) as services:
        yield services
    assert canaries.found(directory) == []
