from __future__ import annotations

import pytest

from edge_service.dialects.canonical import Effort
from edge_service.dialects.openai_chat.quirks import DEFAULT, UNKNOWN, Quirks, of
from edge_service.domain import plan


def test_of_one_of_which_nothing_is_told_nothing_is_known() -> None:
    assert of(plan.NO_QUIRKS) is DEFAULT
    assert of(plan.Quirks()) == DEFAULT


def test_what_a_plan_tells() -> None:
    told = plan.Quirks(
        max_tokens_field="max_completion_tokens",
        system_role="developer",
        drop=frozenset({"logit_bias", "response_format"}),
        takes=frozenset({"top_k", "user"}),
        lacks=frozenset({"n"}),
        efforts=("low", "newer", "max"),
        effort_field="reasoning.effort",
        thoughts=("reasoning",),
        max_stops=2,
        call_id_chars=9,
    )
    assert of(told) == Quirks(
        max_tokens="max_completion_tokens",
        unknown=UNKNOWN - {"top_k", "user"} | {"n", "logit_bias", "output"},
        efforts=(Effort.LOW, Effort.MAX),
        effort_within="reasoning",
        system="developer",
        thoughts=("reasoning",),
        max_stops=2,
        call_id_chars=9,
    )


def test_what_is_taken_out_is_not_known_even_where_it_is_said_to_be() -> None:
    assert "user" in of(plan.Quirks(drop=frozenset({"user"}), takes=frozenset({"user"}))).unknown


@pytest.mark.parametrize(
    ("efforts", "asked", "said"),
    [
        ((Effort.LOW, Effort.MEDIUM, Effort.HIGH), Effort.NONE, Effort.LOW),
        ((Effort.LOW, Effort.MEDIUM, Effort.HIGH), Effort.MEDIUM, Effort.MEDIUM),
        ((Effort.LOW, Effort.MEDIUM, Effort.HIGH), Effort.MAX, Effort.HIGH),
        ((Effort.NONE, Effort.HIGH), Effort.MINIMAL, Effort.NONE),
    ],
)
def test_the_nearest_word_is_taken(efforts: tuple[Effort, ...], asked: Effort, said: Effort) -> None:
    assert Quirks(efforts=efforts).effort(asked) is said
