"""What the gateway asks of the world around it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge_service.domain.affinity import Made
from edge_service.domain.bodies import Body
from edge_service.domain.failover import ReportClosed, ReportContent, ReportEnded, ReportFailed
from edge_service.domain.headers import Headers
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
)
from edge_service.domain.needs import NO_NEEDS, Needs, Operation
from edge_service.domain.plan import Attempt, Plan


@dataclass(frozen=True, slots=True)
class ReportBound:
    """Tell the resolver that an attempt made a response that its provider stores."""

    attempt: Attempt
    made: Made


Report = ReportFailed | ReportContent | ReportEnded | ReportClosed | ReportBound


@dataclass(slots=True)
class Question:
    """What the resolver is asked for one request."""

    request_id: str
    model: str
    stream: bool
    operation: Operation = Operation.GENERATE
    needs: Needs = NO_NEEDS
    goes_on_from: Made | None = None
    """The stored response that the request continues, or with `RETRIEVE` is about: only its target may serve."""
    client_key: bytes = b""
    """SHA-256 of the key that the client shows; empty for none."""


@dataclass(frozen=True, slots=True)
class Model:
    """A name that can be called."""

    id: str
    kind: str
    """`pool`, `cluster` or `model`."""
    description: str
    created_at: int
    """Seconds since the epoch."""
    provider: str
    """Of a raw model."""
    context_tokens: int = 0
    """Of this and the next two, what all targets behind the name have in common; 0, and None, where it is not known."""
    max_output_tokens: int = 0
    capabilities: frozenset[str] | None = None
    """Words of `Capability`, and maybe of a newer resolver."""


class Resolver(Protocol):
    """The resolver as the edge uses it."""

    async def resolve(self, question: Question) -> Plan:
        """The plan for a request. If no resolver can be asked it is a remembered one, but never for a request that
        continues a stored response. Raises `ClientKeyError`, `ModelNotFoundError`, `ResponseNotFoundError`,
        `LimitedError`, `ClientLimitError`, `UnavailableError`, or `InvalidRequestError` if no target behind the name
        can serve what is needed, or none of them made the stored response."""

    def report(self, decision_id: str, report: Report, latency_s: float = 0.0) -> None:
        """Sends what became of an attempt. Never waits and never fails; a report may get lost. Plans for counting and
        retrieving are not reported on."""

    async def models(self, client_key: bytes) -> Sequence[Model]:
        """Every name that can be called with this key. Raises `ClientKeyError` or `UnavailableError`."""


class Management(Protocol):
    """The resolver's management side. The management key is sent with every call, and only the resolver verifies it.

    Every method raises `KeyRefusedError`, `NotServedError` or `UnavailableError`. A change is sent once, and raises
    also `OutdatedError`, `InvalidChangeError`, `NotThereError`, `ConflictError`, `LockedError`, or `UncertainError` if
    nobody can tell what became of it.
    """

    async def authenticate(self, caller: Caller) -> None:
        """Has the key verified, and nothing else."""

    async def read(self, caller: Caller, section: Section) -> Document: ...

    async def replace(self, caller: Caller, section: Section, content: bytes, change: Change) -> Applied: ...

    async def upsert(self, caller: Caller, kind: Kind, content: bytes, change: Change) -> Applied: ...

    async def delete(self, caller: Caller, kind: Kind, id: str, change: Change) -> Applied: ...  # noqa: A002

    async def revisions(self, caller: Caller, page_size: int, before: int) -> Sequence[Revision]:
        """The newest of those before `before`, newest first; 0 for the newest of all."""

    async def rollback(self, caller: Caller, revision: int, change: Change) -> Applied:
        """Makes a new revision with the content of this one."""

    async def clear(self, caller: Caller, target_id: str) -> None:
        """Ends a cool-down."""

    async def drain(self, caller: Caller, target_id: str, *, drained: bool) -> None:
        """Takes a target out of new plans, or puts it back."""

    async def status(self, caller: Caller) -> Status: ...

    async def explain(self, caller: Caller, question: Question, excluded: Sequence[str]) -> Explanation:
        """What `question` would get now, without these targets. Moves nothing. Raises `NotThereError` for an unknown
        name, and `BadQuestionError` if no target can serve what is needed."""


class UpstreamFailure(Exception):  # noqa: N818 - it is the base of the errors below
    """A provider call that failed below HTTP."""


class UnreachableError(UpstreamFailure):
    """No connection could be made: the provider has not seen the request."""


class ShortageError(UpstreamFailure):
    """This machine has nothing left to make a connection of: the provider has not seen the request, and is well."""


class SilentError(UpstreamFailure):
    """Nothing came in time."""


class BrokenError(UpstreamFailure):
    """The connection broke, or what came over it was not HTTP."""


class UpstreamResponse(Protocol):
    """A provider's answer: the head is there, the body comes."""

    status: int
    headers: Headers

    def rest(self) -> bytes | None:
        """The rest of the body, if all of it has arrived; else None."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `UpstreamFailure`."""

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        """Hands each part of the body to `take` as soon as it comes, until the body ends (True) or `take` returns False
        (False). `take` does not wait, and may be called outside of the task that awaits this. Raises `UpstreamFailure`,
        or what `take` does. It goes on where `chunks` has stopped, and the other way round."""

    def quotes_credential(self, content: bytes) -> bool:
        """Whether this contains the credential that the provider was shown. `headers` has none that contain it."""

    async def aclose(self) -> None:
        """Gives the connection back, or closes it if the body has not been read to its end."""


class Upstream(Protocol):
    """Calls providers."""

    async def send(
        self, attempt: Attempt, path: str, headers: Headers, body: Body, method: str = "POST"
    ) -> UpstreamResponse:
        """Sends the request and waits for the head of the answer; what kind of content the body is stands among the
        headers. The attempt's connect time-out applies, no other.

        Raises `UpstreamFailure`, or `CredentialError` if the attempt's credential cannot be had.
        """


class CredentialError(Exception):
    """A credential reference that leads to no secret, or a secret that this edge does not know how to show. The message
    names the reference or the way, never a value."""


class Tokenizer(Protocol):
    """Counts tokens as a model does."""

    def count(self, text: str) -> int:
        """Special tokens in the text count as the plain text that they are."""


class Client(Protocol):
    """The HTTP client that made the request."""

    async def respond(self, status: int, headers: Headers, content: bytes) -> None:
        """A whole answer at once."""

    async def start(self, status: int, headers: Headers, content: bytes = b"") -> None:
        """The head of an answer whose body follows in parts, and the first of them."""

    async def send(self, content: bytes) -> None:
        """Part of the body. Waits while the client does not keep up."""

    def write(self, content: bytes) -> bool:
        """Writes part of the body if that takes no waiting; whether it did. If not, it is for `send`."""

    async def end(self, content: bytes = b"") -> None:
        """The last part of the body, which is complete with it."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """By what one end of a TLS connection is known, and whom it trusts: PEM texts."""

    chain: bytes
    """Its own certificate first; empty: it has none to show."""
    key: bytes = field(repr=False)
    authorities: bytes
    """Authorities that the other end's certificate must be of; empty: none is asked for."""
    context: ssl.SSLContext = field(compare=False, repr=False)
    """For this end of new connections, a server's or a client's, with what is above."""
