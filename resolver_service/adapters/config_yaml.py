"""Reads configurations that are written in YAML."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, cast

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from resolver_service.app.considerate import let_go
from resolver_service.app.ports import Parsed
from resolver_service.domain.catalog import Catalog
from resolver_service.domain.config import ConfigError, Known, Problem, parse, parse_further
from resolver_service.domain.config_blocks import Parts, parts, place

LARGEST_BYTES = 16 * 1024 * 1024
DEEPEST = 100
"""Levels. Composing recurses on the C stack: some ten thousand levels would end the process."""

# A key that may be quoted in a message: no other text may, since it may be a secret that has come to the wrong place.
_HARMLESS_KEY = re.compile(r"[a-z][a-z-]{0,30}\Z")


def load(text: str | bytes) -> Catalog:
    """The catalog that a configuration describes. Raises `ConfigError` with all problems, and nothing else."""
    document = read(text)
    try:
        return parse(document)
    except ConfigError as error:
        raise ConfigError(located(text, error.problems)) from None


def parsed(text: bytes) -> Parsed:
    """The document and its catalog. Raises `ConfigError` with all problems, and nothing else."""
    return Reader().parsed(text)


class Reader:
    """Reads one version of a configuration after the other, and parses only the entries that have changed.

    What it returns is shared between versions, and must not be changed.
    """

    def __init__(self) -> None:
        self._entries: dict[str, object] = {}
        """The parsed entries of lists, by their texts."""
        self._known: Known | None = None
        """What was made of the last valid version."""

    def parsed(self, text: bytes) -> Parsed:
        """The document and its catalog. Raises `ConfigError` with all problems, and nothing else."""
        document = self._read(text)
        try:
            known = parse_further(document, self._known)
        except ConfigError as error:
            raise ConfigError(located(text, error.problems)) from None
        gone = [] if self._known is None else [*self._known.pools.values(), *self._known.groups.values()]
        self._known = known
        let_go(gone)
        return Parsed(cast("dict[str, Any]", document), known.catalog)

    def _read(self, text: bytes) -> object:
        if len(text) <= LARGEST_BYTES:
            with contextlib.suppress(_UnusualError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
                found = parts(text.decode("utf-8-sig"))
                if found is not None:
                    document, self._entries = _joined(found, self._entries)
                    return document
        return read(text)  # Which tells what is wrong, and where.


class _UnusualError(Exception):
    """A text whose parts cannot be parsed one by one."""


def _joined(found: Parts, known: Mapping[str, object]) -> tuple[object, dict[str, object]]:
    """The document, and its entries by their texts. Raises `_UnusualError` or what the library does."""
    _, frame = _composed(found.frame)
    entries: dict[str, object] = {}
    lists = []
    for texts in found.lists:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        entries |= zip(new, _entries(new), strict=True)
        entries |= ((text, known[text]) for text in texts if text in known)
        lists.append([entries[text] for text in texts])
    places = {place(number): number for number in range(len(lists))}
    document = _filled(frame, places, lists)
    if places:
        raise _UnusualError
    return document, entries


def _entries(texts: Sequence[str]) -> Sequence[object]:
    if not texts:
        return ()
    node, tree = _composed("".join(texts))
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != len(texts):
        raise _UnusualError
    nodes, node.value, line = node.value[::-1], [], 0
    for text in texts:
        after = line + text.count("\n")
        # One goes after the other: to free all of them at once would keep everybody else waiting.
        if not line <= nodes.pop().start_mark.line < max(after, line + 1):
            raise _UnusualError
        line = after
    return tree if isinstance(tree, list) else ()


def _filled(value: object, places: dict[str, int], lists: Sequence[list[object]]) -> object:
    """The value with its placeholders replaced by their lists. Takes out of `places` those that it finds."""
    if isinstance(value, dict):
        return {key: _filled(inner, places, lists) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) == 1 and isinstance(value[0], str) and value[0] in places:
        return lists[places.pop(value[0])]
    return [_filled(inner, places, lists) for inner in value]


def _composed(text: str) -> tuple[yaml.Node | None, object]:
    """The text's node, and its value as plain data."""
    _check_is_usual(text)
    loader = _Loader(text)
    node = loader.get_single_node()
    return node, None if node is None else loader.construct_document(node)


def read(text: str | bytes) -> object:
    """The tree of plain data that a text stands for; None if it is empty.

    Raises `ConfigError` with the first problem and its place, and nothing else. Its message never quotes a value.
    """
    if len(text) > LARGEST_BYTES:
        raise _error("", f"larger than {LARGEST_BYTES // 1024**2} MiB")
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        _check_depth(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, narrowed further
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        raise _error(_mark(error.problem_mark or error.context_mark), _message(error)) from None
    except ReaderError as error:
        # libyaml counts bytes.
        before = text.encode()[: error.position] if isinstance(text, str) else b""
        raise _error(_place(before.decode(errors="ignore")), "a character that is not allowed") from None
    except UnicodeDecodeError as error:
        raise _error(_place(error.object[: error.start].decode()), "not valid UTF-8") from None
    except UnicodeEncodeError as error:
        raise _error(_place(error.object[: error.start]), "a character that is not allowed") from None
    except Exception:  # noqa: BLE001 - whatever else a YAML library comes up with, the text is to blame
        raise _error("", "this cannot be read as YAML") from None


class _ValueError(ConstructorError):
    """A node that is well-formed and has no valid value."""

    def __init__(self, problem: str, node: yaml.Node) -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)


class _Loader(yaml.CSafeLoader):
    """The core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema) instead of 1.1's, in which `on` is a
    truth value, 1:30 a number and 2026-01-01 a date; and keys that stand twice are found."""

    # Tables of the class's own, filled below: the superclass's have 1.1's entries.
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # the stubs' instance variable is none
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if (key_node.tag, key_node.value) in seen:
                    key = f" '{key_node.value}'" if _HARMLESS_KEY.match(key_node.value) else ""
                    raise _ValueError(f"duplicate key{key}", key_node)
                seen.add((key_node.tag, key_node.value))
        return super().construct_mapping(node, deep)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value.lower()
    try:
        return int(text, 0 if text.startswith(("0o", "0x")) else 10)
    except ValueError:  # Tagged as a number by hand, or longer than Python takes.
        raise _ValueError("not a number, or too long a one", node) from None


def _unknown(loader: _Loader, node: yaml.Node) -> object:
    raise _ValueError("unknown tag; put a value that begins with '!' in quotes", node)


_TAG = "tag:yaml.org,2002:"
for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), _first)
for _kind in ("null", "bool", "float", "str", "seq", "map"):
    _Loader.add_constructor(_TAG + _kind, yaml.CSafeLoader.yaml_constructors[_TAG + _kind])
_Loader.add_constructor(_TAG + "int", _integer)
_Loader.add_constructor(None, _unknown)


def _check_depth(text: str) -> None:
    """Refuses what would end the process once it is composed: see `DEEPEST`."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _error(_mark(event.start_mark), f"nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_is_usual(text: str) -> None:
    """Raises `_UnusualError` for anchors, which another part may refer to, for aliases, and for what may be too deep
    once the parts are joined."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST // 2 or getattr(event, "anchor", None) is not None:
            raise _UnusualError


def located(text: str | bytes, problems: Sequence[Problem]) -> Sequence[Problem]:
    """The same problems of a text that could be read, each with its line."""
    if not problems:
        return problems
    lines = _Lines(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    told = [Problem(it.path, it.message, lines.of(it.path)) for it in problems]
    lines.let_go()
    return told


class _Lines:
    """Where in a text the values stand that paths lead to."""

    def __init__(self, text: str) -> None:
        self._root = yaml.compose(text, Loader=_Loader)
        self._known: dict[int, dict[str, tuple[int, yaml.Node]]] = {}
        """What is inside of nodes, by their identity, and the lines at which it begins."""

    def of(self, path: str) -> int:
        """The line of the value, or of what lacks it; 0 for the text as a whole."""
        node, line = self._root, 0
        for step in _STEP.finditer(path):
            found = self._inside(node).get(step[1])
            if found is None:
                break
            line, node = found
        return line

    def _inside(self, node: yaml.Node | None) -> dict[str, tuple[int, yaml.Node]]:
        inside = self._known.get(id(node))
        if inside is None:
            inside = {}
            if isinstance(node, yaml.MappingNode):
                inside = {str(key.value): (key.start_mark.line + 1, value) for key, value in node.value}
            elif isinstance(node, yaml.SequenceNode):
                inside = {f"[{n}]": (each.start_mark.line + 1, each) for n, each in enumerate(node.value)}
            self._known[id(node)] = inside
        return inside

    def let_go(self) -> None:
        """Frees the nodes one by one: in one piece, those of a large text would hold up all other threads."""
        nodes, self._root = [self._root], None
        self._known.clear()
        while nodes:
            node = nodes.pop()
            if isinstance(node, yaml.CollectionNode):
                inside, node.value = node.value, []  # Aliases lead here again, and find nothing.
                nodes += [value for _, value in inside] if isinstance(node, yaml.MappingNode) else inside


_STEP = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_-]*|\[\d+\])")
"""Of a path. Keys that messages show in quotes are none: what has them in it is told."""


def _message(error: yaml.MarkedYAMLError) -> str:
    """What is wrong. libyaml quotes nothing of the text; the constructor of keys may, so it does not get to speak."""
    if isinstance(error, _ValueError):
        return str(error.problem)
    if isinstance(error, ConstructorError):
        return "not a valid key"
    told = str(error.problem)
    if error.context:
        told = f"{error.context}{_since(error)}: {told}"
    remedy = _REMEDIES.get(str(error.problem))
    return f"{told}; {remedy}" if remedy else told


def _since(error: yaml.MarkedYAMLError) -> str:
    """Of what is never closed, the place is where the text ends."""
    begun, found = error.context_mark, error.problem_mark
    is_within = str(error.context).startswith("while")
    return f" that begins in line {begun.line + 1}" if is_within and begun and found and begun.line < found.line else ""


_INDENT, _CLOSE = "indent alike what belongs together", "close it with the bracket that it began with"
_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "did not find expected ',' or '}'": _CLOSE,
        "did not find expected ',' or ']'": _CLOSE,
        "did not find expected '-' indicator": _INDENT,
        "did not find expected key": _INDENT,
        "block sequence entries are not allowed in this context": _INDENT,
        "could not find expected ':'": "a key has a ':' and a space behind it",
        "mapping values are not allowed in this context": "put a space behind each ':', quotes around a value that has "
        "': ' in it, and indent alike what belongs together",
        "found character that cannot start any token": "indent with spaces, not with tabs, and put a value that begins "
        "with such a character in quotes",
        "found a tab character that violates indentation": "indent with spaces",
        "found unexpected end of stream": "a quote is not closed",
        "found undefined alias": "put a value that begins with '*' in quotes",
        "but found another document": "take out the line '---'",
    }
)
"""What to do about what libyaml says."""


def _place(before: str) -> str:
    """The place right after a text."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _mark(mark: Any) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _error(place: str, message: str) -> ConfigError:
    return ConfigError([Problem(place, message)])
