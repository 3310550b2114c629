from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.contract.serving import Served, serving


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Served]:
    """The resolver with the configuration of `serving.CONFIG`, without a token."""
    async with serving() as served:
        yield served
