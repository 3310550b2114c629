"""Thoughts as this dialect has them: with Anthropic's own signature, or with a seal in its place.

The signature of a call stands in a redacted thought of its own, before the call.
"""

from __future__ import annotations

from edge_service.dialects import sealing
from edge_service.dialects.canonical import Family, Thinking
from edge_service.dialects.sealing import MARK, opened_call, seal_call

__all__ = ["MARK", "is_native", "opened", "opened_call", "seal", "seal_call"]


def is_native(thought: Thinking) -> bool:
    """Whether Anthropic has signed or encrypted it."""
    return sealing.is_native(thought, Family.ANTHROPIC)


def seal(thought: Thinking) -> str:
    """What stands where Anthropic's own signature would."""
    return sealing.seal(thought, Family.ANTHROPIC)


def opened(text: str, sealed: str, *, redacted: bool = False) -> Thinking:
    """The thought behind what a client hands back; `redacted` where the block has no text."""
    if sealed.startswith(MARK):
        return sealing.opened(text, sealed, Family.ANTHROPIC)
    if not sealed:
        return Thinking(text)
    if redacted:
        return Thinking(encrypted=sealed, family=Family.ANTHROPIC)
    return Thinking(text, signature=sealed, family=Family.ANTHROPIC)
