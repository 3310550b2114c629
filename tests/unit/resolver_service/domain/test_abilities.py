from __future__ import annotations

import pytest

from resolver_service.domain.abilities import (
    NO_NEEDS,
    UNKNOWN,
    Abilities,
    Capability,
    Needs,
    can_serve,
    in_common,
    lacking,
    shortfall,
    why_not,
)

TOOLS, VISION, AUDIO = Capability.TOOLS, Capability.VISION, Capability.AUDIO
SMALL = Abilities(8000, 4000, frozenset({TOOLS}))
LARGE = Abilities(200_000, 64_000, frozenset({TOOLS, VISION}))


def needs(*capabilities: Capability, input_tokens: int = 0, output_tokens: int = 0) -> Needs:
    return Needs(frozenset(capabilities), input_tokens, output_tokens)


@pytest.mark.parametrize(
    ("abilities", "needed", "reason"),
    [
        (UNKNOWN, needs(*Capability, input_tokens=10**9, output_tokens=10**9), ""),
        (SMALL, NO_NEEDS, ""),
        (SMALL, needs(TOOLS, input_tokens=4000, output_tokens=4000), ""),
        (SMALL, needs(VISION), "cannot: vision"),
        (SMALL, needs(AUDIO, VISION, TOOLS), "cannot: vision, audio"),
        (Abilities(capabilities=frozenset()), needs(TOOLS), "cannot: tools"),
        (Abilities(context_tokens=8000), needs(VISION), ""),
        (SMALL, needs(input_tokens=8000), ""),
        (SMALL, needs(input_tokens=8001), "its context of 8000 is too small"),
        (SMALL, needs(input_tokens=4001, output_tokens=4000), "its context of 8000 is too small"),
        (SMALL, needs(output_tokens=4001), "its longest answer of 4000 is too short"),
        (
            SMALL,
            needs(VISION, input_tokens=9000, output_tokens=5000),
            "cannot: vision; its context of 8000 is too small; its longest answer of 4000 is too short",
        ),
    ],
)
def test_only_what_is_known_speaks_against_a_model(abilities: Abilities, needed: Needs, reason: str) -> None:
    assert why_not(abilities, needed) == reason
    assert can_serve(abilities, needed) == (not reason) == (not lacking(abilities, needed))


@pytest.mark.parametrize(
    ("models", "needed", "words", "text"),
    [
        ([SMALL], needs(VISION), ("vision",), "vision"),
        ([SMALL, LARGE], needs(VISION, AUDIO), ("audio",), "audio"),
        ([SMALL], needs(VISION, input_tokens=9000), ("vision", "context"), "vision and a context of 9000 tokens"),
        ([SMALL, LARGE], needs(input_tokens=10**6), ("context",), "a context of 1000000 tokens"),
        ([SMALL], needs(output_tokens=5000), ("max-output",), "an answer of 5000 tokens"),
        (
            [SMALL, Abilities(200_000, 64_000, frozenset({AUDIO}))],
            needs(TOOLS, input_tokens=9000),
            ("context", "tools"),
            "a context of 9000 tokens and tools together",
        ),
    ],
)
def test_what_no_model_has_is_named_or_else_what_none_has_together(
    models: list[Abilities], needed: Needs, words: tuple[str, ...], text: str
) -> None:
    found = shortfall(models, needed)
    assert (found.words, found.text) == (words, text)


def test_what_models_have_in_common_is_what_is_the_same_of_all() -> None:
    assert in_common([SMALL, SMALL]) == SMALL
    assert in_common([SMALL, LARGE]) == UNKNOWN
    assert in_common([SMALL, Abilities(8000, 1, frozenset({TOOLS}))]) == Abilities(8000, 0, frozenset({TOOLS}))
    assert in_common([SMALL, UNKNOWN]) == UNKNOWN
    assert in_common([]) == UNKNOWN
