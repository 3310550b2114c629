"""What the application asks of the world around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from resolver_service.domain.bindings import Binding
from resolver_service.domain.catalog import Catalog
from resolver_service.domain.clients import Limits
from resolver_service.domain.health import Health
from resolver_service.domain.limits import Allowances, Kind
from resolver_service.domain.policy import Disposition
from resolver_service.domain.selection import Claim, TurnKey


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds on a clock that never goes back."""


class RotationStore(Protocol):
    """How many turns were taken."""

    def turn(self, key: TurnKey) -> int: ...

    def take(self, keys: Iterable[TurnKey]) -> None:
        """Takes one turn of each key."""


class HealthStore(Protocol):
    """Health by scope. What was never put is well."""

    @property
    def latest(self) -> int:
        """The latest generation of any scope."""

    def scopes(self) -> Set[str]:
        """The scopes that are known to have had a failure; all others are well. A live view. Most targets have no scope
        in it, and to see that is all that a resolve spends on them."""

    def get(self, scope: str) -> Health: ...

    def put(self, scope: str, health: Health) -> None: ...


class DrainStore(Protocol):
    """The targets that an operator has taken out."""

    def drained(self) -> Set[str]:
        """Their ids, as a live view."""

    def put(self, target_id: str, *, drained: bool) -> None: ...


class BindingStore(Protocol):
    """Which target made which stored response, by keys that only edges can make. The least recently used may be
    forgotten."""

    def get(self, key: bytes) -> Binding | None: ...

    def put(self, key: bytes, binding: Binding) -> None: ...

    def forget(self, key: bytes) -> None: ...


class Use(NamedTuple):
    """What a request takes of its client's limits."""

    client_id: str
    limits: Limits
    tokens: int
    """The most that it may take, as far as that is known: what is reserved for it."""
    input_tokens: int
    """As estimated."""
    for_s: float | None
    """How long it counts as under way if nothing is reported; None where nothing will be."""


class Wanted(NamedTuple):
    """What a request asks of the shared store, which gives each turn and each probe to one request, over all
    resolvers."""

    holder: str
    """The id that its decision will have."""
    claim: Claim | None = None
    """Turns."""
    probes: tuple[str, ...] = ()
    """Scopes that wait for one."""
    binding: bytes = b""
    """The key of a binding to look up; empty for none."""
    use: Use | None = None
    """None for a client without limits."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the client has left of its limits, over all resolvers; with this request, unless it is refused."""

    allowances: Allowances
    refusal: tuple[Kind, int] | None = None
    """The limit that is in the way, and for how many milliseconds."""


class Granted(NamedTuple):
    holder: str
    turns: Mapping[TurnKey, int]
    """The numbers of the turns that are this request's, counted from 0."""
    probes: frozenset[str] = frozenset()
    """The scopes whose probes are this request's."""
    admission: Admission | None = None
    """None where this resolver has to count by itself. A request that is refused is granted nothing else."""


class SharedLimits(Protocol):
    """Tells the store what becomes of requests under limits, whichever resolver made their plans. Nothing waits for it,
    and what is told twice counts once."""

    def used(self, decision_id: str, use: Use) -> None:
        """This resolver has let a request in without asking the store."""

    def withdrawn(self, decision_id: str) -> None:
        """It was let in, and got no plan."""

    def left(self, decision_id: str) -> None:
        """Its client has gone away."""

    def ended(self, decision_id: str, tokens: int) -> None:
        """Its answer is complete. `tokens` is 0 where the provider does not say."""

    def closed(self, decision_id: str) -> None: ...

    def orphaned(self, decision_ids: Iterable[str]) -> None:
        """The stream on which they were asked for broke: the caller may be dead."""


class SharedState(Protocol):
    """What several resolvers share. The stores are this resolver's local view of it."""

    @property
    def is_degraded(self) -> bool:
        """The store cannot be reached: this resolver decides by itself."""

    @property
    def limits(self) -> SharedLimits: ...

    async def take(self, wanted: Sequence[Wanted]) -> Sequence[Granted]:
        """Takes all of it in one step. Never fails and never waits long: without the store, this resolver decides by
        itself."""

    def give_back(self, holder: str, scopes: Iterable[str]) -> None:
        """Probes that turned out not to be needed."""


@dataclass(frozen=True, slots=True)
class Stores:
    """All that a resolver remembers besides its configuration."""

    rotation: RotationStore
    health: HealthStore
    drains: DrainStore
    bindings: BindingStore
    shared: SharedState | None = None
    """None for a resolver that shares nothing."""


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """Something that an operator wants to know of: told once, however many reports say so."""

    state: Literal["cooling", "restored", "cleared", "drained", "undrained"]
    scope: str
    target_id: str
    """Whose attempt it was that showed it, or the target that the operator named."""
    reason: Disposition | None = None
    """Why it cools, or did."""
    for_s: float = 0.0


Tell: TypeAlias = Callable[[HealthChanged], None]

ReportEffect: TypeAlias = Literal["applied", "repeated", "unknown_target", "unused", "invalid"]
"""What a report led to. A repeated one was applied before; nothing was to be learned from an unused one."""


class Telemetry(Protocol):
    """Keeps count. Never waits and never fails."""

    def resolved(self, name: str, result: str, seconds: float) -> None:
        """A name was resolved, or not. `name` is as it is configured, and empty if nothing was found under it; `result`
        is `ok`, `not_found`, `unbound`, `bound_elsewhere`, `needs_unmet`, `rate_limited`, `busy`, `unavailable`,
        `invalid`, `failed`, or the code of what is wrong with a client's key or of the limit that it has reached."""

    def reported(self, kind: str, effect: ReportEffect) -> None:
        """A report was taken in. `kind` is one of the contract's, or `none`."""

    def spent(self, target_id: str, input_tokens: int, output_tokens: int) -> None:
        """An answer of this target took so many tokens. Only for targets that are configured, which bounds the number
        of label values."""

    def stream_opened(self) -> None:
        """An edge has opened a stream."""

    def stream_closed(self) -> None:
        """A stream is over."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a configuration's text says."""

    document: Mapping[str, Any]
    """The YAML as plain data."""
    catalog: Catalog
    """The same, validated."""


@dataclass(frozen=True, slots=True)
class Revision:
    """An accepted configuration."""

    number: int
    """Counted from 1, over restarts where revisions are kept."""
    catalog: Catalog
    loaded_at: int
    """Seconds since the epoch."""
    digest: str
    """SHA-256 of the text it was made from."""
    document: Mapping[str, Any] = field(repr=False)
    text: bytes = field(repr=False)


class Revisions(Protocol):
    """The configuration in effect."""

    @property
    def current(self) -> Revision: ...


@dataclass(frozen=True, slots=True)
class Certificates:
    """By what one end of a TLS connection is known, and whom it trusts: PEM texts."""

    chain: bytes
    """Its own certificate first."""
    key: bytes = field(repr=False)
    authorities: bytes = b""
    """Authorities that the other end's certificate must be of; empty: none is asked for."""


@dataclass(frozen=True, slots=True)
class PastRevision:
    """An accepted configuration, as `revisions` lists it."""

    number: int
    created_at: int
    """Seconds since the epoch."""
    author: str
    """`file`, or the name that was given with the change; empty for unknown."""
    summary: str
    diff: str
    """To the revision before it: unified, without file names."""
    digest: str


MOST_REVISIONS = 200
"""That are kept."""


class HistoryError(Exception):
    """A revision cannot be kept. The text says why."""

    code = "revision_not_kept"


class PastRevisions(Protocol):
    """The latest revisions with their texts. The methods block on a disk or a server: call them in threads. Those of a
    shared store raise `AwayError` and `ReadOnlyError`."""

    def before(self, number: int, most: int) -> list[PastRevision]:
        """At most so many of those before this number, the latest first; 0 for those before any."""

    def text(self, number: int) -> bytes | None:
        """None if it is not kept."""


class History(PastRevisions, Protocol):
    """A history that this resolver writes itself."""

    def keep(self, revision: PastRevision, text: bytes) -> None:
        """Durable when it returns. Drops the earliest if there are too many. Raises `HistoryError`."""

    def drop(self, number: int) -> None:
        """Removes a revision that did not come into effect. Never fails."""

    def latest(self) -> PastRevision | None: ...


class ConflictError(Exception):
    """The configuration is no longer the one that a change starts from: somebody else has changed it."""

    code = "conflict"


class ReadOnlyError(Exception):
    """The configuration of record cannot be written, or not be read. The text says what to do."""

    code = "read_only"


AWKWARD = "the file is written in a way that this change cannot be carried over into: make it in the file by hand"
"""The text of a `ReadOnlyError` for a file that can be read but not edited in place."""


class Record(Protocol):
    """The configuration of record: the file, or the store's. Others may change it at any time. The methods block on a
    disk or a server: call them in threads."""

    def read(self) -> bytes:
        """Raises `ReadOnlyError` if it cannot be read: then it cannot be changed, either."""

    def replace(self, before: bytes, after: bytes, revision: PastRevision) -> PastRevision:
        """Compares and swaps; durable when it returns. `revision` describes the change, for a record that keeps that
        with the text; the answer is the revision as it was kept. Raises `ConflictError` if the text is not `before` any
        more, `ReadOnlyError` or `AwayError`: then nothing has changed. Raises `UncertainError` if nobody can tell
        whether it has."""


class AwayError(Exception):
    """What the resolvers share cannot be reached. The text says so."""

    code = "store_away"


class UncertainError(Exception):
    """What the resolvers share has not answered: a change may have been made."""

    code = "may_have_been_applied"


class NotEverywhereError(Exception):
    """What was done is in effect here, and not at every other resolver yet. The text says where not."""

    code = "not_everywhere"


@dataclass(frozen=True, slots=True)
class Kept:
    """The configuration of record in a shared store."""

    revision: PastRevision
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Replica:
    """One of the resolvers that share a store."""

    id: str
    revision: int
    """That it serves from."""
    seen_s_ago: float
    is_degraded: bool
    """It has lost the store, or has not been heard of for so long that it must have."""


class Siblings(Protocol):
    """The resolvers that share a store, this one among them."""

    def check(self) -> None:
        """Raises `AwayError` while this resolver works without the store: nothing can be changed for all."""

    async def catch_up(self) -> None:
        """Puts the store's configuration into effect here. Raises `AwayError`, or `ReadOnlyError` if this resolver
        cannot read it."""

    async def settled(self, revision: int = 0) -> None:
        """Waits until every live resolver knows all that this one has told, and serves from this revision or a later
        one. Raises `NotEverywhereError` if that takes too long."""

    async def replicas(self) -> Sequence[Replica]:
        """Those that were heard of within the last minute. Never fails: this one is there in any case."""
