"""docs/security.md names a test for every threat, and each of them exists."""

from __future__ import annotations

import ast

import pytest

from tests.contract.test_fault_matrix import ROOT, named_in

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "security.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| threat ")
]


def test_there_is_a_table() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_threat_has_an_answer_and_tests_that_exist(row: list[str]) -> None:
    threat, answer, tests = row
    assert threat
    assert answer
    assert named_in(tests)
    for test in named_in(tests):
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in defined, test
