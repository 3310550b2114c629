from __future__ import annotations

import pytest

from edge_service.domain.failover import (
    Cancel,
    Command,
    Ending,
    Failover,
    Finish,
    IllegalEventError,
    Open,
    Relay,
    ReportClosed,
    ReportContent,
    ReportEnded,
    ReportFailed,
    State,
)
from edge_service.domain.outcome import MOVES_ON, Disposition, Outcome, most_useful
from edge_service.domain.plan import Attempt
from tests.unit.edge_service.domain.plans import attempt, plan

A, B, C = attempt("a"), attempt("b"), attempt("c")
RATE_LIMITED = Outcome(Disposition.RATE_LIMITED, status=429, retry_after_s=20.0)
OVERLOADED = Outcome(Disposition.OVERLOADED, status=503)
CLIENT_FAULT = Outcome(Disposition.CLIENT_FAULT, status=400)
TIMEOUT = Outcome(Disposition.TIMEOUT)
BROKEN = Outcome(Disposition.BROKEN)
GONE = Outcome(Disposition.CANCELLED, detail="the client went away")
DRAINING = Outcome(Disposition.CANCELLED, detail="the gateway is shutting down")
EXPIRED = Outcome(Disposition.TIMEOUT, detail="the time for the whole request ran out")
UNFIT = Outcome(Disposition.CLIENT_FAULT, detail="tools", is_unfit=True)
CUT_SHORT = Outcome(Disposition.TIMEOUT, detail="the time that the client allows ran out", is_blameless=True)


def attempting(*attempts: object, allowed: int = 10) -> Failover:
    machine = Failover()
    machine.resolved(plan(*(attempts or (A, B, C)), allowed=allowed))  # type: ignore[arg-type]
    return machine


def relaying() -> Failover:
    machine = attempting()
    machine.content()
    return machine


def test_a_plan_is_walked_from_its_first_attempt() -> None:
    machine = Failover()
    assert machine.state is State.RESOLVING
    assert machine.resolved(plan(A, B)) == [Open(A)]
    assert machine.state is State.ATTEMPTING


def test_a_failure_is_reported_and_the_next_target_opened() -> None:
    machine = attempting()
    assert machine.failed(RATE_LIMITED) == [ReportFailed(A, RATE_LIMITED), Open(B)]
    assert machine.failed(OVERLOADED) == [ReportFailed(B, OVERLOADED), Open(C)]
    assert machine.opened == 3
    assert machine.outcomes == [RATE_LIMITED, OVERLOADED]


def test_a_stream_is_relayed_from_its_first_content_to_its_end() -> None:
    machine = attempting()
    assert machine.content() == [ReportContent(A), Relay()]
    assert machine.state is State.RELAYING
    assert machine.ended() == [ReportEnded(A), Finish(Ending.SERVED)]
    assert machine.state is State.DONE


def test_an_answer_that_ends_without_content_is_relayed_all_the_same() -> None:
    assert attempting().ended() == [Relay(), ReportEnded(A), Finish(Ending.SERVED)]


def test_the_client_is_told_of_the_most_useful_failure_when_the_plan_is_at_its_end() -> None:
    machine = attempting(A, B)
    machine.failed(RATE_LIMITED)
    assert machine.failed(OVERLOADED) == [
        ReportFailed(B, OVERLOADED),
        ReportClosed(),
        Finish(Ending.FAILED, RATE_LIMITED),
    ]


@pytest.mark.parametrize("allowed", [1, 2])
def test_no_more_attempts_are_made_than_the_plan_allows(allowed: int) -> None:
    machine = attempting(allowed=allowed)
    for _ in range(allowed - 1):
        machine.failed(OVERLOADED)
    assert machine.failed(OVERLOADED)[-1] == Finish(Ending.FAILED, OVERLOADED)
    assert machine.opened == allowed


@pytest.mark.parametrize("disposition", Disposition)
def test_a_disposition_moves_on_by_default_or_not(disposition: Disposition) -> None:
    commands = attempting().failed(Outcome(disposition))
    assert (commands[-1] == Open(B)) == (disposition in MOVES_ON)


@pytest.mark.parametrize("disposition", sorted(MOVES_ON))
def test_the_policy_can_hold_a_disposition(disposition: Disposition) -> None:
    outcome = Outcome(disposition)
    machine = attempting(attempt("a", never=[disposition]), B)
    assert machine.failed(outcome)[1:] == [ReportClosed(), Finish(Ending.FAILED, outcome)]


def test_the_policy_can_let_a_disposition_move_on() -> None:
    machine = attempting(attempt("a", also=[Disposition.CONTEXT_LENGTH]), B)
    assert machine.failed(Outcome(Disposition.CONTEXT_LENGTH, status=400))[-1] == Open(B)


def test_the_policy_is_that_of_the_attempt_that_failed() -> None:
    machine = attempting(A, attempt("b", never=[Disposition.OVERLOADED]), C)
    assert machine.failed(OVERLOADED)[-1] == Open(attempt("b", never=[Disposition.OVERLOADED]))
    assert machine.failed(OVERLOADED)[-1] == Finish(Ending.FAILED, OVERLOADED)


OTHER_MODEL, OTHER_KEY = attempt("a", model="other"), attempt("a", key=1)


@pytest.mark.parametrize("disposition", [Disposition.QUOTA, Disposition.CREDENTIAL])
def test_a_credential_that_is_out_is_not_tried_again(disposition: Disposition) -> None:
    machine = attempting(A, OTHER_MODEL, OTHER_KEY, B)
    assert machine.failed(Outcome(disposition))[-1] == Open(OTHER_KEY)
    assert machine.failed(Outcome(disposition))[-1] == Open(B)
    assert machine.opened == 3


def test_a_model_that_a_provider_does_not_have_is_not_asked_for_with_another_key() -> None:
    machine = attempting(A, OTHER_KEY, OTHER_MODEL, B)
    assert machine.failed(Outcome(Disposition.MODEL_MISSING, status=404))[-1] == Open(OTHER_MODEL)
    assert machine.failed(OVERLOADED)[-1] == Open(B)


@pytest.mark.parametrize("disposition", sorted(MOVES_ON - {Disposition.QUOTA, Disposition.CREDENTIAL}))
def test_other_failures_are_the_targets_own(disposition: Disposition) -> None:
    beside = OTHER_MODEL if disposition is Disposition.MODEL_MISSING else OTHER_KEY
    assert attempting(A, beside).failed(Outcome(disposition))[-1] == Open(beside)


def test_where_nothing_else_is_left_the_client_is_told() -> None:
    quota = Outcome(Disposition.QUOTA, status=429)
    machine = attempting(A, OTHER_MODEL)
    assert machine.failed(quota) == [ReportFailed(A, quota), ReportClosed(), Finish(Ending.FAILED, quota)]


def test_those_that_are_passed_over_do_not_count_as_attempts() -> None:
    machine = attempting(A, OTHER_MODEL, B, C, allowed=2)
    assert machine.failed(Outcome(Disposition.QUOTA))[-1] == Open(B)
    assert machine.failed(RATE_LIMITED)[-1] == Finish(Ending.FAILED, RATE_LIMITED)
    assert machine.opened == 2


@pytest.mark.parametrize("second", [TIMEOUT, BROKEN])
@pytest.mark.parametrize("first", [TIMEOUT, BROKEN])
def test_a_request_moves_on_once_from_silence(first: Outcome, second: Outcome) -> None:
    machine = attempting()
    assert machine.failed(first)[-1] == Open(B)
    assert machine.failed(second) == [ReportFailed(B, second), ReportClosed(), machine_end(first, second)]


def machine_end(first: Outcome, second: Outcome) -> Command:
    """Cut answers come before time-outs."""
    return Finish(Ending.FAILED, first if first is BROKEN and second is TIMEOUT else second)


def test_not_even_the_policy_moves_on_twice_from_silence() -> None:
    machine = attempting(A, attempt("b", also=[Disposition.TIMEOUT]), C)
    machine.failed(TIMEOUT)
    assert machine.failed(TIMEOUT)[-1] == Finish(Ending.FAILED, TIMEOUT)


def test_answers_move_on_freely_around_the_one_move_from_silence() -> None:
    machine = attempting(A, B, C, attempt("d"))
    assert [machine.failed(o)[-1] for o in (OVERLOADED, TIMEOUT, RATE_LIMITED)] == [
        Open(B),
        Open(C),
        Open(attempt("d")),
    ]


def test_nothing_moves_once_content_has_reached_the_client() -> None:
    assert relaying().failed(RATE_LIMITED) == [
        ReportFailed(A, RATE_LIMITED),
        ReportClosed(),
        Finish(Ending.INTERRUPTED, RATE_LIMITED),
    ]


def test_a_stream_that_breaks_off_is_told_of_its_own_failure_not_of_earlier_ones() -> None:
    machine = attempting()
    machine.failed(RATE_LIMITED)
    machine.content()
    assert machine.failed(BROKEN)[-1] == Finish(Ending.INTERRUPTED, BROKEN)


def test_a_client_that_leaves_before_there_is_a_plan_leaves_nothing_behind() -> None:
    machine = Failover()
    assert machine.client_gone() == [Finish(Ending.GONE)]
    assert machine.state is State.DONE


@pytest.mark.parametrize("state", [State.ATTEMPTING, State.RELAYING])
def test_the_attempt_is_broken_off_when_the_client_leaves(state: State) -> None:
    assert in_state(state).client_gone() == [Cancel(), ReportFailed(A, GONE), ReportClosed(), Finish(Ending.GONE)]


def test_the_attempt_is_broken_off_when_the_time_is_up() -> None:
    machine = attempting()
    assert machine.expired() == [Cancel(), ReportFailed(A, EXPIRED), ReportClosed(), Finish(Ending.FAILED, EXPIRED)]


def test_a_target_is_not_to_blame_for_a_client_in_haste() -> None:
    commands = attempting().expired(by_client=True)
    assert commands == [Cancel(), ReportFailed(A, CUT_SHORT), ReportClosed(), Finish(Ending.FAILED, CUT_SHORT)]


def test_when_the_time_is_up_the_client_is_told_of_an_earlier_refusal_that_says_more() -> None:
    machine = attempting()
    machine.failed(RATE_LIMITED)
    assert machine.expired()[-1] == Finish(Ending.FAILED, RATE_LIMITED)


@pytest.mark.parametrize(("state", "ending"), [(State.ATTEMPTING, Ending.FAILED), (State.RELAYING, Ending.INTERRUPTED)])
def test_the_attempt_is_broken_off_when_the_grace_is_over(state: State, ending: Ending) -> None:
    assert in_state(state).draining() == [Cancel(), ReportFailed(A, DRAINING), ReportClosed(), Finish(ending, DRAINING)]


EVENTS = {
    "resolved": lambda machine: machine.resolved(plan(A)),
    "failed": lambda machine: machine.failed(OVERLOADED),
    "unfit": lambda machine: machine.unfit("tools"),
    "content": Failover.content,
    "ended": Failover.ended,
    "client_gone": Failover.client_gone,
    "expired": Failover.expired,
    "draining": Failover.draining,
}
LEGAL = {
    State.RESOLVING: {"resolved", "client_gone"},
    State.ATTEMPTING: {"failed", "unfit", "content", "ended", "client_gone", "expired", "draining"},
    State.RELAYING: {"failed", "ended", "client_gone", "draining"},
    State.DONE: set(),
}


def in_state(state: State) -> Failover:
    match state:
        case State.RESOLVING:
            return Failover()
        case State.ATTEMPTING:
            return attempting()
        case State.RELAYING:
            return relaying()
        case State.DONE:
            machine = attempting()
            machine.ended()
            return machine


@pytest.mark.parametrize(("state", "event"), [(s, e) for s in State for e in EVENTS if e not in LEGAL[s]])
def test_an_illegal_event_raises_and_changes_nothing(state: State, event: str) -> None:
    machine = in_state(state)
    before = snapshot(machine)
    with pytest.raises(IllegalEventError, match=f"^'{event}' cannot happen while {state}$"):
        EVENTS[event](machine)
    assert snapshot(machine) == before


@pytest.mark.parametrize(("state", "event"), [(s, e) for s in State for e in sorted(LEGAL[s])])
def test_a_legal_event_is_answered_with_commands(state: State, event: str) -> None:
    assert EVENTS[event](in_state(state))


def test_a_plan_without_attempts_is_illegal() -> None:
    machine = Failover()
    with pytest.raises(IllegalEventError, match="without anything to try"):
        machine.resolved(plan())
    assert snapshot(machine) == snapshot(Failover())


def snapshot(machine: Failover) -> dict[str, object]:
    return {name: repr(getattr(machine, name, None)) for name in Failover.__slots__}


def test_a_target_that_cannot_be_asked_is_passed_over_and_does_not_count() -> None:
    machine = attempting()
    assert machine.unfit("tools") == [ReportFailed(A, UNFIT), Open(B)]
    assert machine.opened == 1
    machine.failed(RATE_LIMITED)
    assert machine.outcomes == [UNFIT, RATE_LIMITED]


def test_that_nobody_could_be_asked_is_told_only_if_nobody_was() -> None:
    machine = Failover()
    machine.resolved(plan(A))
    assert machine.unfit("tools") == [ReportFailed(A, UNFIT), ReportClosed(), Finish(Ending.FAILED, UNFIT)]
    machine = Failover()
    machine.resolved(plan(A, B))
    machine.failed(OVERLOADED)
    assert machine.unfit("tools")[-1] == Finish(Ending.FAILED, OVERLOADED)


# --- Requests that act on the provider --------------------------------------------------------------------------------


def acting(*attempts: Attempt) -> Failover:
    machine = Failover()
    machine.resolved(plan(*(attempts or (A, B, C))), lambda: True)
    return machine


@pytest.mark.parametrize("silence", [TIMEOUT, BROKEN])
def test_what_acts_does_not_move_on_after_silence(silence: Outcome) -> None:
    assert acting().failed(silence) == [ReportFailed(A, silence), ReportClosed(), Finish(Ending.FAILED, silence)]


@pytest.mark.parametrize("answer", [RATE_LIMITED, OVERLOADED, Outcome(Disposition.UNREACHABLE)])
def test_it_does_after_an_answer_and_where_nobody_has_seen_it(answer: Outcome) -> None:
    machine = acting()
    assert machine.failed(answer) == [ReportFailed(A, answer), Open(B)]
    assert machine.failed(TIMEOUT)[-1] == Finish(Ending.FAILED, most_useful([answer, TIMEOUT]))


def test_the_policy_may_let_it_move_on_and_once_at_that() -> None:
    first = attempt("a", also=[Disposition.TIMEOUT])
    second = attempt("b", also=[Disposition.TIMEOUT, Disposition.BROKEN])
    machine = acting(first, second, C)
    assert machine.failed(TIMEOUT) == [ReportFailed(first, TIMEOUT), Open(second)]
    assert machine.failed(BROKEN)[0] == ReportFailed(second, BROKEN)
    assert machine.state is State.DONE
    assert acting(first, B).failed(BROKEN)[-1] == Finish(Ending.FAILED, BROKEN), "it says so of the other alone"


def test_whether_it_acts_is_asked_when_it_matters_and_not_before() -> None:
    asked: list[str] = []

    def acts() -> bool:
        asked.append("")
        return False

    machine = Failover()
    machine.resolved(plan(A, B, C), acts)
    machine.failed(RATE_LIMITED)
    assert not asked
    assert machine.failed(TIMEOUT) == [ReportFailed(B, TIMEOUT), Open(C)]
    assert len(asked) == 1
    machine.failed(TIMEOUT)
    assert len(asked) == 1, "there is nowhere to move"
