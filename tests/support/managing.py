"""Whoever holds the management key, over gRPC."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from forebay.resolver.v1 import pool_admin_service_pb2 as pb
from forebay.resolver.v1 import pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as resolver_pb

KEY = "the-management-key"
TIMEOUT_S = 20.0
_WITH_KEY = (("x-management-key", KEY),)


class Managing:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._admin: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(channel)
        self._resolver: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)

    async def put_pool(self, pool: dict[str, Any], **fields: Any) -> pb.UpsertPoolResponse:
        return await self._call("UpsertPool", pb.UpsertPoolRequest(pool_json=json.dumps(pool).encode(), **fields))

    async def roll_back(self, revision: int) -> pb.RollbackResponse:
        return await self._call("Rollback", pb.RollbackRequest(revision=revision))

    async def revisions(self) -> list[pb.Revision]:
        return list((await self._call("ListRevisions", pb.ListRevisionsRequest(page_size=200))).revisions)

    async def model_pools(self) -> Any:
        return json.loads((await self._call("GetModelPools", pb.GetModelPoolsRequest())).model_pools_json)

    def watch(self, after_revision: int) -> Any:
        return self._resolver.Watch(resolver_pb.WatchRequest(after_revision=after_revision))

    async def _call(self, method: str, request: Any) -> Any:
        return await getattr(self._admin, method)(request, timeout=TIMEOUT_S, metadata=_WITH_KEY)


@contextlib.asynccontextmanager
async def managing(address: str) -> AsyncIterator[Managing]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Managing(channel)
