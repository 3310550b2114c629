from __future__ import annotations

import pytest

from benchmarks import apart, goals, loads
from benchmarks.arranged import ONE_WORKER, TWO_WORKERS
from benchmarks.found import NOT_ASKED, Found, Row
from benchmarks.goals import Verdict
from benchmarks.systems import FOREBAY, NGINX, PROVIDER
from tests.unit.benchmarks.measuring import put, window


def verdict(found: Found, figure: str) -> Verdict:
    return next(each for each in goals.verdicts(found) if each.goal.figure.startswith(figure))


@pytest.mark.parametrize(("edge_us", "word"), [(160.0, "met"), (161.0, "**missed**")], ids=["at it", "above it"])
def test_a_ratio_is_held_against_its_goal(edge_us: float, word: str) -> None:
    found = Found()
    put(found, loads.JSON_32, NGINX, [window(20, "nginx"), window(20, "nginx"), window(20, "nginx")])
    put(found, loads.JSON_32, FOREBAY, [window(edge_us), window(1), window(9999)])
    got = verdict(found, f"edge CPU to nginx's: {loads.JSON_32.name}")
    assert (got.word, got.goal.told) == (word, "at most 8.00x")
    assert got.reached == pytest.approx([edge_us / 20, 1 / 20, 9999 / 20])


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    got = goals.verdicts(Found())
    assert {each.word for each in got} == {"not measured"}
    assert {each.missing for each in got if "workers" not in each.goal.figure} == {NOT_ASKED}


def test_a_peer_that_is_missing_says_why() -> None:
    found = Found(missing={"LiteLLM": "it could not be installed"})
    assert verdict(found, "edge CPU to LiteLLM's").missing == "it could not be installed"


def test_a_row_that_ended_in_an_error_has_no_figure_even_if_it_had_one_before() -> None:
    found = Found()
    put(found, loads.JSON_32, NGINX, [window(20, "nginx")])
    found.rows[loads.JSON_32.name, FOREBAY] = Row([window(100)], ended="3 timeouts")
    assert verdict(found, f"edge CPU to nginx's: {loads.JSON_32.name}").missing == "3 timeouts"


def test_latency_is_what_is_added_to_the_provider_s() -> None:
    found = Found()
    put(found, loads.JSON_1, PROVIDER, [window(1, p50_ms=0.25)])
    put(found, loads.JSON_1, FOREBAY, [window(1, p50_ms=1.0)])
    assert verdict(found, "p50 over the provider").reached == pytest.approx([0.75])


def test_an_event_s_translation_is_told_by_the_stream_passed_through() -> None:
    found = Found()
    put(found, loads.pair("chat", "anthropic"), FOREBAY, [window(1000)])
    put(found, loads.pair("anthropic", "anthropic"), FOREBAY, [window(700)])
    assert verdict(found, "translated, per event above passed through: anthropic to chat").reached == [
        pytest.approx(6.0)
    ]


def test_times_and_sizes_are_told_in_the_units_of_their_goals() -> None:
    found = Found()
    found.took(f"resolver, 10,000 pools, {apart.WAITED}", 0.015)
    found.is_of(f"edge, {apart.PER_STREAM}", 20 * 1024)
    assert verdict(found, "longest resolve meanwhile, 10,000 pools").reached == pytest.approx([15.0])
    assert verdict(found, "edge's memory, per open stream").reached == pytest.approx([20.0])


@pytest.mark.parametrize(("cores", "word"), [(2, "not measured"), (4, "met")])
def test_a_second_worker_is_only_told_of_where_there_are_cores_for_it(cores: int, word: str) -> None:
    found = Found(cores=cores)
    put(found, loads.WORKERS, ONE_WORKER, [window(100, requests=1000)])
    put(found, loads.WORKERS, TWO_WORKERS, [window(100, requests=1900)])
    assert verdict(found, "rate of two edge workers").word == word
