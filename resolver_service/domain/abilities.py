"""What models can do, what requests need, and whether the one is enough for the other.

What is not known of a model is never held against it: it may be tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Capability(StrEnum):
    """What a model can do beyond text."""

    TOOLS = "tools"
    VISION = "vision"
    JSON_SCHEMA = "json-schema"
    REASONING = "reasoning"
    AUDIO = "audio"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What is known of a model."""

    context_tokens: int = 0
    """A request and its answer together; 0 where it is not known."""
    max_output_tokens: int = 0
    """0 where it is not known."""
    capabilities: frozenset[Capability] | None = None
    """All that it has; None where it is not known."""


UNKNOWN = Abilities()


class Needs(NamedTuple):
    """What a request asks of a model."""

    capabilities: frozenset[Capability] = frozenset()
    input_tokens: int = 0
    """An estimate; 0 for unknown."""
    output_tokens: int = 0
    """As the client limits it; 0 for not at all."""

    @property
    def all_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


NO_NEEDS = Needs()

CONTEXT = "context"
OUTPUT = "max-output"
"""With the capabilities, the words for what a model lacks."""


def can_serve(abilities: Abilities, needs: Needs) -> bool:
    """Whether nothing is known that speaks against it. Asked of every target of a request that needs something."""
    known = abilities.capabilities
    return (
        (known is None or needs.capabilities <= known)
        and not 0 < abilities.context_tokens < needs.all_tokens
        and not 0 < abilities.max_output_tokens < needs.output_tokens
    )


def lacking(abilities: Abilities, needs: Needs) -> tuple[str, ...]:
    """The needs that it is known not to meet."""
    known = abilities.capabilities
    words = [c.value for c in Capability if known is not None and c in needs.capabilities - known]
    if 0 < abilities.context_tokens < needs.all_tokens:
        words.append(CONTEXT)
    if 0 < abilities.max_output_tokens < needs.output_tokens:
        words.append(OUTPUT)
    return tuple(words)


def why_not(abilities: Abilities, needs: Needs) -> str:
    """The same for people; empty if it can serve."""
    words = lacking(abilities, needs)
    missing = ", ".join(w for w in words if w not in (CONTEXT, OUTPUT))
    reasons = [f"cannot: {missing}"] if missing else []
    if CONTEXT in words:
        reasons.append(f"its context of {abilities.context_tokens} is too small")
    if OUTPUT in words:
        reasons.append(f"its longest answer of {abilities.max_output_tokens} is too short")
    return "; ".join(reasons)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why none of several models can serve."""

    words: tuple[str, ...]
    """The needs that no model meets; if each is met by some model, all that any model lacks."""
    text: str
    """Such as `vision and a context of 9000 tokens`."""


def shortfall(models: Iterable[Abilities], needs: Needs) -> Shortfall:
    """What is missing, where none of these models can serve."""
    each = [lacking(abilities, needs) for abilities in models]
    some = dict.fromkeys(word for words in each for word in words)
    none_has = tuple(word for word in some if all(word in words for words in each))
    sizes = {
        CONTEXT: f"a context of {needs.all_tokens} tokens",
        OUTPUT: f"an answer of {needs.output_tokens} tokens",
    }
    words = none_has or tuple(some)
    text = " and ".join(sizes.get(word, word) for word in words)
    return Shortfall(words, text if none_has else f"{text} together")


def in_common(models: Iterable[Abilities]) -> Abilities:
    """The abilities that all of them have alike; unknown where they differ."""
    contexts, outputs, capabilities = set(), set(), set()
    for abilities in models:
        contexts.add(abilities.context_tokens)
        outputs.add(abilities.max_output_tokens)
        capabilities.add(abilities.capabilities)
    return Abilities(
        context_tokens=contexts.pop() if len(contexts) == 1 else 0,
        max_output_tokens=outputs.pop() if len(outputs) == 1 else 0,
        capabilities=capabilities.pop() if len(capabilities) == 1 else None,
    )
