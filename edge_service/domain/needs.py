"""What a request asks of a model, in the words of the resolver's contract."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """The kind of request."""

    GENERATE = "generate"
    EMBED = "embed"
    COUNT = "count"
    """Counting tokens: takes no turn and no probe."""
    RETRIEVE = "retrieve"
    """Reading or deleting a stored response. Nothing is reported."""
    AUTHENTICATE = "authenticate"
    """Nothing but checking the client's key."""


OF_A_MODEL = (Operation.GENERATE, Operation.EMBED, Operation.COUNT)
"""The others name none."""

UNREPORTED = frozenset({Operation.COUNT, Operation.RETRIEVE, Operation.AUTHENTICATE})
"""Operations whose outcomes the resolver is not told."""


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
    """What a request needs. A target that is known not to have it is left out of the plan."""

    capabilities: tuple[Capability, ...] = ()
    estimated_input_tokens: int = 0
    """Rather too few than too many: a target for which they are too many is not tried. 0 for unknown."""
    max_output_tokens: int = 0
    """As the client limits it; 0 for not at all."""

    @property
    def roughly(self) -> tuple[tuple[Capability, ...], int, int]:
        """A key that is the same for similar requests: sizes as powers of two, capabilities in order."""
        return (
            tuple(sorted(set(self.capabilities))),
            1 << self.estimated_input_tokens.bit_length() if self.estimated_input_tokens else 0,
            1 << self.max_output_tokens.bit_length() if self.max_output_tokens else 0,
        )


NO_NEEDS = Needs()
