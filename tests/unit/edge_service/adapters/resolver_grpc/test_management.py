"""The client of `PoolAdminService`, over real servers: what it tells of what went wrong, and what it does twice."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest

from edge_service.adapters.resolver_grpc import management
from edge_service.adapters.resolver_grpc.management import ManagementClient
from edge_service.app.ports import Question
from edge_service.domain.errors import UnavailableError
from edge_service.domain.management import (
    Applied,
    BadQuestionError,
    Change,
    ConflictError,
    InvalidChangeError,
    KeyRefusedError,
    Kind,
    LockedError,
    Mistake,
    NotServedError,
    NotThereError,
    OutdatedError,
    Section,
    UncertainError,
)
from tests.support.pool_admin import KEY, Link, PoolAdmin, link

Call = Callable[[ManagementClient], Coroutine[Any, Any, object]]

READS: dict[str, Call] = {
    "authenticate": lambda it: it.authenticate(KEY),
    "pools": lambda it: it.read(KEY, Section.MODEL_POOLS),
    "providers": lambda it: it.read(KEY, Section.PROVIDERS),
    "revisions": lambda it: it.revisions(KEY, 10, 0),
    "status": lambda it: it.status(KEY),
    "explain": lambda it: it.explain(KEY, Question("", "turns", stream=False), ()),
}
CHANGES: dict[str, Call] = {
    "replace": lambda it: it.replace(KEY, Section.MODEL_POOLS, b"{}", Change()),
    "upsert": lambda it: it.upsert(KEY, Kind.PROVIDER, b'{"id": "new", "preset": "groq"}', Change()),
    "delete": lambda it: it.delete(KEY, Kind.CLUSTER, "chat", Change()),
    "rollback": lambda it: it.rollback(KEY, 1, Change()),
    "clear": lambda it: it.clear(KEY, "one/m#0"),
    "drain": lambda it: it.drain(KEY, "one/m#0", drained=True),
}
UNANSWERED = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
)


@contextlib.asynccontextmanager
async def linked(*admins: PoolAdmin, key: str = KEY) -> AsyncIterator[tuple[ManagementClient, list[Link]]]:
    async with contextlib.AsyncExitStack() as stack:
        links = [await stack.enter_async_context(link(admin, key)) for admin in admins]
        yield ManagementClient(links), links


@pytest.mark.parametrize("name", [*READS, *CHANGES])
async def test_every_call_shows_the_key(name: str) -> None:
    call = {**READS, **CHANGES}[name]
    async with linked(PoolAdmin(), key="another") as (it, _):
        with pytest.raises(KeyRefusedError):
            await call(it)
    async with linked(PoolAdmin(), key="") as (it, _):
        with pytest.raises(NotServedError):
            await call(it)
    async with linked(PoolAdmin()) as (it, _):
        await call(it)


@pytest.mark.parametrize("code", UNANSWERED)
@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_is_sent_once_and_what_became_of_it_is_unknown_then(name: str, code: grpc.StatusCode) -> None:
    first, second = PoolAdmin(failing=code), PoolAdmin()
    async with linked(first, second) as (it, _):
        with pytest.raises(UncertainError, match="may have been applied"):
            await CHANGES[name](it)
    assert (len(first.calls), second.calls) == (1, [])


@pytest.mark.parametrize("code", UNANSWERED)
@pytest.mark.parametrize("name", READS)
async def test_what_one_resolver_does_not_tell_another_is_asked(name: str, code: grpc.StatusCode) -> None:
    first, second = PoolAdmin(deaf=code), PoolAdmin()
    async with linked(first, second) as (it, _):
        await READS[name](it)
    assert (len(first.calls), len(second.calls)) == (1, 1)
    async with linked(first) as (it, _):
        with pytest.raises(UnavailableError):
            await READS[name](it)


@pytest.mark.parametrize("name", [*READS, *CHANGES])
async def test_only_those_are_asked_that_have_taken_the_edge_in(name: str) -> None:
    call = {**READS, **CHANGES}[name]
    first, second = PoolAdmin(), PoolAdmin()
    async with linked(first, second) as (it, links):
        links[0].is_up = False
        await call(it)
        assert (first.calls, len(second.calls)) == ([], 1)
        links[1].is_up = False
        with pytest.raises(UnavailableError, match="no resolver can be reached") as caught:
            await call(it)
        assert caught.value.retry_after == "1"
        assert len(second.calls) == 1


async def test_who_does_not_answer_in_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(PoolAdmin):
        async def GetStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC names it
            assert context.time_remaining() <= 0.05
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "")

    monkeypatch.setattr(management, "READ_TIMEOUT_S", 0.05)
    async with linked(Frozen()) as (it, _):
        with pytest.raises(UnavailableError):
            await it.status(KEY)


async def test_a_change_says_where_it_starts_and_who_makes_it() -> None:
    admin = PoolAdmin()
    async with linked(admin) as (it, _):
        applied = await it.replace(KEY, Section.MODEL_POOLS, b"{}", Change("r1", validate_only=True, author="ann"))
        assert applied == Applied(1, "r1")
        assert await it.delete(KEY, Kind.CLUSTER, "chat", Change("r1", author="ann")) == Applied(2, "r2")
    assert [(r.etag, r.validate_only, r.author) for _, r in admin.calls] == [("r1", True, "ann"), ("r1", False, "ann")]
    assert [r.author for r in admin.revisions] == ["", "ann"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda it: it.delete(KEY, Kind.POOL, "x", Change()), NotThereError, "pool not found"),
        (lambda it: it.delete(KEY, Kind.CLUSTER, "x", Change()), NotThereError, "cluster not found"),
        (lambda it: it.delete(KEY, Kind.PROVIDER, "x", Change()), NotThereError, "provider not found"),
        (lambda it: it.rollback(KEY, 99, Change()), NotThereError, "revision not found"),
        (lambda it: it.clear(KEY, "x"), NotThereError, "target not found"),
        (lambda it: it.drain(KEY, "x", drained=False), NotThereError, "target not found"),
        (
            lambda it: it.explain(KEY, Question("", "turn", stream=False), ()),
            NotThereError,
            "no model 'turn'; did you mean 'turns'?",
        ),
        (lambda it: it.delete(KEY, Kind.POOL, "turns", Change()), ConflictError, "used by the clusters chat"),
        (lambda it: it.replace(KEY, Section.MODEL_POOLS, b"{}", Change("r0")), OutdatedError, "has changed"),
    ],
)
async def test_a_refusal_is_told(call: Call, error: type[Exception], message: str) -> None:
    async with linked(PoolAdmin()) as (it, _):
        with pytest.raises(error, match=message):
            await call(it)


async def test_of_an_invalid_configuration_all_is_told() -> None:
    async with linked(PoolAdmin()) as (it, _):
        with pytest.raises(InvalidChangeError) as caught:
            await it.upsert(
                KEY, Kind.POOL, b'{"id": "x", "members": [{"provider": "on", "model": "m"}], "y": 1}', Change()
            )
    assert [mistake.path for mistake in caught.value.mistakes] == [
        "model-pools.pools[1].members[0].provider",
        "model-pools.pools[1].y",
    ]
    assert "'one'" in caught.value.mistakes[0].message


async def test_what_cannot_be_changed_is_said_to_be_so() -> None:
    async with linked(PoolAdmin(read_only=True)) as (it, _):
        with pytest.raises(ConflictError, match="read-only"):
            await it.replace(KEY, Section.MODEL_POOLS, b"{}", Change())
    async with linked(PoolAdmin(locked=True)) as (it, _):
        with pytest.raises(LockedError, match="--allow-provider-edits"):
            await it.delete(KEY, Kind.PROVIDER, "one", Change())


@pytest.mark.parametrize(
    ("code", "call", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, READS["explain"], BadQuestionError("deaf")),
        (grpc.StatusCode.INVALID_ARGUMENT, READS["revisions"], BadQuestionError("deaf")),
        (grpc.StatusCode.INVALID_ARGUMENT, CHANGES["replace"], InvalidChangeError((Mistake("", "deaf"),))),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, CHANGES["replace"], UnavailableError("the resolver turned the call away")),
        (grpc.StatusCode.FAILED_PRECONDITION, CHANGES["replace"], ConflictError("deaf")),
    ],
)
async def test_a_refusal_without_details_is_told_in_the_words_there_are(
    code: grpc.StatusCode, call: Call, error: Any
) -> None:
    async with linked(PoolAdmin(deaf=code)) as (it, _):
        with pytest.raises(type(error), match=error.message) as caught:
            await call(it)
    assert getattr(caught.value, "mistakes", None) == getattr(error, "mistakes", None)


async def test_a_resolver_that_says_that_it_could_not_has_not() -> None:
    class Full(PoolAdmin):
        async def Rollback(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC names it
            await self._abort(context, 14, "the history cannot be written", "HISTORY")

    async with linked(Full()) as (it, _):
        with pytest.raises(UnavailableError, match="the history cannot be written"):
            await it.rollback(KEY, 1, Change())
