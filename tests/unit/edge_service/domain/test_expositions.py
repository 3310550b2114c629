from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_service.domain.expositions import Family, Sample, lasting, summed


def counter(values: dict[str, float], name: str = "forebay_requests") -> Family:
    return Family(
        name, "counter", "Requests", tuple(Sample(f"{name}_total", (("name", of),), n) for of, n in values.items())
    )


def gauge(name: str, value: float) -> Family:
    return Family(name, "gauge", "", (Sample(name, (), value),))


def test_counts_with_the_same_labels_are_one() -> None:
    assert summed([[counter({"a": 1.0, "b": 2.0})], [counter({"b": 3.0, "c": 4.0})], []]) == (
        counter({"a": 1.0, "b": 5.0, "c": 4.0}),
    )


def test_buckets_are_summed_each_for_itself() -> None:
    def histogram(small: float, large: float) -> Family:
        buckets = [("0.1", small), ("+Inf", large)]
        return Family(
            "h",
            "histogram",
            "",
            (
                *(Sample("h_bucket", (("le", bound),), count) for bound, count in buckets),
                Sample("h_count", (), large),
                Sample("h_sum", (), large * 2.0),
            ),
        )

    assert summed([[histogram(1.0, 2.0)], [histogram(0.0, 5.0)]]) == (histogram(1.0, 7.0),)


def test_gauges_are_of_all_together() -> None:
    name = "forebay_requests_in_progress"
    assert summed([[gauge(name, 2.0)], [gauge(name, 3.0)]]) == (gauge(name, 5.0),)


def test_a_resolver_is_there_if_it_is_for_every_worker() -> None:
    name = "forebay_resolver_up"
    assert summed([[gauge(name, 1.0)], [gauge(name, 0.0)]]) == (gauge(name, 0.0),)
    assert summed([[gauge(name, 1.0)], [gauge(name, 1.0)]]) == (gauge(name, 1.0),)


def test_counting_began_when_the_first_one_began() -> None:
    def since(at: float) -> Family:
        return Family("c", "counter", "", (Sample("c_total", (), 1.0), Sample("c_created", (), at)))

    (family,) = summed([[since(20.0)], [since(10.0)]])
    assert [sample.value for sample in family.samples] == [2.0, 10.0]


def test_what_was_counted_outlives_the_worker_and_what_it_was_at_does_not() -> None:
    counted = counter({"a": 1.0})
    assert lasting([gauge("forebay_requests_in_progress", 2.0), counted]) == (counted,)


_COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 1000).map(float))


@given(st.lists(_COUNTS, max_size=5), st.integers(0, 5))
def test_it_does_not_matter_in_which_groups_they_are_summed(counts: list[dict[str, float]], at: int) -> None:
    """As when some of the workers are gone."""
    all_of_them = [[counter(each)] for each in counts]
    one, other = summed(all_of_them[:at]), summed(all_of_them[at:])
    assert summed([one, other]) == summed(all_of_them)
