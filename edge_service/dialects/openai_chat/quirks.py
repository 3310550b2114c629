"""How those who speak this dialect differ from one another: data, and no branches for names of providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge_service.dialects.canonical import Effort
from edge_service.domain import plan

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
    """A provider's quirks. What is not known is taken not to be there."""

    max_tokens: str = "max_tokens"
    """What it calls the most tokens to generate: or `max_completion_tokens`. Other names are not written, but replaced
    in what is: see `edge_service.dialects.overrides`."""

    unknown: frozenset[str] = UNKNOWN
    """What it does not know, in the words of `canonical.Request`: any of its scalars, `stop`, `reasoning`, `tools`,
    `tools.strict`, `parallel_tool_calls`, `output`, `output.schema`, `messages.image`, `messages.audio`,
    `messages.file`, `messages.refusal`; `tool_choice` for one that leaves the choice to the model, `messages.thinking`
    for one that refuses messages with thoughts in them, `stream_options` for one that tells the usage of streams
    unasked."""

    efforts: tuple[Effort, ...] = ()
    """The words that it takes for how hard to think; none if it is not known to take any."""

    effort_within: str = ""
    """The object that they stand in, as `effort`; empty if they stand alone, as `reasoning_effort`."""

    system: str = "system"
    """The role of system messages: `system` or `developer`."""

    thoughts: tuple[str, ...] = ()
    """Fields of assistant messages in which it takes thoughts back: `reasoning_content`, `reasoning`,
    `reasoning_details`."""

    max_stops: int = 4
    """How many stop sequences it takes."""

    call_id_chars: int = 0
    """How many letters and digits the ids of calls must have, for one that takes no others: Mistral, 9."""

    def effort(self, word: Effort) -> Effort:
        """The nearest one that it takes."""
        at = _EFFORTS.index(word)
        return min(self.efforts, key=lambda known: abs(_EFFORTS.index(known) - at))


DEFAULT = Quirks()
"""For a provider of which nothing is known."""

_EFFORTS = tuple(Effort)
_WORDS: Mapping[str, str] = MappingProxyType(
    {"max_completion_tokens": "max_tokens", "response_format": "output", "reasoning_effort": "reasoning"}
)
"""Of fields that `canonical.Request` calls otherwise."""


def of(told: plan.Quirks) -> Quirks:
    """What a plan tells of a provider. A field that is taken out of every request is one that it does not know."""
    if told is plan.NO_QUIRKS:
        return DEFAULT
    known = set(_EFFORTS)
    return Quirks(
        max_tokens=told.max_tokens_field,
        unknown=(UNKNOWN - told.takes).union(told.lacks, (_WORDS.get(name, name) for name in told.drop)),
        efforts=tuple(Effort(word) for word in told.efforts if word in known),
        effort_within=told.effort_field.partition(".")[0] if "." in told.effort_field else "",
        system=told.system_role,
        thoughts=told.thoughts,
        max_stops=told.max_stops,
        call_id_chars=told.call_id_chars,
    )
