"""Stored responses: which target made one, and which targets may serve a request that continues it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resolver_service.domain import selection
from resolver_service.domain.catalog import Group, RawModel, Source, credential_scope

KEPT_S = 30 * 24 * 3600.0
"""As long as OpenAI keeps responses: https://platform.openai.com/docs/guides/conversation-state"""
MOST = 100_000
"""Some 30 MB. Beyond it those go first that were not asked for the longest."""


@dataclass(frozen=True, slots=True)
class Binding:
    target_id: str
    """The target that made it."""
    name: str
    """The configured name that it was asked for by."""
    bound_at: float
    """Seconds since the epoch."""

    def is_over(self, now: float) -> bool:
        """`now` is in seconds since the epoch."""
        return now - self.bound_at > KEPT_S


def sent_nowhere_else(entry: Group | RawModel, binding: Binding | None) -> Group | RawModel:
    """The entry with nothing but the bound target, and for one attempt. If that target is not behind the name, it is
    the targets of the same provider and credential, which can read what the other one has stored. The entry has no
    targets if there are none of these either, and all of its own if `binding` is None."""
    policy = replace(entry.policy, attempts=1)
    if binding is None:
        return replace(entry, policy=policy)
    targets = tuple(selection.targets_of(entry))
    own = tuple(t for t in targets if t.id == binding.target_id)
    if not own:
        credential = credential_scope(binding.target_id)
        own = tuple(t for t in targets if t.scopes.credential == credential)
    return RawModel(entry.id, (Source(own),) if own else (), policy, entry.has_abilities)
