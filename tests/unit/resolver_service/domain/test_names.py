from __future__ import annotations

import pytest

from resolver_service.domain.names import LONGEST_COMPARED, MOST_COMPARED, closest, name_key, near, split_reasoning


def test_names_are_compared_without_blanks_around_them_and_without_regard_to_case() -> None:
    assert name_key(" Straße (High)\n") == name_key("STRASSE (high)") == "strasse (high)"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gpt-5(high)", ("gpt-5", "high")),
        ("gpt-5(64000)", ("gpt-5", "64000")),
        ("  gpt-5 ( high )  ", ("gpt-5", "high")),
        ("llama (instruct)(low)", ("llama (instruct)", "low")),
        ("vendor/gpt-5(high)", ("vendor/gpt-5", "high")),
        ("gpt-5", ("gpt-5", "")),
        ("  gpt-5  ", ("gpt-5", "")),
        ("gpt-5()", ("gpt-5()", "")),
        ("gpt-5(  )", ("gpt-5(  )", "")),
        ("(high)", ("(high)", "")),
        ("  (high)", ("(high)", "")),
        ("gpt-5(high) turbo", ("gpt-5(high) turbo", "")),
        ("gpt-5 high)", ("gpt-5 high)", "")),
        ("gpt-5(high))", ("gpt-5(high))", "")),
        ("gpt-5(high", ("gpt-5(high", "")),
        (")", (")", "")),
        ("()", ("()", "")),
        ("", ("", "")),
    ],
)
def test_a_reasoning_suffix_is_split_off_at_the_last_parenthesis(name: str, parts: tuple[str, str]) -> None:
    assert split_reasoning(name) == parts


def test_the_closest_names_come_in_their_own_spelling_the_likeliest_first() -> None:
    names = ["Claude-Opus-4", "GPT-4.1-mini", "GPT-4.1", "gemini-2.5-pro"]
    assert closest(" gpt-41 ", names) == ("GPT-4.1", "GPT-4.1-mini")


def test_no_more_names_are_given_than_asked_for() -> None:
    assert len(closest("model-1", [f"model-{n}" for n in range(10, 20)])) == 3
    assert len(closest("model-1", [f"model-{n}" for n in range(10, 20)], limit=1)) == 1


@pytest.mark.parametrize("name", ["", "   ", "zzz", "a", "x" * 100_000])
def test_nothing_is_close_to_a_name_that_is_like_none(name: str) -> None:
    assert closest(name, ["claude-opus-4", "gpt-4.1", "g" * 100_000]) == ()


def test_longer_names_than_anybody_types_are_not_compared() -> None:
    longest = "x" * LONGEST_COMPARED
    assert closest(longest, [longest[:-1], longest, longest + "x"]) == (longest, longest[:-1])
    assert closest(longest + "x", [longest]) == ()


def test_nothing_is_close_where_there_is_nothing() -> None:
    assert closest("gpt-4.1", []) == ()


def test_a_name_is_found_among_ten_thousand_that_look_alike() -> None:
    names = [f"some-model-{n}" for n in range(10_000)]
    assert closest("some-modle-4711", names, limit=1) == ("some-model-4711",)


@pytest.mark.parametrize("count", [0, 1, MOST_COMPARED])
def test_all_of_few_names_are_worth_comparing(count: int) -> None:
    spellings = tuple((f"model-{number:04}", f"Model-{number:04}") for number in range(count))
    assert near("Zzz", spellings) == spellings


@pytest.mark.parametrize("name", ["", "aaa", "MODEL-4711", "model-4711x", "zzz"])
def test_of_very_many_names_those_are_worth_comparing_that_begin_alike(name: str) -> None:
    spellings = tuple((f"model-{number:04}", f"Model-{number:04}") for number in range(10_000))
    compared = near(name, spellings)
    assert 0 < len(compared) <= MOST_COMPARED
    if "4711" in name:
        assert ("model-4711", "Model-4711") in compared
    assert (spellings[0] in compared) is (name in ("", "aaa"))
    assert (spellings[-1] in compared) is (name == "zzz")
