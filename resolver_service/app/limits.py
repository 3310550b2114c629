"""Counts what each client uses of its limits, whichever edge it comes by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resolver_service.app.leases import GRACE_S, Leases
from resolver_service.app.ports import Admission, SharedLimits, Use
from resolver_service.app.refusals import ResolveError
from resolver_service.domain.abilities import Needs
from resolver_service.domain.clients import Client, Limits
from resolver_service.domain.limits import Allowances, Kind, Usage
from resolver_service.domain.policy import Disposition

FEWEST_SWEPT = 1_000
"""Clients whose usage is kept before it is looked whether it is that of any that has not asked for long."""

COUNTED = "-counted"
"""Ends the ids of decisions that resolvers count together: whichever hears of one knows that others are to be told."""

_WORDS = {
    Kind.REQUESTS: "as many requests as this API key may make in a minute have been made",
    Kind.TOKENS: "as many tokens as this API key may use in a minute have been used, or are held for open requests",
    Kind.CONCURRENT: "as many requests are under way as this API key may have at a time",
}


class ClientLimitError(ResolveError):
    """The client has reached a limit of its own."""

    def __init__(self, kind: Kind, retry_after_s: float, allowances: Allowances) -> None:
        self.kind = kind
        self.code = kind.value
        self.retry_after_s = retry_after_s
        self.allowances = allowances
        super().__init__(f"{_WORDS[kind]}; try again in {math.ceil(retry_after_s)} s")


@dataclass(slots=True)
class _Open:
    """A decision under way."""

    usage: Usage
    input_tokens: int
    """As estimated."""
    reserved: int
    settled: bool = False
    left: bool = False
    """The client has gone away."""


class ClientLimits:
    """The one writer of what clients use.

    Usage is kept by the client's id: it outlives a change of the client's keys and limits, and what a limit is lowered
    to holds at once. It knows what was decided and reported here since the start. Where resolvers share, it is they
    together who let requests in; what is counted here is for when they cannot be asked.
    """

    def __init__(self, shared: SharedLimits | None = None) -> None:
        """`shared` is None for a resolver that shares nothing."""
        self._shared = shared
        self._usage: dict[str, Usage] = {}
        self._open: dict[str, _Open] = {}
        """By decision."""
        self._leases = Leases(self._drop)
        self._sweep_at = FEWEST_SWEPT

    def __len__(self) -> int:
        """How many decisions are under way."""
        return len(self._open)

    @property
    def clients(self) -> int:
        """How many clients' usage is kept."""
        return len(self._usage)

    def check(self, client: Client, now: float, admission: Admission | None = None) -> None:
        """Raises `ClientLimitError` if the client may not make a request now. Counts nothing. `admission` is the
        store's answer."""
        if client.limits is None:
            return
        self._leases.forget(now)
        if admission is not None:
            if admission.refusal is not None:
                kind, wait_ms = admission.refusal
                raise ClientLimitError(kind, wait_ms / 1000, admission.allowances)
            return
        now_ms = _ms(now)
        usage = self._of(client, now_ms)
        refusal = usage.refusal(client.limits, now_ms)
        if refusal is not None:
            kind, wait_ms = refusal
            raise ClientLimitError(kind, wait_ms / 1000, usage.allowances(client.limits, now_ms))

    def decided(
        self,
        client: Client,
        decision_id: str,
        needs: Needs,
        now: float,
        until_at: float | None,
        caller: object = None,
        admission: Admission | None = None,
    ) -> Allowances | None:
        """A plan is handed out. The tokens that it may take are reserved until reports tell the truth, at the latest
        until `until_at`; if that is None no reports will come, and they count as used. `caller` identifies the stream
        that asked, if it was one. None if the client has no limits."""
        if client.limits is None:
            return None
        now_ms = _ms(now)
        usage = self._of(client, now_ms)
        tokens = needs.all_tokens
        if until_at is not None and self._leases.begin(decision_id, until_at, caller):
            self._open[decision_id] = _Open(usage, needs.input_tokens, tokens)
            usage.reserved += tokens
            usage.concurrent += 1
        else:
            usage.tokens.add(tokens, now_ms)
        usage.requests.add(1, now_ms)
        if admission is not None:
            return admission.allowances
        if self._shared is not None and decision_id.endswith(COUNTED):
            for_s = None if until_at is None else until_at - now
            self._shared.used(decision_id, use_of(client.id, client.limits, needs, for_s))
        return usage.allowances(client.limits, now_ms)

    def failed(self, decision_id: str, disposition: Disposition) -> None:
        if disposition is not Disposition.CANCELLED:
            return
        opened = self._open.get(decision_id)
        if opened is not None:
            opened.left = True
        if self._shared is not None and decision_id.endswith(COUNTED):
            self._shared.left(decision_id)

    def ended(self, decision_id: str, tokens: int, now: float) -> None:
        """An answer is complete. If the provider does not tell its tokens, the input that was estimated counts."""
        opened = self._open.get(decision_id)
        if opened is not None:
            self._settle(opened, tokens or opened.input_tokens, now)
        if self._shared is not None and decision_id.endswith(COUNTED):
            self._shared.ended(decision_id, tokens)

    def closed(self, decision_id: str, now: float) -> None:
        """Tokens still reserved were not used. But if the client has gone away it may have been answered in part, and
        the input counts: hanging up before the end must not be free."""
        opened = self._open.get(decision_id)
        if opened is not None:
            if opened.left:
                self._settle(opened, opened.input_tokens, now)
            self._drop(decision_id)
        if self._shared is not None and decision_id.endswith(COUNTED):
            self._shared.closed(decision_id)

    def withdrawn(self, decision_id: str) -> None:
        """The store has let a request in that got no plan."""
        if self._shared is not None and decision_id.endswith(COUNTED):
            self._shared.withdrawn(decision_id)

    def caller_left(self, caller: object, now: float) -> None:
        """The caller's stream broke, and it may be dead: what is not closed soon stops counting."""
        decisions = self._leases.caller_left(caller, now)
        if self._shared is not None:
            self._shared.orphaned(decision_id for decision_id in decisions if decision_id.endswith(COUNTED))

    def _settle(self, opened: _Open, tokens: int, now: float) -> None:
        """Counts the tokens of a decision, once: one attempt of a plan serves, and reports may be repeated."""
        if opened.settled:
            return
        opened.settled = True
        opened.usage.reserved -= opened.reserved
        opened.reserved = 0
        opened.usage.tokens.add(tokens, _ms(now))

    def _drop(self, decision_id: str) -> None:
        opened = self._open.pop(decision_id)
        opened.usage.reserved -= opened.reserved
        opened.usage.concurrent -= 1
        self._leases.end(decision_id)

    def _of(self, client: Client, now_ms: int) -> Usage:
        usage = self._usage.get(client.id)
        if usage is None:
            if len(self._usage) >= self._sweep_at:
                self._usage = {name: used for name, used in self._usage.items() if not used.is_idle(now_ms)}
                self._sweep_at = max(FEWEST_SWEPT, 2 * len(self._usage))
            usage = self._usage[client.id] = Usage()
        return usage


def use_of(client_id: str, limits: Limits, needs: Needs, for_s: float | None) -> Use:
    """What a request takes of its client's limits, for the store. `for_s` is how long it may take; None if nothing will
    be reported."""
    lease_s = None if for_s is None else for_s + GRACE_S
    return Use(client_id, limits, needs.all_tokens, needs.input_tokens, lease_s)


def _ms(now: float) -> int:
    return int(now * 1000)
