from __future__ import annotations

import pytest

from edge_service.domain.outcome import AMBIGUOUS, MOVES_ON, Disposition, Outcome, most_useful


def test_what_is_no_fault_of_the_target_stays() -> None:
    stays = {Disposition.OK, Disposition.CLIENT_FAULT, Disposition.CONTEXT_LENGTH, Disposition.CANCELLED}
    assert stays | MOVES_ON == set(Disposition)
    assert not stays & MOVES_ON


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Outcome(Disposition.UNREACHABLE, detail="refused"), "refused"),
        (Outcome(Disposition.TIMEOUT, detail="no content in time"), "no content in time"),
        (Outcome(Disposition.BROKEN, detail="closed"), "closed"),
        # Whatever came with a status may have the provider's words in it, and these fields the client's.
        (Outcome(Disposition.BROKEN, status=200, detail="theirs"), ""),
        (Outcome(Disposition.TIMEOUT, status=504, detail="theirs"), ""),
        (Outcome(Disposition.CLIENT_FAULT, detail="tools[4]", is_unfit=True), ""),
    ],
)
def test_why_there_was_no_answer_is_told_in_words_of_our_own(outcome: Outcome, why: str) -> None:
    assert outcome.why == why


def test_only_silence_is_ambiguous() -> None:
    assert {Disposition.TIMEOUT, Disposition.BROKEN} == AMBIGUOUS


@pytest.mark.parametrize(
    ("outcome", "told_as", "is_for_clients"),
    [
        (Outcome(Disposition.RATE_LIMITED, status=429), Disposition.RATE_LIMITED, True),
        (Outcome(Disposition.CONTEXT_LENGTH, status=400), Disposition.CONTEXT_LENGTH, True),
        (Outcome(Disposition.CREDENTIAL, status=401), Disposition.CREDENTIAL, False),
        (Outcome(Disposition.CREDENTIAL, status=400), Disposition.CREDENTIAL, False),
        (Outcome(Disposition.MODEL_MISSING, status=401), Disposition.CREDENTIAL, False),
        (Outcome(Disposition.MODEL_MISSING, status=403), Disposition.CREDENTIAL, False),
        (Outcome(Disposition.CLIENT_FAULT, status=403), Disposition.CLIENT_FAULT, True),
        (Outcome(Disposition.QUOTA, status=402), Disposition.CREDENTIAL, False),
        (Outcome(Disposition.QUOTA, status=429), Disposition.QUOTA, True),
        (Outcome(Disposition.QUOTA, status=400), Disposition.QUOTA, False),
        # What a rule says is what the client hears, but a body that may quote keys stays here.
        (Outcome(Disposition.CLIENT_FAULT, status=403, by_rule=True), Disposition.CLIENT_FAULT, False),
        (Outcome(Disposition.RATE_LIMITED, status=402, by_rule=True), Disposition.RATE_LIMITED, False),
        (Outcome(Disposition.CREDENTIAL, status=429, by_rule=True), Disposition.CREDENTIAL, False),
        (Outcome(Disposition.OVERLOADED, status=503, by_rule=True), Disposition.OVERLOADED, True),
    ],
)
def test_what_speaks_of_the_gateways_account_is_not_for_clients(
    outcome: Outcome, told_as: Disposition, is_for_clients: bool
) -> None:
    assert (outcome.told_as, outcome.is_for_clients) == (told_as, is_for_clients)


BY_RANK = [
    [Outcome(Disposition.RATE_LIMITED, status=429), Outcome(Disposition.QUOTA, status=429)],
    [Outcome(Disposition.OVERLOADED, status=503), Outcome(Disposition.OVERLOADED, status=529)],
    [
        Outcome(Disposition.SERVER_ERROR, status=500),
        Outcome(Disposition.BROKEN, status=200),
        Outcome(Disposition.EMPTY, status=200),
    ],
    [Outcome(Disposition.MODEL_MISSING, status=404)],
    [Outcome(Disposition.TIMEOUT, status=504), Outcome(Disposition.TIMEOUT)],
    [
        Outcome(Disposition.UNREACHABLE),
        Outcome(Disposition.CREDENTIAL, status=401),
        Outcome(Disposition.CREDENTIAL, status=403),
        Outcome(Disposition.QUOTA, status=402),
        Outcome(Disposition.CREDENTIAL),
    ],
    [Outcome(Disposition.CLIENT_FAULT, is_unfit=True)],
]


@pytest.mark.parametrize("rank", range(len(BY_RANK) - 1))
def test_a_higher_rank_is_more_useful_wherever_it_stands(rank: int) -> None:
    for better in BY_RANK[rank]:
        for worse in BY_RANK[rank + 1]:
            assert most_useful([better, worse]) is better
            assert most_useful([worse, better]) is better


@pytest.mark.parametrize("equals", BY_RANK)
def test_of_equals_the_last_is_the_most_useful(equals: list[Outcome]) -> None:
    assert most_useful(equals) is equals[-1]
    assert most_useful(equals[::-1]) is equals[0]


@pytest.mark.parametrize("disposition", [Disposition.CLIENT_FAULT, Disposition.CONTEXT_LENGTH, Disposition.CANCELLED])
def test_what_no_other_target_could_better_comes_before_all(disposition: Disposition) -> None:
    last = Outcome(disposition)
    assert most_useful([BY_RANK[0][0], last]) is last
