"""A YAML text as a tree of positions: where each value begins and ends, to the character.

PyYAML's own nodes do not tell where an alias is, and a block's node ends where the next one begins. So the tree is made
from libyaml's events.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import yaml

BREAK = re.compile("\r\n?|[\n\x85\u2028\u2029]")
_BLANK_OR_COMMENT = re.compile("(?:[ \t\r\n\x85\u2028\u2029\ufeff]+|#[^\r\n\x85\u2028\u2029]*)*")
_COMMENT_LINE = re.compile("([ \t]*)#")


class AwkwardError(Exception):
    """A YAML construct that cannot be edited in place."""


@dataclass(slots=True, eq=False)
class Node:
    start: int
    """Where its anchor or tag begins, if it has one."""
    end: int
    """Behind its last character. A literal block ends with its line, and nothing else does."""
    body: int = 0
    """Of a collection: after anchor, tag and opening bracket."""
    is_flow: bool = True
    style: str = ""
    """Of a scalar: its quotes, `|` or `>`."""
    anchor: str = ""
    alias_of: Node | None = None
    items: list[Node] | None = None
    pairs: list[tuple[Node, Node]] | None = None

    @property
    def is_block(self) -> bool:
        """Whether it is a collection on lines of its own."""
        return not self.is_flow


@dataclass(slots=True)
class Layout:
    """A text with its tree and its lines."""

    text: str
    root: Node
    aliases: list[Node]
    newline: str
    starts: list[int] = field(default_factory=list)
    """Where each line begins."""

    def line(self, at: int) -> int:
        """Where the line of this place begins."""
        return self.starts[bisect_right(self.starts, at) - 1]

    def next_line(self, at: int) -> int:
        """Where the next one begins; the end of the text if there is none."""
        place = bisect_right(self.starts, at)
        return self.starts[place] if place < len(self.starts) else len(self.text)

    def column(self, at: int) -> int:
        return at - self.line(at)

    def after(self, node: Node) -> int:
        """Where the first line after the node begins."""
        if node.end > node.start and BREAK.fullmatch(self.text[node.end - 1]):
            return node.end
        return self.next_line(node.end)

    def is_first_on_line(self, at: int) -> bool:
        return not self.text[self.line(at) : at].strip(" \t\ufeff")

    def skip(self, at: int) -> int:
        """The next place that is neither blank nor in a comment."""
        found = _BLANK_OR_COMMENT.match(self.text, at)
        return found.end() if found else at

    def comment_column(self, line: int) -> int | None:
        """The column of the comment that has the line to itself; None if there is none."""
        found = _COMMENT_LINE.match(self.text, line)
        return len(found[1]) if found else None

    def lead(self, at: int) -> int:
        """Where the comment right above a place begins, if it is in the same column; else the place's own line."""
        line, column = self.line(at), self.column(at)
        while line > 0 and self.comment_column(self.line(line - 1)) == column:
            line = self.line(line - 1)
        return line

    def trail(self, line: int, column: int) -> int:
        """The end of the comments that belong to what ends before this line: those that are indented further than the
        column."""
        while line < len(self.text) and (self.comment_column(line) or 0) > column:
            line = self.next_line(line)
        return line

    def dashes(self, node: Node) -> list[int]:
        """Where the hyphens of a block's items are."""
        found, at = [], node.start if self.text.startswith("-", node.start) else self.skip(node.body)
        for item in node.items or ():
            if not self.text.startswith("-", at):
                raise AwkwardError
            found.append(at)
            at = self.skip(item.end)
        return found

    def colon(self, key: Node) -> int:
        """Behind the colon."""
        at = self.skip(key.end)
        if not self.text.startswith(":", at):
            raise AwkwardError
        return at + 1


def layout(text: str) -> Layout:
    """The tree of a valid text. It must not begin with a byte order mark: libyaml does not count it."""
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
    aliases: list[Node] = []
    root: Node | None = None
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            node = stack.pop()
            node.end = _index(event.end_mark) if node.is_flow else _last(node).end
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        start, end = _index(event.start_mark), _index(event.end_mark)
        node = Node(start, end, end)
        if isinstance(event, yaml.AliasEvent):
            node.alias_of = anchors[event.anchor or ""]
            aliases.append(node)
        elif event.anchor:
            node.anchor = event.anchor
            anchors[event.anchor] = node
        _put(stack, node)
        root = root or node
        if isinstance(event, yaml.ScalarEvent):
            node.style = event.style or ""
        elif isinstance(event, yaml.CollectionStartEvent):
            node.is_flow = bool(event.flow_style)
            if isinstance(event, yaml.SequenceStartEvent):
                node.items = []
            else:
                node.pairs = []
            stack.append(node)
    if root is None:
        raise AwkwardError
    first = BREAK.search(text)
    starts = [0, *(found.end() for found in BREAK.finditer(text) if found.end() < len(text))]
    return Layout(text, root, aliases, first[0] if first else "\n", starts)


def _index(mark: Any) -> int:
    """Stubs let marks be missing; libyaml's never are."""
    return int(mark.index)


def _put(stack: list[Node], node: Node) -> None:
    if not stack:
        return
    parent = stack[-1]
    if parent.items is not None:
        parent.items.append(node)
    elif parent.pairs and parent.pairs[-1][1] is _NOTHING:
        parent.pairs[-1] = (parent.pairs[-1][0], node)
    elif parent.pairs is not None:
        parent.pairs.append((node, _NOTHING))


_NOTHING = Node(0, 0)


def _last(node: Node) -> Node:
    """A block's last entry, which ends where the block does; by libyaml it would end where the next thing begins."""
    if node.items:
        return node.items[-1]
    if node.pairs:
        key, value = node.pairs[-1]
        return value if value.end >= key.end else key
    return node
