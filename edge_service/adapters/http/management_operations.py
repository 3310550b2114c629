"""The operations of the management API, as a table with a row for each method of each path. The routes and the OpenAPI
document are made from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec

from edge_service.adapters.http.management_requests import Asked, number
from edge_service.app.ports import Management, Question
from edge_service.domain.management import (
    MAX_REVISION,
    Applied,
    BadQuestionError,
    ExplainedTarget,
    Kind,
    Revision,
    Section,
    Status,
    TargetStatus,
)
from edge_service.domain.needs import NO_NEEDS, OF_A_MODEL, Capability, Needs
from edge_service.domain.needs import Operation as Asking

PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call that succeeded."""

    content: bytes
    etag: str = ""
    """The etag of the configuration; empty for answers that do not depend on it."""


Serve = Callable[[Management, Asked], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table."""

    method: str
    path: str
    summary: str
    serve: Serve
    answer: str
    """The name of the schema of the body of a 200."""
    body: str = ""
    """The name of the schema of the request's body; empty if it has none."""
    query: tuple[str, ...] = ()
    """Query parameters, besides `validate-only` of changes."""
    needs: str = ""
    """The query parameter that is required; empty for none."""
    is_change: bool = False
    """It changes the configuration, and so takes `If-Match`, `validate-only` and `X-Forebay-Author`."""
    refusals: tuple[int, ...] = ()
    """Statuses besides those that every operation has (`COMMON`), every change (`OF_CHANGES`), and every body."""

    @property
    def parameters(self) -> frozenset[str]:
        """All of its query parameters."""
        return frozenset((*self.query, "validate-only") if self.is_change else self.query)

    @property
    def statuses(self) -> frozenset[int]:
        own = {*self.refusals, *((400,) if self.body or self.parameters else ()), *((413,) if self.body else ())}
        return frozenset({200, *COMMON, *own, *(OF_CHANGES if self.is_change else ())})


COMMON = (401, 404, 429, 503)
OF_CHANGES = (400, 409, 412)


async def _read(section: Section, management: Management, asked: Asked) -> Answer:
    document = await management.read(asked.caller, section)
    return Answer(document.content, document.etag)


async def _replace(section: Section, management: Management, asked: Asked) -> Answer:
    kind, words = (dict, "an object") if section is Section.MODEL_POOLS else (list, "an array")
    if not isinstance(asked.said, kind):
        raise BadQuestionError(f"the body has to be {words}: the whole of '{section}'")
    change = await asked.starting_from(management)
    return _done(await management.replace(asked.caller, section, asked.body, change))


async def _upsert(kind: Kind, management: Management, asked: Asked) -> Answer:
    if not isinstance(asked.said, dict):
        raise BadQuestionError(f"the body has to be an object: one {kind}")
    id_ = asked.said.get("id")
    if id_ is None or (isinstance(id_, str) and not id_.strip()):
        raise BadQuestionError(f"{kind} id is required")
    change = await asked.starting_from(management)
    return _done(await management.upsert(asked.caller, kind, asked.body, change))


async def _delete(kind: Kind, management: Management, asked: Asked) -> Answer:
    id_ = str(asked.query.get("id", ""))
    if not id_.strip():
        raise BadQuestionError("id query parameter is required")
    change = await asked.starting_from(management)
    return _done(await management.delete(asked.caller, kind, id_, change))


async def _revisions(management: Management, asked: Asked) -> Answer:
    size, before = asked.query.get("page-size", PAGE_SIZE), asked.query.get("before", 0)
    assert isinstance(size, int)  # noqa: S101 - it has been read as one
    assert isinstance(before, int)  # noqa: S101
    found = await management.revisions(asked.caller, size, before)
    following = found[-1].number if len(found) == size else None
    return _json({"revisions": [_revision(each) for each in found], "next-before": following})


def _revision(revision: Revision) -> dict[str, object]:
    created_at = datetime.fromtimestamp(revision.created_at, UTC).isoformat().replace("+00:00", "Z")
    return {
        "revision": revision.number,
        "created-at": created_at,
        "author": revision.author,
        "summary": revision.summary,
        "diff": revision.diff,
    }


async def _rollback(management: Management, asked: Asked) -> Answer:
    wanted = number(asked.path["n"], "revision", 1, MAX_REVISION)
    applied = await management.rollback(asked.caller, wanted, await asked.starting_from(management))
    return _json({"status": "ok", "revision": applied.revision}, applied.etag)


async def _status(management: Management, asked: Asked) -> Answer:
    # In a thread: there may be hundreds of thousands of targets.
    return await asyncio.to_thread(_told, await management.status(asked.caller))


def _told(status: Status) -> Answer:
    replicas = [_kebab(asdict(replica)) for replica in status.replicas]
    targets = [_target(target) for target in status.targets]
    left_out = status.targets_left_out
    return _json({"revision": status.revision, "targets": targets, "targets-left-out": left_out, "replicas": replicas})


def _target(target: TargetStatus | ExplainedTarget) -> dict[str, object]:
    return _kebab(asdict(target))


def _kebab(fields: dict[str, object]) -> dict[str, object]:
    return {name.replace("_", "-"): value for name, value in fields.items()}


async def _clear(management: Management, asked: Asked) -> Answer:
    await management.clear(asked.caller, asked.path["id"])
    return _OK


async def _drain(management: Management, asked: Asked, *, drained: bool) -> Answer:
    await management.drain(asked.caller, asked.path["id"], drained=drained)
    return _OK


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class Explained(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    """The body of a request to `explain`."""

    model: str
    operation: Asking = Asking.GENERATE
    stream: bool = False
    capabilities: list[Capability] = []
    estimated_input_tokens: _Count = 0
    max_output_tokens: _Count = 0
    excluded_targets: list[str] = []


_WORDS = (("operation", OF_A_MODEL), ("capabilities", Capability))


async def _explain(management: Management, asked: Asked) -> Answer:
    try:
        said = msgspec.convert(asked.said, Explained)
    except msgspec.ValidationError as error:
        wrong = str(error)
        words = next((kind for field, kind in _WORDS if "enum" in wrong and f"$.{field}" in wrong), ())
        raise BadQuestionError(f"{wrong}: it is one of {', '.join(words)}" if words else wrong) from None
    if said.operation not in OF_A_MODEL:
        wrong = f"Invalid enum value '{said.operation}' - at `$.operation`"
        raise BadQuestionError(f"{wrong}: it is one of {', '.join(OF_A_MODEL)}")
    if not said.model.strip():
        raise BadQuestionError("model is required")
    needs = Needs(tuple(said.capabilities), said.estimated_input_tokens, said.max_output_tokens)
    question = Question("", said.model, said.stream, said.operation, NO_NEEDS if needs == NO_NEEDS else needs)
    found = await management.explain(asked.caller, question, said.excluded_targets)
    plan = {
        "name": found.name,
        "revision": found.revision,
        "attempts-allowed": found.attempts_allowed,
        "targets": found.planned,
    }
    targets = [_target(target) for target in found.targets]
    return _json({"kind": found.kind, "plan": plan if found.planned else None, "targets": targets})


def _json(value: object, etag: str = "") -> Answer:
    return Answer(msgspec.json.encode(value), etag)


_OK = _json({"status": "ok"})


def _done(applied: Applied) -> Answer:
    return Answer(_OK.content, applied.etag)


def _of_section(section: Section, schema: str, *refusals: int) -> tuple[Operation, Operation]:
    path = f"/{section}"
    return (
        Operation("GET", path, f"The whole of `{section}`.", partial(_read, section), schema),
        Operation(
            "PUT",
            path,
            f"Replaces the whole of `{section}`.",
            partial(_replace, section),
            "Done",
            body=schema,
            is_change=True,
            refusals=refusals,
        ),
    )


def _of_kind(kind: Kind, path: str, schema: str, *refusals: int) -> tuple[Operation, Operation]:
    return (
        Operation(
            "PATCH",
            path,
            f"Inserts one {kind}, or replaces the one with its id.",
            partial(_upsert, kind),
            "Done",
            body=schema,
            is_change=True,
            refusals=refusals,
        ),
        Operation(
            "DELETE",
            path,
            f"Removes one {kind}. 409 names what still uses it.",
            partial(_delete, kind),
            "Done",
            query=("id",),
            needs="id",
            is_change=True,
            refusals=refusals,
        ),
    )


_TARGET = "/targets/{id}"

OPERATIONS: tuple[Operation, ...] = (
    *_of_section(Section.MODEL_POOLS, "ModelPools"),
    *_of_kind(Kind.POOL, "/model-pools/pool", "NamedPool"),
    *_of_kind(Kind.CLUSTER, "/model-pools/cluster", "Cluster"),
    *_of_section(Section.PROVIDERS, "Providers", 403),
    *_of_kind(Kind.PROVIDER, "/providers/provider", "Provider", 403),
    Operation(
        "GET",
        "/revisions",
        "The configurations that were in effect, newest first.",
        _revisions,
        "Revisions",
        query=("page-size", "before"),
    ),
    Operation(
        "POST",
        "/revisions/{n}/rollback",
        "Makes a new revision with the content of an old one.",
        _rollback,
        "RolledBack",
        is_change=True,
        refusals=(403,),
    ),
    Operation("GET", "/status", "Every target and every replica, as they are now.", _status, "Status"),
    Operation("POST", f"{_TARGET}/clear", "Ends a target's cool-down.", _clear, "Done"),
    Operation("POST", f"{_TARGET}/drain", "Takes a target out of new plans.", partial(_drain, drained=True), "Done"),
    Operation("POST", f"{_TARGET}/undrain", "Puts a drained target back.", partial(_drain, drained=False), "Done"),
    Operation(
        "POST",
        "/explain",
        "What would be planned for a name now, and why. Moves nothing.",
        _explain,
        "Explanation",
        body="Question",
    ),
)
