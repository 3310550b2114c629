"""Reads a tree of plain data with care: every value's type is checked, every problem noted with its place.

Nothing here stops at the first problem. A value that is not as it should be is noted and read as absent, so that
reading goes on; `Problems.check` tells in the end whether the result may be used.

Only what the readers ask for is looked at, so neither depth nor self-reference of the tree can do harm.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, TypeGuard, TypeVar

from resolver_service.domain.names import closest

Path: TypeAlias = tuple[Hashable, ...]
"""The keys and indices that lead to a value."""
Choice = TypeVar("Choice", bound=StrEnum)

MOST_SUGGESTIONS = 100
"""The rest of a configuration that is wrong throughout is told without guesses: they take milliseconds each."""
MOST_VALUES = 1_000_000
"""The most values that are read: aliases can make an endless tree of a short text."""
LONGEST_QUOTED = 60
SHORTEST_SECRET = 12
"""Characters of a key with a digit in it that is not shown."""

_NONE: Mapping[str, str] = {}

_KINDS: tuple[tuple[type, str], ...] = (
    (type(None), "nothing"),
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (bytes, "binary data"),
    (list, "a list"),
    (dict, "a mapping"),
)
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")
_NOT_UNICODE = re.compile("[\ud800-\udfff]")
# Names travel in headers and log lines: no control characters, no line separators, no half characters.
_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration."""

    path: str
    """Such as `model-pools.clusters[1].members[0].pool`; empty for the document as a whole."""
    message: str
    line: int = field(default=0, compare=False)
    """Of the text that the document was read from, counted from 1; 0 where that is not known."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def in_text(self) -> str:
        """With the line, for a reader who has the text."""
        return f"line {self.line}, {self}" if self.line else str(self)


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it, in the document's order."""

    code = "invalid_configuration"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)

    def in_text(self) -> str:
        """The same with lines, for a reader who has the text."""
        return "\n".join(problem.in_text() for problem in self.problems)


def kind_of(value: object) -> str:
    """What a value is, in the words of the messages."""
    return next((words for kind, words in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")


def quoted(value: object) -> str:
    """A value as the messages show it: short and on one line, whatever it is.

    YAML folds lines that are indented too far into the text above them, a list of keys into a preset's name: of what
    follows a first word, nothing is shown that may be secret.
    """
    if isinstance(value, str):
        first, *others = value.split(" ")
        value = " ".join([first, *("..." if _may_be_secret(other) else other for other in others)])
        return repr(value if len(value) <= LONGEST_QUOTED else value[: LONGEST_QUOTED - 3] + "...")
    # Python refuses to write out integers of thousands of digits.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**LONGEST_QUOTED:
        return str(value)
    return kind_of(value)


def _may_be_secret(key: object) -> bool:
    """Whether a word looks like a provider's key, and not like anything in a configuration."""
    return isinstance(key, str) and len(key) >= SHORTEST_SECRET and any(map(str.isdigit, key))


def path_text(path: Path) -> str:
    """A path as the messages show it."""
    text = ""
    for part in path:
        if _may_be_secret(part):
            text += "[...]"
        elif isinstance(part, str) and _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{quoted(part)}]"
    return text


class Problems:
    """What has been found wrong with a document so far."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._found: list[tuple[Path, str]] = []
        self._suggestions = 0
        self._values = 0
        self._orders: dict[int, dict[Hashable, int]] = {}

    def add(self, path: Path, message: str) -> None:
        self._found.append((path, message))

    def add_unknown(self, path: Path, what: str, name: object, candidates: Iterable[str], otherwise: str = "") -> None:
        """Notes a word that is not known, with the one that was probably meant or else with what `otherwise` says."""
        self.add(path, f"unknown {what} {quoted(name)}{self._suggestion(name, candidates) or otherwise}")

    def _suggestion(self, name: object, candidates: Iterable[str]) -> str:
        if not isinstance(name, str) or self._suggestions >= MOST_SUGGESTIONS:
            return ""
        self._suggestions += 1
        likely = closest(name, candidates, limit=1)
        return f"; did you mean {quoted(likely[0])}?" if likely else ""

    def count(self, path: Path, values: int) -> None:
        """Takes account of values about to be read. Raises `ConfigError` at once if they are far too many."""
        self._values += values
        if self._values > MOST_VALUES:
            self.add(path, f"the configuration is too large: more than {MOST_VALUES} values up to here")
            self.check()

    @property
    def values(self) -> int:
        """How many have been read."""
        return self._values

    def check(self) -> None:
        """Raises `ConfigError` if anything is wrong."""
        if self._found:
            self._found.sort(key=lambda found: self._position(found[0]))
            raise ConfigError(Problem(path_text(path), message) for path, message in self._found)

    def _position(self, path: Path) -> list[int]:
        """The position of a path in the document, as numbers to sort by; a missing key comes before those present."""
        node, position = self._document, []
        for part in path:
            if isinstance(node, dict):
                order = self._orders.get(id(node))
                if order is None:
                    order = self._orders[id(node)] = {key: place for place, key in enumerate(node)}
                position.append(order.get(part, -1))
                node = node.get(part)
            elif isinstance(node, list) and isinstance(part, int):
                position.append(part)
                node = node[part]
        return position


class Section:
    """A mapping of the document, and where it stands. Keys that hold null count as absent."""

    __slots__ = ("_fields", "path", "problems")

    def __init__(
        self,
        problems: Problems,
        path: Path,
        fields: Mapping[Hashable, object],
        keys: Sequence[str],
        advice: Mapping[str, str] = _NONE,
    ) -> None:
        """`advice` is what to say of certain keys that do not belong here."""
        problems.count(path, len(fields))
        self.problems = problems
        self.path = path
        self._fields = fields
        for key in fields:
            if key in keys:
                continue
            known = f"; known here: {', '.join(keys)}"
            if key in advice:
                problems.add((*path, key), f"unknown key {quoted(key)}; {advice[str(key)]}")
            elif _may_be_secret(key):
                problems.add((*path, key), f"unknown key, not shown since it may be a secret{known}")
            else:
                problems.add_unknown((*path, key), "key", key, keys, known)

    @classmethod
    def of(
        cls,
        problems: Problems,
        path: Path,
        value: object,
        keys: Sequence[str],
        advice: Mapping[str, str] = _NONE,
    ) -> Section | None:
        """None, and a problem, if the value is no mapping."""
        if not isinstance(value, dict):
            problems.add(path, f"expected a mapping, got {kind_of(value)}")
            return None
        return cls(problems, path, value, keys, advice)

    def at(self, key: str) -> Path:
        return (*self.path, key)

    def problem(self, key: str, message: str) -> None:
        self.problems.add((*self.path, key), message)

    def get(self, key: str) -> object:
        """The value as it is; None if there is none."""
        return self._fields.get(key)

    def has(self, key: str) -> bool:
        """Whether the key is there, even with nothing behind it."""
        return key in self._fields

    def section(self, key: str, keys: Sequence[str], *, advice: Mapping[str, str] = _NONE) -> Section:
        """An empty one if there is none."""
        value = self._fields.get(key)
        found = None if value is None else Section.of(self.problems, self.at(key), value, keys, advice)
        return found or Section(self.problems, self.at(key), {}, keys)

    def items(self, key: str) -> list[tuple[Path, object]] | None:
        """The values of a list and where they stand: empty if there is none, None if it is something else."""
        value = self._fields.get(key)
        if value is None:
            return []
        path = self.at(key)
        if not isinstance(value, list):
            self.problems.add(path, f"expected a list, got {kind_of(value)}")
            return None
        self.problems.count(path, len(value))
        return [((*path, index), item) for index, item in enumerate(value)]

    def sections(
        self, key: str, keys: Sequence[str], *, required: bool = False, advice: Mapping[str, str] = _NONE
    ) -> Iterator[Section]:
        """The mappings of a list, without what is none."""
        items = self.items(key)
        if required and items is not None and not items:
            self.problem(key, "must have at least one entry")
        for path, value in items or ():
            found = Section.of(self.problems, path, value, keys, advice)
            if found is not None:
                yield found

    def text(self, key: str) -> str:
        """Empty if there is none."""
        value = self._fields.get(key)
        if value is None or not _is_text(value, self.problems, self.at(key)):
            return ""
        if _NOT_UNICODE.search(value):
            self.problem(key, "must be valid Unicode")
            return ""
        return value.strip()

    def name(self, key: str, *, required: bool = False) -> str | None:
        """A trimmed text for one line, never empty."""
        value = self._fields.get(key)
        if value is None:
            if required:
                self.problem(key, "is required")
            return None
        return name_of(self.problems, self.at(key), value)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._fields.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(key, f"expected true or false, got {kind_of(value)}")
            return default
        return value

    def integer(self, key: str, low: int, high: int) -> int | None:
        value = self._fields.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.problem(key, f"expected an integer, got {kind_of(value)}")
            return None
        if not low <= value <= high:
            self.problem(key, f"expected an integer from {low} to {high}, got {quoted(value)}")
            return None
        return value

    def choice(self, key: str, what: str, choices: Iterable[Choice], *, required: bool = False) -> Choice | None:
        value = self._fields.get(key)
        if value is None:
            if required:
                self.problem(key, f"is required: {_either(choices)}")
            return None
        return choice_of(self.problems, self.at(key), value, what, tuple(choices))


def name_of(problems: Problems, path: Path, value: object) -> str | None:
    """A trimmed text for one line, never empty; None, and a problem, if the value is none."""
    if not _is_text(value, problems, path):
        return None
    name = value.strip()
    if name and not _NOT_IN_NAMES.search(name):
        return name
    problems.add(path, "must not contain control characters" if name else "must not be empty")
    return None


def choice_of(problems: Problems, path: Path, value: object, what: str, choices: Sequence[Choice]) -> Choice | None:
    """One of the words; None, and a problem, if the value is none of them."""
    for choice in choices:
        if value == choice.value:
            return choice
    if _is_text(value, problems, path):
        problems.add_unknown(path, what, value, [c.value for c in choices], f"; expected {_either(choices)}")
    return None


def _is_text(value: object, problems: Problems, path: Path) -> TypeGuard[str]:
    if isinstance(value, str):
        return True
    # What looks like a version or a word to people may be a number or a truth value to YAML.
    hint = "; put it in quotes" if isinstance(value, int | float) else ""
    problems.add(path, f"expected a string, got {kind_of(value)}{hint}")
    return False


def _either(choices: Iterable[StrEnum]) -> str:
    *most, last = (choice.value for choice in choices)
    return f"{', '.join(most)} or {last}"
