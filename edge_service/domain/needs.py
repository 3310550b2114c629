"""What a request asks of a model, in the words of the resolver's contract."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What is to be done."""

    GENERATE = "generate"
    EMBED = "embed"
    COUNT = "count"
    """Counting tokens: takes no turn and no probe."""
    RETRIEVE = "retrieve"
    """Something that was made before, and that only its maker knows. Nothing of it is reported."""
    AUTHENTICATE = "authenticate"
    """Nothing yet: whether the client's key is known."""


UNREPORTED = frozenset({Operation.COUNT, Operation.RETRIEVE, Operation.AUTHENTICATE})
"""What comes of these the resolver is not told."""


class Capability(StrEnum):
    """What a model may be able to do beyond text."""

    TOOLS = "tools"
    VISION = "vision"
    JSON_SCHEMA = "json-schema"
    REASONING = "reasoning"
    AUDIO = "audio"
    EMBEDDINGS = "embeddings"


@dataclass(slots=True, unsafe_hash=True)
class Needs:
    """A target of which it is known that it cannot serve these is left out of the plan."""

    capabilities: tuple[Capability, ...] = ()
    estimated_input_tokens: int = 0
    """Rather too few than too many: what is left out for them is not tried. 0 for unknown."""
    max_output_tokens: int = 0
    """As the client limits it; 0 for not at all."""

    @property
    def roughly(self) -> tuple[tuple[Capability, ...], int, int]:
        """The same for all requests that hardly differ: sizes as powers of two, the words in one order."""
        return (
            tuple(sorted(set(self.capabilities))),
            1 << self.estimated_input_tokens.bit_length() if self.estimated_input_tokens else 0,
            1 << self.max_output_tokens.bit_length() if self.max_output_tokens else 0,
        )


NO_NEEDS = Needs()
