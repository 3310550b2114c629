"""What whoever holds the management key reads and changes, and what can go wrong with it.

ApiError
+- KeyRefusedError          401  the management key is missing or wrong
+- NotServedError           404  the resolver has no management key: there is no such API
+- NotThereError            404  what is to be changed does not exist
+- BadQuestionError         400  the request makes no sense, whatever the configuration is
+- InvalidChangeError       400  the change makes no sense, or leads to an invalid configuration
+- ConflictError            409  clusters use it, or the configuration cannot be written
+- OutdatedError            412  the configuration is no longer the one that the change starts from
+- LockedError              403  the resolver lets nobody change this
+- TooManyFailedKeysError   429  this address has shown too many wrong keys
+- UncertainError           503  the change may have been applied: nobody can tell
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge_service.domain.errors import ApiError, InvalidRequestError

MAX_REVISION = 2**64 - 1
MAX_PAGE_SIZE = 100


class Section(StrEnum):
    """What is read, and replaced, as a whole."""

    MODEL_POOLS = "model-pools"
    PROVIDERS = "providers"


class Kind(StrEnum):
    """What is put in or taken out by its id."""

    POOL = "pool"
    CLUSTER = "cluster"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who manages."""

    key: str = field(repr=False)
    """The management key that is shown; empty for none."""
    host: str
    """The address; empty at a Unix socket."""


@dataclass(frozen=True, slots=True)
class Change:
    """What holds for every change of the configuration."""

    etag: str = ""
    """Of the configuration that it starts from; empty for any."""
    validate_only: bool = False
    author: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A part of the configuration, as JSON in the file's own spelling."""

    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that is validated, durable and in effect; or, if it was only to be validated, that would be."""

    revision: int
    etag: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A configuration that was in effect."""

    number: int
    created_at: int
    """Seconds since the epoch."""
    author: str
    summary: str
    diff: str


@dataclass(frozen=True, slots=True)
class TargetStatus:
    id: str
    state: str
    """ready, cooling, probing, drained or disabled."""
    reason: str
    """Why it cools, in a word of `failover`; empty if it does not."""
    retry_after_s: float | None
    """Until it may be tried again; None where no time is known."""
    in_flight: int
    recent: Mapping[str, int]
    """How many attempts of the last five minutes came to what: words of `failover`, and `ok`."""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    id: str
    revision: int
    seen_s_ago: float
    degraded: bool
    """It has lost the shared store, and works without it."""


@dataclass(frozen=True, slots=True)
class Status:
    """Every target and every replica, as they are now."""

    revision: int
    targets: tuple[TargetStatus, ...]
    replicas: tuple[ReplicaStatus, ...]
    targets_left_out: int
    """How many more there are, of very many, than the resolver's answer had room for."""


@dataclass(frozen=True, slots=True)
class ExplainedTarget:
    id: str
    path: str
    available: bool
    reason: str
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be planned for a name now, and why."""

    name: str
    """As it was found; empty if no target is available."""
    kind: str
    """cluster, pool or model."""
    revision: int
    """0 if no target is available."""
    attempts_allowed: int
    planned: tuple[str, ...]
    """The targets to try, in order."""
    targets: tuple[ExplainedTarget, ...]
    """All of them: those of the plan first, in its order."""


@dataclass(frozen=True, slots=True)
class Mistake:
    path: str
    """In the configuration, such as `model-pools.clusters[1].members[0].pool`."""
    message: str


class KeyRefusedError(ApiError):
    status = 401
    code = "invalid_management_key"

    def __init__(self) -> None:
        super().__init__("invalid management key")


class NotServedError(ApiError):
    status = 404
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("Not Found")


class NotThereError(ApiError):
    status = 404
    code = "not_found"


class BadQuestionError(InvalidRequestError):
    pass


class InvalidChangeError(ApiError):
    status = 400
    code = "invalid_configuration"

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("invalid configuration")
        self.mistakes = mistakes


class ConflictError(ApiError):
    status = 409
    code = "conflict"


class OutdatedError(ApiError):
    status = 412
    code = "precondition_failed"

    def __init__(self) -> None:
        super().__init__("the configuration has changed: read it again, and repeat the change if it still makes sense")


class LockedError(ApiError):
    status = 403
    code = "locked"


class TooManyFailedKeysError(ApiError):
    status = 429
    code = "too_many_failed_keys"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many wrong management keys from this address", retry_after_s=retry_after_s)


class UncertainError(ApiError):
    status = 503
    code = "may_have_been_applied"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            "the resolver did not answer: the change may have been applied; read before you repeat it",
            retry_after_s=retry_after_s,
        )
