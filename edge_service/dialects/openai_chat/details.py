"""Thoughts as `reasoning_details`, the shape in which OpenRouter carries what a model has signed or encrypted.

    {"type": "reasoning.text",      "text", "signature", "format", "id", "index"}
    {"type": "reasoning.summary",   "summary", ...}
    {"type": "reasoning.encrypted", "data", ...}      also Gemini's signature of a call, whose id it bears

The format says whose it is. In a stream fragments of one index belong together. Ours are known by their ids, which
begin with `MARK`: whoever hands them back may come to a provider that refuses them, and there they are taken out.

Source: https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec import Struct

from edge_service.dialects.canonical import Family, Thinking

FIELD = "reasoning_details"
FIELDS = ("reasoning_content", "reasoning", FIELD)
"""Where thoughts stand in a message: DeepSeek's and vLLM's field, and OpenRouter's two."""

MARK = "forebay~"

FORMATS: Mapping[Family, str] = MappingProxyType(
    {
        Family.ANTHROPIC: "anthropic-claude-v1",
        Family.GEMINI: "google-gemini-v1",
        Family.OPENAI: "openai-responses-v1",
    }
)
_FAMILIES = {name: family for family, name in FORMATS.items()}

TEXT = "reasoning.text"
SUMMARY = "reasoning.summary"
ENCRYPTED = "reasoning.encrypted"

Written: TypeAlias = dict[str, Any]


class Detail(Struct):
    """As it comes."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None

    @property
    def family(self) -> Family | None:
        return _FAMILIES.get(self.format or "")

    @property
    def name(self) -> str:
        """Its id, as it was before we marked it."""
        return (self.id or "").removeprefix(MARK)

    def thought(self) -> Thinking:
        """The thought. A signature is left out if its maker is not known: it would be of no use."""
        text = self.text or self.summary or ""
        family = self.family
        if self.data and family is Family.GEMINI:
            return Thinking(text, signature=self.data, family=family, id=self.name)
        if self.data and family is not None:
            return Thinking(text, encrypted=self.data, family=family, id=self.name)
        if self.signature and family is not None:
            return Thinking(text, signature=self.signature, family=family, id=self.name)
        return Thinking(text, id=self.name)

    @property
    def is_lost(self) -> bool:
        """Whether it has something that cannot be used."""
        return bool(self.data or self.signature) and self.family is None


def gathered(fragments: Iterable[Detail]) -> list[Detail]:
    """Whole ones, if the fragments of a stream have been handed back as they came."""
    whole: list[Detail] = []
    texts: list[list[str]] = []
    for each in fragments:
        last = whole[-1] if whole else None
        if last is not None and last.type == each.type != ENCRYPTED and last.index == each.index is not None:
            texts[-1].append(each.text or each.summary or "")
            last.signature = each.signature or last.signature
            last.id = last.id or each.id
            last.format = last.format or each.format
        else:
            whole.append(each)
            texts.append([each.text or each.summary or ""])
    for each, pieces in zip(whole, texts, strict=True):
        if len(pieces) > 1:
            each.text, each.summary = "".join(pieces), None
    return whole


def read(said: Iterable[Detail], calls: Iterable[str]) -> tuple[list[Thinking], dict[str, str], bool]:
    """The thoughts; the signatures of those of the message's calls that have one; and whether any could not be read."""
    ids = set(calls)
    thoughts: list[Thinking] = []
    signatures: dict[str, str] = {}
    is_lost = False
    for detail in gathered(said):
        is_lost = is_lost or detail.is_lost
        if detail.type == ENCRYPTED and detail.family is Family.GEMINI and detail.name in ids:
            signatures[detail.name] = detail.data or ""
            continue
        thought = detail.thought()
        last = thoughts[-1] if thoughts else None
        if thought.encrypted and thought.family is Family.OPENAI and last is not None and _awaits(last, thought):
            thoughts[-1] = Thinking(last.text, encrypted=thought.encrypted, family=thought.family, id=thought.id)
        elif thought.text or thought.signature or thought.encrypted:
            thoughts.append(thought)
    return thoughts, signatures, is_lost


def _awaits(text: Thinking, encrypted: Thinking) -> bool:
    """Whether what is encrypted is the whole of what has been told in this text."""
    return text.family is None and text.id in ("", encrypted.id)


def write(thought: Thinking, index: int, mark: str = MARK) -> list[Written]:
    """From this index on."""
    id_ = mark + thought.id
    written: list[Written] = []
    if thought.signature and not thought.text and thought.family is Family.GEMINI:
        written.append(encrypted(thought.signature, thought.family, index, id_))
    elif thought.text or not thought.encrypted:
        written.append(text(thought.text, index, id_))
        if thought.signature:
            written[0] |= signed(thought.signature, thought.family)
    if thought.encrypted:
        written.append(encrypted(thought.encrypted, thought.family, index + len(written), id_))
    return written


def text(said: str, index: int, id_: str) -> Written:
    return {"type": TEXT, "text": said, "id": id_ or None, "index": index}


def signed(signature: str, family: Family | None) -> Written:
    return {"signature": signature} | _format(family)


def encrypted(data: str, family: Family | None, index: int, id_: str) -> Written:
    return {"type": ENCRYPTED, "data": data, "id": id_ or None, "index": index} | _format(family)


def _format(family: Family | None) -> Written:
    return {} if family is None else {"format": FORMATS[family]}
