from __future__ import annotations

from resolver_service.app.status import Glance, State, Status, TargetStatus
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

TEXT = """
providers:
  - {id: one, dialect: openai, base-url: "https://one.example/v1", models: [m], max-concurrent: 3}
  - {id: off, dialect: openai, base-url: "https://off.example/v1", models: [m], disabled: true}
model-pools:
  pools:
    - {id: in, members: [{provider: one, model: a, disabled: true}, {provider: one, model: b, disabled: true}]}
    - {id: out, members: [{provider: one, model: b}]}
    - {id: again, members: [{provider: one, model: b, disabled: true}]}
"""


def glance(it: Resolving) -> Glance:
    return Status(it.configuration, it.health, it.drains, it.in_flight, it.reports.recent, it.clock).glance()


def statuses(it: Resolving) -> dict[str, TargetStatus]:
    return {target.target_id: target for target in glance(it).targets()}


def test_a_target_is_disabled_if_it_is_whichever_way_it_is_reached() -> None:
    assert {target_id: status.state for target_id, status in statuses(Resolving(TEXT)).items()} == {
        "one/a#0": State.DISABLED,
        "one/b#0": State.READY,
        "one/m#0": State.READY,
        "off/m#0": State.DISABLED,
    }


def test_a_target_is_as_well_as_the_worst_of_its_scopes() -> None:
    it = Resolving(TEXT)
    it.fail("one/b#0", Disposition.RATE_LIMITED, retry_after_s=5)
    it.fail("one/m#0", Disposition.CREDENTIAL)
    found = statuses(it)
    assert (found["one/b#0"].reason, found["one/b#0"].retry_after_s) == (Disposition.CREDENTIAL, 300)
    it.clock.advance(300)
    assert statuses(it)["one/b#0"].state is State.PROBING
    it.operator.drain("one/b#0")
    assert statuses(it)["one/b#0"].state is State.DRAINED


def test_it_tells_what_is_under_way_and_what_came_of_others() -> None:
    it = Resolving(TEXT)
    it.decide("m")
    it.fail("one/m#0", Disposition.TIMEOUT)
    found = statuses(it)
    assert (found["one/m#0"].in_flight, found["one/m#0"].recent) == (1, {Disposition.TIMEOUT: 1})
    assert found["one/b#0"] == TargetStatus("one/b#0", State.READY)


def test_what_was_seen_at_a_glance_is_not_changed_by_what_comes() -> None:
    it = Resolving(TEXT)
    seen = glance(it)
    before = list(seen.targets())
    it.decide("m")
    it.fail("one/m#0")
    it.operator.drain("one/b#0")
    assert list(seen.targets()) == before
