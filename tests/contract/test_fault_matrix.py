"""docs/faults.md names a test for every row of the fault matrix, and each of them exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = range(1, 35)


def table() -> Iterator[tuple[int, list[str]]]:
    """The number of each row of the matrix, and its cells."""
    _, _, matrix = (ROOT / "docs" / "faults.md").read_text().partition("## The matrix")
    for line in matrix.splitlines():
        if found := re.match(r"\| (\d+) \|(.*)\|$", line):
            yield int(found[1]), [cell.strip() for cell in found[2].split("|")]


def named_in(cell: str) -> list[str]:
    return re.findall(r"`(\S+\.py::\w+)`", cell)


def defined_in(file: str) -> set[str]:
    """The functions of a file below `tests`."""
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_is_there_in_its_order_with_a_test() -> None:
    rows = list(table())
    numbers = [number for number, _ in rows]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(ROWS)
    for number, cells in rows:
        assert len(cells) == 5, number
        assert named_in(cells[-1]), number
        assert re.sub(r"`\S+\.py::\w+`", "", cells[-1]).strip() == "", number


def test_every_test_that_is_named_exists() -> None:
    named = {test for _, cells in table() for test in named_in(cells[-1])}
    for test in named:
        file, _, function = test.partition("::")
        assert function in defined_in(file), test
