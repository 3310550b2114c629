from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import canaries


@pytest.fixture(autouse=True)
def nothing_leaks(tmp_path: Path) -> Iterator[None]:
    """What a test leaves behind has no secret in it, and no prompt."""
    yield
    assert canaries.found(tmp_path) == []
