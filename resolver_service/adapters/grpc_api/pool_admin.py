"""`forebay.resolver.v1.PoolAdminService` over the application. `ManagementKeyInterceptor` has let the caller in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio
from grpc_status import rpc_status

from forebay.resolver.v1 import pool_admin_service_pb2 as pb
from forebay.resolver.v1 import pool_admin_service_pb2_grpc
from resolver_service.adapters.grpc_api import messages
from resolver_service.app.operate import Operator, UnknownTargetError

Context = grpc.aio.ServicerContext[Any, Any]


class PoolAdminServicer(pool_admin_service_pb2_grpc.PoolAdminServiceServicer):
    """What is not here answers UNIMPLEMENTED: the configuration changes by its file."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def ClearCooldown(self, request: pb.ClearCooldownRequest, context: Context) -> pb.ClearCooldownResponse:
        await self._do(self._operator.clear, request.target_id, context)
        return pb.ClearCooldownResponse()

    async def Drain(self, request: pb.DrainRequest, context: Context) -> pb.DrainResponse:
        await self._do(self._operator.drain if request.drained else self._operator.undrain, request.target_id, context)
        return pb.DrainResponse()

    async def _do(self, what: Callable[[str], None], target_id: str, context: Context) -> None:
        try:
            what(target_id)
        except UnknownTargetError as error:
            await context.abort_with_status(rpc_status.to_status(messages.error_status(error)))
