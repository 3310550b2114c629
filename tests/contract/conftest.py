from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.contract.serving import Served, serving
from tests.support.valkey import Store


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Served]:
    """The resolver with the configuration of `serving.CONFIG`, without a token."""
    async with serving() as served:
        yield served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Of what resolvers share."""
    store = Store(tmp_path_factory.mktemp("valkey"))
    yield store
    store.stop()


@pytest.fixture
def store(server: Store) -> Store:
    """The same, with nothing in it."""
    server.ask("FLUSHALL")
    return server
