"""Every route of the edge is of one kind: of the management API, of the APIs of models, or open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.routing import Route

from edge_service import settings
from edge_service.adapters.http.management import Resource
from edge_service.app.draining import UnderWay
from edge_service.bootstrap import create

MANAGEMENT = "/v0/management/"
MODELS = ("/v1/", "/v1beta/")
OPEN = {"/healthz", "/readyz"}
"""Whoever reaches them may ask."""


@pytest_asyncio.fixture
async def routes() -> AsyncIterator[list[Route]]:
    given = settings.load(["--resolver", "unix:/nowhere.sock", "--cors-origins", "*"], {})
    app = create(given, UnderWay(), lambda *_: None).routed
    async with app.router.lifespan_context(app):
        assert all(isinstance(route, Route) for route in app.routes)
        yield [route for route in app.routes if isinstance(route, Route)]


async def test_there_is_no_route_of_another_kind(routes: list[Route]) -> None:
    for route in routes:
        kinds = [route.path.startswith(MANAGEMENT), route.path.startswith(MODELS), route.path in OPEN]
        assert kinds.count(True) == 1, route.path


async def test_what_is_managed_is_behind_the_key_and_nothing_else_is(routes: list[Route]) -> None:
    """That nothing opens a `Resource` but the key, tests/unit/.../http/test_management.py shows of each."""
    for route in routes:
        assert isinstance(route.endpoint, Resource) is route.path.startswith(MANAGEMENT), route.path
        # It takes every method itself: the framework would tell which there are before the key is asked for.
        assert (route.methods is None) is route.path.startswith(MANAGEMENT), route.path


async def test_no_path_of_the_management_api_leads_elsewhere(routes: list[Route]) -> None:
    managed = [route for route in routes if route.path.startswith(MANAGEMENT)]
    assert len(managed) == len({route.path for route in managed})
    for path in ("/v0/management/model-pools", "/v0/management/targets/v1/models/x%230/drain"):
        scope = {"type": "http", "path": path, "method": "GET", "headers": []}
        matching = [route for route in routes if route.matches(scope)[0].value]
        assert [isinstance(route.endpoint, Resource) for route in matching] == [True]


@pytest.mark.parametrize(
    "path", ["/v0/management", "/v0/management/", "/v0/management/x", "/v0/managements/model-pools"]
)
async def test_there_is_nothing_beside_it(routes: list[Route], path: str) -> None:
    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    assert [route.path for route in routes if route.matches(scope)[0].value] == []
