"""Seals: how a client keeps the thoughts of another family's model, and hands them back.

A client hands thoughts back with the signature, or the encrypted content, that they came with. A provider refuses those
that its own family has not made, with status 400. So in our answers a seal stands in the signature's place, which
begins with `MARK`. It says whose thought it is, holds all that the family needs to have it back, and lets the
passthrough remove such thoughts before a provider of the client's own dialect sees them.

    forebay~KIND~FAMILY~ID~PAYLOAD          KIND: s a signature, e encrypted, n neither, c the signature of a call
"""

from __future__ import annotations

from edge_service.dialects.canonical import Family, Thinking

MARK = "forebay~"


def is_native(thought: Thinking, own: Family) -> bool:
    """Whether a dialect's `own` family has signed or encrypted it."""
    return thought.family is own and bool(thought.signature or thought.encrypted)


def seal(thought: Thinking, own: Family) -> str:
    """The text for the place of the family's own signature."""
    if is_native(thought, own):
        return thought.signature or thought.encrypted
    family = "" if thought.family is None else thought.family.value
    kind = "s" if thought.signature else "e" if thought.encrypted else "n"
    return f"{MARK}{kind}~{family}~{thought.id.replace('~', '')}~{thought.signature or thought.encrypted}"


def opened(text: str, sealed: str, own: Family) -> Thinking:
    """The thought behind a seal of ours, which begins with `MARK`. Anyone can write such a seal: what is in it is no
    more trusted than the rest of a request."""
    kind, _, rest = sealed.removeprefix(MARK).partition("~")
    family, _, rest = rest.partition("~")
    name, _, payload = rest.partition("~")
    if kind not in ("s", "e") or family not in _FAMILIES or family == own.value or not payload:
        return Thinking(text, id=name)
    if kind == "s":
        return Thinking(text, signature=payload, family=Family(family), id=name)
    return Thinking(text, encrypted=payload, family=Family(family), id=name)


def seal_call(call_id: str, signature: str) -> str:
    """The seal of a call that Gemini has signed, which no other family does. It stands in a thought of its own, before
    the call."""
    return f"{MARK}c~{Family.GEMINI.value}~{call_id.replace('~', '')}~{signature}"


def opened_call(sealed: str) -> tuple[str, str] | None:
    """The id of the call, and its signature; None if it is something else that is sealed."""
    if not sealed.startswith(f"{MARK}c~"):
        return None
    _, _, rest = sealed.removeprefix(f"{MARK}c~").partition("~")
    call_id, _, signature = rest.partition("~")
    return call_id, signature


_FAMILIES = frozenset(family.value for family in Family)
