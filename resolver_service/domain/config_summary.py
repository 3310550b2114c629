"""What a change of the configuration comes to: in words, and line by line."""

from __future__ import annotations

import difflib
from itertools import takewhile

from resolver_service.domain.config_changes import LONGEST_ID, Kind, entries_of, ids, model_pools
from resolver_service.domain.names import name_key
from resolver_service.domain.same import same

_CONTEXT = 3
MOST_COMPARED = 2_000
"""Lines that differ, on either side. Comparing more takes seconds: they are told of as all gone and all come."""
LONGEST_DIFF = 48 * 1024
"""Characters; lists of revisions travel in one message."""


def summary(before: object, after: object) -> str:
    """On one line."""
    told = [words for kind in Kind if (words := _told(kind, before, after))]
    mine, its = (document if isinstance(document, dict) else {} for document in (before, after))
    known = {kind.path[0] for kind in Kind}
    told += [f"{key} changed" for key in {**mine, **its} if key not in known and not same(mine.get(key), its.get(key))]
    for key in ("enabled", "default-strategy"):
        if not same(model_pools(before)[key], model_pools(after)[key]):
            told.append(f"model-pools.{key} changed")
    return ", ".join(told) or "nothing but its text changed"


def _told(kind: Kind, before: object, after: object) -> str:
    old, new = (_by_id(kind, document) for document in (before, after))
    counts = {
        "added": [id_ for key, (id_, _) in new.items() if key not in old],
        "removed": [id_ for key, (id_, _) in old.items() if key not in new],
        "changed": [id_ for key, (id_, entry) in new.items() if key in old and not same(entry, old[key][1])],
    }
    told = []
    for what, names in counts.items():
        if len(names) == 1:
            told.append(f"{kind.noun} {names[0][:LONGEST_ID]} {what}")
        elif names:
            told.append(f"{len(names)} {kind.noun}s {what}")
    if not told and list(old) != list(new):
        told.append(f"{kind.noun}s put in another order")
    return ", ".join(told)


def _by_id(kind: Kind, document: object) -> dict[str, tuple[str, object]]:
    entries = entries_of(document, kind)
    return {name_key(name): (name, entry) for name, entry in zip(ids(document, kind), entries, strict=True)}


def diff(before: bytes, after: bytes) -> str:
    """Unified, without file names; cut where it is very long."""
    old, new = (text.decode("utf-8-sig", "replace").splitlines() for text in (before, after))
    head = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    rest = zip(reversed(old[head:]), reversed(new[head:]), strict=False)
    tail = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    begin = max(0, head - _CONTEXT)
    old, new = (lines[begin : len(lines) - max(0, tail - _CONTEXT)] for lines in (old, new))
    if max(len(old), len(new)) > MOST_COMPARED:
        lines = [_hunk(begin, len(old), len(new)), *(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    else:
        lines = list(_unified(old, new, begin))
    text = "\n".join(lines)
    return text if len(text) <= LONGEST_DIFF else text[:LONGEST_DIFF].rpartition("\n")[0] + "\n[...]"


def _unified(old: list[str], new: list[str], begin: int) -> list[str]:
    lines = []
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        lines.append(_hunk(begin + first[1], last[2] - first[1], last[4] - first[3], begin + first[3]))
        for what, old_from, old_to, new_from, new_to in group:
            if what == "equal":
                lines += [f" {line}" for line in old[old_from:old_to]]
            else:
                lines += [f"-{line}" for line in old[old_from:old_to]]
                lines += [f"+{line}" for line in new[new_from:new_to]]
    return lines


def _hunk(old_begin: int, old_count: int, new_count: int, new_begin: int | None = None) -> str:
    new_begin = old_begin if new_begin is None else new_begin
    return f"@@ -{old_begin + bool(old_count)},{old_count} +{new_begin + bool(new_count)},{new_count} @@"
