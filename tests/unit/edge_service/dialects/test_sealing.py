from __future__ import annotations

import pytest

from edge_service.dialects import sealing
from edge_service.dialects.canonical import Family, Thinking


@pytest.mark.parametrize("own", Family)
@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("text", ["", "a"])
def test_a_thought_comes_back_to_its_family(own: Family, family: Family, text: str) -> None:
    for thought in (
        Thinking(text, signature="s~t", family=family),
        Thinking(text, encrypted="e", family=family, id="x"),
    ):
        sealed = sealing.seal(thought, own)
        if family is own:
            assert sealing.is_native(thought, own)
            assert sealed == thought.signature or sealed == thought.encrypted
        else:
            assert sealed.startswith(sealing.MARK)
            assert sealing.opened(text, sealed, own) == thought


@pytest.mark.parametrize("own", Family)
def test_nobody_can_seal_what_is_the_own_familys(own: Family) -> None:
    thought = sealing.opened("a", f"{sealing.MARK}s~{own.value}~~x", own)
    assert thought == Thinking("a")


def test_a_thought_without_a_signature_is_known_as_none_of_theirs() -> None:
    for thought in (Thinking("a"), Thinking("a", id="rs_1")):
        sealed = sealing.seal(thought, Family.OPENAI)
        assert sealed.startswith(sealing.MARK)
        assert sealing.opened("a", sealed, Family.OPENAI) == thought


def test_the_signature_of_a_call() -> None:
    assert sealing.opened_call(sealing.seal_call("c~1", "CiQB~")) == ("c1", "CiQB~")
    assert sealing.opened_call(sealing.seal(Thinking("a"), Family.OPENAI)) is None
