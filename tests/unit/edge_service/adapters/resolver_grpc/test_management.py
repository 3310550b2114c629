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
    Caller,
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
    TooManyFailedKeysError,
    UncertainError,
)
from resolver_service.domain.failed_keys import MOST
from tests.support.pool_admin import KEY, Link, PoolAdmin, link

CALLER = Caller(KEY, "192.0.2.1")
Call = Callable[[ManagementClient], Coroutine[Any, Any, object]]

READS: dict[str, Call] = {
    "authenticate": lambda it: it.authenticate(CALLER),
    "pools": lambda it: it.read(CALLER, Section.MODEL_POOLS),
    "providers": lambda it: it.read(CALLER, Section.PROVIDERS),
    "revisions": lambda it: it.revisions(CALLER, 10, 0),
    "status": lambda it: it.status(CALLER),
    "explain": lambda it: it.explain(CALLER, Question("", "turns", stream=False), ()),
}
CHANGES: dict[str, Call] = {
    "replace": lambda it: it.replace(CALLER, Section.MODEL_POOLS, b"{}", Change()),
    "upsert": lambda it: it.upsert(CALLER, Kind.PROVIDER, b'{"id": "new", "preset": "groq"}', Change()),
    "delete": lambda it: it.delete(CALLER, Kind.CLUSTER, "chat", Change()),
    "rollback": lambda it: it.rollback(CALLER, 1, Change()),
    "clear": lambda it: it.clear(CALLER, "one/m#0"),
    "drain": lambda it: it.drain(CALLER, "one/m#0", drained=True),
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
            await it.status(CALLER)


async def test_a_change_says_where_it_starts_and_who_makes_it() -> None:
    admin = PoolAdmin()
    async with linked(admin) as (it, _):
        applied = await it.replace(CALLER, Section.MODEL_POOLS, b"{}", Change("r1", validate_only=True, author="ann"))
        assert applied == Applied(1, "r1")
        assert await it.delete(CALLER, Kind.CLUSTER, "chat", Change("r1", author="ann")) == Applied(2, "r2")
    assert [(r.etag, r.validate_only, r.author) for _, r in admin.calls] == [("r1", True, "ann"), ("r1", False, "ann")]
    assert [r.author for r in admin.revisions] == ["", "ann"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda it: it.delete(CALLER, Kind.POOL, "x", Change()), NotThereError, "pool not found"),
        (lambda it: it.delete(CALLER, Kind.CLUSTER, "x", Change()), NotThereError, "cluster not found"),
        (lambda it: it.delete(CALLER, Kind.PROVIDER, "x", Change()), NotThereError, "provider not found"),
        (lambda it: it.rollback(CALLER, 99, Change()), NotThereError, "revision not found"),
        (lambda it: it.clear(CALLER, "x"), NotThereError, "target not found"),
        (lambda it: it.drain(CALLER, "x", drained=False), NotThereError, "target not found"),
        (
            lambda it: it.explain(CALLER, Question("", "turn", stream=False), ()),
            NotThereError,
            "no model 'turn'; did you mean 'turns'?",
        ),
        (lambda it: it.delete(CALLER, Kind.POOL, "turns", Change()), ConflictError, "used by the clusters chat"),
        (lambda it: it.replace(CALLER, Section.MODEL_POOLS, b"{}", Change("r0")), OutdatedError, "has changed"),
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
                CALLER, Kind.POOL, b'{"id": "x", "members": [{"provider": "on", "model": "m"}], "y": 1}', Change()
            )
    assert [mistake.path for mistake in caught.value.mistakes] == [
        "model-pools.pools[1].members[0].provider",
        "model-pools.pools[1].y",
    ]
    assert "'one'" in caught.value.mistakes[0].message


async def test_what_cannot_be_changed_is_said_to_be_so() -> None:
    async with linked(PoolAdmin(read_only=True)) as (it, _):
        with pytest.raises(ConflictError, match="read-only"):
            await it.replace(CALLER, Section.MODEL_POOLS, b"{}", Change())
    async with linked(PoolAdmin(locked=True)) as (it, _):
        with pytest.raises(LockedError, match="--allow-provider-edits"):
            await it.delete(CALLER, Kind.PROVIDER, "one", Change())


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


async def test_who_has_shown_too_many_wrong_keys_is_told_how_long_to_wait() -> None:
    async with linked(PoolAdmin()) as (it, _):
        for number in range(MOST):
            with pytest.raises(KeyRefusedError):
                await it.status(Caller(f"guess {number}", "2001:db8::1"))
        with pytest.raises(TooManyFailedKeysError) as caught:
            await it.status(Caller(KEY, "2001:db8::2"))
        assert caught.value.retry_after is not None
        assert 1 <= int(caught.value.retry_after) <= 60
        await it.status(CALLER)


async def test_a_resolver_that_says_that_it_could_not_has_not() -> None:
    class Full(PoolAdmin):
        async def Rollback(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC names it
            await self._abort(context, 14, "the history cannot be written", "HISTORY")

    async with linked(Full()) as (it, _):
        with pytest.raises(UnavailableError, match="the history cannot be written"):
            await it.rollback(CALLER, 1, Change())
