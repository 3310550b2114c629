"""docs/scaling.md names a test for everything that may be lost, and each of them exists."""

from __future__ import annotations

import re

from tests.contract.test_fault_matrix import ROOT, defined_in, named_in


def rows() -> list[list[str]]:
    _, _, text = (ROOT / "docs" / "scaling.md").read_text().partition("## What is lost")
    table, _, _ = text.partition("\n## ")
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_row_has_a_test_and_each_exists() -> None:
    assert rows()
    for cells in rows():
        assert len(cells) == 5, cells[0]
        assert all(cells)
        assert named_in(cells[-1]), cells[0]
        assert re.sub(r"`\S+\.py::\w+`", "", cells[-1]).strip() == "", cells[0]
        for test in named_in(cells[-1]):
            file, _, function = test.partition("::")
            assert function in defined_in(file), test
