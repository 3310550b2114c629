"""How those who speak this dialect differ from one another: data, and no branches for names of providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_service.dialects.canonical import Effort

UNKNOWN = frozenset(
    {
        "messages.file",
        "messages.refusal",
        "metadata",
        "service_tier",
        "tools.strict",
        "top_k",
        "user",
        "verbosity",
    }
)
"""What many do not take; some refuse a request for it."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """Of a provider. What is not known of one, it is taken not to have."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Fields of `canonical.Request` that it calls by other names: `{"max_tokens": "max_completion_tokens"}`, or, at
    Mistral, `{"seed": "random_seed"}`."""

    unknown: frozenset[str] = UNKNOWN
    """What it does not know, in the words of `canonical.Request`: any of its scalars, `tools`, `tools.strict`,
    `parallel_tool_calls`, `output`, `output.schema`, `messages.image`, `messages.audio`, `messages.file`,
    `messages.refusal`; `messages.thinking` for one that refuses messages with thoughts in them, `stream_options` for
    one that tells the usage of streams unasked."""

    efforts: tuple[Effort, ...] = ()
    """The words that it takes as `reasoning_effort`; none if it does not know the field."""

    system: str = "system"
    """The role of system messages: `system` or `developer`."""

    thoughts: tuple[str, ...] = ()
    """Fields of assistant messages in which it takes thoughts back: `reasoning_content`, `reasoning`,
    `reasoning_details`."""

    max_stops: int = 4
    """How many stop sequences it takes."""

    call_id_chars: int = 0
    """How many letters and digits the ids of calls must have, for one that takes no others: Mistral, 9."""


DEFAULT = Quirks()
"""Of a provider of which nothing is known."""
