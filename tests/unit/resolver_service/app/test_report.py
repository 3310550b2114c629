from __future__ import annotations

import asyncio

import pytest

from resolver_service.app.report import Closed, Ended, Failed
from resolver_service.domain.health import WELL, Availability
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

CONFIG = """
providers:
  - {id: one, dialect: openai, base-url: "https://one.example", models: [m, m2, "m#1", n], credentials: [env:A, env:B]}
  - {id: one-more, dialect: openai, base-url: "https://more.example", models: [m, n]}
model-pools:
  pools: [{id: pool, members: [{provider: one, model: m}, {provider: one-more, model: special}]}]
"""
M0, M1, N0, N1 = "one/m#0", "one/m#1", "one/n#0", "one/n#1"
MORE = "one-more/m#0"
SPECIAL = "one-more/special#0"


@pytest.fixture
def resolving() -> Resolving:
    return Resolving(CONFIG)


def out(resolving: Resolving) -> set[str]:
    """Ids of the targets that cool."""
    ids = resolving.configuration.current.catalog.scopes
    return {t for t in ids if resolving.health_of(t).availability(resolving.clock()) is Availability.OUT}


def test_a_failure_cools_its_target_alone(resolving: Resolving) -> None:
    for disposition in (Disposition.RATE_LIMITED, Disposition.OVERLOADED):
        resolving.fail(M0, disposition, retry_after_s=20)
    assert out(resolving) == {M0}


def test_what_a_provider_asks_for_is_bounded_by_the_configuration_in_effect(resolving: Resolving) -> None:
    def bound(words: str) -> None:
        text = f"policy: {{cool-down: {words}}}{CONFIG}"
        assert asyncio.run(resolving.configuration.offer(text.encode()))

    def cools_s(target_id: str, retry_after_s: float | None) -> float:
        return resolving.fail(target_id, retry_after_s=retry_after_s).retry_after_s(resolving.clock())

    assert [cools_s(M0, 9000), cools_s(M1, 0)] == [300, 1]
    bound("{min: 10s, max: 20s}")
    assert resolving.health_of(M0).retry_after_s(resolving.clock()) == 300, "what is open stays as it is"
    assert [cools_s(N0, 9000), cools_s(N1, 0), cools_s(MORE, None)] == [20, 10, 20]
    bound("{max: 2h}")
    assert cools_s(N0, 9000) == 7200


def test_a_success_clears_its_target(resolving: Resolving) -> None:
    resolving.fail(M0)
    resolving.clock.advance(30)
    attempt = next(a for a in resolving.decide("pool").attempts if a.target.id == M0)
    assert resolving.serve(attempt).availability(resolving.clock()) is Availability.READY


def test_thirty_two_parallel_failures_are_one(resolving: Resolving) -> None:
    for _ in range(32):
        resolving.fail(M0, generation=0)
    assert resolving.health.get(M0).retry_after_s(resolving.clock()) == 30
    assert resolving.health.get(M0).generation == 1


@pytest.mark.parametrize("disposition", [Disposition.QUOTA, Disposition.CREDENTIAL])
def test_a_failure_of_a_credential_cools_every_target_of_it(resolving: Resolving, disposition: Disposition) -> None:
    resolving.fail(M0, disposition)
    assert out(resolving) == {M0, N0, "one/m2#0", "one/m#1#0"}
    assert {resolving.health_of(t).retry_after_s(resolving.clock()) for t in out(resolving)} == {300}
    assert {resolving.health_of(t).reason for t in out(resolving)} == {disposition}
    assert resolving.health.scopes() == {"one#0"}, "there is one state to keep, however many targets share it"


def test_a_missing_model_cools_it_with_every_credential_of_the_provider(resolving: Resolving) -> None:
    resolving.fail(M1, Disposition.MODEL_MISSING)
    assert out(resolving) == {M0, M1}
    resolving.fail("one/m#1#0", Disposition.MODEL_MISSING)
    assert out(resolving) == {M0, M1, "one/m#1#0", "one/m#1#1"}


def test_what_failed_with_a_credential_is_told_once(resolving: Resolving) -> None:
    for _ in range(32):
        resolving.fail(M0, Disposition.CREDENTIAL, generation=0)
    assert resolving.health.latest == 1
    # Nor does the same of another model under way, which was planned before.
    resolving.clock.advance(5)
    resolving.fail(N0, Disposition.CREDENTIAL, generation=0)
    assert {resolving.health_of(t).retry_after_s(resolving.clock()) for t in out(resolving)} == {295}


def test_one_plan_finds_out_about_a_credential_and_all_its_targets_come_back_together(resolving: Resolving) -> None:
    resolving.fail(M0, Disposition.CREDENTIAL)
    resolving.clock.advance(300)
    attempt = next(a for a in resolving.decide("m").attempts if a.target.id == M0)
    assert attempt.probe
    assert N0 not in resolving.plan("n"), "whose credential is being probed"
    resolving.serve(attempt)
    assert next((a.target.id, a.probe) for a in resolving.decide("n").attempts) == (N0, False)
    assert out(resolving) == set()


def test_the_probe_of_a_credential_goes_back_when_its_target_failed_for_a_reason_of_its_own(
    resolving: Resolving,
) -> None:
    resolving.fail(M0, Disposition.CREDENTIAL)
    resolving.clock.advance(300)
    decision = resolving.decide("m")
    resolving.reports.apply(decision.id, Failed(M0, decision.attempts[0].health_generation, Disposition.OVERLOADED, 9))
    assert N0 not in resolving.plan("n")
    resolving.close(decision)
    assert out(resolving) == {M0}
    assert [a.target.id for a in resolving.decide("n").attempts if a.probe] == [N0]


def test_a_target_that_waits_for_two_probes_takes_both(resolving: Resolving) -> None:
    resolving.fail(M0, Disposition.OVERLOADED, retry_after_s=300)
    resolving.fail(N0, Disposition.CREDENTIAL)
    assert resolving.health_of(M0).reason in (Disposition.OVERLOADED, Disposition.CREDENTIAL)
    resolving.clock.advance(300)
    decision = resolving.decide("m")
    assert [a.target.id for a in decision.attempts if a.probe] == [M0]
    assert out(resolving) == {M0, N0, "one/m2#0", "one/m#1#0"}
    resolving.serve(decision.attempts[0])
    assert not any(a.probe for name in ("m", "n") for a in resolving.decide(name).attempts)


def test_a_target_is_out_for_as_long_as_the_worst_of_its_scopes(resolving: Resolving) -> None:
    resolving.fail(M0, Disposition.RATE_LIMITED, retry_after_s=20)
    resolving.fail(N0, Disposition.CREDENTIAL)
    assert resolving.health_of(M0).retry_after_s(resolving.clock()) == 300
    # Nothing of one scope makes a report about another older than it is.
    resolving.clock.advance(300)
    (m0,) = (a for a in resolving.decide("m").attempts if a.target.id == M0)
    resolving.fail(MORE)
    assert resolving.serve(m0).availability(resolving.clock()) is Availability.READY
    assert resolving.health.latest == 5, "each of the two that are well again is after whatever was last"


def test_a_generation_that_no_resolver_has_given_out_leaves_room_for_those_that_follow(resolving: Resolving) -> None:
    for _ in range(3):
        resolving.fail(M0, generation=2**64 - 1)
    resolving.fail(N0, generation=2**64 - 1)
    assert all(a.health_generation < 2**63 for name in ("m", "n") for a in resolving.decide(name).attempts)
    assert resolving.health_of(M0).retry_after_s(resolving.clock()) == 30, "and counts once"


def test_a_credential_that_still_fails_is_not_tried_with_the_next_model(resolving: Resolving) -> None:
    resolving.fail(M0, Disposition.CREDENTIAL)
    resolving.clock.advance(300)
    attempt = next(a for a in resolving.decide("m").attempts if a.target.id == M0)
    resolving.fail(M0, Disposition.CREDENTIAL, generation=attempt.health_generation)
    assert N0 not in resolving.plan("n")


def test_a_report_of_an_unknown_decision_still_applies(resolving: Resolving) -> None:
    resolving.reports.apply("of another resolver", Failed(MORE, 0, Disposition.RATE_LIMITED, None))
    assert out(resolving) == {MORE}


def test_reports_for_targets_that_nothing_leads_to_are_passed_over(resolving: Resolving) -> None:
    for target in ("one/gone#0", "nobody/m#0", "", "nonsense", "one/m#7"):
        for disposition in Disposition:
            assert resolving.reports.apply("d", Failed(target, 0, disposition, 10)) == "unknown_target"
        assert resolving.reports.apply("d", Ended(target, 0)) == "unknown_target"
        assert resolving.health.get(target) is WELL
    assert out(resolving) == set()


async def test_targets_that_a_reload_took_away_are_passed_over_and_come_back_as_they_were(
    resolving: Resolving,
) -> None:
    resolving.fail(M0)
    resolving.fail(SPECIAL)
    resolving.clock.advance(30)
    decision = resolving.decide("pool")
    assert [a.probe for a in decision.attempts if a.target.id in (M0, SPECIAL)] == [True, True]
    before = resolving.health.get(SPECIAL)
    await resolving.configuration.offer(CONFIG.split("model-pools:")[0].encode())

    resolving.fail(SPECIAL, Disposition.CREDENTIAL)
    resolving.reports.apply(decision.id, Ended(SPECIAL, before.generation))
    assert resolving.health.get(SPECIAL) is before
    # Closing gives the probe back all the same.
    resolving.close(decision)
    await resolving.configuration.offer(CONFIG.encode())
    assert SPECIAL in resolving.plan("pool")


def test_a_closed_decision_gives_back_only_what_it_still_holds(resolving: Resolving) -> None:
    resolving.fail(M0)
    resolving.clock.advance(30)
    first = resolving.decide("pool")
    resolving.clock.advance(60)
    second = resolving.decide("pool")
    assert [[a.target.id for a in d.attempts if a.probe] for d in (first, second)] == [[M0], [M0]]
    resolving.close(first)
    assert M0 not in resolving.plan("pool")
    resolving.close(second)
    assert M0 in resolving.plan("pool")


def test_a_probe_that_failed_is_not_given_back(resolving: Resolving) -> None:
    resolving.fail(M0)
    resolving.clock.advance(30)
    decision = resolving.decide("pool")
    resolving.fail(M0, generation=1)
    resolving.close(decision)
    assert resolving.health.get(M0).retry_after_s(resolving.clock()) == 60


def test_a_probe_that_proved_nothing_is_given_back(resolving: Resolving) -> None:
    resolving.fail(M0)
    resolving.clock.advance(30)
    decision = resolving.decide("pool")
    resolving.fail(M0, Disposition.CANCELLED, generation=1)
    assert M0 not in resolving.plan("pool")
    resolving.close(decision)
    assert M0 in resolving.plan("pool")


def test_reports_repeated_or_out_of_order_do_no_harm(resolving: Resolving) -> None:
    decision = resolving.decide("pool")
    failed = Failed(M0, 0, Disposition.RATE_LIMITED, 5)
    effects = [[resolving.reports.apply(decision.id, e) for e in (Closed(), failed, Ended(M0, 0))] for _ in range(3)]
    assert effects == [["applied"] * 3, *[["applied", "repeated", "repeated"]] * 2]
    assert resolving.health.get(M0).generation == 1
    assert resolving.health.get(M0).retry_after_s(resolving.clock()) == 5


def test_of_reports_sent_twice_the_second_is_dropped(resolving: Resolving) -> None:
    overloaded = Failed(M0, 0, Disposition.OVERLOADED, None)
    for _ in range(5):
        resolving.reports.apply("d", overloaded)
    assert out(resolving) == set(), "after two in a row it would cool"
    # The same of another target or decision is another report, and a success is none of a failure.
    resolving.reports.apply("d", Failed(M1, 0, Disposition.OVERLOADED, None))
    resolving.reports.apply("d", Ended(M0, 0))
    resolving.reports.apply("e", overloaded)
    assert out(resolving) == set()
    resolving.reports.apply("f", overloaded)
    assert out(resolving) == {M0}


def test_within_ten_minutes_a_report_is_none_and_after_twenty_a_new_one(resolving: Resolving) -> None:
    resolving.reports.apply("d", Failed(M0, 0, Disposition.OVERLOADED, None))
    resolving.clock.advance(599)
    resolving.reports.apply("d", Failed(M0, 0, Disposition.OVERLOADED, None))
    assert out(resolving) == set()
    resolving.clock.advance(601)
    resolving.reports.apply("d", Failed(M0, 0, Disposition.OVERLOADED, None))
    assert out(resolving) == {M0}


def test_reports_that_name_no_decision_all_count(resolving: Resolving) -> None:
    for _ in range(2):
        resolving.reports.apply("", Failed(M0, 0, Disposition.OVERLOADED, None))
    assert out(resolving) == {M0}
