"""What OpenAI's generations take, as rows of data.

The dialect is one, but a model refuses, with status 400, what its generation does not know. Of a model that is not
OpenAI's own nothing is known: it gets what was asked, and nothing that was not.

Sources: https://platform.openai.com/docs/guides/reasoning, and the pages of the models there. That encrypted reasoning
is refused by models without any: https://github.com/pydantic/pydantic-ai/issues/2865
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge_service.dialects.canonical import Effort


@dataclass(frozen=True, slots=True)
class Rules:
    reasons: bool | None
    """None if nothing is known of it. One that does not reason takes no verbosity either."""
    efforts: Mapping[Effort, str]
    """Its words for how hard to think. With any but `none` it takes no sampling parameters and tells no
    probabilities."""


_AS_SAID = MappingProxyType({effort: effort.value for effort in Effort})
_NEWEST = MappingProxyType({**_AS_SAID, Effort.MINIMAL: "low"})
_NO_MAX = MappingProxyType({**_NEWEST, Effort.MAX: "xhigh"})
_NO_XHIGH = MappingProxyType({**_NO_MAX, Effort.XHIGH: "high", Effort.MAX: "high"})
_FIRST = MappingProxyType({**_NO_XHIGH, Effort.NONE: "minimal", Effort.MINIMAL: "minimal"})
_OLDEST = MappingProxyType({**_NO_XHIGH, Effort.NONE: "low"})

_ROWS: tuple[tuple[tuple[int, int], Rules], ...] = (
    ((5, 6), Rules(True, _NEWEST)),
    ((5, 2), Rules(True, _NO_MAX)),
    ((5, 1), Rules(True, _NO_XHIGH)),
    ((5, 0), Rules(True, _FIRST)),
    ((0, 0), Rules(False, MappingProxyType({}))),
)
"""The rules, each from this version of GPT on; newest first."""

_O = Rules(True, _OLDEST)
_CHAT = Rules(False, MappingProxyType({}))
_OTHERS = Rules(None, _AS_SAID)

_O_NAME = re.compile(r"(?:^|[/:])(?:o\d+|codex-mini)\b")
_GPT_NAME = re.compile(r"(?:^|[/:])(?:chat)?gpt-(\d{1,2})o?(?:\.(\d{1,2}))?(?![\d])(.*)", re.DOTALL)
_KINDS: tuple[tuple[re.Pattern[str], Mapping[Effort, str]], ...] = (
    (re.compile(r"-pro\b"), MappingProxyType(dict.fromkeys((Effort.NONE, Effort.MINIMAL, Effort.LOW), "medium"))),
    (re.compile(r"-codex"), MappingProxyType(dict.fromkeys((Effort.NONE, Effort.MINIMAL), "low"))),
)
"""Kinds of a generation that cannot be told not to think, by what follows the version."""


def rules(model: str) -> Rules:
    """The rules for a model, by the provider's name for it."""
    name = model.lower()
    if _O_NAME.search(name):
        return _O
    found = _GPT_NAME.search(name)
    if found is None:
        return _OTHERS
    if "chat" in name:
        return _CHAT
    version = int(found[1]), int(found[2] or 0)
    row = next(row for first, row in _ROWS if version >= first)
    least = next((least for kind, least in _KINDS if kind.search(found[3])), None)
    if not row.reasons or least is None:
        return row
    return Rules(True, MappingProxyType({**row.efforts, **least}))
