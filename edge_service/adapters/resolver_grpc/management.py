"""`PoolAdminService`, as whoever holds the management key calls it through the edge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import grpc.aio
import structlog
from google.protobuf.message import Message

from edge_service.adapters.resolver_grpc import management_messages as messages
from edge_service.app.ports import Question
from edge_service.domain.errors import ApiError, UnavailableError
from edge_service.domain.management import (
    Applied,
    Caller,
    Change,
    Document,
    Explanation,
    Kind,
    Revision,
    Section,
    Status,
    UncertainError,
)
from forebay.resolver.v1 import pool_admin_service_pb2 as pb

READ_TIMEOUT_S = 5.0
CHANGE_TIMEOUT_S = 20.0
"""A change waits for every replica to serve from it."""
_log = structlog.get_logger("forebay.edge.management")


class Link(Protocol):
    """One resolver."""

    is_up: bool
    """It has accepted this edge, with its token."""

    async def administer(self, method: str, request: Message, caller: Caller, timeout_s: float) -> Any:
        """Calls `PoolAdminService`. Raises `grpc.aio.AioRpcError`."""


class ManagementClient:
    """A `Management`.

    Only a resolver whose stream stands is asked, since nothing else would tell a wrong token, which is the edge's own,
    from a wrong key. Where none stands nothing has been sent, so that a change can be repeated safely.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links

    async def authenticate(self, caller: Caller) -> None:
        """As the port says."""
        # The least that the service can be asked for: before the first revision there is none.
        await self._read("ListRevisions", pb.ListRevisionsRequest(page_size=1, before_revision=1), caller)

    async def read(self, caller: Caller, section: Section) -> Document:
        """As the port says."""
        get = messages.GET[section]
        response = await self._read(get.method, get.request(), caller)
        return Document(getattr(response, get.field), response.etag)

    async def replace(self, caller: Caller, section: Section, content: bytes, change: Change) -> Applied:
        """As the port says."""
        return await self._change(messages.REPLACE[section], content, change, caller)

    async def upsert(self, caller: Caller, kind: Kind, content: bytes, change: Change) -> Applied:
        """As the port says."""
        return await self._change(messages.UPSERT[kind], content, change, caller)

    async def delete(self, caller: Caller, kind: Kind, id: str, change: Change) -> Applied:  # noqa: A002 - as the port says
        """As the port says."""
        return await self._change(messages.DELETE[kind], id, change, caller)

    async def rollback(self, caller: Caller, revision: int, change: Change) -> Applied:
        """As the port says."""
        return await self._change(messages.ROLLBACK, revision, change, caller)

    async def revisions(self, caller: Caller, page_size: int, before: int) -> Sequence[Revision]:
        """As the port says."""
        request = pb.ListRevisionsRequest(page_size=page_size, before_revision=before)
        return messages.revisions(await self._read("ListRevisions", request, caller))

    async def clear(self, caller: Caller, target_id: str) -> None:
        """As the port says."""
        await self._call("ClearCooldown", pb.ClearCooldownRequest(target_id=target_id), caller, CHANGE_TIMEOUT_S)

    async def drain(self, caller: Caller, target_id: str, *, drained: bool) -> None:
        """As the port says."""
        await self._call("Drain", pb.DrainRequest(target_id=target_id, drained=drained), caller, CHANGE_TIMEOUT_S)

    async def status(self, caller: Caller) -> Status:
        """As the port says."""
        response = await self._read("GetStatus", pb.GetStatusRequest(), caller)
        # In a thread: hundreds of thousands of targets take a while, and streams must not wait for them.
        return await asyncio.to_thread(messages.status, response)

    async def explain(self, caller: Caller, question: Question, excluded: Sequence[str]) -> Explanation:
        """As the port says."""
        request = messages.explain_request(question, excluded, int(READ_TIMEOUT_S * 1000))
        return messages.explanation((await self._read("ExplainName", request, caller)).explanation)

    async def _change(self, rpc: messages.Rpc, what: object, change: Change, caller: Caller) -> Applied:
        request = rpc.request(
            **{rpc.field: what}, etag=change.etag, validate_only=change.validate_only, author=change.author
        )
        response = await self._call(rpc.method, request, caller, CHANGE_TIMEOUT_S)
        return Applied(response.revision, response.etag)

    async def _read(self, method: str, request: Message, caller: Caller) -> Any:
        """Another resolver is asked if one gives no answer."""
        for link in self._standing():
            try:
                return await link.administer(method, request, caller, READ_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if (refusal := messages.refusal(method, error)) is not None:
                    raise refusal from None
                _unanswered(method, error)
        raise UnavailableError("no resolver can be reached", retry_after_s=messages.RETRY_AFTER_S)

    async def _call(self, method: str, request: Message, caller: Caller, timeout_s: float) -> Any:
        """Once: what has got no answer may have been done."""
        for link in self._standing():
            try:
                return await link.administer(method, request, caller, timeout_s)
            except grpc.aio.AioRpcError as error:
                refusal: ApiError | None = messages.refusal(method, error)
                if refusal is None:
                    _unanswered(method, error)
                    refusal = UncertainError(messages.RETRY_AFTER_S)
                raise refusal from None
        raise UnavailableError("no resolver can be reached; nothing was changed", retry_after_s=messages.RETRY_AFTER_S)

    def _standing(self) -> list[Link]:
        return [link for link in self._links if link.is_up]


def _unanswered(method: str, error: grpc.aio.AioRpcError) -> None:
    _log.warning("management_unanswered", method=method, code=error.code().name, details=error.details())
