"""Compares two documents, and edits the text of the first to say the second."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Hashable, Iterator, Mapping, Sequence

from resolver_service.adapters.amend_yaml import writing
from resolver_service.adapters.amend_yaml.narrowing import Edit, agreeing, narrowed
from resolver_service.adapters.amend_yaml.nodes import BREAK, AwkwardError, Layout, Node, layout
from resolver_service.app.ports import AWKWARD, ReadOnlyError
from resolver_service.domain.same import same

_BOM = "\ufeff"
_IDENTITY = ("id", "ref", "provider", "pool", "model")
"""The keys by which an entry of a list is recognised, whatever else of it has changed."""


def amend(text: bytes, old: object, new: object) -> bytes:
    """The text, which says `old`, with as few changes as possible so that it says `new`.

    Comments, order, quotes and line ends stay as they are wherever the two agree. The caller has to parse the result to
    see whether it came out right. Raises `ReadOnlyError` for a text that is written in a way that cannot be changed.
    """
    decoded = text.decode("utf-8-sig")
    if same(old, new):
        return text
    has_bom = text.startswith(_BOM.encode())
    try:
        amended = _written(decoded, _edits(decoded, old, new))
    except AwkwardError:
        raise ReadOnlyError(AWKWARD) from None
    return ((_BOM if has_bom else "") + amended).encode()


def _edits(text: str, old: object, new: object) -> Sequence[Edit]:
    if (part := narrowed(text, old, new)) is not None:
        with contextlib.suppress(AwkwardError):
            edits = part.widened(_Amending(layout(part.text)).edits(part.old, part.new))
            if edits is not None:
                return edits
    return _Amending(layout(text)).edits(old, new)


def _written(text: str, edits: Sequence[Edit]) -> str:
    pieces, at = [], 0
    for start, end, instead in sorted(edits, key=lambda edit: edit[:2]):
        if start < at:
            raise AwkwardError
        pieces += [text[at:start], instead]
        at = end
    return "".join((*pieces, text[at:]))


class _Amending:
    def __init__(self, laid_out: Layout) -> None:
        self._at = laid_out
        self._edits: list[Edit] = []

    def edits(self, old: object, new: object) -> Sequence[Edit]:
        root = self._at.root
        try:
            self._change(root, old, new)
        except AwkwardError:
            if root.is_block:
                raise
            self._edits = [(root.start, root.end, writing.flow(new))]
        if self._at.aliases:
            self._spell_out(dict(self._values(root, old)))
        return self._edits

    def _spell_out(self, values: Mapping[Node, object]) -> None:
        """Writes out the aliases of an anchor whose value changes: they must keep the old value."""
        changed = list(self._edits)
        for alias in self._at.aliases:
            anchor = alias.alias_of or alias
            touched = any(start <= anchor.end and end >= anchor.start for start, end, _ in changed)
            gone = any(start <= alias.start and end >= alias.end for start, end, _ in changed)
            if touched and not gone:
                if alias not in values:
                    raise AwkwardError  # It is a key.
                self._edits.append((alias.start, alias.end, writing.flow(values[alias])))

    def _values(self, node: Node, value: object) -> Iterator[tuple[Node, object]]:
        yield node, value
        if node.items is not None and isinstance(value, list):
            for child, inner in zip(node.items, value, strict=True):
                yield from self._values(child, inner)
        elif node.pairs is not None and isinstance(value, dict):
            for (_, child), inner in zip(node.pairs, value.values(), strict=True):
                yield from self._values(child, inner)

    # --- One value ---

    def _change(self, node: Node, old: object, new: object) -> None:
        """Edits one value. Raises `AwkwardError` if what contains it has to be written anew."""
        if same(old, new):
            return
        before = len(self._edits)
        try:
            if node.pairs is not None and isinstance(old, dict) and isinstance(new, dict) and new:
                self._change_pairs(node, node.pairs, old, new)
                return
            if node.items is not None and isinstance(old, list) and isinstance(new, list) and new:
                self._change_items(node, node.items, old, new)
                return
        except AwkwardError:
            del self._edits[before:]
        if node.is_block:
            raise AwkwardError
        if node.start == node.end:
            raise AwkwardError  # The value is empty: there is nothing to replace.
        instead = writing.scalar(new, node.style) if _is_scalar(new) else writing.flow(new)
        if node.style in ("|", ">"):
            instead += self._at.newline
        self._edits.append((node.start, node.end, instead))

    def _change_value(self, key: Node, value: Node, old: object, new: object, *, column: int | None) -> None:
        """`column` is the block's that the key stands in; None within brackets."""
        before = len(self._edits)
        try:
            # A value that was empty may become several lines.
            if column is None or _is_scalar(new) or not new or not (value.start == value.end or old in ([], {})):
                self._change(value, old, new)
                return
        except AwkwardError:
            del self._edits[before:]
        at = self._at.colon(key)
        if column is None and value.is_block:
            raise AwkwardError
        if value.is_block and self._at.line(value.start) != self._at.line(at):
            self._edits.append((self._at.line(value.start), self._at.after(value), ""))
        elif value.is_block:
            raise AwkwardError
        elif value.end > at:
            self._edits.append((at, value.end, ""))
        if column is None or not isinstance(new, dict | list) or not new:
            self._edits.append((at, at, " " + writing.flow(new)))
        else:
            self._insert_lines(self._at.next_line(max(at, value.end - 1)), writing.below(new, column + 2))

    # --- Mappings ---

    def _change_pairs(
        self,
        node: Node,
        pairs: Sequence[tuple[Node, Node]],
        old: Mapping[Hashable, object],
        new: Mapping[Hashable, object],
    ) -> None:
        names = list(old)
        if len(names) != len(pairs) or not any(name in new for name in names):
            raise AwkwardError
        column = self._at.column(pairs[0][0].start) if node.is_block else None
        spans = [(key.start, max(key.end, value.end)) for key, value in pairs]
        kept = [place for place, name in enumerate(names) if name in new]
        for place in kept:
            key, value = pairs[place]
            name = names[place]
            if not same(old[name], new[name]):
                self._change_value(key, value, old[name], new[name], column=column)
        added = {name: value for name, value in new.items() if name not in old}
        if column is None:
            texts = [f"{writing.scalar(name)}: {writing.flow(value)}" for name, value in added.items()]
            self._in_brackets(spans, kept, {kept[-1]: texts} if texts else {})
            return
        starts = [start for start, _ in spans]
        if not all(map(self._at.is_first_on_line, starts[1:])):
            raise AwkwardError  # An explicit key, with its question mark.
        ends = [self._at.after(value if value.end >= key.end else key) for key, value in pairs]
        self._drop_lines(starts, ends, kept)
        if added:
            lines = [line for name, value in added.items() for line in writing.entry(name, value, column)]
            self._insert_lines(self._at.trail(ends[kept[-1]], column), lines)

    # --- Lists ---

    def _change_items(self, node: Node, items: Sequence[Node], old: Sequence[object], new: Sequence[object]) -> None:
        if len(old) != len(items) or not old:
            raise AwkwardError
        matches = _matches(old, new)
        spans = [(item.start, item.end) for item in items]
        dashes = self._at.dashes(node) if node.is_block else []
        for mine, its in matches:
            self._change(items[mine], old[mine], new[its])
        kept = [mine for mine, _ in matches]
        added: dict[int, list[object]] = {}
        """The new items by the index of the old one that they follow; -1 for those before all that are kept."""
        behind, of_old = -1, {its: mine for mine, its in matches}
        for place, value in enumerate(new):
            if place in of_old:
                behind = of_old[place]
            else:
                added.setdefault(behind, []).append(value)
        if not node.is_block:
            if not kept:
                raise AwkwardError
            self._in_brackets(spans, kept, {place: list(map(writing.flow, values)) for place, values in added.items()})
            return
        if not all(map(self._at.is_first_on_line, dashes)):
            raise AwkwardError
        column = self._at.column(dashes[0])
        ends = [self._at.after(item) for item in items]
        self._drop_lines(dashes, ends, kept)
        in_brackets = items[-1].is_flow and items[-1].pairs is not None
        for place, values in added.items():
            lines = []
            for value in values:
                short = in_brackets and len(writing.flow(value)) <= writing.WIDTH
                lines += [" " * column + "- " + writing.flow(value)] if short else writing.item(value, column)
            at = self._at.line(dashes[0]) if place < 0 else self._at.trail(ends[place], column)
            self._insert_lines(self._at.lead(dashes[kept[0]]) if place < 0 and kept and kept[0] else at, lines)

    # --- Text ---

    def _in_brackets(self, spans: Sequence[tuple[int, int]], kept: Sequence[int], added: dict[int, list[str]]) -> None:
        """Within brackets: removes what is not kept, with its commas, and inserts what is added after each entry."""
        for first, last in _gaps(kept, len(spans)):
            if first:
                self._edits.append((spans[first - 1][1], spans[last][1], ""))
            else:
                self._edits.append((spans[0][0], spans[last + 1][0], ""))
        for place, texts in added.items():
            if place < 0:
                at = spans[kept[0]][0]
                self._edits.append((at, at, "".join(f"{text}, " for text in texts)))
                continue
            start, end = spans[place]
            alone = self._at.is_first_on_line(start)
            between = "," + self._at.newline + " " * self._at.column(start) if alone else ", "
            self._edits.append((end, end, "".join(between + text for text in texts)))

    def _drop_lines(self, starts: Sequence[int], ends: Sequence[int], kept: Sequence[int]) -> None:
        """Removes the entries of a block that are not kept, each with the comment above it."""
        for first, last in _gaps(kept, len(starts)):
            if not self._at.is_first_on_line(starts[first]):
                # The first key of an item: it stands behind the item's hyphen, and so will the next.
                if last + 1 == len(starts):
                    raise AwkwardError
                self._edits.append((starts[first], starts[last + 1], ""))
                continue
            for place in range(first, last + 1):
                begin = self._at.lead(starts[place]) if place else self._at.line(starts[place])
                self._edits.append((begin, ends[place], ""))

    def _insert_lines(self, at: int, lines: Sequence[str]) -> None:
        newline = self._at.newline
        text = "".join(line + newline for line in lines)
        if at == len(self._at.text) and not BREAK.match(self._at.text, at - 1):
            text = newline + text.removesuffix(newline)
        self._edits.append((at, at, text))


def _is_scalar(value: object) -> bool:
    return not isinstance(value, dict | list)


def _gaps(kept: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    """The first and last index of each run that is not kept."""
    before = -1
    for place in (*kept, count):
        if place > before + 1:
            yield before + 1, place - 1
        before = place


def _identity(value: object) -> Hashable:
    if isinstance(value, dict):
        known = [(key, value[key]) for key in _IDENTITY if isinstance(value.get(key), str)]
        return tuple(known[:1] if known and known[0][0] == "id" else known) or "mapping"
    return (type(value).__name__, value) if isinstance(value, Hashable) else type(value).__name__


def _matches(old: Sequence[object], new: Sequence[object]) -> list[tuple[int, int]]:
    """Pairs of an old index and the new one that it has become, ascending: as many as keep their order."""
    head = agreeing(old, new)
    tail = agreeing(old[head:][::-1], new[head:][::-1])
    pairs = [(place, place) for place in range(head)]
    places: dict[Hashable, list[int]] = {}
    for place in range(head, len(old) - tail):
        places.setdefault(_identity(old[place]), []).append(place)
    for place in range(head, len(new) - tail):
        found = places.get(_identity(new[place]))
        if found:
            pairs.append((found.pop(0), place))
    pairs += [(len(old) - n, len(new) - n) for n in range(tail, 0, -1)]
    return _with_likely(_ascending(pairs), old, new)


def _with_likely(matches: list[tuple[int, int]], old: Sequence[object], new: Sequence[object]) -> list[tuple[int, int]]:
    """Adds pairs between these, where as many entries went as came and they are alike: an entry may have been
    renamed."""
    found = []
    mine = its = 0
    for next_mine, next_its in (*matches, (len(old), len(new))):
        if next_mine - mine == next_its - its:
            gap = zip(range(mine, next_mine), range(its, next_its), strict=True)
            found += [(m, i) for m, i in gap if _alike(old[m], new[i])]
        if next_mine < len(old):
            found.append((next_mine, next_its))
        mine, its = next_mine + 1, next_its + 1
    return found


def _alike(one: object, other: object) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return _is_scalar(one) and _is_scalar(other)
    agreed = sum(key in other and same(value, other[key]) for key, value in one.items())
    return 2 * agreed >= max(len(one), len(other))


def _ascending(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence whose first numbers ascend; the second ones do anyway."""
    ends: list[int] = []
    chain: list[int] = []
    before: list[int] = []
    for place, (mine, _) in enumerate(pairs):
        length = bisect_left(ends, mine)
        before.append(chain[length - 1] if length else -1)
        ends[length : length + 1] = [mine]
        chain[length : length + 1] = [place]
    found, at = [], chain[-1] if chain else -1
    while at >= 0:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]
