"""Whatever happens to workers, in whatever order, each of the rules holds."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_service.domain.supervision import (
    BACKOFF_MAX_S,
    BACKOFF_MIN_S,
    Announce,
    Command,
    Over,
    Start,
    Stop,
    Supervision,
)


class Workers(RuleBasedStateMachine):
    """Processes as they are, beside what the rules make of them."""

    @initialize(workers=st.integers(1, 4))
    def begin(self, workers: int) -> None:
        self.rules = Supervision(workers)
        self.waiting: set[int] = set()
        """Who will be started."""
        self.alive: dict[int, str] = {}
        self.announced = 0
        self.stopped = 0
        self.over: list[int] = []
        self.now = 0.0
        self.workers = workers
        self.do(self.rules.begin())

    def do(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Start(slot, after_s):
                    assert not self.stopped
                    assert slot not in self.waiting
                    assert slot not in self.alive
                    assert after_s == 0.0 or BACKOFF_MIN_S <= after_s <= BACKOFF_MAX_S
                    self.waiting.add(slot)
                case Announce():
                    assert sorted(self.alive) == list(range(self.workers))
                    self.announced += 1
                case Stop():
                    self.stopped += 1
                    self.waiting.clear()
                case Over(status):
                    self.over.append(status)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def starts(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting.remove(slot)
        self.alive[slot] = "starting"
        self.rules.started(slot)

    @precondition(lambda self: "starting" in self.alive.values())
    @rule(data=st.data())
    def serves(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from([slot for slot, is_ in self.alive.items() if is_ == "starting"]))
        self.alive[slot] = "serving"
        self.do(self.rules.served(slot, self.now))

    @precondition(lambda self: "serving" in self.alive.values())
    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from([slot for slot, is_ in self.alive.items() if is_ == "serving"]))
        self.alive[slot] = "leaving"
        self.rules.leaves(slot)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), status=st.sampled_from([0, 1, 3, -9, -15]))
    def ends(self, data: st.DataObject, status: int) -> None:
        slot = data.draw(st.sampled_from(sorted(self.alive)))
        del self.alive[slot]
        self.do(self.rules.ended(slot, status, self.now))

    @rule()
    def stop(self) -> None:
        self.do(self.rules.stop())

    @rule(seconds=st.floats(0.0, 100.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def it_holds(self) -> None:
        assert self.announced <= 1
        assert self.stopped <= 1
        assert set(self.rules.serving) == {slot for slot, is_ in self.alive.items() if is_ == "serving"}
        # While it goes on everybody is there or will be; it is over exactly when it has been stopped and all are gone.
        assert self.stopped or len(self.alive) + len(self.waiting) == self.workers
        assert bool(self.over) == bool(self.stopped and not self.alive)
        assert len(self.over) <= 1


TestWorkers = Workers.TestCase
