from __future__ import annotations

import pytest

from edge_service.dialects.anthropic import sealing
from edge_service.dialects.canonical import Family, Thinking, ToolCall

from .asked import read_content


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("a", signature="s", family=Family.ANTHROPIC),
        Thinking("a", signature="s~t", family=Family.GEMINI),
        Thinking("a", encrypted="gAAA~", family=Family.OPENAI, id="rs_1"),
        Thinking("", encrypted="gAAA", family=Family.OPENAI),
        Thinking("a"),
        Thinking("a", id="rs_1"),
    ],
)
def test_a_thought_comes_back_as_it_was(thought: Thinking) -> None:
    assert sealing.opened(thought.text, sealing.seal(thought)) == thought


def test_only_anthropics_own_signatures_are_shown_as_they_are() -> None:
    assert sealing.seal(Thinking("a", signature="s", family=Family.ANTHROPIC)) == "s"
    assert sealing.seal(Thinking("a", signature="s", family=Family.GEMINI)).startswith(sealing.MARK)
    assert sealing.seal(Thinking("a")).startswith(sealing.MARK)


@pytest.mark.parametrize("forged", ["", "s", "s~", "s~gemini~", "s~gemini~~", "s~anthropic~~x", "x~gemini~~x", "~~~~"])
def test_a_seal_that_does_not_hold_is_none(forged: str) -> None:
    thought = sealing.opened("a", sealing.MARK + forged)
    assert (thought.text, thought.signature, thought.encrypted, thought.family) == ("a", "", "", None)


def test_the_signature_of_a_call_comes_back_to_the_call() -> None:
    sealed = {"type": "redacted_thinking", "data": sealing.seal_call("call_1", "CiQB~")}
    calls = [{"type": "tool_use", "id": f"call_{i}", "name": "f", "input": {}} for i in range(2)]
    assert read_content("assistant", sealed, *calls) == (
        ToolCall("call_0", "f", "{}"),
        ToolCall("call_1", "f", "{}", "CiQB~"),
    )
