"""What was made at one target and is known to nobody else, such as a stored response, and who may serve what goes on
from it."""

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
    """Who made it."""
    name: str
    """The configured name that it was asked for by."""
    bound_at: float
    """Seconds since the epoch."""

    def is_over(self, now: float) -> bool:
        """`now` is in seconds since the epoch."""
        return now - self.bound_at > KEPT_S


def sent_nowhere_else(entry: Group | RawModel, binding: Binding | None) -> Group | RawModel:
    """The entry as a request sees it that must go where the binding leads: as if there were no others, and for one
    attempt. Where the target itself is not behind the name, another model with the same credential at its provider
    knows what it made. It has no targets if the name leads to neither, and all of them if nothing is bound."""
    policy = replace(entry.policy, attempts=1)
    if binding is None:
        return replace(entry, policy=policy)
    targets = tuple(selection.targets_of(entry))
    own = tuple(t for t in targets if t.id == binding.target_id)
    if not own:
        credential = credential_scope(binding.target_id)
        own = tuple(t for t in targets if t.scopes.credential == credential)
    return RawModel(entry.id, (Source(own),) if own else (), policy, entry.has_abilities)
